//! Signed statements: what reads, writes the same bytes; nothing that is made up verifies as anybody's.

use writ_proof::access::{Opening, Request};
use writ_proof::roster::RosterStatement;
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Signed;

use crate::input::strict;

pub(crate) fn run(input: &[u8]) {
    strict::<RosterStatement>(input);
    strict::<Request>(input);
    strict::<Opening>(input);
    if let Some(signed) = strict::<Signed>(input) {
        strict::<RosterStatement>(signed.body());
        signed.verify::<RosterStatement>().ok();
        signed.verify::<Opening>().ok();
    }
    if let Ok(signature) = SshSig::from_bytes(input) {
        assert!(signature.to_bytes() == input, "a signature has two forms");
        signature.verify(b"message", signature.namespace()).ok();
    }
}
