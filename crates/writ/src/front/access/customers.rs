//! What customers say, as the rules for access ask for it, and what follows when one of them says something new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::MutexGuard;
use writ_access::settle::Made;
use writ_access::{Customers, Ends, Refusal, Settled, World, pseudonym};
use writ_model::{AccountId, Env as _, LockboxMode, PersonId, Said, SystemEnv, Timestamp, Ulid};
use writ_proof::access::{Consent, Request, Touches};
use writ_proof::customer::consent;
use writ_proof::roster::{HostName, Roster};
use writ_store::state::{AccessGrant, AccessRequest, Lockbox, Support};
use writ_store::{Object, OutboxRecord, Snapshot, StoreError};
use writ_trail::record::Call;

use super::super::customer::{LOCKBOX, SUPPORT};
use super::super::platform;
use super::hr::OfHr;
use super::{Access, SOURCE, ends, tell};

/// Something that a customer says, and that is not stored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Of one request.
    Consent(AccountId, Ulid, Said, Option<Timestamp>),
    /// How they want to be asked.
    Lockbox(AccountId, LockboxMode),
    /// Whether operators may work for them.
    Support(AccountId, bool),
}

/// What customers say by one snapshot, and by a change of one of them.
pub struct OfCustomers<'a> {
    /// The state.
    pub snapshot: &'a Snapshot,
    /// What one of them says now, which is not stored yet.
    pub change: Option<Change>,
}

impl OfCustomers<'_> {
    /// The accounts that a request touches and of which `is` holds.
    fn those(&self, touches: &Touches, is: impl Fn(AccountId) -> bool) -> BTreeSet<AccountId> {
        match touches {
            Touches::Everybody => self.snapshot.accounts().filter(|account| is(*account)).collect(),
            Touches::Only(accounts) => {
                accounts.iter().copied().filter(|account| is(*account)).collect()
            }
        }
    }

    fn has_lockbox(&self, account: AccountId) -> bool {
        match self.change {
            Some(Change::Lockbox(of, mode)) if of == account => mode != LockboxMode::Off,
            _ => self
                .snapshot
                .get::<Lockbox>(account, LOCKBOX)
                .is_some_and(|lockbox| lockbox.mode != LockboxMode::Off),
        }
    }

    fn is_disabled(&self, account: AccountId) -> bool {
        match self.change {
            Some(Change::Support(of, enabled)) if of == account => !enabled,
            _ => self
                .snapshot
                .get::<Support>(account, SUPPORT)
                .is_some_and(|support| !support.enabled),
        }
    }
}

impl Customers for OfCustomers<'_> {
    fn lockboxes(&self, touches: &Touches) -> BTreeSet<AccountId> {
        self.those(touches, |account| self.has_lockbox(account))
    }

    fn disabled(&self, touches: &Touches) -> BTreeSet<AccountId> {
        self.those(touches, |account| self.is_disabled(account))
    }

    fn consents(&self, request: Ulid) -> BTreeMap<AccountId, Consent> {
        let id = request.to_string();
        let stored = |account: AccountId| {
            let held = self.snapshot.get::<writ_store::state::Consent>(account, &id)?;
            Some((account, consent(held.said, held.not_after)))
        };
        let mut all: BTreeMap<AccountId, Consent> =
            self.snapshot.accounts().filter_map(stored).collect();
        if let Some(Change::Consent(account, of, said, not_after)) = self.change
            && of == request
        {
            all.insert(account, consent(said, not_after));
        }
        all
    }
}

/// What a customer may see of a request, beside its grant.
pub struct Seen {
    /// A pseudonym of who asks.
    pub operator: String,
    /// The hosts that may hold the customer's data.
    pub hosts: Vec<HostName>,
}

impl Access {
    /// Nothing of access changes while it is held.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The state as it is published, with the endings that are in force.
    pub fn state(&self) -> Arc<Snapshot> {
        self.pipeline.store.snapshot()
    }

    /// The newest state, once the ledger has it.
    ///
    /// # Errors
    /// The ledger does not answer.
    pub async fn newest(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.pipeline.store.settled().await
    }

    pub(super) fn world_with<T>(
        &self,
        change: Option<Change>,
        snapshot: &Snapshot,
        roster: &Roster,
        ask: impl FnOnce(&World<'_>) -> T,
    ) -> T {
        let hr = OfHr { keeper: &self.keeper, snapshot };
        let customers = OfCustomers { snapshot, change };
        let now = SystemEnv.now();
        ask(&World { snapshot, roster, hr: &hr, customers: &customers, now })
    }

    /// What becomes of a pending request with what a customer says.
    ///
    /// # Errors
    /// It does not wait any more, or does not hold.
    pub fn settle(
        &self,
        change: Change,
        id: Ulid,
        snapshot: &Snapshot,
    ) -> Result<Settled, Refusal> {
        let roster = self.keeper.current();
        self.world_with(Some(change), snapshot, &roster, |world| writ_access::settle(world, id))
    }

    /// Ends what a customer does not want any more: keyd is told first, then it is in force. The requests whose
    /// grants have ended.
    ///
    /// # Errors
    /// The ends cannot be stored; keyd may know them.
    pub async fn end_unwanted(&self, change: Change, snapshot: &Snapshot) -> Result<Vec<Ulid>> {
        let roster = self.keeper.current();
        let ends: Ends =
            self.world_with(Some(change), snapshot, &roster, writ_access::ends::of_customers);
        let ids = ends.grants.iter().map(|grant| grant.request).collect();
        if !ends.is_empty() {
            self.ender.end(ends, None, snapshot).await?;
        }
        Ok(ids)
    }

    /// The objects and records of what a customer's word makes of a request: for the operator log, and for the
    /// logs of all customers whom a grant touches. What one commit has no room for is in the ledger before it.
    ///
    /// # Errors
    /// A record cannot be made, or the ledger does not answer.
    pub async fn follow(
        &self,
        (account, name): (AccountId, &str),
        settled: &Settled,
        asked: &Request,
        snapshot: &Snapshot,
    ) -> Result<(Vec<Object>, Vec<OutboxRecord>)> {
        let Settled { request, grant, .. } = settled;
        let mut objects = vec![Object::new(AccountId::PLATFORM, request.clone())];
        let mut records = vec![self.customer_said(account, name, request)?];
        if let Some(Made { grant, approvers }) = grant {
            objects.push(Object::new(AccountId::PLATFORM, grant.clone()));
            let (by, roster) = ((grant, *approvers), self.keeper.current());
            let told = tell::granted_by(&self.platform, by, asked, &roster, snapshot)?;
            records.extend(ends::fit_beside(&self.pipeline, told).await?);
        }
        Ok((objects, records))
    }

    /// The operator log's record of what a customer said of a request.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn customer_said(
        &self,
        account: AccountId,
        name: &str,
        request: &AccessRequest,
    ) -> Result<OutboxRecord> {
        let shown = [
            ("account", account.to_string()),
            ("requestId", request.id.to_string()),
            ("requestDigest", request.digest.clone()),
            ("state", request.state.as_str().to_owned()),
        ];
        let request_parameters = platform::parameters(&shown);
        platform::outbox(&Call { request_parameters, ..self.platform.call(SOURCE, name) })
    }

    /// True if a request or its grant can lead to the account's data.
    pub fn touches(
        &self,
        account: AccountId,
        request: &Request,
        grant: Option<&AccessGrant>,
    ) -> bool {
        let by_grant = grant.is_some_and(|grant| match &grant.touches {
            None => true,
            Some(accounts) => accounts.contains(&account),
        });
        by_grant || request.touches(&self.keeper.current()).touches(account)
    }

    /// What an account's customer may see.
    pub fn seen(&self, account: AccountId, request: &Request, requester: &PersonId) -> Seen {
        let hosts = tell::hosts_of(account, request, &self.keeper.current());
        Seen { operator: pseudonym(&self.platform.site, requester), hosts }
    }
}
