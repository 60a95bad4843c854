//! JSON 1.1 parameters. The first byte chooses an operation; what decodes is encoded again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use writ_aws::operation::Protocol;
use writ_aws::{json, validate};

fuzz_target!(|input: &[u8]| {
    let Some((operation, body)) = writ_fuzz::choose(Protocol::Json, input) else { return };
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
});
