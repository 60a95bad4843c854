//! Forward access tickets and proofs of possession: nothing verifies that the key did not make.

#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_proof::fas::{Caveat, Proof, Root, Ticket};

fuzz_target!(|input: &[u8]| {
    writ_fuzz::strict::<Root>(input);
    writ_fuzz::strict::<Caveat>(input);
    if let Ok(proof) = Proof::from_bytes(input) {
        assert!(proof.to_bytes() == input, "a proof has two forms");
    }
    let Ok(ticket) = Ticket::from_bytes(input) else { return };
    assert!(ticket.to_bytes() == input, "a ticket has two forms");
    assert!(ticket.verify(&[0x5a; 32]).is_err(), "a ticket verifies under another key");
    let _ = ticket.kid();
});
