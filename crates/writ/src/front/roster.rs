//! front's own roster, and how a signed statement becomes part of it.
//!
//! A statement is verified here, committed with its leaf of the operator log, and then told to keyd,
//! which verifies it once more. What is refused is recorded: whoever has signed with a key of the roster
//! is known; all others are strangers, whose records are bounded.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, watch};
use writ_keyd_client::operator::SignedKrl;
use writ_keyd_client::protocol::{Answer, Command, KeydStatus, Network, Refusal, Reply};
use writ_model::{AccountId, Env as _, PersonId, SystemEnv, Uuid};
use writ_people::{Settings, is_present};
use writ_proof::Hash;
use writ_proof::cbor;
use writ_proof::ed25519::PublicKey;
use writ_proof::limits::ROSTER_STATEMENT_MAX_BYTES;
use writ_proof::roster::{Change, Genesis, GroupName, Roster, RosterStatement};
use writ_proof::sshsig::SshSig;
use writ_proof::statement::{Namespace, Signed};
use writ_service::http::Refused;
use writ_service::pipeline::Pipeline;
use writ_service::record::StrangerLimit;
use writ_store::state::RosterEntry;
use writ_store::{
    Blob, LogName, Object, OutboxRecord, RecordKind, Snapshot, StoreError, Transaction,
};
use writ_trail::record::{Call, Identity};

use super::hr;
use super::platform::{self, PRINCIPAL, Platform};

/// The service in the records of the roster.
const SOURCE: &str = "roster.writ.internal";
/// What is recorded of a statement that is sent in.
const SUBMIT: &str = "SubmitStatement";
/// A statement may be dated this far ahead of front's clock.
const AHEAD_MAX: Duration = Duration::from_secs(300);
/// Signatures are collected at most this long.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What a statement was answered with.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its number.
    pub seq: u64,
    /// SHA-256 of its signed bytes.
    pub digest: Hash,
    /// True once keyd has it too. Otherwise it gets it with its next load, which is under way.
    pub keyd: bool,
}

/// See the module.
pub struct Keeper {
    pipeline: Arc<Pipeline>,
    platform: Platform,
    genesis: Signed,
    current: RwLock<Arc<Roster>>,
    /// Why what the store holds is no roster.
    fault: Option<String>,
    /// One statement at a time.
    turn: Mutex<()>,
    strangers: StrangerLimit,
    /// The installation's rules for persons.
    settings: Settings,
    /// Changes when keyd has to be loaded again.
    reload: watch::Sender<u64>,
}

impl Keeper {
    /// The roster of `genesis` and of what the store holds. Stored statements that do not follow genesis
    /// and each other end what operators do, not what customers do.
    ///
    /// # Errors
    /// The genesis statement does not verify.
    pub fn open(
        pipeline: Arc<Pipeline>,
        platform: Platform,
        genesis: &[u8],
        settings: Settings,
        reload: watch::Sender<u64>,
    ) -> Result<Keeper> {
        let genesis = Signed::from_bytes(genesis).context("the genesis statement is damaged")?;
        let (_, mut roster) = Roster::begin(&genesis, None)?;
        let followed = follow(&mut roster, &pipeline.store.snapshot());
        let fault = followed.err().map(|error| format!("{error:#}"));
        if let Some(why) = &fault {
            tracing::error!(why, "the stored roster does not hold; no statement is taken");
        }
        let current = RwLock::new(Arc::new(roster));
        let (turn, strangers) = (Mutex::default(), StrangerLimit::default());
        let kept = Keeper {
            pipeline,
            platform,
            genesis,
            current,
            fault,
            turn,
            strangers,
            settings,
            reload,
        };
        Ok(kept)
    }

    /// The roster as it is.
    pub fn current(&self) -> Arc<Roster> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The signed genesis statement.
    pub fn genesis(&self) -> &Signed {
        &self.genesis
    }

    /// keyd's key of use records and of the marks of recordings, as genesis names it.
    pub fn keyd_key(&self) -> Option<PublicKey> {
        let genesis: Genesis = cbor::from_slice(self.genesis.body()).ok()?;
        Some(genesis.keyd.use_records)
    }

    /// The stored statements after the one of number `after`, at most `count`.
    pub fn statements(&self, after: u64, count: usize) -> Vec<Vec<u8>> {
        let snapshot = self.pipeline.store.snapshot();
        let after = RosterEntry::id_of(after);
        let entries = snapshot.list::<RosterEntry>(AccountId::PLATFORM, Some(&after));
        entries.take(count).map(|entry| entry.statement.as_slice().to_vec()).collect()
    }

    /// Fails if HR keeps `person` from acting now. Of somebody whom HR does not know it says nothing: a
    /// founder need not be on the payroll.
    ///
    /// # Errors
    /// Why not.
    pub fn may_act(&self, person: &PersonId, snapshot: &Snapshot) -> Result<(), String> {
        let Some(known) = snapshot.person(person.as_str()) else { return Ok(()) };
        is_present(&known.value, self, &self.settings, SystemEnv.now())
            .map_err(|why| why.to_string())
    }

    /// The same for acting in a group: a membership must have been approved since the last move.
    ///
    /// # Errors
    /// Why not.
    pub fn may_act_in(
        &self,
        group: &GroupName,
        person: &PersonId,
        snapshot: &Snapshot,
    ) -> Result<(), String> {
        let Some(known) = snapshot.person(person.as_str()) else { return Ok(()) };
        let (known, now) = (Some(known.value.as_ref()), SystemEnv.now());
        writ_people::decide(group.as_str(), known, self, &self.settings, now)
            .map_err(|why| why.to_string())
    }

    /// Takes a signed statement. When it answers, the statement or its refusal is in the ledger.
    pub async fn submit(&self, bytes: &[u8], network: &Network) -> Result<Accepted, Refused> {
        let signed = read(bytes);
        let known = signed.as_ref().map(|signed| self.known(signed)).unwrap_or_default();
        let outcome = match &signed {
            Ok(signed) => self.take(signed, network, &known).await,
            Err(why) => Err(Refused::new(400, "Malformed", why.as_str())),
        };
        let Err(refused) = &outcome else { return outcome };
        let signed = signed.as_ref().ok();
        let told = Told { signed, known: &known, refused: Some(refused), ..Told::of(network) };
        self.record(told).await?;
        outcome
    }

    /// Records a refusal of what could not be read, or a read of the roster: a stranger's.
    ///
    /// # Errors
    /// The ledger does not answer.
    pub async fn told_stranger(
        &self,
        network: &Network,
        refused: Option<&Refused>,
    ) -> Result<(), Refused> {
        let name = if refused.is_some() { SUBMIT } else { "GetRoster" };
        self.record(Told { name, refused, ..Told::of(network) }).await
    }

    async fn take(
        &self,
        signed: &Signed,
        network: &Network,
        known: &[PersonId],
    ) -> Result<Accepted, Refused> {
        let statement = statement(signed)?;
        let keyd_has = self.check_whole().await?;
        let digest = signed.digest();
        // Anybody may send anything: what is not in force after it would hold up nobody's mutation.
        let now = self.pipeline.store.snapshot();
        let roster = self.newest(&now)?;
        if let Judged::Repeated(seq) = self.judge(signed, &statement, known, roster, &now)? {
            return Ok(Accepted { seq, digest, keyd: seq <= keyd_has });
        }
        let _turn = self.turn.lock().await;
        // A load of keyd between commit and telling would look like a roster that got shorter.
        let held = self.pipeline.hold_mutations().await;
        let snapshot = self.pipeline.store.settled().await.map_err(|error| unavailable(&error))?;
        let roster = self.newest(&snapshot)?;
        self.publish(&roster);
        let next = match self.judge(signed, &statement, known, roster, &snapshot)? {
            Judged::Follows(next) => next,
            Judged::Repeated(seq) => return Ok(Accepted { seq, digest, keyd: true }),
        };
        let told = Told { signed: Some(signed), known, ..Told::of(network) };
        self.commit(signed, statement.seq, told).await?;
        self.publish(&next);
        let keyd = self.tell(signed).await;
        drop(held);
        if !keyd {
            self.reload.send_modify(|n| *n += 1);
        }
        Ok(Accepted { seq: next.seq(), digest, keyd })
    }

    /// The roster with what `snapshot` has beyond it.
    fn newest(&self, snapshot: &Snapshot) -> Result<Roster, Refused> {
        let mut roster = Roster::clone(&self.current());
        follow(&mut roster, snapshot).map_err(|error| {
            tracing::error!(%error, "the stored roster does not follow the one in memory");
            Refused::new(500, "Internal", "the stored roster does not hold; see front's log")
        })?;
        Ok(roster)
    }

    /// What comes of a statement under `roster`: everything that can refuse it.
    fn judge(
        &self,
        signed: &Signed,
        statement: &RosterStatement,
        known: &[PersonId],
        mut roster: Roster,
        snapshot: &Snapshot,
    ) -> Result<Judged, Refused> {
        if let Some(seq) = repeated(snapshot, statement.seq, signed) {
            return Ok(Judged::Repeated(seq));
        }
        check_place(statement, &roster)?;
        check_date(statement)?;
        self.check_people(known, &statement.change, snapshot)?;
        roster.apply(signed).map_err(|error| {
            Refused::new(403, "Refused", format!("{error}. Nothing was changed"))
        })?;
        Ok(Judged::Follows(Box::new(roster)))
    }

    /// HR takes the pen away at once, long before a statement takes the key out of the roster; and who has
    /// left gets nothing, whoever signs.
    fn check_people(
        &self,
        signers: &[PersonId],
        change: &Change,
        snapshot: &Snapshot,
    ) -> Result<(), Refused> {
        let refuse = |text: String| Refused::new(403, "Refused", text);
        for signer in signers {
            self.may_act(signer, snapshot).map_err(|why| {
                refuse(format!("`{signer}` may not sign now: {why}. Nothing was changed"))
            })?;
        }
        let Some(person) = hr::receiver(change) else { return Ok(()) };
        hr::may_get(person, snapshot).map_err(|why| {
            refuse(format!("`{person}` gets nothing now: {why}. Nothing was changed"))
        })
    }

    /// What keyd says of itself; `None` while it does not answer.
    pub async fn keyd(&self) -> Option<KeydStatus> {
        match self.pipeline.keyd.call(&Command::Status).await {
            Ok(Answer::Carried(Reply::Status(status))) => Some(status),
            _ => None,
        }
    }

    /// The list of revoked certificates; `None` while keyd does not answer.
    pub async fn krl(&self) -> Option<SignedKrl> {
        match self.pipeline.keyd.call(&Command::SignKrl).await {
            Ok(Answer::Carried(Reply::Krl(signed))) => Some(*signed),
            _ => None,
        }
    }

    /// Fails while front or keyd has no roster: a statement could begin a second history. Else the number of the
    /// newest statement that keyd has.
    async fn check_whole(&self) -> Result<u64, Refused> {
        let refuse = |why: &str| Refused::new(503, "Unavailable", why);
        if let Some(why) = &self.fault {
            return Err(refuse(&format!("the stored roster does not hold: {why}")));
        }
        let keyd = self.keyd().await.map(|keyd| keyd.roster);
        let keyd = keyd.ok_or_else(|| refuse("keyd does not answer; send it again"))?;
        match keyd.fault {
            None => Ok(keyd.head.seq),
            Some(why) => Err(refuse(&format!("keyd refuses the roster: {why}"))),
        }
    }

    fn publish(&self, roster: &Roster) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(roster.clone());
    }

    /// Tells keyd; false if it did not take the statement.
    async fn tell(&self, signed: &Signed) -> bool {
        match self.pipeline.keyd.call(&Command::Roster(signed.to_bytes())).await {
            Ok(Answer::Carried(_)) => true,
            Ok(Answer::Refused(Refusal::Unavailable(why) | Refusal::Forbidden(why))) => {
                tracing::warn!(why, "keyd did not take a roster statement; it is loaded again");
                false
            }
            Ok(Answer::Refused(refusal)) => {
                tracing::warn!(
                    ?refusal,
                    "keyd did not take a roster statement; it is loaded again"
                );
                false
            }
            Err(error) => {
                tracing::warn!(%error, "keyd did not take a roster statement; it is loaded again");
                false
            }
        }
    }

    /// One commit: the statement, its leaf, and an event that tells of it.
    async fn commit(&self, signed: &Signed, seq: u64, told: Told<'_>) -> Result<(), Refused> {
        let request_id = Uuid::random(&SystemEnv);
        let leaf = OutboxRecord {
            event_id: Uuid::random(&SystemEnv),
            kind: RecordKind::Statement,
            logs: vec![LogName::Operator],
            record: signed.to_bytes(),
            use_position: None,
        };
        let event = Call { request_id, ..self.event(told) };
        let event = platform::outbox(&event).map_err(|error| internal(&error))?;
        let entry = RosterEntry { seq, statement: Blob::from(signed.to_bytes()) };
        let mut transaction = Transaction::new(PRINCIPAL, request_id, leaf)
            .create(Object::new(AccountId::PLATFORM, entry));
        transaction.records.push(event);
        self.pipeline.commit_own(transaction).await.map_err(|error| unavailable(&error))
    }

    /// Appends the event of what changed nothing; of strangers' only so many a second.
    async fn record(&self, told: Told<'_>) -> Result<(), Refused> {
        if told.known.is_empty() && !self.strangers.admit(SystemEnv.now()) {
            return Ok(());
        }
        let item = platform::item(&self.event(told)).map_err(|error| internal(&error))?;
        self.pipeline.trail.append(vec![item]).await.map(|_| ()).map_err(|error| {
            tracing::warn!(%error, "the ledger did not take the event of a statement");
            Refused::new(503, "Unavailable", "the ledger does not answer; send it again")
        })
    }

    fn event<'a>(&'a self, told: Told<'a>) -> Call<'a> {
        let Told { name, signed, known, refused, network } = told;
        let own = self.platform.call(SOURCE, name);
        Call {
            identity: match known.is_empty() {
                true => Identity::Unknown { access_key_id: None },
                false => own.identity,
            },
            network,
            user_agent: None,
            error: refused.map(|refused| (refused.code, refused.message.as_str())),
            request_parameters: signed.map(|signed| shown(signed, known)),
            read_only: name != SUBMIT,
            ..own
        }
    }

    /// The people of the roster among those whose signatures hold.
    pub(super) fn known(&self, signed: &Signed) -> Vec<PersonId> {
        let roster = self.current();
        let mut people: Vec<PersonId> = signed
            .signatures()
            .iter()
            .filter_map(|bytes| SshSig::from_bytes(bytes).ok())
            .filter(|signature| roster.person(signature.key()).is_some())
            .filter_map(|signature| {
                signature.verify(signed.body(), signed.namespace().as_str()).ok()
            })
            .filter_map(|signer| roster.person(&signer.key).cloned())
            .collect();
        people.sort();
        people.dedup();
        people
    }
}

/// What comes of a statement.
enum Judged {
    /// The roster after it.
    Follows(Box<Roster>),
    /// It is in force already, under this number: its reply was lost, and it was sent again.
    Repeated(u64),
}

/// What the event of a statement tells.
#[derive(Clone, Copy)]
struct Told<'a> {
    name: &'static str,
    signed: Option<&'a Signed>,
    /// The people who have signed; with none it is a stranger's, named by its digest alone.
    known: &'a [PersonId],
    refused: Option<&'a Refused>,
    network: &'a Network,
}

impl Told<'_> {
    fn of(network: &Network) -> Told<'_> {
        Told { name: SUBMIT, signed: None, known: &[], refused: None, network }
    }
}

/// Every stored statement in order, for keyd.
pub fn stored(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let entries = snapshot.list::<RosterEntry>(AccountId::PLATFORM, None);
    entries.map(|entry| entry.statement.as_slice().to_vec()).collect()
}

/// Applies what the store has beyond `roster`.
fn follow(roster: &mut Roster, snapshot: &Snapshot) -> Result<()> {
    let after = RosterEntry::id_of(roster.seq());
    for entry in snapshot.list::<RosterEntry>(AccountId::PLATFORM, Some(&after)) {
        let signed = Signed::from_bytes(entry.statement.as_slice())?;
        roster.apply(&signed).with_context(|| format!("statement {}", entry.seq))?;
    }
    Ok(())
}

fn read(bytes: &[u8]) -> Result<Signed, String> {
    if bytes.len() > ROSTER_STATEMENT_MAX_BYTES {
        return Err(format!("a statement has at most {ROSTER_STATEMENT_MAX_BYTES} bytes"));
    }
    Signed::from_bytes(bytes)
        .map_err(|error| format!("this is no signed statement: {error}. `writ roster` makes them"))
}

fn statement(signed: &Signed) -> Result<RosterStatement, Refused> {
    if signed.namespace() != Namespace::Roster {
        let what = format!("statements of kind `{}` are not taken here", signed.namespace());
        return Err(Refused::new(400, "UnknownKind", what));
    }
    if signed.signatures().is_empty() {
        let what = "nobody has signed it: people do with `writ roster sign`";
        return Err(Refused::new(400, "Unsigned", what));
    }
    cbor::from_slice(signed.body()).map_err(|error| {
        Refused::new(400, "Malformed", format!("its body is no roster statement: {error}"))
    })
}

/// The number of a statement that is stored already: its reply was lost, and it was sent again.
fn repeated(snapshot: &Snapshot, seq: u64, signed: &Signed) -> Option<u64> {
    let entry = snapshot.get::<RosterEntry>(AccountId::PLATFORM, &RosterEntry::id_of(seq))?;
    (entry.statement.as_slice() == signed.to_bytes()).then_some(seq)
}

fn check_place(statement: &RosterStatement, roster: &Roster) -> Result<(), Refused> {
    if statement.site != *roster.site() {
        let what = format!("it is of `{}`, this is `{}`", statement.site, roster.site());
        return Err(Refused::new(400, "OtherSite", what));
    }
    if Some(statement.seq) == roster.seq().checked_add(1) && statement.prev == roster.head() {
        return Ok(());
    }
    let what = format!(
        "it was made to follow statement {}, and the newest is {}: propose it anew and have it signed \
         again",
        statement.seq.saturating_sub(1),
        roster.seq()
    );
    Err(Refused::new(409, "OutOfDate", what))
}

fn check_date(statement: &RosterStatement) -> Result<(), Refused> {
    let now = SystemEnv.now();
    if statement.created.since(now) > AHEAD_MAX {
        let what = "it is dated ahead of this clock: set the clock of the machine that made it, and \
                    propose it anew";
        return Err(Refused::new(400, "OutOfDate", what));
    }
    if now.since(statement.created) > AGE_MAX {
        let what = "it was made more than 24 hours ago: propose it anew and have it signed again";
        return Err(Refused::new(400, "OutOfDate", what));
    }
    Ok(())
}

/// What records show of a statement. Of what nobody known has signed only the digest is kept.
fn shown(signed: &Signed, known: &[PersonId]) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("digest".to_owned(), json!(signed.digest().to_string()));
    shown.insert("kind".to_owned(), json!(signed.namespace().as_str()));
    if known.is_empty() {
        return shown;
    }
    let signers: Vec<&str> = known.iter().map(PersonId::as_str).collect();
    shown.insert("signers".to_owned(), json!(signers.join(" ")));
    if let Ok(statement) = statement(signed) {
        shown.insert("seq".to_owned(), json!(statement.seq.to_string()));
        let (change, subject) = told(&statement.change);
        shown.insert("change".to_owned(), json!(change));
        shown.insert("subject".to_owned(), json!(subject));
    }
    shown
}

/// A change in two words: what, and of whom.
fn told(change: &Change) -> (&'static str, String) {
    match change {
        Change::AddKey(key) => ("AddKey", key.person.to_string()),
        Change::AddMember(new) => ("AddMember", format!("{} {}", new.group, new.person)),
        Change::EndEnrolment(id) => ("EndEnrolment", id.person.to_string()),
        Change::Enrol(enrolment) => ("Enrol", enrolment.id.person.to_string()),
        Change::RemoveGroup(name) => ("RemoveGroup", name.to_string()),
        Change::RemoveHost(name) => ("RemoveHost", name.to_string()),
        Change::RemoveKey(key) => ("RemoveKey", key.person.to_string()),
        Change::RemoveMember(old) => ("RemoveMember", format!("{} {}", old.group, old.person)),
        Change::SetGroup(group) => ("SetGroup", group.name.to_string()),
        Change::SetHost(host) => ("SetHost", host.name.to_string()),
        Change::SetOrigins(_) => ("SetOrigins", String::new()),
        Change::SetRule(rule) => ("SetRule", rule.namespace.to_string()),
    }
}

fn unavailable(error: &StoreError) -> Refused {
    tracing::warn!(%error, "a statement could not be stored");
    let what = "it could not be stored now, and may have been: send the same bytes again";
    Refused::new(503, "Unavailable", what)
}

fn internal(error: &anyhow::Error) -> Refused {
    tracing::error!(%error, "the record of a statement cannot be made");
    Refused::new(500, "Internal", "see front's log")
}
