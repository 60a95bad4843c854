//! Managed policies, the customer's and AWS's, under one face.

use std::collections::HashMap;
use std::sync::Arc;

use writ_aws::ApiError;
use writ_model::Arn;
use writ_policy::Permit;
use writ_service::call::Call;
use writ_service::managed::{self, AwsPolicy};
use writ_store::state::{Group, ManagedPolicy, Role, User};
use writ_store::{Entry, Expect, ObjectId};

use crate::access::Ask;
use crate::entity::Entity;
use crate::error;

/// The first version of a policy; those of AWS have no other.
pub(crate) const FIRST_VERSION: &str = "v1";

/// A managed policy.
#[derive(Clone, Copy)]
pub(crate) enum Managed<'c> {
    /// One of AWS's.
    Aws(&'static AwsPolicy),
    /// One of the caller's account.
    Local(&'c Arc<Entry<ManagedPolicy>>),
}

impl<'c> Managed<'c> {
    /// The policy with this ARN; those of other accounts are not found.
    pub(crate) fn find(call: &'c Call, arn: &Arn) -> Option<Managed<'c>> {
        let local = || {
            let owned = arn.account() == Some(call.account());
            call.snapshot.managed_policy(arn).filter(|_| owned)
        };
        managed::find(arn).map(Managed::Aws).or_else(|| local().map(Managed::Local))
    }

    /// Its name and path.
    pub(crate) fn name_and_path(&self) -> (&str, String) {
        match self {
            Managed::Aws(policy) => match policy.name.rsplit_once('/') {
                Some((path, name)) => (name, format!("/{path}/")),
                None => (policy.name, "/".to_owned()),
            },
            Managed::Local(policy) => (&policy.name, policy.path.clone()),
        }
    }

    /// What a list is sorted by: names are unique among AWS's and among the account's policies.
    pub(crate) fn key(&self) -> String {
        let owner = match self {
            Managed::Aws(_) => 'a',
            Managed::Local(_) => 'c',
        };
        format!("{owner}{}", self.name_and_path().0.to_ascii_lowercase())
    }

    /// What a commit that relies on it demands: it must still be there.
    pub(crate) fn precondition(&self, call: &Call) -> Option<(ObjectId, Expect)> {
        match self {
            Managed::Aws(_) => None,
            Managed::Local(policy) => {
                let id = ObjectId::of::<ManagedPolicy>(call.account(), &policy.name);
                Some((id, Expect::Unchanged))
            }
        }
    }
}

/// The ARN that a request gives for a policy.
pub(crate) fn parse_arn(text: &str) -> Result<Arn, ApiError> {
    let arn: Arn = text.parse().map_err(|_| error::invalid_arn(text))?;
    let fits = arn.service() == "iam" && arn.resource().starts_with("policy/");
    if fits { Ok(arn) } else { Err(error::invalid_arn(text)) }
}

/// The boundary that a request sets: a managed policy that exists.
pub(crate) fn boundary<'c>(call: &'c Call, text: &str) -> Result<(Arn, Managed<'c>), ApiError> {
    let arn = parse_arn(text)?;
    let policy = Managed::find(call, &arn).ok_or_else(|| error::no_such_boundary(text))?;
    Ok((arn, policy))
}

/// How often the managed policies of an account are in use.
#[derive(Default)]
pub(crate) struct Usage(HashMap<Arn, (i64, i64)>);

impl Usage {
    /// Counts over all users, roles and groups of the caller's account.
    pub(crate) fn of(call: &Call) -> Usage {
        let mut usage = Usage::default();
        let account = call.account();
        call.snapshot.list::<User>(account, None).for_each(|e| usage.add(&*e.value));
        call.snapshot.list::<Role>(account, None).for_each(|e| usage.add(&*e.value));
        call.snapshot.list::<Group>(account, None).for_each(|e| usage.add(&*e.value));
        usage
    }

    /// Attachments as a permissions policy, and uses as a boundary.
    pub(crate) fn count(&self, arn: &str) -> (i64, i64) {
        let arn: Option<Arn> = arn.parse().ok();
        arn.and_then(|arn| self.0.get(&arn).copied()).unwrap_or_default()
    }

    fn add<T: Entity>(&mut self, entity: &T) {
        for arn in entity.attached() {
            self.0.entry(arn.clone()).or_default().0 += 1;
        }
        if let Some(arn) = entity.boundary() {
            self.0.entry(arn.clone()).or_default().1 += 1;
        }
    }
}

/// The managed policy that a request names.
pub(crate) struct Named<'c> {
    call: &'c Call,
    arn: Arn,
    policy: Option<Managed<'c>>,
}

impl<'c> Named<'c> {
    /// The policy with this ARN.
    pub(crate) fn of(call: &'c Call, arn: &str) -> Result<Named<'c>, ApiError> {
        let arn = parse_arn(arn)?;
        let policy = Managed::find(call, &arn);
        Ok(Named { call, arn, policy })
    }

    /// Decides, then looks.
    pub(crate) fn open(&self) -> Result<(Permit, Managed<'c>), ApiError> {
        let mut ask = Ask::of(self.call);
        if let Some(Managed::Local(policy)) = &self.policy {
            ask = ask.on_tags(&policy.tags);
        }
        let permit = ask.permit(self.arn.as_str())?;
        let policy = self.policy.ok_or_else(|| error::no_such_policy(self.arn.as_str()))?;
        Ok((permit, policy))
    }

    /// The same for a change. AWS's own policies are nobody's to change.
    pub(crate) fn open_own(&self) -> Result<(Permit, &'c Arc<Entry<ManagedPolicy>>), ApiError> {
        match self.open()? {
            (permit, Managed::Local(policy)) => Ok((permit, policy)),
            (_, Managed::Aws(_)) => {
                let (caller, action) = (&self.call.caller.arn, self.call.operation.name);
                let message = format!(
                    "User: {caller} is not authorized to perform: iam:{action} on resource: \
                     policy {}",
                    self.arn
                );
                Err(ApiError::access_denied(self.call.operation.service, message))
            }
        }
    }
}
