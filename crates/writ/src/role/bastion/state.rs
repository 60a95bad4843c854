//! The bastion's view of the state: grants of front's feed, each judged anew under the roster that genesis begins.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use writ_access::Customers as _;
use writ_access::decision::{decisions, evidence, has_left};
use writ_bastion::access::{Access, Held};
use writ_bastion::ports::{Stale, State};
use writ_bastion::shelf::{Lending, Wanted};
use writ_keyd_client::client::Client;
use writ_keyd_client::operator::Evidence;
use writ_model::{AccountId, Env, PersonId, Timestamp, Ulid};
use writ_people::{Settings, is_present};
use writ_proof::access::{self, Approved, Asked, Outcome};
use writ_proof::hash::Hash;
use writ_proof::origin::SiteId;
use writ_proof::roster::Roster;
use writ_proof::statement::Signed;
use writ_store::state::{AccessGrant, AccessRequest, RosterEntry};
use writ_store::{Node, Snapshot};

use super::BastionConfig;
use super::watched::Watched;
use crate::front::access::OfCustomers;
use crate::front::alarms::Alarms;
use crate::front::hr::Rules;

/// front's end of the channel: the feed comes as pushes, and what is wanted of the recordings as answers.
pub(super) type Feed = Client<Lending, Wanted>;

/// A grant that was judged is judged again after this long, whatever has changed.
const JUDGED_FOR: Duration = Duration::from_secs(60);
/// What was built from an unchanged state is built anew after this long: people's own deadlines pass.
const BUILT_FOR: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct FedState {
    node: Arc<Node>,
    env: Arc<dyn Env>,
    site: SiteId,
    settings: Settings,
    /// watch's word.
    word: Alarms,
    kept: Mutex<Kept>,
}

struct Kept {
    roster: Arc<Roster>,
    /// Grants as they were judged, by the request's digest.
    judged: HashMap<Hash, Judged>,
    watched: Watched,
    built: Option<Built>,
}

struct Judged {
    /// Under this many statements of the roster, and with decisions of this many who have not left.
    under: (u64, usize),
    at: Duration,
    held: Option<Arc<Held>>,
}

struct Built {
    change: u64,
    at: Duration,
    access: Arc<Access>,
}

impl FedState {
    pub(super) fn new(
        node: Arc<Node>,
        config: &BastionConfig,
        env: Arc<dyn Env>,
    ) -> Result<FedState> {
        let genesis = hex::decode(&config.genesis).context("the genesis is damaged")?;
        let (_, roster) = Roster::begin(&Signed::from_bytes(&genesis)?, None)?;
        let silence = Duration::from_secs(config.silence_hours.saturating_mul(3600));
        let settings = Settings { gates: config.gates.clone(), silence, ..Settings::default() };
        let (roster, judged, watched) = (Arc::new(roster), HashMap::new(), Watched::default());
        let kept = Kept { roster, judged, watched, built: None };
        let site = config.site.parse()?;
        let word = Alarms::new(&config.word, &genesis)?;
        Ok(FedState { node, env, site, settings, word, kept: Mutex::new(kept) })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds the view of a snapshot, or takes the last one.
    fn view(&self, change: u64, snapshot: &Snapshot) -> Option<Arc<Access>> {
        let (mono, now) = (self.env.monotonic(), self.env.now());
        let mut kept = self.lock();
        let fresh =
            |built: &&Built| built.change == change && mono.saturating_sub(built.at) < BUILT_FOR;
        if let Some(built) = kept.built.as_ref().filter(fresh) {
            return Some(Arc::clone(&built.access));
        }
        if let Err(error) = follow(&mut kept.roster, snapshot) {
            tracing::error!(
                error = format!("{error:#}"),
                "the roster does not hold: nobody comes in"
            );
            kept.built = None;
            return None;
        }
        let access = Arc::new(self.build(&mut kept, snapshot, mono, now));
        kept.built = Some(Built { change, at: mono, access: Arc::clone(&access) });
        Some(access)
    }

    fn build(
        &self,
        kept: &mut Kept,
        snapshot: &Snapshot,
        mono: Duration,
        now: Timestamp,
    ) -> Access {
        let roster = Arc::clone(&kept.roster);
        let (mut grants, mut ended, mut away) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let from = id_before(now);
        for entry in snapshot.list::<AccessGrant>(AccountId::PLATFORM, Some(&from)) {
            let Ok(digest) = entry.digest.parse::<Hash>() else { continue };
            if let Some(end) = &entry.end {
                ended.insert(digest, end.reason.as_str().to_owned());
                continue;
            }
            if now >= entry.not_after {
                continue;
            }
            let Some(held) = self.judged(kept, snapshot, entry, digest, mono, now) else {
                continue;
            };
            if let Some(why) = self.is_away(&held.grant.person, &roster, snapshot, now) {
                away.insert(held.grant.person.clone(), why);
            }
            grants.push(held);
        }
        let live: std::collections::HashSet<Hash> =
            grants.iter().map(|held| held.grant.digest).collect();
        kept.judged.retain(|digest, judged| judged.held.is_none() || live.contains(digest));
        // Of a watch that cannot be heard the leases run out.
        if let Ok(word) = self.word.word()
            && word.site == self.site.as_str()
        {
            kept.watched.hear(&word, now, mono);
        }
        let unwatched = kept.watched.unwatched(mono);
        Access { roster, grants, ended, away, unwatched }
    }

    /// HR's word. Of somebody whom HR does not know it says nothing.
    fn is_away(
        &self,
        person: &PersonId,
        roster: &Roster,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Option<String> {
        let known = snapshot.person(person.as_str())?;
        is_present(&known.value, &Rules(roster), &self.settings, now)
            .err()
            .map(|why| why.to_string())
    }

    fn judged(
        &self,
        kept: &mut Kept,
        snapshot: &Snapshot,
        stored: &AccessGrant,
        digest: Hash,
        mono: Duration,
        now: Timestamp,
    ) -> Option<Arc<Held>> {
        let under = (kept.roster.seq(), standing(&kept.roster, snapshot, stored.request));
        let known = kept
            .judged
            .get(&digest)
            .filter(|judged| judged.under == under && mono.saturating_sub(judged.at) < JUDGED_FOR);
        if let Some(judged) = known {
            return judged.held.clone();
        }
        let judged = judge(&kept.roster, &self.site, snapshot, stored, now);
        let held = match judged {
            Ok(held) => held.map(Arc::new),
            Err(error) => {
                let (request, error) = (stored.request, format!("{error:#}"));
                tracing::warn!(%request, error, "a grant of front's does not hold here");
                None
            }
        };
        kept.judged.insert(digest, Judged { under, at: mono, held: held.clone() });
        held
    }
}

impl State for FedState {
    fn current(&self) -> Result<Arc<Access>, Stale> {
        let change = *self.node.swaps().borrow();
        let snapshot = self.node.lease().map_err(|_| Stale)?;
        self.view(change, &snapshot).ok_or(Stale)
    }

    fn newest(&self) -> Option<Arc<Access>> {
        // Not only what was current when it was built: an end may arrive before the proof that all is
        // current again.
        let change = *self.node.swaps().borrow();
        let newest = self.node.newest().and_then(|snapshot| self.view(change, &snapshot));
        newest.or_else(|| {
            let kept = self.lock();
            kept.built.as_ref().map(|built| Arc::clone(&built.access))
        })
    }

    fn age(&self) -> Option<Duration> {
        match self.node.lease() {
            Ok(_) => Some(Duration::ZERO),
            Err(stale) => stale.age,
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.node.swaps()
    }
}

/// Applies what the state has beyond `roster`.
fn follow(roster: &mut Arc<Roster>, snapshot: &Snapshot) -> Result<()> {
    let after = RosterEntry::id_of(roster.seq());
    for entry in snapshot.list::<RosterEntry>(AccountId::PLATFORM, Some(&after)) {
        let signed = Signed::from_bytes(entry.statement.as_slice())?;
        let mut next = Roster::clone(roster);
        next.apply(&signed).with_context(|| format!("statement {}", entry.seq))?;
        *roster = Arc::new(next);
    }
    Ok(())
}

/// How many have decided on a request and not left since.
fn standing(roster: &Roster, snapshot: &Snapshot, request: Ulid) -> usize {
    let all = decisions(snapshot, request);
    all.filter(|held| !has_left(snapshot, roster, &held.approver)).count()
}

/// Judges a grant from what people signed, as keyd will.
/// The grant, judged anew; `None` if it opens no session.
fn judge(
    roster: &Roster,
    site: &SiteId,
    snapshot: &Snapshot,
    stored: &AccessGrant,
    now: Timestamp,
) -> Result<Option<Held>> {
    let id = stored.request.to_string();
    let request = snapshot.get::<AccessRequest>(AccountId::PLATFORM, &id);
    let request = request.context("its request is not there")?.statement.as_slice().to_vec();
    let asked = Asked::verify(&Signed::from_bytes(&request)?, roster, now)?;
    let Some(scope) = asked.request().scope.ssh().cloned() else { return Ok(None) };
    let statements = evidence(snapshot, roster, &asked, now);
    let approved = statements
        .iter()
        .map(|bytes| Ok(Approved::verify(&Signed::from_bytes(bytes)?, &asked, roster, None, now)?))
        .collect::<Result<Vec<_>>>()?;
    let (touches, said) = (asked.touches(roster), OfCustomers { snapshot, change: None });
    if let Some(account) = said.disabled(&touches).first() {
        anyhow::bail!("account {account} has disabled its support role");
    }
    let (lockboxes, consents) = (said.lockboxes(&touches), said.consents(stored.request));
    let evidence = access::Evidence { approved: &approved, lockboxes, consents };
    let Outcome::Granted(mut grant) = access::decide(&asked, roster, &evidence) else {
        anyhow::bail!("its approvals make no grant");
    };
    // front may know of something that shortens it, and of nothing that lengthens it.
    grant.not_after = grant.not_after.min(stored.not_after);
    grant.not_before = grant.not_before.max(stored.not_before);
    Ok(Some(Held {
        accounts: customers(stored, snapshot),
        pseudonym: writ_access::pseudonym(site, &grant.person),
        grant,
        scope,
        evidence: Evidence { request, approvals: statements },
    }))
}

/// The customers that there are, of those to whose data a grant can lead.
fn customers(stored: &AccessGrant, snapshot: &Snapshot) -> Vec<AccountId> {
    let known = |account: &AccountId| snapshot.account(*account).is_some();
    let mut all: Vec<AccountId> = match &stored.touches {
        Some(accounts) => accounts.iter().copied().filter(known).collect(),
        None => snapshot.accounts().filter(known).collect(),
    };
    all.retain(|account| *account != AccountId::PLATFORM);
    all.sort();
    all
}

/// An id before those of all grants that can be live.
fn id_before(now: Timestamp) -> String {
    let back = u64::try_from(writ_access::limits::LIVE_BACK.as_millis()).unwrap_or(u64::MAX);
    let at = now.millis().saturating_sub(back).to_be_bytes();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(at.iter().skip(2)).for_each(|(to, from)| *to = *from);
    Ulid::from_bytes(bytes).to_string()
}
