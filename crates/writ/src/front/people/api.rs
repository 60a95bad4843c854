//! `GET /writ/v1/people` and `GET /writ/v1/people/ID`: persons' data, for enrolled persons alone; and
//! `POST /writ/v1/people/confirm/DIGEST`, a human's word on a mass change.
//!
//! Each request carries the proof of enrolled persons ([`writ_console::caller`]). Reads and confirmations
//! have a namespace each, so the proof of one is worth nothing as the other. Each read is in the
//! operator log before its reply, and so is what is refused, of strangers up to a rate.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use writ_console::caller::{READ, callers, persons};
use writ_model::{Env as _, PersonId, SystemEnv};
use writ_people::may_act;
use writ_proof::roster::Mode;
use writ_service::http::{Refused, Reply, Request};
use writ_service::pipeline::Pipeline;
use writ_service::record::StrangerLimit;
use writ_service::task;
use writ_store::Snapshot;
use writ_store::state::{HrFeed, Person};
use writ_trail::record::{Call, Identity};

use super::super::platform::{self, Platform};
use super::super::roster::Keeper;
use super::{EVENT_SOURCE, Office, people};

/// Where persons are read.
pub const PATH: &str = "/writ/v1/people";
/// Where a mass change is confirmed; the digest of its file follows.
pub const CONFIRM: &str = "/writ/v1/people/confirm/";
/// The namespace of a confirmation's signatures.
pub const CONFIRM_NAMESPACE: &str = "confirm@writ";
/// The record of a read.
const READ_EVENT: &str = "ReadPersons";
/// The record of a refused confirmation; one that is taken has it with its commit.
const CONFIRM_EVENT: &str = "ConfirmMassChange";
/// Characters that a record shows of what was asked for: a digest, or a person's id.
const SHOWN_MAX_CHARS: usize = 64;
/// Nothing that is asked here has a body.
pub const BODY_MAX_BYTES: usize = 0;

/// Answers requests about persons.
pub struct Readers {
    office: Arc<Office>,
    pipeline: Arc<Pipeline>,
    keeper: Arc<Keeper>,
    platform: Platform,
    strangers: StrangerLimit,
}

/// Why nobody is let in, and who has proven themselves nevertheless.
struct Unproven {
    why: String,
    persons: BTreeSet<PersonId>,
}

/// What a request is for.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// A human's word on the mass change of the delivery with this digest.
    Confirm(&'a str),
    /// A person, or all.
    Read(Option<&'a str>),
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
        platform: Platform,
    ) -> Readers {
        Readers { office, pipeline, keeper, platform, strangers: StrangerLimit::default() }
    }

    /// True for what is answered here.
    pub fn is_for(path: &str) -> bool {
        path == PATH || path.strip_prefix(PATH).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request) -> Reply {
        let asked = Asked::of(&request);
        let snapshot = self.pipeline.store.snapshot();
        let persons = match self.proven(&request, &asked, &snapshot) {
            Ok(persons) => persons,
            Err(Unproven { why, persons }) => {
                let refused = Refused::new(403, "AccessDenied", why);
                return self.refuse(&request, &refused, &persons).await;
            }
        };
        let by = names(&persons);
        let done = match asked {
            Asked::Confirm(digest) => self.confirm(digest, &by).await,
            Asked::Read(wanted) => self.read(wanted, &by, &snapshot).await.map(Ok),
        };
        match done {
            Ok(Ok(reply)) => reply,
            Ok(Err(refused)) => self.refuse(&request, &refused, &persons).await,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a request about persons failed");
                let what = "it could not be done now; see front's log";
                Refused::new(503, "Unavailable", what).reply()
            }
        }
    }

    /// The refusal of a request whose body is too large or did not come whole.
    pub async fn unread(&self, request: &Request, status: u16, message: &str) -> Reply {
        let refused = Refused::new(status, "BodyRefused", message);
        self.refuse(request, &refused, &BTreeSet::new()).await.with("connection", "close")
    }

    /// The enrolled persons who signed. One whom HR knows must be enabled, too.
    fn proven(
        &self,
        request: &Request,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
    ) -> Result<BTreeSet<PersonId>, Unproven> {
        let stranger = |why: String| Unproven { why, persons: BTreeSet::new() };
        if matches!(asked, Asked::Read(_)) && request.method != "GET" {
            return Err(stranger("persons are read with GET".to_owned()));
        }
        let (namespace, count) = match asked {
            Asked::Confirm(_) => (CONFIRM_NAMESPACE, self.confirmers()),
            Asked::Read(_) => (READ, 1),
        };
        let callers =
            callers(request, namespace, SystemEnv.now()).map_err(|why| stranger(why.into()))?;
        let people =
            persons(&callers, &self.keeper.current()).map_err(|why| stranger(why.into()))?;
        let away = people.iter().find_map(|person| {
            let why = self.keeper.may_act(person, snapshot).err()?;
            Some(format!("`{person}` may not act now: {why}"))
        });
        let few =
            (people.len() < count).then(|| format!("this needs the proof of {count} persons"));
        match away.or(few) {
            None => Ok(people),
            Some(why) => Err(Unproven { why, persons: people }),
        }
    }

    /// Records a refusal and answers with it: with the persons who have proven themselves; of strangers only so many
    /// a second.
    async fn refuse(
        &self,
        request: &Request,
        refused: &Refused,
        known: &BTreeSet<PersonId>,
    ) -> Reply {
        if known.is_empty() && !self.strangers.admit(SystemEnv.now()) {
            return refused.reply();
        }
        let asked = Asked::of(request);
        let own = self.platform.asked(request, EVENT_SOURCE, asked.event());
        let call = Call {
            identity: match known.is_empty() {
                true => Identity::Unknown { access_key_id: None },
                false => own.identity,
            },
            error: Some((refused.code, refused.message.as_str())),
            request_parameters: match known.is_empty() {
                true => own.request_parameters,
                false => platform::parameters(&asked.shown(known)),
            },
            read_only: matches!(asked, Asked::Read(_)),
            ..own
        };
        match platform::tell(&self.pipeline.trail, &call).await {
            Ok(()) => refused.reply(),
            Err(silent) => silent.reply(),
        }
    }

    /// How many people must confirm a mass change.
    fn confirmers(&self) -> usize {
        if self.keeper.current().mode() == Mode::Dev { 1 } else { 2 }
    }

    /// The inner error is a refusal, which is not on record yet.
    async fn confirm(&self, digest: &str, by: &str) -> Result<Result<Reply, Refused>> {
        let office = Arc::clone(&self.office);
        let (digest, by) = (digest.to_owned(), by.to_owned());
        // A task of its own: what has begun ends with its record, also when the client hangs up.
        let work = task::guarded("confirmation", async move { office.confirm(&digest, &by).await });
        if work.await.context("a confirmation panicked")?? {
            return Ok(Ok(Reply::new(200, "application/json", b"{}\n".to_vec())));
        }
        let what = "nobody waits for a human's word since a delivery with this digest";
        Ok(Err(Refused::new(409, "NothingWaits", what)))
    }

    async fn read(&self, wanted: Option<&str>, by: &str, snapshot: &Snapshot) -> Result<Reply> {
        let json = match wanted {
            Some(id) => snapshot.person(id).map(|known| json(&self.show(known.value.as_ref()))),
            None => {
                let all = people(snapshot).into_values();
                let bare = |person| self.show(&Person { receipt: None, ..person });
                let feed = snapshot.hr_feed().map(|feed| HrFeed::clone(&feed.value));
                Some(json(&Listed { feed, persons: all.map(bare).collect() }))
            }
        };
        let parameters = [("reader", by.to_owned()), ("personId", shortened(wanted))];
        let item = platform::item(&Call {
            request_parameters: platform::parameters(&parameters),
            read_only: true,
            ..self.platform.call(EVENT_SOURCE, READ_EVENT)
        })?;
        let told = self.pipeline.trail.append(vec![item]).await;
        told.context("the read cannot be recorded")?;
        Ok(match json {
            Some(json) => Reply::new(200, "application/json", json?),
            None => Refused::new(404, "NotFound", "nobody has this id").reply(),
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

impl Asked<'_> {
    fn of(request: &Request) -> Asked<'_> {
        match request.path.strip_prefix(CONFIRM).filter(|_| request.method == "POST") {
            Some(digest) => Asked::Confirm(digest),
            None => Asked::Read(request.path.strip_prefix(PATH).and_then(|p| p.strip_prefix('/'))),
        }
    }

    /// What the record of a refusal shows beside it.
    fn shown(&self, by: &BTreeSet<PersonId>) -> [(&'static str, String); 2] {
        match self {
            Asked::Confirm(digest) => [("by", names(by)), ("feedDigest", shortened(Some(digest)))],
            Asked::Read(wanted) => [("reader", names(by)), ("personId", shortened(*wanted))],
        }
    }

    const fn event(&self) -> &'static str {
        match self {
            Asked::Confirm(_) => CONFIRM_EVENT,
            Asked::Read(_) => READ_EVENT,
        }
    }
}

fn names(persons: &BTreeSet<PersonId>) -> String {
    persons.iter().map(PersonId::as_str).collect::<Vec<_>>().join(",")
}

/// What was asked for, as far as a record shows it; `*` is everything.
fn shortened(wanted: Option<&str>) -> String {
    wanted.unwrap_or("*").chars().take(SHOWN_MAX_CHARS).collect()
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec(value)?;
    json.push(b'\n');
    Ok(json)
}
