//! Indexes and compiled policies follow the objects.

use writ_model::{AccessKeyId, Revision, SystemEnv, Timestamp, Uuid};
use writ_store::state::{AccessKey, Key, Role, User};
use writ_store::{Blob, Body, Change, Object, ObjectId, Snapshot, Stored};

use crate::support::{account, key, managed_policy, role, user};

fn change(revision: u64, ordinal: u32, object: ObjectId, body: Option<Body>) -> Change {
    Change {
        revision: Revision(revision),
        ordinal,
        object,
        body,
        actor: "test".to_owned(),
        request_id: Uuid::random(&SystemEnv),
        at: Timestamp::from_secs(1),
    }
}

fn put(revision: u64, ordinal: u32, body: impl Into<Body>) -> Change {
    let object = Object::new(account(1), body);
    change(revision, ordinal, object.id(), Some(object.body))
}

fn remove<T: Stored>(revision: u64, id: &str) -> Change {
    change(revision, 0, ObjectId::of::<T>(account(1), id), None)
}

fn after(changes: &[Change]) -> Snapshot {
    let revision = changes.last().map_or(Revision(0), |change| change.revision);
    Snapshot::empty(Uuid::random(&SystemEnv)).apply(changes, revision)
}

#[test]
fn user_is_found_by_name_in_any_case_and_by_unique_id() {
    let bob = user("Bob");
    let snapshot = after(&[put(1, 0, bob.clone())]);
    for name in ["bob", "Bob", "BOB"] {
        assert_eq!(*snapshot.user(account(1), name).unwrap().value, bob);
    }
    let found = snapshot.user_by_unique_id(account(1), &bob.unique_id).unwrap();
    assert_eq!((found.name.as_str(), found.revision), ("Bob", Revision(1)));
    assert!(snapshot.role_by_unique_id(account(1), &bob.unique_id).is_none());
    assert!(snapshot.user(account(2), "bob").is_none(), "accounts are separate");
}

#[test]
fn renamed_user_keeps_its_unique_id_in_either_order() {
    let (bob, mut robert) = (user("bob"), user("robert"));
    robert.unique_id = bob.unique_id.clone();
    let moves = [put(2, 0, robert.clone()), remove::<User>(2, "bob")];
    for order in [[0, 1], [1, 0]] {
        let mut changes = vec![put(1, 0, bob.clone())];
        changes.extend(order.map(|at: usize| moves[at].clone()));
        let snapshot = after(&changes);
        let found = snapshot.user_by_unique_id(account(1), &bob.unique_id).unwrap();
        assert_eq!(found.name, "robert");
        assert_eq!(snapshot.object_count(), 1);
    }
}

#[test]
fn user_made_anew_is_not_found_by_the_old_unique_id() {
    let (old, new) = (user("bob"), user("bob"));
    for changes in [
        vec![put(1, 0, old.clone()), remove::<User>(2, "bob"), put(3, 0, new.clone())],
        vec![put(1, 0, old.clone()), put(2, 0, new.clone())],
    ] {
        let snapshot = after(&changes);
        assert!(snapshot.user_by_unique_id(account(1), &old.unique_id).is_none());
        assert!(snapshot.user_by_unique_id(account(1), &new.unique_id).is_some());
    }
}

#[test]
fn access_key_names_its_account_until_it_is_deleted() {
    let id = AccessKeyId::long_term(account(1), &SystemEnv);
    let access_key = AccessKey {
        id: id.clone(),
        user: Some("bob".to_owned()),
        active: true,
        created: Timestamp::from_secs(1),
        wrapped: Blob::default(),
        descriptor: Blob::default(),
    };
    let snapshot = after(&[put(1, 0, user("bob")), put(1, 1, access_key)]);
    assert_eq!(snapshot.access_key(&id).unwrap().0, account(1));
    let state = snapshot.state(account(1)).unwrap();
    assert_eq!(state.access_keys_of(Some("BOB")).count(), 1);
    assert_eq!(state.access_keys_of(None).count(), 0);
    let snapshot = snapshot.apply(&[remove::<AccessKey>(2, id.as_str())], Revision(2));
    assert!(snapshot.access_key(&id).is_none());
}

#[test]
fn older_change_does_not_undo_a_newer_one() {
    let newer = after(&[put(5, 0, role("r", "{}"))]);
    let same = newer.apply(&[remove::<Role>(3, "r"), put(4, 0, role("R", ""))], Revision(5));
    assert_eq!(same.role(account(1), "r").unwrap().revision, Revision(5));
}

#[test]
fn listing_goes_on_after_an_id_in_order() {
    let users = ["Carol", "alice", "Bob", "dave"].map(user);
    let changes: Vec<Change> = users.into_iter().zip(0..).map(|(u, at)| put(1, at, u)).collect();
    let snapshot = after(&changes);
    let names = |start: Option<&str>| -> Vec<String> {
        snapshot.list::<User>(account(1), start).map(|user| user.name.clone()).collect()
    };
    assert_eq!(names(None), ["alice", "Bob", "Carol", "dave"]);
    assert_eq!(names(Some("bob")), ["Carol", "dave"]);
}

#[test]
fn policies_are_compiled_and_unreadable_ones_are_kept_as_denials() {
    let allow =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let mut bob = user("bob");
    bob.inline_policies.insert("good".to_owned(), allow.to_owned());
    bob.inline_policies.insert("bad".to_owned(), "{".to_owned());
    let policy = managed_policy("P", allow);
    let arn = policy.arn.clone();
    let snapshot = after(&[put(1, 0, bob), put(1, 1, policy), put(1, 2, role("r", "nonsense"))]);
    let bob = snapshot.user(account(1), "bob").unwrap();
    assert_eq!(bob.derived["good"].statement_count(), 1);
    assert!(bob.derived["good"].unreadable().is_none());
    assert!(bob.derived["bad"].unreadable().is_some());
    assert_eq!(snapshot.managed_policy(&arn).unwrap().derived.statement_count(), 1);
    assert!(snapshot.role(account(1), "r").unwrap().derived.trust.unreadable().is_some());
}

#[test]
fn key_policy_matches_only_the_principal_that_it_was_written_for() {
    let arn: writ_model::Arn = "arn:aws:iam::000000000001:user/bob".parse().unwrap();
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{arn}"}},"Action":"kms:*","Resource":"*"}}}}"#
    );
    let mut bound: Key = key(&text);
    let bob = user("bob");
    bound.principals.insert(arn.clone(), bob.unique_id.clone());
    let snapshot = after(&[put(1, 0, bound.clone())]);
    let policy = &snapshot.key(&bound.arn).unwrap().derived;
    let principals: Vec<_> = policy.principals().collect();
    assert_eq!(principals, [(&arn, Some(&bob.unique_id))]);
}
