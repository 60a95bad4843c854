//! `GET /writ/v1/people` and `GET /writ/v1/people/ID`: persons' data, for enrolled persons alone; and
//! `POST /writ/v1/people/confirm/DIGEST`, a human's word on a mass change.
//!
//! The proof is an SSHSIG over method, path and date by a key of the roster. Reads and confirmations
//! have a namespace each, so the proof of one is worth nothing as the other. Each read is in the
//! operator log before its reply.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use writ_aws::ApiError;
use writ_model::{Env as _, SystemEnv, Timestamp};
use writ_people::{is_present, may_act};
use writ_proof::roster::Mode;
use writ_proof::sshsig::SshSig;
use writ_service::http::{Reply, Request};
use writ_service::pipeline::Pipeline;
use writ_store::Snapshot;
use writ_store::state::{HrFeed, Person};
use writ_trail::client::TrailClient;
use writ_trail::record::Call;

use super::super::platform::{self, Platform};
use super::super::roster::Keeper;
use super::{EVENT_SOURCE, Office, people};

/// Where persons are read.
pub const PATH: &str = "/writ/v1/people";
/// Where a mass change is confirmed; the digest of its file follows.
pub const CONFIRM: &str = "/writ/v1/people/confirm/";
/// The namespace of a read's signature.
pub const NAMESPACE: &str = "read@writ";
/// The namespace of a confirmation's signatures.
pub const CONFIRM_NAMESPACE: &str = "confirm@writ";
/// The date that is signed, in the basic form of `x-amz-date`.
pub const DATE: &str = "x-writ-date";
/// What stands before the signature in `authorization`.
pub const SCHEME: &str = "SSHSIG ";
/// Signatures that one request may carry.
const PROOFS_MAX: usize = 8;
/// How far the date may lie from our clock.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// What is signed.
pub fn message(method: &str, path: &str, date: &str) -> String {
    format!("{method} {path}\n{date}")
}

/// Answers reads of persons.
pub struct Readers {
    office: Arc<Office>,
    pipeline: Arc<Pipeline>,
    keeper: Arc<Keeper>,
    trail: TrailClient,
    platform: Platform,
}

/// What a list says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    /// What the feed last delivered.
    pub feed: Option<HrFeed>,
    /// The persons, by id; a list has no receipts.
    pub persons: Vec<Shown>,
}

/// A person as readers see it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    /// As stored.
    pub person: Person,
    /// Required gates that are open now.
    pub open_gates: Vec<String>,
    /// Why the person may not act now; absent if they may, as far as HR goes.
    pub denied: Option<String>,
}

impl Readers {
    /// Answers for this installation.
    pub fn new(
        office: Arc<Office>,
        pipeline: Arc<Pipeline>,
        keeper: Arc<Keeper>,
        trail: TrailClient,
        platform: Platform,
    ) -> Readers {
        Readers { office, pipeline, keeper, trail, platform }
    }

    /// True for what is answered here.
    pub fn is_for(path: &str) -> bool {
        path == PATH || path.strip_prefix(PATH).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request) -> Reply {
        let snapshot = self.pipeline.store.snapshot();
        let confirmed = request.path.strip_prefix(CONFIRM).filter(|_| request.method == "POST");
        let (namespace, count) = match confirmed {
            Some(_) => (CONFIRM_NAMESPACE, self.confirmers()),
            None => (NAMESPACE, 1),
        };
        let people = match self.proven(&request, namespace, &snapshot, SystemEnv.now()) {
            Ok(people) if people.len() >= count => people,
            other => {
                let error = other.err().map(|error| format!("{error:#}"));
                tracing::warn!(error, "a request about persons was refused");
                let text = "This needs the proof of enrolled persons.";
                // Recorded as every stranger's request is, within its bounds.
                return self
                    .pipeline
                    .unread(request, ApiError::new("AccessDenied", text, 403))
                    .await;
            }
        };
        let people = people.into_iter().collect::<Vec<_>>().join(",");
        let done = match confirmed {
            Some(digest) => self.confirm(digest, &people).await,
            None => self.read(&request, &people, &snapshot).await,
        };
        done.unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "a request about persons failed");
            Reply::new(503, "application/json", b"{\"error\":\"unavailable\"}\n".to_vec())
        })
    }

    /// The enrolled persons who signed. One whom HR knows must be enabled, too.
    fn proven(
        &self,
        request: &Request,
        namespace: &str,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<BTreeSet<String>> {
        let known = request.method == "GET" || namespace == CONFIRM_NAMESPACE;
        if !(known && request.query.is_empty()) {
            bail!("persons are read with GET and without a query");
        }
        let date = request.header(DATE).context("there is no date")?;
        let at = Timestamp::parse_basic(date)?;
        if at.since(now).max(now.since(at)) > WINDOW {
            bail!("the date is too far from now");
        }
        let proof = request.header("authorization").and_then(|text| text.strip_prefix(SCHEME));
        let signed = message(&request.method, &request.path, date);
        let (roster, mut people) = (self.keeper.current(), BTreeSet::new());
        for proof in proof.context("there is no signature")?.split(',').take(PROOFS_MAX) {
            let proof = STANDARD.decode(proof.trim())?;
            let verified = SshSig::from_bytes(&proof)?.verify(signed.as_bytes(), namespace)?;
            let person = roster.person(&verified.key).context("the key is not enrolled")?;
            if let Some(known) = snapshot.person(person.as_str()) {
                is_present(&known.value, &*self.keeper, self.office.settings(), now)?;
            }
            people.insert(person.as_str().to_owned());
        }
        Ok(people)
    }

    /// How many people must confirm a mass change.
    fn confirmers(&self) -> usize {
        if self.keeper.current().mode() == Mode::Dev { 1 } else { 2 }
    }

    async fn confirm(&self, digest: &str, by: &str) -> Result<Reply> {
        let (status, body) = match self.office.confirm(digest, by).await? {
            true => (200, &b"{}\n"[..]),
            false => (409, &b"{\"error\":\"nobody waits since this delivery\"}\n"[..]),
        };
        Ok(Reply::new(status, "application/json", body.to_vec()))
    }

    async fn read(&self, request: &Request, reader: &str, snapshot: &Snapshot) -> Result<Reply> {
        let wanted = request.path.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/'));
        let json = match wanted {
            Some(id) => snapshot.person(id).map(|known| json(&self.show(known.value.as_ref()))),
            None => {
                let all = people(snapshot).into_values();
                let bare = |person| self.show(&Person { receipt: None, ..person });
                let feed = snapshot.hr_feed().map(|feed| HrFeed::clone(&feed.value));
                Some(json(&Listed { feed, persons: all.map(bare).collect() }))
            }
        };
        let which = wanted.unwrap_or("*").chars().take(64).collect();
        let parameters = [("reader", reader.to_owned()), ("personId", which)];
        let item = platform::item(&Call {
            request_parameters: platform::parameters(&parameters),
            read_only: true,
            ..self.platform.call(EVENT_SOURCE, "ReadPersons")
        })?;
        self.trail.append(vec![item]).await.context("the read cannot be recorded")?;
        Ok(match json {
            Some(json) => Reply::new(200, "application/json", json?),
            None => Reply::new(
                404,
                "application/json",
                b"{\"error\":\"nobody has this id\"}\n".to_vec(),
            ),
        })
    }

    fn show(&self, person: &Person) -> Shown {
        let (settings, now) = (self.office.settings(), SystemEnv.now());
        let open = settings.open_gates(person, now);
        Shown {
            open_gates: open.iter().map(|gate| gate.as_str().to_owned()).collect(),
            denied: may_act(person, settings, now).err().map(|denied| denied.to_string()),
            person: person.clone(),
        }
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec(value)?;
    json.push(b'\n');
    Ok(json)
}
