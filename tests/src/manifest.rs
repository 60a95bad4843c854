//! The manifest of operations, and the checked-in lists of what tests leave out, each with a reason.

use std::collections::BTreeMap;

use serde::Deserialize;
use writ_aws::{Operation, Service};

/// Something that a test leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// `service.Operation`, or `service.*`.
    pub operation: String,
    /// Which check it is excepted from.
    pub kind: String,
    /// Why.
    pub reason: String,
}

/// The checks that rows can be excepted from.
const KINDS: [&str; 4] = ["succeeds", "unauthenticated", "unprivileged", "wrong-type"];

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    exception: Vec<Exception>,
}

/// All implemented operations.
pub fn operations() -> Vec<&'static Operation> {
    Service::ALL.into_iter().flat_map(|service| service.info().operations.iter().copied()).collect()
}

/// `service.Operation`, as exceptions and the ledger name it.
pub fn name(operation: &Operation) -> String {
    format!("{}.{}", service_name(operation.service), operation.name)
}

/// The service's name in commands and event sources.
pub fn service_name(service: Service) -> &'static str {
    service.event_source().trim_end_matches(".amazonaws.com")
}

/// The exceptions of `tests/exceptions.toml`.
pub fn exceptions() -> Vec<Exception> {
    let text = include_str!("../exceptions.toml");
    let file: File = toml::from_str(text).unwrap();
    let known: BTreeMap<String, ()> = operations().into_iter().map(|o| (name(o), ())).collect();
    for exception in &file.exception {
        assert!(known.contains_key(&exception.operation), "`{}` is unknown", exception.operation);
        assert!(exception.reason.len() > 10, "`{}` needs a reason", exception.operation);
        assert!(
            KINDS.contains(&exception.kind.as_str()),
            "`{}`: no check is called `{}`",
            exception.operation,
            exception.kind
        );
    }
    file.exception
}

/// The reason why `operation` is excepted from the check `kind`, if it is.
pub fn excepted(exceptions: &[Exception], operation: &Operation, kind: &str) -> Option<String> {
    let name = name(operation);
    let found = exceptions.iter().find(|e| e.operation == name && e.kind == kind)?;
    Some(found.reason.clone())
}
