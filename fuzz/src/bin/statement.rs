//! Signed statements: what reads, writes the same bytes; nothing that is made up verifies as anybody's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_fuzz::strict;
use writ_proof::roster::RosterStatement;
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Signed;

fuzz_target!(|input: &[u8]| {
    strict::<RosterStatement>(input);
    if let Some(signed) = strict::<Signed>(input) {
        strict::<RosterStatement>(signed.body());
        signed.verify::<RosterStatement>().ok();
    }
    if let Ok(signature) = SshSig::from_bytes(input) {
        assert!(signature.to_bytes() == input, "a signature has two forms");
        signature.verify(b"message", signature.namespace()).ok();
    }
});
