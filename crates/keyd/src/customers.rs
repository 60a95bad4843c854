//! What customers have to say of operators' access, from what keyd has sealed itself.
//!
//! Front is not asked: it may show less than there is, which ends nothing and opens nothing.

use std::collections::{BTreeMap, BTreeSet};

use writ_keyd_client::protocol::Refusal;
use writ_model::AccountId;
use writ_proof::access::{Consent, Touches};
use writ_proof::hash::Hash;

use crate::engine::Engine;
use crate::refuse::client;

/// The customers' part of `writ_proof::access::Evidence`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Customers {
    /// The accounts that want to be asked, of those whom the request touches.
    pub(crate) lockboxes: BTreeSet<AccountId>,
    /// What accounts have said of the request.
    pub(crate) consents: BTreeMap<AccountId, Consent>,
}

impl Engine {
    /// What customers say of the request with this digest, which touches the data of `touches`.
    ///
    /// # Errors
    /// The support role of an account that it touches is disabled.
    pub(crate) fn customers(
        &self,
        request: &Hash,
        touches: &Touches,
    ) -> Result<Customers, Refusal> {
        let catalogue = self.catalogue.read();
        let touched = |accounts: &BTreeSet<AccountId>| -> BTreeSet<AccountId> {
            accounts.iter().copied().filter(|account| touches.touches(*account)).collect()
        };
        if let Some(account) = touched(catalogue.unsupported()).first() {
            let text = format!("account {account} has disabled its support role");
            return Err(client("AccessDeniedException", text));
        }
        let lockboxes = touched(catalogue.lockboxes());
        Ok(Customers { lockboxes, consents: catalogue.consents(request) })
    }
}
