//! Recordings for those who may read them: lists, openings, and the sealed bytes.
//!
//! Reading a recording is access (`Scope::Playback`). keyd seals its key to the reader; here is who asked, with which
//! grant, and that the ledger holds it before anything goes out. The bytes come from the bastion, sealed as they lie.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use writ_access::decision::evidence;
use writ_access::ends::{self, GrantState};
use writ_access::{pseudonym, state};
use writ_bastion::shelf::{Lent, Page, Piece, PieceWanted, Recorded, SignedEnd, Want};
use writ_console::view::{Page as ViewPage, Reader, SessionView};
use writ_keyd_client::operator::{Evidence, OpenRecording, OpenedRecording, RecordingFacts};
use writ_keyd_client::protocol::{Answer, Command, Refusal, Reply as KeydReply, UsePosition};
use writ_model::{AccountId, Env as _, PersonId, SystemEnv, Timestamp, Ulid, Uuid};
use writ_proof::access::{Asked, Opened, Opening, PlaybackScope, Request as Statement, Scope};
use writ_proof::cbor;
use writ_proof::hash::{Hash, sha256};
use writ_proof::recording::Mark;
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Reply, Request};
use writ_store::state::{AccessGrant, AccessRequest};
use writ_store::{OutboxRecord, Snapshot};
use writ_trail::record::Call;

use super::super::lender::LendError;
use super::super::platform;
use super::api::What;
use super::{Access, SOURCE, ends as told_ends, tell};

/// Where sessions and their recordings are read.
pub const SESSIONS: &str = "/writ/v1/sessions";
/// Where recordings are opened.
pub const OPENINGS: &str = "/writ/v1/openings";
/// The scheme of the token that fetches the bytes of what was opened.
pub const TOKEN_SCHEME: &str = "Writ-Reading ";
/// How long the bytes of an opened recording can be fetched, while the grant holds.
const READING_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// Recordings that are being read at one time.
const READINGS_MAX: usize = 1024;

/// Who fetches the bytes of which recording. The token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    person: PersonId,
    session: Ulid,
    request: Ulid,
    until: Timestamp,
}

/// Recordings that are being read, by the digest of their token.
#[derive(Default)]
pub(super) struct Readings(Mutex<HashMap<Hash, Reading>>);

/// A recorded session, as programs read it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownSession {
    /// Its id.
    pub id: Ulid,
    /// The request behind it.
    pub request: Ulid,
    /// Who worked.
    pub person: PersonId,
    /// Where.
    pub host: String,
    /// When it began.
    pub start: Timestamp,
    /// The size of its recording.
    pub bytes: u64,
    /// True if the recording has its end.
    pub ended: bool,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The customers whose data it can show; absent if that is anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountId>>,
    /// The end as keyd has signed it, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<ShownEnd>,
    /// The reader's own grant to read it, if there is one now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<ShownRight>,
}

/// The end of a recording, signed by keyd.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownEnd {
    /// The mark, in hexadecimal.
    pub mark: String,
    /// keyd's signature, in hexadecimal.
    pub signature: String,
}

/// A grant to read a recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShownRight {
    /// The request.
    pub id: Ulid,
    /// SHA-256 of the request as it was signed.
    pub digest: String,
    /// Until when.
    pub not_after: Timestamp,
}

/// What somebody gets who opens a recording.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownOpening {
    /// The recording's key, sealed to the reader, in base64.
    pub sealed: String,
    /// What fetches the bytes: `authorization: Writ-Reading TOKEN`.
    pub token: String,
    /// The session.
    pub session: ShownSession,
}

/// What is known of an opening when it is told.
struct Telling<'a> {
    shown: Vec<(&'static str, String)>,
    event_id: Uuid,
    position: Option<UsePosition>,
    refused: Option<(&'static str, &'a str)>,
}

impl Readings {
    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a reading; answers its token.
    fn begin(&self, reading: Reading) -> Result<String, Refused> {
        let mut token = [0; 32];
        SystemEnv.fill(&mut token);
        let now = SystemEnv.now();
        let mut all = self.lock();
        all.retain(|_, known| now < known.until);
        if all.len() >= READINGS_MAX {
            return Err(Refused::new(
                429,
                "TooMany",
                "too many recordings are read now; try again",
            ));
        }
        all.insert(sha256(&token), reading);
        Ok(hex::encode(token))
    }

    fn find(&self, request: &Request, session: Ulid) -> Option<Reading> {
        let token = request.header("authorization")?.strip_prefix(TOKEN_SCHEME)?;
        let token = hex::decode(token.trim()).ok()?;
        let now = SystemEnv.now();
        let found = self.lock().get(&sha256(&token)).cloned();
        found.filter(|reading| reading.session == session && now < reading.until)
    }
}

impl Access {
    pub(super) async fn take_playback(&self, what: &What, request: &Request) -> Reply {
        match what {
            What::Open => self.take_opening(request).await,
            What::Recording(id) => match self.piece(id, request).await {
                Ok(piece) => Reply::new(200, "application/octet-stream", piece.bytes)
                    .with("x-writ-total", piece.total.to_string()),
                Err((known, refused)) => {
                    self.refuse(what, request, known.as_slice(), Vec::new(), refused).await
                }
            },
            _ => {
                let snapshot = self.pipeline.store.snapshot();
                let person = match self.proven(what, request, &snapshot) {
                    Ok(person) => person,
                    Err(why) => {
                        let refused = Refused::new(403, "AccessDenied", why);
                        return self.refuse(what, request, &[], Vec::new(), refused).await;
                    }
                };
                let read = match what {
                    What::Session(id) => {
                        self.session(id, &person, request).await.map(|session| json!(session))
                    }
                    _ => self.sessions(&person, request).await,
                };
                match read {
                    Ok(body) => super::api::reply(&body),
                    Err(refused) => {
                        self.refuse(what, request, &[person], Vec::new(), refused).await
                    }
                }
            }
        }
    }

    async fn sessions(
        &self,
        reader: &PersonId,
        request: &Request,
    ) -> Result<serde_json::Value, Refused> {
        let before = match request.query.split_once('=') {
            None if request.query.is_empty() => None,
            Some(("before", id)) => Some(id),
            _ => {
                let what = "the one parameter is `before`, the `next` of the page before";
                return Err(Refused::new(400, "BadQuery", what));
            }
        };
        let (items, next) = self.recorded_sessions(before, reader, request).await?;
        Ok(json!(super::show::Listed { items, next: next.map(|id| id.to_string()) }))
    }

    /// A page of recorded sessions.
    pub(in crate::front) async fn recorded_sessions(
        &self,
        before: Option<&str>,
        reader: &PersonId,
        request: &Request,
    ) -> Result<(Vec<ShownSession>, Option<Ulid>), Refused> {
        let before = before.map(super::api::ulid).transpose()?;
        let shown = [("reader", reader.to_string()), ("id", "*".to_owned())];
        self.told("ReadSessions", true, &shown, request).await?;
        let snapshot = self.pipeline.store.snapshot();
        let lent = self.lender.ask(Want::List(before)).await.map_err(|error| unlent(&error))?;
        let Lent::List(Page { items, next }) = lent else { return Err(garbled()) };
        let shown = items.iter().map(|one| show(one, right(&snapshot, one, reader)));
        Ok((shown.collect(), next))
    }

    /// One recorded session.
    pub(in crate::front) async fn session(
        &self,
        id: &str,
        reader: &PersonId,
        request: &Request,
    ) -> Result<ShownSession, Refused> {
        let session = super::api::ulid(id)?;
        let shown = [("reader", reader.to_string()), ("id", session.to_string())];
        self.told("ReadSessions", true, &shown, request).await?;
        let recorded = self.recorded(session).await?;
        let snapshot = self.pipeline.store.snapshot();
        Ok(show(&recorded, right(&snapshot, &recorded, reader)))
    }

    async fn recorded(&self, session: Ulid) -> Result<Recorded, Refused> {
        let lent = self.lender.ask(Want::Facts(session)).await.map_err(|error| unlent(&error))?;
        let Lent::Facts(recorded) = lent else { return Err(garbled()) };
        if recorded.header.session != session {
            return Err(garbled());
        }
        Ok(*recorded)
    }

    /// Fails unless a request for a recording says of it what it says of itself.
    pub(super) async fn check_recording(&self, asked: &Statement) -> Result<(), Refused> {
        let Scope::Playback(scope) = &asked.scope else { return Ok(()) };
        let recorded = self.recorded(scope.session).await?;
        let refused = |why: &str| Err(Refused::new(403, "Refused", why));
        if !recorded.closed {
            return refused("the session has not ended: its recording is not whole");
        }
        if recorded.header.host != scope.host.as_str() {
            return refused("the session was on another host: make the request anew");
        }
        let named = match (&scope.accounts, &recorded.header.accounts) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(named), Some(shown)) => shown.0.iter().all(|account| named.0.contains(account)),
        };
        if named {
            return Ok(());
        }
        refused("it does not name all customers whose data the recording can show")
    }

    async fn take_opening(&self, request: &Request) -> Reply {
        let signed = match self.statement(request) {
            Ok(signed) => signed,
            Err(refused) => {
                return self.refuse(&What::Open, request, &[], Vec::new(), refused).await;
            }
        };
        match self.open(&signed, request).await {
            Ok(opening) => super::api::reply(&json!(opening)),
            Err(refused) => refused.reply(),
        }
    }

    /// Opens a recording for who signed. What comes of it is in the ledger, whatever it is.
    pub(in crate::front) async fn open(
        &self,
        signed: &Signed,
        request: &Request,
    ) -> Result<ShownOpening, Refused> {
        let shown = cbor::from_slice::<Opening>(signed.body()).map(|said| of_opening(&said));
        let shown = shown.unwrap_or_default();
        let judged = self.may_open(signed).await;
        let (opened, grant, recorded, evidence) = match judged {
            Ok(judged) => judged,
            Err(refused) => {
                let known = self.keeper.known(signed);
                return Err(self.told_refusal(&What::Open, request, &known, shown, refused).await);
            }
        };
        let event_id = Uuid::random(&SystemEnv);
        let facts = facts(&recorded)?;
        let asked = OpenRecording {
            evidence,
            opening: signed.to_bytes(),
            sealed: hex::decode(&recorded.header.key).unwrap_or_default(),
            facts,
            event_id,
        };
        let mut telling = Telling { shown, event_id, position: None, refused: None };
        match self.ask_keyd(asked).await {
            Ok(key) => {
                telling.position = Some(key.position);
                telling.shown.push(("recordingOf", recorded.header.human.to_string()));
                self.tell_opened(telling, (&grant, &recorded), request).await?;
                let reading = Reading {
                    person: key.person.clone(),
                    session: opened.opening().session,
                    request: grant.request,
                    until: SystemEnv.now().plus(READING_LIFETIME).min(grant.not_after),
                };
                let token = self.readings.begin(reading)?;
                let snapshot = self.pipeline.store.snapshot();
                let right = right(&snapshot, &recorded, &key.person);
                let sealed = STANDARD.encode(&key.sealed);
                Ok(ShownOpening { sealed, token, session: show(&recorded, right) })
            }
            Err(refused) => {
                telling.refused = Some((refused.code, refused.message.as_str()));
                self.tell_opening(telling, Vec::new(), request).await?;
                Err(refused)
            }
        }
    }

    /// What keyd will look at, judged here before it is asked.
    async fn may_open(
        &self,
        signed: &Signed,
    ) -> Result<(Opened, AccessGrant, Recorded, Evidence), Refused> {
        let denied = |why: String| Refused::new(403, "Refused", why);
        let said: Opening = cbor::from_slice(signed.body()).map_err(|error| {
            Refused::new(400, "Malformed", format!("it is no opening: {error}"))
        })?;
        let (snapshot, now) = (self.settled().await?, SystemEnv.now());
        let roster = self.keeper.current();
        let id = said.request.to_string();
        let request = snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id);
        let request = request.ok_or_else(|| denied(format!("there is no request `{id}`")))?;
        let statement = request.statement.as_slice().to_vec();
        let asked = Signed::from_bytes(&statement)
            .and_then(|signed| Asked::verify(&signed, &roster, now))
            .map_err(|error| denied(error.to_string()))?;
        let opened = Opened::verify(signed, &asked, &roster, now)
            .map_err(|error| denied(error.to_string()))?;
        let person = &opened.opening().person;
        self.keeper
            .may_act(person, &snapshot)
            .map_err(|why| denied(format!("`{person}` may not act now: {why}")))?;
        let grant = live(&snapshot, said.request, now).ok_or_else(|| {
            denied(
                "there is no grant now: others must approve the request, and its window must be on"
                    .to_owned(),
            )
        })?;
        let approvals = evidence(&snapshot, &roster, &asked, now);
        let recorded = self.recorded(said.session).await?;
        Ok((opened, grant, recorded, Evidence { request: statement, approvals }))
    }

    async fn ask_keyd(&self, asked: OpenRecording) -> Result<OpenedRecording, Refused> {
        let denied = |why: String| Refused::new(403, "Refused", why);
        let away =
            |why: String| Refused::new(503, "Unavailable", format!("keyd: {why}; try again"));
        match self.pipeline.keyd.call(&Command::OpenRecording(Box::new(asked))).await {
            Ok(Answer::Carried(KeydReply::OpenedRecording(opened))) => Ok(*opened),
            Ok(Answer::Refused(Refusal::Forbidden(why))) => Err(denied(why)),
            Ok(Answer::Refused(Refusal::Aws(aws))) => Err(denied(aws.message)),
            Ok(Answer::Refused(Refusal::Unavailable(why))) => Err(away(why)),
            Ok(_) => Err(away("it answers something else".to_owned())),
            Err(error) => Err(away(error.to_string())),
        }
    }

    async fn tell_opened(
        &self,
        telling: Telling<'_>,
        (grant, recorded): (&AccessGrant, &Recorded),
        request: &Request,
    ) -> Result<(), Refused> {
        let snapshot = self.pipeline.store.snapshot();
        let request_id = Uuid::random(&SystemEnv);
        let site = &self.platform.site;
        let shown = [
            ("operator", pseudonym(site, &grant.person)),
            ("sessionId", recorded.header.session.to_string()),
            ("sessionOperator", pseudonym(site, &recorded.header.human)),
            ("hostName", recorded.header.host.clone()),
            ("accessRequestId", grant.request.to_string()),
            ("accessRequestDigest", grant.digest.clone()),
        ];
        let name = (SOURCE, "OperatorRecordingOpened");
        let customers = tell::told(grant, &snapshot)
            .into_iter()
            .map(|account| self.platform.record(account, name, &shown, request_id, None))
            .collect::<anyhow::Result<Vec<_>>>()
            .map_err(|error| super::internal(&error))?;
        self.tell_opening(telling, customers, request).await
    }

    /// The event that keyd's record names, then those of the customers.
    async fn tell_opening(
        &self,
        telling: Telling<'_>,
        customers: Vec<OutboxRecord>,
        request: &Request,
    ) -> Result<(), Refused> {
        let item = platform::item(&Call {
            request_parameters: platform::parameters(&telling.shown),
            event_id: telling.event_id,
            use_position: telling.position,
            error: telling.refused,
            ..self.platform.asked(request, SOURCE, What::Open.event())
        });
        let item = item.map_err(|error| super::internal(&error))?;
        let told = async {
            self.pipeline.trail.append(vec![item]).await?;
            told_ends::append(&self.pipeline, customers).await
        };
        told.await.map_err(|error: anyhow::Error| {
            tracing::warn!(error = format!("{error:#}"), "an opening could not be told");
            Refused::new(503, "Unavailable", "the ledger does not answer; sign anew")
        })
    }

    /// Bytes of a recording that somebody has opened; each piece is told before it goes out.
    async fn piece(
        &self,
        id: &str,
        request: &Request,
    ) -> Result<Piece, (Option<PersonId>, Refused)> {
        let stranger = |refused| (None, refused);
        let session = super::api::ulid(id).map_err(stranger)?;
        let from = request.query.strip_prefix("from=").and_then(|text| text.parse::<u64>().ok());
        let from = from.ok_or_else(|| {
            stranger(Refused::new(
                400,
                "BadQuery",
                "the one parameter is `from`, a number of bytes",
            ))
        })?;
        let Some(reading) = self.readings.find(request, session) else {
            let what = "nobody has opened this recording with that token, or it is over: open it";
            return Err(stranger(Refused::new(403, "AccessDenied", what)));
        };
        let known = |refused| (Some(reading.person.clone()), refused);
        let denied = |why: &str| known(Refused::new(403, "AccessDenied", why));
        let snapshot = self.pipeline.store.snapshot();
        if live(&snapshot, reading.request, SystemEnv.now()).is_none() {
            return Err(denied("the grant has ended"));
        }
        if self.keeper.may_act(&reading.person, &snapshot).is_err() {
            return Err(denied("its reader may not act now"));
        }
        let shown = [
            ("reader", reading.person.to_string()),
            ("requestId", reading.request.to_string()),
            ("sessionId", session.to_string()),
            ("from", from.to_string()),
        ];
        self.told(What::Recording(String::new()).event(), true, &shown, request)
            .await
            .map_err(known)?;
        let lent = self.lender.ask(Want::Piece(PieceWanted { session, from })).await;
        match lent.map_err(|error| known(unlent(&error)))? {
            Lent::Piece(piece) => Ok(piece),
            _ => Err(known(garbled())),
        }
    }
}

/// For the console's pages.
impl Access {
    /// A page of recorded sessions.
    pub(in crate::front) async fn sessions_page(
        &self,
        before: Option<&str>,
        reader: &Reader,
        request: &Request,
    ) -> Result<ViewPage<SessionView>, Refused> {
        let (items, next) = self.recorded_sessions(before, &reader.person, request).await?;
        let items = items.into_iter().map(view).collect();
        Ok(ViewPage { items, next: next.map(|id| id.to_string()) })
    }

    /// A recorded session.
    pub(in crate::front) async fn session_page(
        &self,
        id: &str,
        reader: &Reader,
        request: &Request,
    ) -> Result<SessionView, Refused> {
        self.session(id, &reader.person, request).await.map(view)
    }

    /// What the reader would sign to open a recording.
    pub(in crate::front) async fn opening_in_browser(
        &self,
        session: Ulid,
        recipient: [u8; 32],
        reader: &Reader,
        request: &Request,
    ) -> Result<Opening, Refused> {
        let right = self.recorded(session).await.and_then(|recorded| {
            let right = right(&self.pipeline.store.snapshot(), &recorded, &reader.person);
            let what = "no grant lets you read it now: ask for one, and others decide";
            right.ok_or_else(|| Refused::new(403, "Refused", what))
        });
        let right = match right {
            Ok(right) => right,
            Err(refused) => {
                let (what, known) = (What::Open, std::slice::from_ref(&reader.person));
                let shown = vec![("sessionId", session.to_string())];
                return Err(self.told_refusal(&what, request, known, shown, refused).await);
            }
        };
        Ok(Opening {
            v: Default::default(),
            site: reader.roster.site().clone(),
            request: right.id,
            request_digest: right.digest.parse().map_err(|_| garbled())?,
            session,
            person: reader.person.clone(),
            recipient,
            signed: SystemEnv.now(),
        })
    }

    /// Opens a recording for who signed in a browser.
    pub(in crate::front) async fn open_in_browser(
        &self,
        signed: Signed,
        _: &Reader,
        request: &Request,
    ) -> Result<writ_console::port::OpenedRecording, Refused> {
        let opened = self.open(&signed, request).await?;
        let key = self.keeper.keyd_key().ok_or_else(garbled)?;
        let end = opened.session.end.map(|end| writ_console::port::SignedEnd {
            signed: format!("{}{}", hex::encode(Mark::LABEL), end.mark),
            signature: end.signature,
            key: key.to_string(),
        });
        Ok(writ_console::port::OpenedRecording {
            sealed: STANDARD.decode(&opened.sealed).map_err(|_| garbled())?,
            token: opened.token,
            bytes: opened.session.bytes,
            end,
        })
    }
}

fn view(shown: ShownSession) -> SessionView {
    SessionView {
        id: shown.id,
        request: shown.request,
        person: shown.person,
        host: shown.host,
        start: shown.start,
        bytes: shown.bytes,
        ended: shown.ended,
        reason: shown.reason,
        accounts: shown.accounts,
        right: shown.grant.map(|right| (right.id, right.not_after)),
    }
}

/// What the event of an opening tells.
fn of_opening(said: &Opening) -> Vec<(&'static str, String)> {
    vec![
        ("requestId", said.request.to_string()),
        ("requestDigest", said.request_digest.to_string()),
        ("sessionId", said.session.to_string()),
        ("person", said.person.to_string()),
        ("recipient", hex::encode(said.recipient)),
    ]
}

/// What the recording's key is sealed with, by the recording's own word: keyd checks it.
fn facts(recorded: &Recorded) -> Result<RecordingFacts, Refused> {
    let header = &recorded.header;
    Ok(RecordingFacts {
        session: header.session,
        grant: header.grants.first().copied().unwrap_or_default(),
        person: header.human.clone(),
        host: header.host.parse().map_err(|_| garbled())?,
        accounts: header.accounts.clone(),
    })
}

/// The grant of a request, if it holds now.
fn live(snapshot: &Snapshot, request: Ulid, now: Timestamp) -> Option<AccessGrant> {
    let grant = snapshot.get::<AccessGrant>(AccountId::PLATFORM, &request.to_string())?;
    (state(grant, now) == GrantState::Live).then(|| AccessGrant::clone(&grant.value))
}

/// The reader's own grant to read a recording, if there is one now.
fn right(snapshot: &Snapshot, recorded: &Recorded, reader: &PersonId) -> Option<ShownRight> {
    let now = SystemEnv.now();
    let own = ends::live(snapshot, now).filter(|grant| grant.person == *reader);
    let of_it = |grant: &&std::sync::Arc<writ_store::Entry<AccessGrant>>| {
        let asked = ends::asked(snapshot, grant.request);
        asked.is_some_and(|asked| match &asked.scope {
            Scope::Playback(PlaybackScope { session, .. }) => *session == recorded.header.session,
            _ => false,
        })
    };
    let best = own.filter(of_it).max_by_key(|grant| grant.not_after)?;
    let digest = best.digest.clone();
    Some(ShownRight { id: best.request, digest, not_after: best.not_after })
}

fn show(recorded: &Recorded, grant: Option<ShownRight>) -> ShownSession {
    let header = &recorded.header;
    let reason = recorded.end.as_ref().map(|end| match &end.mark {
        Mark::End(end) => end.reason.clone(),
        Mark::Truncated(_) => "the recorder failed".to_owned(),
        Mark::Checkpoint(_) => "unknown".to_owned(),
    });
    let end = recorded.end.as_ref().map(|SignedEnd { mark, signature }| ShownEnd {
        mark: hex::encode(cbor::to_vec(mark)),
        signature: hex::encode(signature),
    });
    ShownSession {
        id: header.session,
        request: header.request,
        person: header.human.clone(),
        host: header.host.clone(),
        start: header.start,
        bytes: recorded.bytes,
        ended: recorded.closed,
        reason,
        accounts: header.accounts.as_ref().map(|accounts| accounts.0.clone()),
        end,
        grant,
    }
}

fn unlent(error: &LendError) -> Refused {
    let (status, code) = match error {
        LendError::Busy => (429, "TooMany"),
        LendError::Missing(_) => (404, "NotFound"),
        LendError::Unavailable => (503, "Unavailable"),
    };
    Refused::new(status, code, error.to_string())
}

fn garbled() -> Refused {
    Refused::new(503, "Unavailable", "the bastion answers something else; see its log")
}
