//! A recording read by somebody without its key: in pieces as in one, up to the same byte.

use writ_proof::recording::Verifier;

pub(crate) fn run(input: &[u8]) {
    let mut whole = Verifier::new();
    let mut frames = 0u64;
    let done = whole.push(input, &mut |_, _| {
        frames += 1;
        Ok(())
    });
    let mut pieces = Verifier::new();
    let by_piece = input.chunks(5).try_for_each(|piece| pieces.push(piece, &mut |_, _| Ok(())));
    assert!(done.is_ok() == by_piece.is_ok(), "pieces are read otherwise than the whole");
    assert!(whole.good_bytes() == pieces.good_bytes() && whole.good_bytes() <= input.len() as u64);
    if let Ok(verified) = whole.finish() {
        assert!(done.is_ok() && verified.bytes == input.len() as u64);
        assert!(verified.frames == frames);
    }
}
