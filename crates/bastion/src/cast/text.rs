//! UTF-8 that comes in pieces.

use crate::limits::CAST_HELD_MAX_BYTES;

/// Decodes one stream: an incomplete sequence at the end of a piece waits for the next one, what stays
/// invalid is replaced.
#[derive(Debug, Default)]
pub(super) struct Text {
    held: Vec<u8>,
    /// True once something was replaced.
    pub(super) lossy: bool,
}

impl Text {
    pub(super) fn add(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let mut text = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let chunk = rest.utf8_chunks().next();
            let (valid, invalid) = chunk.map_or(("", &[][..]), |c| (c.valid(), c.invalid()));
            text.push_str(valid);
            let after = rest.get(valid.len() + invalid.len()..).unwrap_or_default();
            if after.is_empty() && is_incomplete(invalid) {
                self.held = invalid.to_vec();
                break;
            }
            if !invalid.is_empty() {
                self.lossy = true;
                text.push(char::REPLACEMENT_CHARACTER);
            }
            rest = after;
        }
        text
    }

    /// What stands for a sequence that never became whole.
    pub(super) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return String::new();
        }
        self.lossy = true;
        char::REPLACEMENT_CHARACTER.to_string()
    }
}

/// True for bytes that may become a character with more bytes.
fn is_incomplete(bytes: &[u8]) -> bool {
    let wants_more = std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none());
    bytes.len() <= CAST_HELD_MAX_BYTES && wants_more
}
