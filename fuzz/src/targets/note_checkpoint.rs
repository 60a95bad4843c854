//! Signed notes, checkpoints, witness requests, receipts and witness policies: all text.

use writ_proof::checkpoint::Checkpoint;
use writ_proof::note::{Note, VerifierKey};
use writ_proof::policy::Policy;
use writ_proof::receipt::Receipt;
use writ_proof::witness::AddCheckpoint;

pub(crate) fn run(input: &[u8]) {
    if let Ok(note) = Note::from_bytes(input) {
        assert!(note.to_bytes() == input, "a note has two forms");
        if let Ok(checkpoint) = Checkpoint::of(&note) {
            assert!(checkpoint.to_string() == note.text(), "a checkpoint has two forms");
        }
    }
    if let Ok(request) = AddCheckpoint::from_bytes(input) {
        assert!(request.to_bytes() == input, "a witness request has two forms");
    }
    if let Ok(receipt) = Receipt::from_bytes(input) {
        assert!(receipt.to_bytes() == input, "a receipt has two forms");
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(key) = text.parse::<VerifierKey>() {
        let _read = key.id();
    }
    let _read = Policy::parse(text);
}
