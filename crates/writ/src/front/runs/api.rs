//! `/writ/v1/runbooks`, `/writ/v1/runs` and `/writ/v1/orders`.
//!
//! An entry of the catalogue carries its signatures in itself. What else people ask carries the proof of one enrolled
//! person (`read@writ`, `call@writ`), what a host asks and tells that of its own key of the roster (`run@writ`). Whoever
//! waits for a run that they have asked for shows a token that front gave them, and reads that alone.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use writ_access::pages;
use writ_console::caller::{CALL, READ, caller, persons};
use writ_model::{AccountId, Env as _, PersonId, SystemEnv, Ulid};
use writ_proof::cbor;
use writ_proof::hash::Hash;
use writ_proof::roster::HostName;
use writ_proof::runbook::Ended;
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Reply, Request};
use writ_store::state::{Run, Runbook};
use writ_trail::record::{Call, Identity};

use super::super::access::internal;
use super::super::access::show::Listed;
use super::super::platform;
use super::super::statements::CONTENT_TYPE;
use super::order::{asked, runs_of};
use super::show::{self, Progress, ShownRun, ShownRunbook};
use super::{Runs, SOURCE};

/// Where the catalogue is.
pub const RUNBOOKS: &str = "/writ/v1/runbooks";
/// Where runs are ordered and read.
pub const RUNS: &str = "/writ/v1/runs";
/// Where hosts ask and tell.
pub const ORDERS: &str = "/writ/v1/orders";
/// Requests of this kind in work; more are refused as retryable. Anybody may send them.
const IN_WORK_MAX: usize = 64;
static IN_WORK: Semaphore = Semaphore::const_new(IN_WORK_MAX);
/// Hosts that wait for an order.
const WAITING_MAX: usize = 4096;
static WAITING: Semaphore = Semaphore::const_new(WAITING_MAX);

/// What is asked, by method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Begin(String, String),
    End(String, String),
    GoesOn(String, String),
    Next(String),
    Progress(String),
    Publish,
    Run(String),
    Runbooks,
    Runs,
    Unknown,
    Want,
    Withdraw(String, String),
}

/// Which request's runs are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    request: Ulid,
}

impl What {
    fn of(request: &Request) -> What {
        let parts: Vec<&str> = request.path.trim_start_matches("/writ/v1/").split('/').collect();
        let text = |part: &&str| (*part).to_owned();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["runbooks"]) => What::Publish,
            ("GET", ["runbooks"]) => What::Runbooks,
            ("POST", ["runbooks", name, version, "withdraw"]) => {
                What::Withdraw(text(name), text(version))
            }
            ("POST", ["runs"]) => What::Want,
            ("GET", ["runs"]) => What::Runs,
            ("GET", ["runs", "of", id]) => What::Progress(text(id)),
            ("GET", ["runs", id]) => What::Run(text(id)),
            ("GET", ["orders", host]) => What::Next(text(host)),
            ("POST", ["orders", host, id, "begin"]) => What::Begin(text(host), text(id)),
            ("GET", ["orders", host, id]) => What::GoesOn(text(host), text(id)),
            ("POST", ["orders", host, id, "end"]) => What::End(text(host), text(id)),
            _ => What::Unknown,
        }
    }

    /// The event of a refusal, and of what changes nothing.
    const fn event(&self) -> &'static str {
        match self {
            What::Begin(..) => "StartRun",
            What::End(..) => "FinishRun",
            What::GoesOn(..) | What::Next(_) => "ReadOrders",
            What::Publish => "PublishRunbook",
            What::Progress(_) | What::Run(_) | What::Runs => "ReadRuns",
            What::Runbooks => "ReadRunbooks",
            What::Unknown => "Unknown",
            What::Want => "RequestRun",
            What::Withdraw(..) => "WithdrawRunbook",
        }
    }

    const fn reads(&self) -> bool {
        !matches!(
            self,
            What::Begin(..) | What::End(..) | What::Publish | What::Want | What::Withdraw(..)
        )
    }
}

/// True for a path that is answered here.
pub fn is_for(path: &str) -> bool {
    [RUNBOOKS, RUNS, ORDERS].iter().any(|known| {
        path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Answers a request whose path is one of these.
pub async fn answer(runs: &Arc<Runs>, request: Request) -> Reply {
    let what = What::of(&request);
    let slots = if matches!(what, What::Next(_)) { &WAITING } else { &IN_WORK };
    let Ok(_slot) = slots.try_acquire() else {
        return guarded(Refused::new(503, "Busy", "too many at once; send it again").reply());
    };
    let runs = Arc::clone(runs);
    // A task of its own: what has begun ends with its record, also when the client hangs up.
    let work = writ_service::task::guarded("runs", async move {
        match runs.answer(&what, &request).await {
            Ok(body) => reply(&body),
            Err((refused, known)) => runs.refuse(&what, &request, &known, refused).await.reply(),
        }
    });
    let failed = || Refused::new(500, "Internal", "see front's log").reply();
    guarded(work.await.unwrap_or_else(failed))
}

/// The refusal of a request whose body is too large or did not come whole.
pub async fn unread(runs: &Runs, request: &Request, status: u16, message: &str) -> Reply {
    let refused = Refused::new(status, "BodyRefused", message);
    let what = What::of(request);
    guarded(runs.refuse(&what, request, &[], refused).await.reply()).with("connection", "close")
}

/// A refusal, and whom it is told of.
type Failed = (Refused, Vec<String>);

impl Runs {
    async fn answer(&self, what: &What, request: &Request) -> Result<Value, Failed> {
        let stranger = |refused: Refused| (refused, Vec::new());
        match what {
            What::Unknown => {
                let text = "there is nothing here; see the page on runbooks for the paths";
                Err(stranger(Refused::new(404, "NotFound", text)))
            }
            What::Publish => {
                let signed = statement(request).map_err(stranger)?;
                let known = self.keeper.known(&signed);
                let known = known.iter().map(ToString::to_string).collect();
                let done = self.publish(&signed, request).await;
                done.map(|runbook| shown(&runbook)).map_err(|refused| (refused, known))
            }
            What::Progress(id) => self.take_progress(id, request).map_err(stranger),
            What::Begin(host, _)
            | What::End(host, _)
            | What::GoesOn(host, _)
            | What::Next(host) => {
                let denied = |why| stranger(Refused::new(403, "AccessDenied", why));
                let host = self.host(host, request).map_err(denied)?;
                let known = vec![host.to_string()];
                self.of_host(what, &host, request).await.map_err(|refused| (refused, known))
            }
            _ => {
                let denied = |why| stranger(Refused::new(403, "AccessDenied", why));
                let person = self.proven(what, request).map_err(denied)?;
                let known = vec![person.to_string()];
                self.of_person(what, &person, request).await.map_err(|refused| (refused, known))
            }
        }
    }

    /// The enrolled person who signed, if HR lets them act.
    fn proven(&self, what: &What, request: &Request) -> Result<PersonId, String> {
        let namespace = if what.reads() { READ } else { CALL };
        let caller = caller(request, namespace, SystemEnv.now())?;
        let people = persons(&[caller], &self.keeper.current())?;
        let person = people.into_iter().next().ok_or("nobody has signed")?;
        let may_act = self.keeper.may_act(&person, &self.pipeline.store.snapshot());
        may_act.map_err(|why| format!("`{person}` may not act now: {why}"))?;
        Ok(person)
    }

    async fn of_person(
        &self,
        what: &What,
        person: &PersonId,
        request: &Request,
    ) -> Result<Value, Refused> {
        if what.reads() {
            let which = request.path.chars().take(96).collect();
            let told = vec![("reader", person.to_string()), ("path", which)];
            self.told(what.event(), &told, request).await?;
        }
        let snapshot = self.pipeline.store.snapshot();
        match what {
            What::Runbooks => {
                let all = snapshot.list::<Runbook>(AccountId::PLATFORM, None);
                let items: Vec<ShownRunbook> =
                    all.filter_map(|stored| show::runbook(&stored.value)).collect();
                Ok(json!(Listed { items, next: None }))
            }
            What::Runs => {
                let before = request.query.strip_prefix("before=");
                let page = pages::page::<Run>(&snapshot, before, |_| true);
                let items: Vec<ShownRun> =
                    page.entries.iter().map(|stored| show::run(&stored.value)).collect();
                Ok(json!(Listed { items, next: page.next }))
            }
            What::Run(id) => Ok(json!(show::run(super::run_of(&snapshot, ulid(id)?)?))),
            What::Want => {
                let wanted: Wanted = serde_json::from_slice(&request.body).map_err(|error| {
                    Refused::new(400, "Malformed", format!("this is not what is taken: {error}"))
                })?;
                let (token, ordered) = self.want(wanted.request, person, request).await?;
                let runs: Vec<ShownRun> = ordered.iter().map(show::run).collect();
                Ok(json!({ "token": token.to_string(), "runs": runs }))
            }
            What::Withdraw(name, version) => {
                let version = version.parse().map_err(|_| {
                    Refused::new(404, "NotFound", "a version of a runbook is a number from 1")
                })?;
                let runbook = self.withdraw((name, version), person, request).await?;
                Ok(shown(&runbook))
            }
            _ => Err(Refused::new(404, "NotFound", "there is nothing here")),
        }
    }

    async fn of_host(
        &self,
        what: &What,
        host: &HostName,
        request: &Request,
    ) -> Result<Value, Refused> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        match what {
            What::Next(_) => Ok(match self.next(host).await? {
                Some((run, entry)) => json!({
                    "run": run.id,
                    "order": STANDARD.encode(run.order.as_slice()),
                    "entry": STANDARD.encode(entry),
                }),
                None => json!({}),
            }),
            What::Begin(_, id) => {
                self.begin(ulid(id)?, host, request).await?;
                Ok(json!({ "run": id }))
            }
            What::GoesOn(_, id) => Ok(json!({ "goes_on": self.asks(ulid(id)?, host)? })),
            What::End(_, id) => {
                let told: Ended = cbor::from_slice(&request.body).map_err(|error| {
                    Refused::new(400, "Malformed", format!("this is no end of a run: {error}"))
                })?;
                self.tells(ulid(id)?, host, &told, request).await?;
                Ok(json!({ "run": id }))
            }
            _ => Err(Refused::new(404, "NotFound", "there is nothing here")),
        }
    }

    fn take_progress(&self, id: &str, request: &Request) -> Result<Value, Refused> {
        let denied = || Refused::new(403, "AccessDenied", "there is no token in the query");
        let token = request.query.strip_prefix("token=").ok_or_else(denied)?;
        let token: Hash = token.parse().map_err(|_| denied())?;
        let id = ulid(id)?;
        let (snapshot, refused) = self.progress(id, token)?;
        let (stored, _) = asked(&snapshot, id)?;
        let missing = self.access.ask(&snapshot, |world| {
            let entry = world.request(id).ok();
            entry.map(|entry| writ_access::decision::missing(entry, world)).unwrap_or_default()
        });
        let pending = stored.state == writ_store::state::RequestState::Pending;
        let missing = if pending { missing } else { Vec::new() };
        Ok(json!(Progress {
            state: match &refused {
                Some(_) => "refused".to_owned(),
                None => stored.state.as_str().to_owned(),
            },
            why: refused.or_else(|| stored.why.clone()),
            missing: missing.iter().map(ToString::to_string).collect(),
            runs: runs_of(&snapshot, id).iter().map(show::run).collect(),
        }))
    }

    /// Appends the event of what changes nothing.
    async fn told(
        &self,
        name: &'static str,
        shown: &[(&str, String)],
        request: &Request,
    ) -> Result<(), Refused> {
        let item = platform::item(&Call {
            request_parameters: platform::parameters(shown),
            read_only: true,
            ..self.platform.asked(request, SOURCE, name)
        });
        let item = item.map_err(|error| internal(&error))?;
        self.pipeline.trail.append(vec![item]).await.map(|_| ()).map_err(|error| {
            tracing::warn!(%error, "the ledger did not take an event of runbooks");
            Refused::new(503, "Unavailable", "the ledger does not answer; send it again")
        })
    }

    /// Records a refusal, of strangers only so many a second.
    async fn refuse(
        &self,
        what: &What,
        request: &Request,
        known: &[String],
        refused: Refused,
    ) -> Refused {
        if known.is_empty() && !self.strangers.admit(SystemEnv.now()) {
            return refused;
        }
        let mut shown = vec![("path", request.path.chars().take(96).collect::<String>())];
        if !known.is_empty() {
            shown.push(("signers", known.join(",")));
        }
        let own = self.platform.asked(request, SOURCE, what.event());
        let item = platform::item(&Call {
            identity: match known.is_empty() {
                true => Identity::Unknown { access_key_id: None },
                false => own.identity,
            },
            error: Some((refused.code, refused.message.as_str())),
            request_parameters: platform::parameters(&shown),
            read_only: what.reads(),
            ..own
        });
        let told = match item {
            Ok(item) => self.pipeline.trail.append(vec![item]).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::warn!(error = format!("{error:#}"), "a refusal was not recorded");
            return Refused::new(503, "Unavailable", "the ledger does not answer; send it again");
        }
        refused
    }
}

/// A signed statement, unchecked.
fn statement(request: &Request) -> Result<Signed, Refused> {
    let wanted = |value: &str| value.split(';').next().map(str::trim) == Some(CONTENT_TYPE);
    if !request.header("content-type").is_some_and(wanted) {
        let what = format!("send the signed entry with the content type {CONTENT_TYPE}");
        return Err(Refused::new(415, "UnsupportedMediaType", what));
    }
    Signed::from_bytes(&request.body).map_err(|error| {
        Refused::new(400, "Malformed", format!("this is no signed statement: {error}"))
    })
}

fn shown(runbook: &Runbook) -> Value {
    json!({ "name": runbook.name, "version": runbook.version, "digest": runbook.digest })
}

fn ulid(text: &str) -> Result<Ulid, Refused> {
    text.parse().map_err(|_| Refused::new(404, "NotFound", "there is nothing of this id"))
}

fn reply(body: &Value) -> Reply {
    Reply::new(200, "application/json", format!("{body}\n").into_bytes())
}

/// What every reply says of itself.
fn guarded(reply: Reply) -> Reply {
    reply.with("cache-control", "no-store").with("x-content-type-options", "nosniff")
}
