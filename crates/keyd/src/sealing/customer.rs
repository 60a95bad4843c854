//! Lockbox, support role and consents: what a customer decides about operators.
//!
//! The newest revision is keyd's own knowledge, and everything else is in the signed request, so front
//! says nothing here. keyd does not know which requests there are: a consent names one by its digest,
//! and is worth nothing for any other.

use std::str::FromStr as _;

use writ_aws::generated::iam::DeleteRoleRequest;
use writ_aws::generated::writ::{
    ApproveOperatorAccessRequest, PutLockboxRequest, RefuseOperatorAccessRequest,
    WithdrawOperatorAccessRequest,
};
use writ_keyd_client::caller::CallerKind;
use writ_keyd_client::descriptor::{
    ConsentDescriptor, Descriptor, LockboxDescriptor, SupportDescriptor,
};
use writ_keyd_client::protocol::Refusal;
use writ_model::{LockboxMode, SUPPORT_ROLE, Said, Timestamp};
use writ_proof::hash::Hash;

use super::Change;
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::issue::{delegated, input};
use crate::narrate;
use crate::refuse::{client, forbidden, validation};

impl Engine {
    pub(super) fn change_customer(&self, admitted: &Admitted) -> Result<Change, Refusal> {
        match admitted.operation {
            "ApproveOperatorAccess" => {
                let request: ApproveOperatorAccessRequest = input(&admitted.input)?;
                let not_after = request.not_after;
                if not_after.is_some_and(|time| time.millis() % 1000 != 0) {
                    return Err(validation("NotAfter must be in whole seconds."));
                }
                self.say(admitted, &request.request_digest, Said::Approved, not_after)
            }
            "RefuseOperatorAccess" => {
                let request: RefuseOperatorAccessRequest = input(&admitted.input)?;
                self.say(admitted, &request.request_digest, Said::Refused, None)
            }
            "WithdrawOperatorAccess" => {
                let request: WithdrawOperatorAccessRequest = input(&admitted.input)?;
                self.say(admitted, &request.request_digest, Said::Withdrawn, None)
            }
            "DisableSupportRole" => Ok(self.switch_support(admitted, false)),
            "EnableSupportRole" => Ok(self.switch_support(admitted, true)),
            "PutLockbox" => {
                let request: PutLockboxRequest = input(&admitted.input)?;
                let mode = LockboxMode::from_name(&request.mode);
                let mode = mode.ok_or_else(|| validation("Mode is OFF or STREAMLINED."))?;
                let account = admitted.caller.account;
                let revision = self.next_revision(&format!("lockbox/{account}"));
                let lockbox = LockboxDescriptor { account, mode, revision };
                Ok(change(admitted, Descriptor::Lockbox(lockbox)))
            }
            _ => Err(forbidden("this operation seals nothing")),
        }
    }

    /// `iam:DeleteRole` of the support role, which has no descriptor of its own: nobody can assume it.
    pub(super) fn delete_support_role(&self, admitted: &Admitted) -> Result<Change, Refusal> {
        let request: DeleteRoleRequest = input(&admitted.input)?;
        if !request.role_name.eq_ignore_ascii_case(SUPPORT_ROLE) {
            return Err(forbidden("the current descriptor is missing"));
        }
        Ok(self.switch_support(admitted, false))
    }

    fn switch_support(&self, admitted: &Admitted, enabled: bool) -> Change {
        let account = admitted.caller.account;
        let revision = self.next_revision(&format!("support/{account}"));
        change(admitted, Descriptor::Support(SupportDescriptor { account, enabled, revision }))
    }

    fn say(
        &self,
        admitted: &Admitted,
        digest: &str,
        said: Said,
        not_after: Option<Timestamp>,
    ) -> Result<Change, Refusal> {
        let account = admitted.caller.account;
        let request = Hash::from_str(digest)
            .map_err(|_| validation("RequestDigest is not a SHA-256 in hexadecimal."))?;
        let before = self.catalogue.read().said(account, &request);
        if !Said::may_follow(before, said) {
            let before = before.map_or("nothing was said of it", Said::as_str);
            let text = format!("{} cannot follow: {before}.", said.as_str());
            return Err(client("ConflictException", text));
        }
        let revision = self.next_revision(&ConsentDescriptor::id_of(account, &request));
        let principal = admitted.caller.arn.clone();
        let time = self.env.now();
        let consent =
            ConsentDescriptor { account, request, said, not_after, principal, time, revision };
        let mut change = change(admitted, Descriptor::Consent(consent));
        change.record.grant = Some(request.to_string());
        Ok(change)
    }

    fn next_revision(&self, id: &str) -> u64 {
        self.catalogue.read().revision(id) + 1
    }
}

fn change(admitted: &Admitted, descriptor: Descriptor) -> Change {
    let root = admitted.caller.kind == CallerKind::Root;
    let record = delegated(narrate::of(admitted), !root);
    Change { descriptor, tokens: Vec::new(), policy: None, record }
}
