//! Runbooks and runs as programs read them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use writ_model::{Env as _, PersonId, SystemEnv, Timestamp, Ulid};
use writ_proof::cbor;
use writ_proof::runbook::Entry;
use writ_proof::statement::Signed;
use writ_store::state::{Run, Runbook};

/// One version of a runbook.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownRunbook {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// What names the entry.
    pub digest: String,
    /// What people call it.
    pub title: String,
    /// What it does.
    pub description: String,
    /// `health`, `platform` or `customer`.
    pub class: String,
    /// For whose members it is.
    pub group: String,
    /// What it is told, each with what that may be.
    pub parameters: BTreeMap<String, String>,
    /// What one run can tell at most, in bits.
    pub bits: u32,
    /// When front took it.
    pub published: Timestamp,
    /// Who withdrew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<PersonId>,
    /// The signed statement, in base64.
    pub statement: String,
}

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownRun {
    /// Its id.
    pub id: Ulid,
    /// The request on which it rests.
    pub request: Ulid,
    /// On whose request.
    pub person: PersonId,
    /// Where.
    pub host: String,
    /// The runbook.
    pub runbook: String,
    /// Its version.
    pub version: u64,
    /// What names the entry.
    pub entry: String,
    /// `ordered`, `started`, or how it ended: `ok`, `failed`, `refused`, `timeout`, `killed`, `lost`.
    pub state: String,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The field of the schema that was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// When keyd signed the order.
    pub ordered: Timestamp,
    /// When its host began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When front heard of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// How far the runs of a request are.
#[derive(Debug, Serialize, Deserialize)]
pub struct Progress {
    /// The request's state.
    pub state: String,
    /// Why it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who has still to agree.
    pub missing: Vec<String>,
    /// The runs, once they are ordered.
    pub runs: Vec<ShownRun>,
}

/// `None` if what is stored cannot be read.
pub(super) fn runbook(stored: &Runbook) -> Option<ShownRunbook> {
    let signed = Signed::from_bytes(stored.statement.as_slice()).ok()?;
    let entry: Entry = cbor::from_slice(signed.body()).ok()?;
    let parameters = entry.parameters.0.iter();
    Some(ShownRunbook {
        name: stored.name.clone(),
        version: stored.version,
        digest: stored.digest.clone(),
        title: entry.title.clone(),
        description: entry.description.clone(),
        class: entry.class.as_str().to_owned(),
        group: entry.group.to_string(),
        parameters: parameters.map(|p| (p.name.clone(), p.kind.to_string())).collect(),
        bits: entry.bits(),
        published: stored.published,
        withdrawn_by: stored.withdrawn.as_ref().map(|end| end.by.clone()),
        statement: STANDARD.encode(stored.statement.as_slice()),
    })
}

pub(in crate::front) fn run(stored: &Run) -> ShownRun {
    let end = stored.ended.as_ref();
    let state = match (end, stored.started) {
        (Some(end), _) => end.outcome.as_str(),
        (None, Some(_)) => "started",
        (None, None) if stored.not_after <= SystemEnv.now() => "expired",
        (None, None) => "ordered",
    };
    ShownRun {
        id: stored.id,
        request: stored.request,
        person: stored.person.clone(),
        host: stored.host.clone(),
        runbook: stored.runbook.clone(),
        version: stored.version,
        entry: stored.entry.clone(),
        state: state.to_owned(),
        cause: end.and_then(|end| end.cause.clone()),
        field: end.and_then(|end| end.field.clone()),
        answer: end.and_then(|end| serde_json::from_str(end.answer.as_deref()?).ok()),
        ordered: stored.ordered,
        started: stored.started,
        ended: end.map(|end| end.at),
    }
}
