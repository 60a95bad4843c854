//! What an agent reads on its host: netlink packets of the kernel's audit, and journal export files.

use writ_agent::source::audit::{Status, message, split};
use writ_agent::source::journal::{Entry, Read};
use writ_proof::limits::HOST_PAYLOAD_MAX_BYTES;

pub(crate) fn run(input: &[u8]) {
    for found in message(input) {
        let (_, text) = split(found.data);
        assert!(text.len() <= found.data.len());
        let _read = Status::read(found.data);
    }
    let (mut whole, mut rest) = (Entry::default(), input);
    let read = whole.read(&mut rest);
    assert!(whole.taken() as usize + rest.len() == input.len(), "more than there is");
    // In pieces, of which what nobody keeps is passed over, it is the same.
    let (mut entry, mut at, mut last) = (Entry::default(), 0, Read::On);
    while last == Read::On && at < input.len() {
        at += entry.skip((input.len() - at) as u64) as usize;
        let Some(mut piece) = input.get(at..input.len().min(at + 7)).filter(|p| !p.is_empty())
        else {
            break;
        };
        let length = piece.len();
        last = entry.read(&mut piece);
        at += length - piece.len();
    }
    assert_eq!((last, entry.taken()), (read, whole.taken()));
    let told = whole.told();
    assert!(told == entry.told() && told.0.len() <= HOST_PAYLOAD_MAX_BYTES);
}
