//! An account bundle: what reads, writes the same bytes, part by part and as a whole.

use writ_proof::export::{Part, Sequence, preamble, read_all};

use crate::input::strict;

pub(crate) fn run(input: &[u8]) {
    let mut parts = Vec::new();
    if read_all(input, &mut |part| parts.push(part)).is_ok() {
        assert!(write(&parts).as_deref() == Some(input), "a bundle has two forms");
    }
    strict::<Part>(input);
    // The digest at the end keeps most inputs out: here it is made to fit.
    let Some((preamble_bytes, mut rest)) = input.split_first_chunk() else { return };
    let Ok(mut sequence) = Sequence::begin(preamble_bytes) else { return };
    let mut parts = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((body, after)) = after.split_at_checked(length) else { break };
        let Ok(part) = sequence.read(body) else { break };
        parts.push(part);
        rest = after;
    }
    if sequence.finish().is_err() {
        parts.push(sequence.end());
        // Nothing but `Begin` may come first.
        let Some(whole) = write(&parts) else { return };
        let mut again = Vec::new();
        read_all(&whole, &mut |part| again.push(part)).expect("what was written reads");
        assert!(again == parts, "a bundle reads as another one");
    }
}

fn write(parts: &[Part]) -> Option<Vec<u8>> {
    let mut sequence = Sequence::begin(&preamble()).ok()?;
    let mut bytes = preamble().to_vec();
    for part in parts {
        bytes.extend(sequence.write(part).ok()?);
    }
    Some(bytes)
}
