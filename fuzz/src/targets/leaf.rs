//! Ledger leaves, use records, statements and the tiles that hold them.

use writ_proof::committed;
use writ_proof::leaf::{Head, Leaf};
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Signed;
use writ_proof::tile::{decode_entries, encode_entries};
use writ_proof::use_record::UseRecord;

pub(crate) fn run(input: &[u8]) {
    if let Ok(leaf) = Leaf::from_bytes(input) {
        assert!(leaf.to_bytes() == input, "a leaf has two forms");
    }
    if let Ok(head) = Head::from_bytes(input) {
        assert!(head.to_bytes() == input, "a head has two forms");
    }
    if let Ok(record) = UseRecord::from_bytes(input) {
        assert!(record.to_bytes() == input, "a use record has two forms");
    }
    if let Ok(signed) = Signed::from_bytes(input) {
        assert!(signed.to_bytes() == input, "a statement has two forms");
    }
    if let Ok(signature) = SshSig::from_bytes(input) {
        assert!(signature.to_bytes() == input, "a signature has two forms");
    }
    if let Ok(record) = committed::parse(input) {
        let _read = committed::commit(&record);
    }
    if let Some((width, entries)) = input.split_first()
        && let Ok(list) = decode_entries(entries, u16::from(*width))
    {
        assert!(encode_entries(&list).as_deref() == Ok(entries), "a bundle has two forms");
    }
}
