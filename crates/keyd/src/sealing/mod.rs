//! `seal`: keyd builds the new descriptor itself, from the signed request and the current one.
//!
//! Front says only what the request cannot: the id of a new thing, and which sealed thing a name
//! means now. keyd checks both against the catalogue, so a wrong word changes nothing of another
//! account and nothing that the request does not name.

mod alias;
mod customer;
mod iam;
mod key;
mod tick;

use writ_aws::Service;
use writ_keyd_client::descriptor::Descriptor;
use writ_keyd_client::protocol::{Refusal, Reply, Seal, Sealed};
use writ_model::AccountId;
use writ_proof::use_record::Use;

use crate::engine::Engine;
use crate::handles::Admitted;
use crate::operations::{Part, part};
use crate::refuse::forbidden;

/// What a mutation comes to, before anything is sealed.
struct Change {
    descriptor: Descriptor,
    /// Key tokens that go with it.
    tokens: Vec<Vec<u8>>,
    /// A key's policy: its descriptor holds the digest alone.
    policy: Option<String>,
    record: Use,
}

impl Engine {
    pub(crate) fn seal(&self, seal: &Seal) -> Result<Reply, Refusal> {
        let sealed = self.spend_once(&seal.handle, |admitted| {
            if admitted.operation == "CreateKey" && admitted.forwarded.is_some() {
                return self.seal_managed(admitted, seal);
            }
            if part(admitted.service, admitted.operation) != Some(Part::Seal) {
                return Err(forbidden("the handle is for no operation that seals anything"));
            }
            let change = match (admitted.service, admitted.operation) {
                (Service::Iam, "DeleteRole") if seal.current.is_none() => {
                    self.delete_support_role(admitted)
                }
                (Service::Iam, _) => self.change_iam(admitted, seal),
                (Service::Kms, "CreateAlias" | "DeleteAlias" | "UpdateAlias") => {
                    self.change_alias(admitted, seal)
                }
                (Service::Writ, _) => self.change_customer(admitted),
                _ => self.change_key(admitted, seal),
            };
            self.carry_out(change?)
        });
        sealed.map(Reply::Sealed)
    }

    fn carry_out(&self, change: Change) -> Result<Sealed, Refusal> {
        let sealed = self.seal_new(&change.descriptor)?;
        let id = change.descriptor.id();
        self.unconfirmed.lock().keep(id, sealed.clone(), change.tokens.clone(), change.policy);
        let position = self.record(change.record);
        let (descriptors, tokens) = (vec![sealed], change.tokens);
        Ok(Sealed { descriptors, tokens, position: Some(position), policies: Vec::new() })
    }

    /// A service's managed key with its alias, at first use; the ticket allowed exactly this.
    fn seal_managed(&self, admitted: &Admitted, seal: &Seal) -> Result<Sealed, Refusal> {
        self.spend_budget(admitted)?;
        let change = self.managed_key(admitted, seal)?;
        let Descriptor::Key(key) = &change.descriptor else {
            return Err(forbidden("a managed key is a key"));
        };
        let alias = self.managed_alias(admitted, key.key_id.clone())?;
        let mut sealed = self.carry_out(change)?;
        let bytes = self.seal_new(&alias)?;
        self.unconfirmed.lock().keep(alias.id(), bytes.clone(), Vec::new(), None);
        sealed.descriptors.push(bytes);
        Ok(sealed)
    }

    /// The current descriptor that front names, which must belong to the caller's account.
    fn current(&self, seal: &Seal, owner: AccountId) -> Result<Descriptor, Refusal> {
        let sealed = seal.current.as_ref();
        let sealed = sealed.ok_or_else(|| forbidden("the current descriptor is missing"))?;
        let descriptor = self.subject(sealed)?.descriptor;
        let account = match &descriptor {
            Descriptor::AccessKey(d) => d.account,
            Descriptor::Alias(d) => d.account,
            Descriptor::Key(d) => d.account,
            Descriptor::Role(d) => d.account,
            Descriptor::User(d) => d.account,
            Descriptor::Consent(d) => d.account,
            Descriptor::Lockbox(d) => d.account,
            Descriptor::Support(d) => d.account,
        };
        if account != owner {
            return Err(forbidden("the current descriptor belongs to another account"));
        }
        Ok(descriptor)
    }
}
