//! Is the credential that signed still good in the state from which its call is decided?
//!
//! keyd asks the same when it authenticates and when a handle is spent. In between a call may wait for a
//! revision or for its account's turn; what was revoked meanwhile, and whose revocation was
//! acknowledged, must not change anything any more, also where the change needs nothing of keyd.

use writ_aws::sigv4::{ProtocolFamily, SigError};
use writ_aws::{ApiError, Protocol, Service};
use writ_keyd_client::caller::{Caller, CallerKind};
use writ_model::Timestamp;
use writ_store::Snapshot;

/// Refuses a caller whose access key is inactive or gone, whose user or role is gone, or whose session
/// has expired or was revoked.
///
/// # Errors
/// What the service's protocol says of a credential that has expired or is not valid.
pub fn check(
    service: Service,
    caller: &Caller,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<(), ApiError> {
    let expired = caller.session.as_ref().is_some_and(|session| session.expires <= now);
    let ended = if expired {
        SigError::TokenExpired
    } else if key_is_active(caller, snapshot)
        && principal_exists(caller, snapshot)
        && !is_revoked(caller, snapshot)
    {
        return Ok(());
    } else {
        SigError::TokenInvalid
    };
    let fault = ended.to_aws(match service.protocol() {
        Protocol::Json => ProtocolFamily::Json,
        Protocol::Query => ProtocolFamily::Query,
        Protocol::RestXml => ProtocolFamily::S3,
    });
    Err(ApiError::new(fault.code, fault.message, fault.status))
}

/// A session has no key of its own in the state.
fn key_is_active(caller: &Caller, snapshot: &Snapshot) -> bool {
    caller.session.is_some()
        || snapshot
            .access_key(&caller.access_key_id)
            .is_some_and(|(account, key)| account == caller.account && key.active)
}

fn principal_exists(caller: &Caller, snapshot: &Snapshot) -> bool {
    let Ok(id) = subject(caller).parse() else { return caller.kind == CallerKind::Root };
    match caller.kind {
        CallerKind::Root => true,
        CallerKind::User => snapshot.user_by_unique_id(caller.account, &id).is_some(),
        CallerKind::AssumedRole => snapshot.role_by_unique_id(caller.account, &id).is_some(),
    }
}

fn is_revoked(caller: &Caller, snapshot: &Snapshot) -> bool {
    let Some(session) = &caller.session else { return false };
    let revocation = snapshot.revocation(caller.account, subject(caller));
    revocation.is_some_and(|revocation| session.issued < revocation.before)
}

/// The unique id under which sessions are revoked: the role's, else the caller's own.
fn subject(caller: &Caller) -> &str {
    let role = caller.session.as_ref().and_then(|session| session.role.as_ref());
    role.map_or(&caller.unique_id, |role| &role.unique_id)
}

#[cfg(test)]
mod tests {
    use writ_keyd_client::caller::{Session, SessionRole};
    use writ_model::{AccountId, Arn, Revision, Uuid};
    use writ_store::state::{AccessKey, Revocation, Role, User};
    use writ_store::{Blob, Body, Change, Object};

    use super::*;

    const USER: &str = "AIDAAAAAAAAAAAAAAAAAA";
    const ROLE: &str = "AROAAAAAAAAAAAAAAAAAA";
    const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
    const ISSUED: u64 = 1_800_000_000;

    fn account() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn snapshot(objects: &[Body]) -> Snapshot {
        let revision = Revision(1);
        let change = |(at, body): (usize, &Body)| Change {
            revision,
            ordinal: u32::try_from(at).unwrap(),
            object: Object { account: account(), body: body.clone() }.id(),
            body: Some(body.clone()),
            actor: "test".to_owned(),
            request_id: Uuid::from_bytes([2; 16]),
            at: Timestamp::from_secs(ISSUED),
        };
        let changes: Vec<Change> = objects.iter().enumerate().map(change).collect();
        Snapshot::empty(Uuid::from_bytes([1; 16])).apply(&changes, revision)
    }

    fn key(active: bool) -> Body {
        Body::from(AccessKey {
            id: KEY.parse().unwrap(),
            user: Some("ann".to_owned()),
            active,
            created: Timestamp::from_secs(1),
            wrapped: Blob::from(Vec::new()),
            descriptor: Blob::from(Vec::new()),
        })
    }

    fn user() -> Body {
        Body::from(User {
            unique_id: USER.parse().unwrap(),
            name: "ann".to_owned(),
            path: "/".to_owned(),
            created: Timestamp::from_secs(1),
            tags: Default::default(),
            inline_policies: Default::default(),
            attached_policies: Default::default(),
            groups: Default::default(),
            boundary: None,
            descriptor: Blob::from(Vec::new()),
        })
    }

    fn role() -> Body {
        Body::from(Role {
            unique_id: ROLE.parse().unwrap(),
            name: "reader".to_owned(),
            path: "/".to_owned(),
            created: Timestamp::from_secs(1),
            tags: Default::default(),
            inline_policies: Default::default(),
            attached_policies: Default::default(),
            boundary: None,
            descriptor: Blob::from(Vec::new()),
            trust_policy: "{}".to_owned(),
            principals: Default::default(),
            max_session_secs: 3600,
            description: None,
        })
    }

    fn revoked(subject: &str, before: u64) -> Body {
        let before = Timestamp::from_secs(before);
        Body::from(Revocation { subject: subject.to_owned(), before })
    }

    fn ann() -> Caller {
        Caller {
            account: account(),
            arn: Arn::iam(account(), "user/ann"),
            kind: CallerKind::User,
            unique_id: USER.to_owned(),
            user_name: Some("ann".to_owned()),
            access_key_id: KEY.parse().unwrap(),
            session: None,
            delegated: false,
        }
    }

    fn in_session(role: bool) -> Caller {
        let role = role.then(|| SessionRole {
            arn: Arn::iam(account(), "role/reader"),
            unique_id: ROLE.to_owned(),
            name: "reader".to_owned(),
            session_name: "job".to_owned(),
        });
        let kind = if role.is_some() { CallerKind::AssumedRole } else { CallerKind::User };
        let session = Session {
            role,
            issued: Timestamp::from_secs(ISSUED),
            expires: Timestamp::from_secs(ISSUED + 3600),
            mfa_at: None,
            source_identity: None,
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            policy: None,
            policy_arns: Vec::new(),
            chained: false,
        };
        Caller { kind, session: Some(session), ..ann() }
    }

    #[test]
    fn credential_that_ended_while_its_call_waited_is_refused() {
        let root = Caller { kind: CallerKind::Root, unique_id: account().to_string(), ..ann() };
        let (later, end) = (ISSUED + 60, ISSUED + 3600);
        let table: [(&str, Caller, Vec<Body>, u64, &str); 13] = [
            ("live", ann(), vec![user(), key(true)], later, ""),
            ("inactive", ann(), vec![user(), key(false)], later, "InvalidClientTokenId"),
            ("deleted key", ann(), vec![user()], later, "InvalidClientTokenId"),
            ("deleted user", ann(), vec![key(true)], later, "InvalidClientTokenId"),
            ("root", root.clone(), vec![key(true)], later, ""),
            ("root's key is gone", root, vec![], later, "InvalidClientTokenId"),
            ("session of a user", in_session(false), vec![user()], later, ""),
            ("its user is gone", in_session(false), vec![], later, "InvalidClientTokenId"),
            ("session of a role", in_session(true), vec![role()], later, ""),
            ("its role is gone", in_session(true), vec![user()], later, "InvalidClientTokenId"),
            ("over", in_session(true), vec![role()], end, "ExpiredToken"),
            (
                "revoked",
                in_session(true),
                vec![role(), revoked(ROLE, ISSUED + 1)],
                later,
                "InvalidClientTokenId",
            ),
            ("revoked before", in_session(true), vec![role(), revoked(ROLE, ISSUED)], later, ""),
        ];
        for (what, caller, objects, now, code) in table {
            let now = Timestamp::from_secs(now);
            let answer = check(Service::Iam, &caller, &snapshot(&objects), now);
            assert_eq!(answer.err().map_or(String::new(), |e| e.code.into_owned()), code, "{what}");
        }
        let answer = check(Service::Kms, &ann(), &snapshot(&[]), Timestamp::from_secs(later));
        assert_eq!(answer.unwrap_err().code, "UnrecognizedClientException");
    }
}
