//! A segment of the write-ahead log: every frame that reads, writes the same bytes.

use writ_proof::frame::{Frames, WalEnd, frame_hash};

pub(crate) fn run(input: &[u8]) {
    let mut end = WalEnd::default();
    let mut at = 0;
    for located in Frames::new(input) {
        let located = match located {
            Ok(located) => located,
            Err(error) => {
                assert!(error.at == at, "the error is not where reading stopped");
                return;
            }
        };
        assert!(located.at == at && located.end > at, "frames overlap");
        let bytes = &input[located.at as usize..located.end as usize];
        assert!(located.frame.to_bytes().as_deref() == Ok(bytes), "a frame has two forms");
        assert!(located.hash == frame_hash(bytes));
        for entry in &located.frame.batch.entries {
            let _read = entry.decoded_leaves();
        }
        let _read = end.step(&located);
        at = located.end;
    }
    assert!(at == input.len() as u64, "bytes were passed over");
}
