//! JSON 1.1 parameters. The first byte chooses an operation; what decodes is encoded again.

use writ_aws::operation::Protocol;
use writ_aws::{json, validate};

use crate::input::choose;

pub(crate) fn run(input: &[u8]) {
    let Some((operation, body)) = choose(Protocol::Json, input) else { return };
    let refusal = match json::decode(operation, body) {
        Ok(value) => {
            json::to_json(operation.input, &value);
            validate::check(operation, &value).err()
        }
        Err(error) => Some(error),
    };
    if let Some(error) = refusal {
        let shown = json::encode_error(&error);
        assert!(std::str::from_utf8(&shown).is_ok(), "an error is no text");
    }
}
