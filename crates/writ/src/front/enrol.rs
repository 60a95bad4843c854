//! Keeps links to enrol, for the console.
//!
//! A link is opened by somebody who is enrolled, takes keys once, and gives nothing by itself: what its
//! holder shows becomes a proposed change of the roster, which people sign and send in as any other.

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::Mutex;
use writ_console::caller::Caller;
use writ_console::limits::{LINK_KEPT, LINK_LIFETIME, OPEN_LINKS_MAX, TOKEN_BYTES};
use writ_console::port::{Desk, Link, Opened, PortFuture, State};
use writ_model::{AccountId, Env as _, PersonId, SystemEnv, Timestamp};
use writ_proof::Hash;
use writ_proof::at_most::AtMost;
use writ_proof::cbor;
use writ_proof::hash::sha256;
use writ_proof::origin::SiteId;
use writ_proof::roster::{Change, EnrolmentId, Mode, PersonKey, Roster};
use writ_service::http::{Refused, Request};
use writ_service::pipeline::Pipeline;
use writ_service::record::StrangerLimit;
use writ_store::state::{Enrolment, Proposal};
use writ_store::{Blob, Object, ObjectId, Snapshot, StoreError, Transaction};
use writ_trail::record::{Call, Identity};

use super::hr;
use super::platform::{self, PRINCIPAL, Platform};
use super::roster::Keeper;

/// The service in the records of enrolment.
const SOURCE: &str = "people.writ.internal";

/// Links that one opening forgets.
const FORGOTTEN_MAX: usize = 2 * OPEN_LINKS_MAX;

/// See the module.
pub struct Enrolments {
    pipeline: Arc<Pipeline>,
    platform: Platform,
    keeper: Arc<Keeper>,
    /// One opening at a time: their number is bounded.
    turn: Mutex<()>,
    strangers: StrangerLimit,
}

impl Enrolments {
    /// Keeps the links of this installation.
    pub fn new(pipeline: Arc<Pipeline>, platform: Platform, keeper: Arc<Keeper>) -> Enrolments {
        let (turn, strangers) = (Mutex::default(), StrangerLimit::default());
        Enrolments { pipeline, platform, keeper, turn, strangers }
    }

    async fn open_link(
        &self,
        caller: &Caller,
        person: &PersonId,
        request: &Request,
    ) -> Result<Opened, Refused> {
        let roster = self.keeper.current();
        let denied = |why: &str| Refused::new(403, "AccessDenied", why);
        let opener = roster.person(&caller.key);
        let opener = opener.ok_or_else(|| denied("the key that signed is not in the roster"))?;
        let snapshot = self.pipeline.store.snapshot();
        self.keeper.may_act(opener, &snapshot).map_err(|why| denied(&why))?;
        hr::may_get(person, &snapshot).map_err(|why| Refused::new(409, "NotToBeEnrolled", why))?;

        let _turn = self.turn.lock().await;
        let now = SystemEnv.now();
        let snapshot = self.settled().await?;
        let opening = caller.digest.to_string();
        if all(&snapshot).any(|link| link.opening == opening) {
            return Err(Refused::new(409, "Repeated", "this request opened a link already"));
        }
        let open = all(&snapshot).filter(|link| is_open(link, now) && link.person != *person);
        if open.count() >= OPEN_LINKS_MAX {
            let what = format!("{OPEN_LINKS_MAX} links are open: wait until one has ended");
            return Err(Refused::new(429, "TooManyLinks", what));
        }
        let mut token = [0; TOKEN_BYTES];
        SystemEnv.fill(&mut token);
        let link = Enrolment {
            id: sha256(&token).to_string(),
            person: person.clone(),
            opened_by: opener.clone(),
            opening,
            opened: now,
            expires: now.plus(LINK_LIFETIME),
            proposal: None,
        };
        let (id, expires) = (link.id.clone(), link.expires);
        self.commit_opening(link, &snapshot, request).await?;
        Ok(Opened { id, token, expires })
    }

    /// One commit: the link, and the end of one that was open for the same person. Old ones are forgotten;
    /// the ledger and the roster have what came of them.
    async fn commit_opening(
        &self,
        link: Enrolment,
        snapshot: &Snapshot,
        request: &Request,
    ) -> Result<(), Refused> {
        let now = link.opened;
        let older: Vec<_> = snapshot
            .list::<Enrolment>(AccountId::PLATFORM, None)
            .filter(|entry| is_open(&entry.value, now) && entry.value.person == link.person)
            .collect();
        let mut parameters = vec![
            ("enrolmentId", link.id.clone()),
            ("personId", link.person.to_string()),
            ("openedBy", link.opened_by.to_string()),
            ("expires", link.expires.iso()),
        ];
        parameters.extend(older.iter().map(|entry| ("replaces", entry.value.id.clone())));
        let mut transaction = self
            .begin("OpenEnrolment", &parameters, request)?
            .create(Object::new(AccountId::PLATFORM, link));
        let forgotten = snapshot.list::<Enrolment>(AccountId::PLATFORM, None);
        let forgotten = forgotten.filter(|entry| now.since(entry.value.expires) > LINK_KEPT);
        for entry in forgotten.take(FORGOTTEN_MAX) {
            let id = ObjectId::of::<Enrolment>(AccountId::PLATFORM, &entry.value.id);
            transaction = transaction.delete(id, entry.revision);
        }
        for entry in older {
            let ended = Enrolment { expires: now, ..Enrolment::clone(&entry.value) };
            let object = Object::new(AccountId::PLATFORM, ended);
            transaction = transaction.update(object, entry.revision);
        }
        self.commit(transaction).await
    }

    async fn keep_proposal(
        &self,
        link: &Hash,
        keys: Vec<PersonKey>,
        attestation: Option<String>,
        request: &Request,
    ) -> Result<(), Refused> {
        let snapshot = self.settled().await?;
        let entry = snapshot.get::<Enrolment>(AccountId::PLATFORM, &link.to_string());
        let entry = entry.ok_or_else(|| Refused::new(404, "NotFound", "this link is unknown"))?;
        let now = SystemEnv.now();
        if entry.value.proposal.is_some() {
            return Err(used());
        }
        if !is_open(&entry.value, now) {
            let what = "this link has ended: ask for a new one";
            return Err(Refused::new(410, "Expired", what));
        }
        let person = &entry.value.person;
        hr::may_get(person, &snapshot).map_err(|why| Refused::new(409, "NotToBeEnrolled", why))?;
        let change = change(&self.keeper.current(), person, keys)?;
        let mut parameters = vec![
            ("enrolmentId", entry.value.id.clone()),
            ("personId", person.to_string()),
            ("change", change_name(&change).to_owned()),
            ("keys", shown(&change)),
            ("code", change.code()),
        ];
        if let Some(format) = &attestation {
            parameters.push(("attestation", format!("{format}, not evaluated")));
        }
        let proposal = Proposal { change: Blob::from(cbor::to_vec(&change)), attestation, at: now };
        let proposed = Enrolment { proposal: Some(proposal), ..Enrolment::clone(&entry.value) };
        let transaction = self
            .begin("ProposeEnrolment", &parameters, request)?
            .update(Object::new(AccountId::PLATFORM, proposed), entry.revision);
        self.commit(transaction).await
    }

    async fn settled(&self) -> Result<Arc<Snapshot>, Refused> {
        self.pipeline.store.settled().await.map_err(|error| unavailable(&error))
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), Refused> {
        match self.pipeline.commit_own(transaction).await {
            Ok(()) => Ok(()),
            Err(StoreError::Conflict { .. }) => Err(used()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// A transaction with its record, which shows where the request came from.
    fn begin(
        &self,
        name: &str,
        parameters: &[(&str, String)],
        request: &Request,
    ) -> Result<Transaction, Refused> {
        let call = Call {
            request_parameters: platform::parameters(parameters),
            ..self.platform.asked(request, SOURCE, name)
        };
        match platform::outbox(&call) {
            Ok(record) => Ok(Transaction::new(PRINCIPAL, call.request_id, record)),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "an enrolment has no record");
                Err(Refused::new(500, "Internal", "see front's log"))
            }
        }
    }

    async fn tell_refusal(&self, name: &str, refused: &Refused, request: &Request) -> Result<()> {
        let item = platform::item(&Call {
            identity: Identity::Unknown { access_key_id: None },
            error: Some((refused.code, refused.message.as_str())),
            ..self.platform.asked(request, SOURCE, name)
        })?;
        self.pipeline.trail.append(vec![item]).await?;
        Ok(())
    }
}

impl Desk for Enrolments {
    fn site(&self) -> &SiteId {
        &self.platform.site
    }

    fn is_dev(&self) -> bool {
        self.keeper.current().mode() == Mode::Dev
    }

    fn now(&self) -> Timestamp {
        SystemEnv.now()
    }

    fn region(&self) -> &str {
        self.platform.region.as_str()
    }

    fn is_origin(&self, origin: &str, rp_id: &str) -> bool {
        self.keeper.current().is_origin(origin, rp_id)
    }

    fn look(&self, link: &Hash) -> Option<Link> {
        let snapshot = self.pipeline.store.snapshot();
        let entry = snapshot.get::<Enrolment>(AccountId::PLATFORM, &link.to_string())?;
        let (roster, person) = (self.keeper.current(), &entry.value.person);
        let passkeys = roster.keys(person).iter().filter_map(|own| own.passkey.as_ref());
        Some(Link {
            person: person.clone(),
            opened_by: entry.value.opened_by.clone(),
            expires: entry.value.expires,
            enrolled: roster.enrolment(person).is_some(),
            passkeys: passkeys.map(|passkey| passkey.credential_id.clone()).collect(),
            state: state(&entry.value, &roster, SystemEnv.now()),
        })
    }

    fn open<'a>(
        &'a self,
        caller: &'a Caller,
        person: &'a PersonId,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Opened, Refused>> {
        Box::pin(self.open_link(caller, person, request))
    }

    fn propose<'a>(
        &'a self,
        link: &'a Hash,
        keys: Vec<PersonKey>,
        attestation: Option<String>,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>> {
        Box::pin(self.keep_proposal(link, keys, attestation, request))
    }

    fn refused<'a>(
        &'a self,
        event: &'static str,
        refused: &'a Refused,
        request: &'a Request,
    ) -> PortFuture<'a, ()> {
        Box::pin(async move {
            if !self.strangers.admit(SystemEnv.now()) {
                return;
            }
            if let Err(error) = self.tell_refusal(event, refused, request).await {
                tracing::warn!(error = format!("{error:#}"), "a refusal was not recorded");
            }
        })
    }
}

fn all(snapshot: &Snapshot) -> impl Iterator<Item = &Enrolment> {
    snapshot.list::<Enrolment>(AccountId::PLATFORM, None).map(|entry| entry.value.as_ref())
}

/// True while the link takes keys: `[opened, expires)`, once.
fn is_open(link: &Enrolment, now: Timestamp) -> bool {
    now < link.expires && link.proposal.is_none()
}

/// What has become of a link follows from the roster and the clock, and is stored nowhere.
fn state(link: &Enrolment, roster: &Roster, now: Timestamp) -> State {
    let proposal = link.proposal.as_ref();
    let change = proposal.and_then(|p| cbor::from_slice::<Change>(p.change.as_slice()).ok());
    let Some(change) = change else {
        return if is_open(link, now) { State::Open } else { State::Expired };
    };
    let has = |key: &PersonKey| {
        roster.held(&key.key).is_some_and(|(person, held)| *person == link.person && held == key)
    };
    if keys(&change).iter().all(has) { State::Done(change) } else { State::Proposed(change) }
}

/// The change that gives `keys` to a person: their first ones, or one more.
fn change(roster: &Roster, person: &PersonId, keys: Vec<PersonKey>) -> Result<Change, Refused> {
    for key in &keys {
        let fits = roster.check_new_key(key);
        fits.map_err(|error| Refused::new(400, "KeyRefused", error.to_string()))?;
    }
    if roster.enrolment(person).is_none() {
        let number = roster.next_enrolment(person);
        let id = EnrolmentId { person: person.clone(), number };
        return Ok(Change::Enrol(writ_proof::roster::Enrolment { id, keys: AtMost(keys) }));
    }
    match <[PersonKey; 1]>::try_from(keys) {
        Ok([key]) => Ok(Change::AddKey(key)),
        Err(_) => Err(Refused::new(400, "TooManyKeys", "a link adds one key")),
    }
}

fn keys(change: &Change) -> &[PersonKey] {
    match change {
        Change::Enrol(enrolment) => &enrolment.keys.0,
        Change::AddKey(key) => std::slice::from_ref(key),
        _ => &[],
    }
}

fn change_name(change: &Change) -> &'static str {
    if matches!(change, Change::AddKey(_)) { "AddKey" } else { "Enrol" }
}

fn shown(change: &Change) -> String {
    let one = |key: &PersonKey| format!("{} {}", key.kind().as_str(), key.key.fingerprint());
    keys(change).iter().map(one).collect::<Vec<_>>().join(", ")
}

fn used() -> Refused {
    let what = "this link was used: ask for a new one to add a further key";
    Refused::new(409, "Used", what)
}

fn unavailable(error: &StoreError) -> Refused {
    tracing::warn!(%error, "an enrolment could not be stored");
    Refused::new(503, "Unavailable", "it could not be stored now; try again")
}
