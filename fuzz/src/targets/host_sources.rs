//! What an agent reads on its host: netlink packets of the kernel's audit, and journal export files.

use writ_agent::source::audit::{Status, message, split};
use writ_agent::source::journal::fields;

pub(crate) fn run(input: &[u8]) {
    for found in message(input) {
        let (_, text) = split(found.data);
        assert!(text.len() <= found.data.len());
        let _read = Status::read(found.data);
    }
    if let Some((fields, taken)) = fields(input) {
        let held: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(taken <= input.len() && held <= taken, "more than there is");
    }
}
