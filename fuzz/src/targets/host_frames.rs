//! What agents send to watch, some of it before they have proved who they are, and what watch keeps of it.

use writ_proof::hostlog::log::Entry;
use writ_proof::hostlog::{Frame, FromAgent, Item, Position, ToAgent};

use crate::input::strict;

pub(crate) fn run(input: &[u8]) {
    if let Ok(frame) = Frame::from_bytes(input) {
        assert!(frame.to_bytes().as_deref() == Ok(input), "a frame has two forms");
    }
    if let Ok(entry) = Entry::from_bytes(input) {
        assert!(entry.to_bytes().as_deref() == Ok(input), "an entry has two forms");
    }
    match strict::<FromAgent>(input) {
        Some(FromAgent::Frames(frames)) => {
            let mut place = frames.from;
            for item in &frames.items {
                place = match item {
                    Item::Frame(bytes) => place.after(bytes),
                    Item::Lost(lost) => place.behind(lost).unwrap_or(Position::default()),
                };
            }
        }
        Some(FromAgent::Beat(beat)) => {
            let _read = beat.check();
        }
        _ => {}
    }
    strict::<ToAgent>(input);
}
