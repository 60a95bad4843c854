//! Forward access tickets and proofs of possession: nothing verifies that the key did not make.

use writ_proof::fas::{Caveat, Proof, Root, Ticket};

use crate::input::strict;

pub(crate) fn run(input: &[u8]) {
    strict::<Root>(input);
    strict::<Caveat>(input);
    if let Ok(proof) = Proof::from_bytes(input) {
        assert!(proof.to_bytes() == input, "a proof has two forms");
    }
    let Ok(ticket) = Ticket::from_bytes(input) else { return };
    assert!(ticket.to_bytes() == input, "a ticket has two forms");
    assert!(ticket.verify(&[0x5a; 32]).is_err(), "a ticket verifies under another key");
    let _read = ticket.kid();
}
