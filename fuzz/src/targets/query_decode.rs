//! The query protocol: naming the operation, and its parameters. The first byte chooses an operation.

use writ_aws::operation::Protocol;
use writ_aws::{query, validate};

use crate::input::choose;

pub(crate) fn run(input: &[u8]) {
    let Some((operation, body)) = choose(Protocol::Query, input) else { return };
    if let Err(error) = query::list_action(body) {
        query::encode_error(operation.service, &error, "id");
    }
    let refusal = match query::decode(operation, body) {
        Ok(value) => validate::check(operation, &value).err(),
        Err(error) => Some(error),
    };
    if let Some(error) = refusal {
        let shown = query::encode_error(operation.service, &error, "id");
        assert!(std::str::from_utf8(&shown).is_ok(), "an error is no text");
    }
}
