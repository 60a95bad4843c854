//! What the gateway asks of others: state that is current, and decisions.

use std::sync::Arc;

use writ_keyd_client::caller::{Caller, CallerKind};
use writ_keyd_client::protocol::Network;
use writ_model::{Region, Timestamp};
use writ_policy::{Access, Denied, Permit};
use writ_store::Snapshot;

/// The state to decide from. The store's read-only node implements it.
pub trait State: Send + Sync {
    /// The newest snapshot, while its lease holds.
    fn lease(&self) -> Option<Arc<Snapshot>>;
}

/// Who asks, and in what circumstances.
pub struct Asker<'a> {
    /// The verified signer.
    pub caller: &'a Caller,
    /// The state to decide from.
    pub snapshot: &'a Snapshot,
    /// The time of the decision.
    pub now: Timestamp,
    /// What the listener saw.
    pub network: &'a Network,
    /// The region that answers.
    pub region: &'a Region,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The client's `Referer`.
    pub referer: Option<&'a str>,
    /// Further condition keys, such as `s3:prefix`.
    pub keys: &'a [(&'static str, String)],
}

/// Decides from identity policies, boundary, session policies and the resource's policy. The only
/// maker of permits is `writ_policy::authorize`, which every implementation calls.
pub trait Decide: Send + Sync {
    /// Decides all of `accesses`; the first that is not allowed is the answer.
    fn decide(&self, asker: &Asker<'_>, accesses: &[Access<'_>]) -> Result<Permit, Denied>;
}

/// True while nothing has ended what `caller` signed with: key, principal, session.
pub fn is_admitted(caller: &Caller, snapshot: &Snapshot) -> bool {
    let account = caller.account;
    match &caller.session {
        None => {
            let key = snapshot.access_key(&caller.access_key_id);
            key.is_some_and(|(owner, key)| owner == account && key.active)
        }
        Some(session) => {
            let role = session.role.as_ref().map(|role| role.unique_id.as_str());
            let subject = match caller.kind {
                CallerKind::Root => account.to_string(),
                CallerKind::AssumedRole => role.unwrap_or_default().to_owned(),
                CallerKind::User => caller.unique_id.clone(),
            };
            let over = snapshot
                .revocation(account, &subject)
                .is_some_and(|revocation| session.issued < revocation.before);
            !over && principal_exists(caller, role, snapshot)
        }
    }
}

fn principal_exists(caller: &Caller, role: Option<&str>, snapshot: &Snapshot) -> bool {
    let id = role.unwrap_or(&caller.unique_id).parse();
    match (caller.kind, id) {
        (CallerKind::Root, _) => true,
        (CallerKind::AssumedRole, Ok(id)) => {
            snapshot.role_by_unique_id(caller.account, &id).is_some()
        }
        (CallerKind::User, Ok(id)) => snapshot.user_by_unique_id(caller.account, &id).is_some(),
        (_, Err(_)) => false,
    }
}
