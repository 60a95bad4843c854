//! `requestParameters` of a record, from the decoded request and its shape.
//!
//! CloudTrail writes the members of the request with a lower-case first letter. What the model marks
//! as sensitive, and all bytes (plaintexts, ciphertexts, bodies), stays out.

use serde_json::{Map, Number};
use writ_aws::shape::{Kind, Shape};
use writ_aws::{Operation, Value};

/// What stands in a record where a sensitive value was given.
pub const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";

/// The parameters of a request; `None` when it has none to show.
pub fn request_parameters(
    operation: &Operation,
    input: &Value,
) -> Option<Map<String, serde_json::Value>> {
    match show(operation.input, input)? {
        serde_json::Value::Object(members) if !members.is_empty() => Some(members),
        _ => None,
    }
}

/// A name with its first letter in lower case, as CloudTrail writes members.
pub fn lower_first(name: &str) -> String {
    // `ARN` and `MFADevice` keep their acronyms: only a lone capital is lowered.
    let capitals = name.chars().take_while(char::is_ascii_uppercase).count();
    if capitals > 1 && capitals < name.len() || capitals == 0 {
        return name.to_owned();
    }
    let lowered = capitals.max(1);
    name.chars()
        .enumerate()
        .map(|(at, c)| if at < lowered { c.to_ascii_lowercase() } else { c })
        .collect()
}

pub(crate) fn show(shape: &Shape, value: &Value) -> Option<serde_json::Value> {
    if shape.sensitive && !matches!(value, Value::Null | Value::Blob(_)) {
        return Some(HIDDEN.into());
    }
    match (value, &shape.kind) {
        (Value::Null | Value::Blob(_), _) => None,
        (Value::Bool(value), _) => Some((*value).into()),
        (Value::Int(value), _) => Some((*value).into()),
        (Value::Double(value), _) => Number::from_f64(*value).map(|n| n.to_string().into()),
        (Value::Text(text), _) => Some(text.as_str().into()),
        (Value::Time(time), _) => Some(time.iso().into()),
        (Value::List(items), Kind::List(list)) => {
            Some(items.iter().filter_map(|item| show(list.item, item)).collect())
        }
        (Value::Map(members), Kind::Structure(structure)) => {
            let shown = structure.members.iter().filter_map(|member| {
                let value = show(member.shape, members.get(member.name)?)?;
                Some((lower_first(member.name), value))
            });
            Some(serde_json::Value::Object(shown.collect()))
        }
        (Value::Map(members), Kind::Map(map)) => {
            let shown = members
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), show(map.value, value)?)));
            Some(serde_json::Value::Object(shown.collect()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use writ_aws::Service;

    use super::*;

    fn map(members: &[(&str, Value)]) -> Value {
        Value::Map(
            members.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<BTreeMap<_, _>>(),
        )
    }

    #[test]
    fn parameters_of_encrypt_show_the_context_and_never_the_plaintext() {
        let operation = writ_aws::operation(Service::Kms, "Encrypt").unwrap();
        let input = map(&[
            ("KeyId", Value::Text("alias/a".to_owned())),
            ("Plaintext", Value::Blob(b"secret".to_vec())),
            ("EncryptionContext", map(&[("Order", Value::Text("7".to_owned()))])),
        ]);
        let shown = serde_json::Value::Object(request_parameters(operation, &input).unwrap());
        assert_eq!(
            shown,
            serde_json::json!({"keyId": "alias/a", "encryptionContext": {"Order": "7"}})
        );
    }

    #[test]
    fn parameters_of_an_operation_without_any_are_absent() {
        let operation = writ_aws::operation(Service::Sts, "GetCallerIdentity").unwrap();
        assert_eq!(request_parameters(operation, &Value::empty()), None);
    }

    #[test]
    fn names_are_written_as_cloudtrail_writes_them() {
        for (name, written) in
            [("UserName", "userName"), ("ARN", "arn"), ("MFAToken", "MFAToken"), ("key", "key")]
        {
            assert_eq!(lower_first(name), written);
        }
    }
}
