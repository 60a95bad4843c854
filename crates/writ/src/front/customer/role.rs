//! The support role in each account: what operators with access may do there, for everybody to read.
//!
//! Its trust policy names the `access` service alone, which has no credential, so nobody can assume it by
//! an API call; keyd knows its switch, and has no descriptor of the role itself.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use writ_model::{
    AccountId, Env, SUPPORT_PATH, SUPPORT_ROLE, SystemEnv, UniqueId, UniqueIdKind, Uuid,
};
use writ_store::state::{Role, Support};
use writ_store::{Blob, Object, Store, Transaction};

use super::SUPPORT;
use crate::front::platform::{PRINCIPAL, Platform};

/// The service that acts for operators.
const SERVICE: &str = "access.writ.internal";
/// The name of the role's inline policy.
pub(super) const POLICY_NAME: &str = "WritSupportReadOnly";
/// What it may do: read what an account is made of; no data, and no use of a key.
pub(super) const POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "ReadWhatTheAccountIsMadeOf",
      "Effect": "Allow",
      "Action": [
        "cloudtrail:LookupEvents",
        "iam:Get*",
        "iam:List*",
        "kms:DescribeKey",
        "kms:GetKeyPolicy",
        "kms:GetKeyRotationStatus",
        "kms:ListAliases",
        "kms:ListKeyPolicies",
        "kms:ListKeys",
        "kms:ListResourceTags",
        "s3:GetBucketLocation",
        "s3:GetBucketPolicy",
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:ListAllMyBuckets",
        "writ:GetLockbox",
        "writ:GetSupportRole"
      ],
      "Resource": "*"
    },
    {
      "Sid": "NoDataAndNoKeys",
      "Effect": "Deny",
      "Action": [
        "kms:Decrypt",
        "kms:Encrypt",
        "kms:GenerateDataKey*",
        "kms:ReEncrypt*",
        "s3:DeleteObject*",
        "s3:GetObject*",
        "s3:PutObject*"
      ],
      "Resource": "*"
    }
  ]
}
"#;
/// Who may use it.
pub(super) const TRUST: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": { "Service": "access.writ.internal" },
      "Action": "sts:AssumeRole"
    }
  ]
}
"#;
const DESCRIPTION: &str = "What operators may do in this account while they have access. Switch it off with \
                           writ:DisableSupportRole.";
const SESSION_MAX_SECS: u32 = 3600;

/// A support role as it is made.
pub(super) fn new(env: &dyn Env) -> Role {
    Role {
        name: SUPPORT_ROLE.to_owned(),
        path: SUPPORT_PATH.to_owned(),
        unique_id: UniqueId::random(UniqueIdKind::Role, env),
        created: env.now(),
        description: Some(DESCRIPTION.to_owned()),
        trust_policy: TRUST.to_owned(),
        principals: BTreeMap::new(),
        max_session_secs: SESSION_MAX_SECS,
        descriptor: Blob::from(Vec::new()),
        inline_policies: BTreeMap::from([(POLICY_NAME.to_owned(), POLICY.to_owned())]),
        attached_policies: BTreeSet::new(),
        boundary: None,
        tags: BTreeMap::new(),
    }
}

/// Makes the role in each account that has none, unless its customer deleted it.
///
/// # Errors
/// The store.
pub async fn ensure(store: &Store, platform: &Platform) -> Result<()> {
    let snapshot = store.snapshot();
    for account in snapshot.accounts().filter(|account| *account != AccountId::PLATFORM) {
        let deleted =
            snapshot.get::<Support>(account, SUPPORT).is_some_and(|support| !support.enabled);
        if snapshot.account(account).is_none() || deleted {
            continue;
        }
        if let Some(role) = snapshot.role(account, SUPPORT_ROLE) {
            if role.path != SUPPORT_PATH {
                tracing::warn!(%account, "a role of the customer has the support role's name");
            }
            continue;
        }
        let env = SystemEnv;
        let (role, request_id) = (new(&env), Uuid::random(&env));
        let shown = [("roleName", role.name.clone()), ("path", role.path.clone())];
        let event = (SERVICE, "CreateSupportRole");
        let record = platform.record(account, event, &shown, request_id, None)?;
        let transaction =
            Transaction::new(PRINCIPAL, request_id, record).create(Object::new(account, role));
        store.commit(transaction).await.context("a support role cannot be stored")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use writ_policy::{InlineOwner, Policy, PolicyKind};

    use super::*;

    #[test]
    fn support_roles_policies_can_be_read() {
        Policy::parse(TRUST, PolicyKind::Trust).unwrap();
        Policy::parse(POLICY, PolicyKind::Inline(InlineOwner::Role)).unwrap();
    }
}
