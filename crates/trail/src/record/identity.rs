//! `userIdentity`: who asked, in CloudTrail's words.

use serde::Serialize;
use writ_keyd_client::caller::{Caller, CallerKind, Session};
use writ_model::{AccessKeyId, AccountId};

/// Who asked.
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// A principal whose signature keyd verified.
    Caller(&'a Caller),
    /// The platform itself, for an account: a service principal such as `kms.amazonaws.com`.
    Service {
        /// The service principal.
        principal: &'a str,
        /// The account that it acted for.
        account: AccountId,
    },
    /// Nobody who proved who they are. What they typed is not recorded, but for a well-formed key id.
    Unknown {
        /// The key id that the request named.
        access_key_id: Option<&'a AccessKeyId>,
    },
}

impl Identity<'_> {
    /// The account whose log the call belongs to; none for what concerns the installation alone.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Identity::Caller(caller) => Some(caller.account),
            Identity::Service { account, .. } => {
                Some(*account).filter(|a| *a != AccountId::PLATFORM)
            }
            Identity::Unknown { .. } => None,
        }
    }
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserIdentity<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_context: Option<SessionContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoked_by: Option<&'a str>,
}

impl<'a> UserIdentity<'a> {
    /// `is_owner_copy`: the record goes to another account, which owns what was touched. It sees the
    /// account and the unique id of the caller, as at AWS, and no names.
    pub(super) fn of(
        identity: &Identity<'a>,
        is_owner_copy: bool,
        invoked_by: Option<&'a str>,
    ) -> UserIdentity<'a> {
        match *identity {
            Identity::Caller(caller) if is_owner_copy => UserIdentity {
                kind: "AWSAccount",
                principal_id: Some(&caller.unique_id),
                account_id: Some(caller.account),
                invoked_by,
                ..UserIdentity::default()
            },
            Identity::Caller(caller) => UserIdentity::caller(caller, invoked_by),
            Identity::Service { principal, .. } => UserIdentity {
                kind: "AWSService",
                invoked_by: Some(invoked_by.unwrap_or(principal)),
                ..UserIdentity::default()
            },
            Identity::Unknown { access_key_id } => UserIdentity {
                kind: "Unknown",
                access_key_id: access_key_id.map(AccessKeyId::as_str),
                ..UserIdentity::default()
            },
        }
    }

    fn caller(caller: &'a Caller, invoked_by: Option<&'a str>) -> UserIdentity<'a> {
        UserIdentity {
            kind: match caller.kind {
                CallerKind::AssumedRole => "AssumedRole",
                CallerKind::Root => "Root",
                CallerKind::User => "IAMUser",
            },
            principal_id: Some(&caller.unique_id),
            arn: Some(caller.arn.as_str()),
            account_id: Some(caller.account),
            access_key_id: Some(caller.access_key_id.as_str()),
            user_name: caller.user_name.as_deref(),
            session_context: caller.session.as_ref().map(|s| SessionContext::of(caller, s)),
            invoked_by,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionContext<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    session_issuer: Option<SessionIssuer<'a>>,
    attributes: Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<&'a str>,
}

impl<'a> SessionContext<'a> {
    fn of(caller: &Caller, session: &'a Session) -> SessionContext<'a> {
        let account_id = caller.account;
        SessionContext {
            session_issuer: session.role.as_ref().map(|role| SessionIssuer {
                kind: "Role",
                principal_id: &role.unique_id,
                arn: role.arn.as_str(),
                account_id,
                user_name: &role.name,
            }),
            attributes: Attributes {
                creation_date: session.issued.iso(),
                mfa_authenticated: if session.mfa_at.is_some() { "true" } else { "false" },
            },
            source_identity: session.source_identity.as_deref(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionIssuer<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    principal_id: &'a str,
    arn: &'a str,
    account_id: AccountId,
    user_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    creation_date: String,
    /// A string, as CloudTrail writes it.
    mfa_authenticated: &'static str,
}
