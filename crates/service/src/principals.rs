//! Whom the policy of a resource names: users and roles, bound to their unique ids when it is written.
//!
//! A principal that is deleted and made anew has another id and does not match ("IAM JSON policy
//! elements: Principal"). Keep what [`bind`] gives beside the text, and read it again with [`load`].

use std::collections::BTreeMap;

use writ_model::{Arn, UniqueId};
use writ_policy::{ParseErrors, Policy, PolicyKind};
use writ_store::Snapshot;

/// The unique id of the user or role that has exactly this ARN now, path and case included, in whatever
/// account.
pub fn principal_id(snapshot: &Snapshot, arn: &Arn) -> Option<UniqueId> {
    let account = arn.account()?;
    let (noun, rest) = arn.resource().split_once('/')?;
    let name = rest.rsplit('/').next()?;
    let (path, name, id) = match noun {
        "user" => snapshot.user(account, name).map(|u| (&u.path, &u.name, &u.unique_id))?,
        "role" => snapshot.role(account, name).map(|r| (&r.path, &r.name, &r.unique_id))?,
        _ => return None,
    };
    (Arn::iam(account, &format!("{noun}{path}{name}")) == *arn).then(|| id.clone())
}

/// Binds the users and roles that `policy` names, and says to which ids.
///
/// # Errors
/// Each ARN that names nobody. Services answer it as a malformed policy document.
pub fn bind(
    policy: &mut Policy,
    snapshot: &Snapshot,
) -> Result<BTreeMap<Arn, UniqueId>, ParseErrors> {
    policy.bind_principals(&|arn| principal_id(snapshot, arn))?;
    Ok(policy.principals().filter_map(|(arn, id)| Some((arn.clone(), id?.clone()))).collect())
}

/// A stored policy with what it was bound to. One that does not fit denies everything.
pub fn load(text: &str, kind: PolicyKind, principals: &BTreeMap<Arn, UniqueId>) -> Policy {
    let mut policy = Policy::load(text, kind);
    match policy.bind_principals(&|arn| principals.get(arn).cloned()) {
        Ok(()) => policy,
        Err(errors) => {
            tracing::error!(%errors, "a stored policy does not fit its bound principals; it denies");
            Policy::load("", kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use writ_model::{AccountId, Revision, Timestamp, Uuid};
    use writ_policy::{
        Context, Principal, Request, ResourceKind, ResourceOutcome, evaluate_resource,
    };
    use writ_store::state::User;
    use writ_store::{Blob, Body, Change, Object};

    use super::*;

    const BUCKET: PolicyKind = PolicyKind::Resource(ResourceKind::Bucket);

    fn account() -> AccountId {
        "111122223333".parse().unwrap()
    }

    /// The user `alice` in path `/team/` with this id.
    fn snapshot(id: &str) -> Snapshot {
        let body = Body::from(User {
            name: "alice".to_owned(),
            path: "/team/".to_owned(),
            unique_id: id.parse().unwrap(),
            created: Timestamp::from_secs(1),
            descriptor: Blob::from(Vec::new()),
            inline_policies: BTreeMap::new(),
            attached_policies: Default::default(),
            groups: Default::default(),
            boundary: None,
            tags: BTreeMap::new(),
        });
        let change = Change {
            revision: Revision(1),
            ordinal: 0,
            object: Object { account: account(), body: body.clone() }.id(),
            body: Some(body),
            actor: "test".to_owned(),
            request_id: Uuid::from_bytes([2; 16]),
            at: Timestamp::from_secs(1),
        };
        Snapshot::empty(Uuid::from_bytes([1; 16])).apply(&[change], Revision(1))
    }

    fn document(principal: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}]}}"#
        )
    }

    #[test]
    fn principal_with_another_path_or_case_binds_to_nobody() {
        let snapshot = snapshot("AIDAAAAAAAAAAAAAAAAAA");
        for (resource, known) in [
            ("user/team/alice", true),
            ("user/team/ALICE", false),
            ("user/alice", false),
            ("user/nonexistent/path/alice", false),
            ("user/nonexistent/path/ALICE", false),
            ("role/team/alice", false),
        ] {
            let arn = Arn::iam(account(), resource);
            assert_eq!(principal_id(&snapshot, &arn).is_some(), known, "{resource}");
            let mut policy = Policy::parse(&document(arn.as_str()), BUCKET).unwrap();
            assert_eq!(bind(&mut policy, &snapshot).is_ok(), known, "{resource}");
        }
    }

    #[test]
    fn user_who_was_made_anew_does_not_match_a_bucket_policy() {
        let arn = Arn::iam(account(), "user/team/alice");
        let text = document(arn.as_str());
        let first = "AIDAAAAAAAAAAAAAAAAAA";
        let mut policy = Policy::parse(&text, BUCKET).unwrap();
        let bound = bind(&mut policy, &snapshot(first)).unwrap();
        let stored = load(&text, BUCKET, &bound);
        let outcome = |policy: &Policy, id: &str| {
            let context = Context::new();
            let principal = Principal::user(arn.clone(), account(), id);
            let request = Request {
                principal: Some(&principal),
                action: "s3:GetObject",
                resource: "arn:aws:s3:::b/k",
                resource_account: Some(account()),
                context: &context,
            };
            evaluate_resource(&request, policy)
        };
        assert_eq!(outcome(&stored, first), ResourceOutcome::DirectAllow);
        assert_eq!(outcome(&stored, "AIDABBBBBBBBBBBBBBBBB"), ResourceOutcome::NoMatch);
        let lost = load(&text, BUCKET, &BTreeMap::new());
        assert_eq!(outcome(&lost, first), ResourceOutcome::ExplicitDeny);
    }
}
