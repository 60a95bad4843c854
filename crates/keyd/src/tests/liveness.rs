//! Whether what signed is still good: each of its parts, taken away alone.

use std::collections::BTreeSet;

use writ_keyd_client::caller::{Caller, CallerKind, Session, SessionRole};
use writ_keyd_client::descriptor::*;
use writ_model::{AccessKeyId, Arn};

use super::*;
use crate::catalogue::{Catalogue, Stale};
use crate::seal::{Opened, digest};

const ACCOUNT: u64 = 111_122_223_333;

fn unique(kind: &str) -> String {
    format!("{kind}{}", "A".repeat(17))
}

fn id(n: u64) -> AccessKeyId {
    let env = TestEnv::new(Timestamp::from_secs(1), n);
    AccessKeyId::long_term(AccountId::from_number(ACCOUNT).unwrap(), &env)
}

fn opened(descriptor: Descriptor) -> Opened {
    Opened { digest: digest(&descriptor), descriptor }
}

/// A live user with a key, a live role, and a key of the account's root.
struct Known {
    user: UserDescriptor,
    role: RoleDescriptor,
    key: AccessKeyDescriptor,
    root_key: AccessKeyDescriptor,
}

fn known() -> Known {
    let account = AccountId::from_number(ACCOUNT).unwrap();
    let user = UserDescriptor {
        account,
        unique_id: unique("AIDA"),
        name: "ann".to_owned(),
        path: "/".to_owned(),
        revision: 1,
        deleted: false,
    };
    let role = RoleDescriptor {
        account,
        unique_id: unique("AROA"),
        name: "r".to_owned(),
        path: "/".to_owned(),
        trust_policy: String::new(),
        max_session_secs: 3600,
        revision: 1,
        deleted: false,
        principals: vec![],
    };
    let root_key = AccessKeyDescriptor {
        id: id(1),
        account,
        user: None,
        active: true,
        created: Timestamp::from_secs(1),
        revision: 1,
        deleted: false,
    };
    let key = AccessKeyDescriptor { id: id(2), user: Some(unique("AIDA")), ..root_key.clone() };
    Known { user, role, key, root_key }
}

const NOW: Timestamp = Timestamp::from_secs(1000);

fn session(role: bool) -> Option<Session> {
    let role = role.then(|| SessionRole {
        arn: Arn::iam(AccountId::from_number(ACCOUNT).unwrap(), "role/r"),
        unique_id: unique("AROA"),
        name: "r".to_owned(),
        session_name: "s".to_owned(),
    });
    Some(Session {
        role,
        issued: Timestamp::from_secs(900),
        expires: Timestamp::from_millis(1_000_001),
        mfa_at: None,
        source_identity: None,
        tags: vec![],
        transitive_tag_keys: vec![],
        policy: None,
        policy_arns: vec![],
        chained: false,
    })
}

/// The root, the user and the role's session, each with what signs for it; a session of the user.
fn callers() -> [Caller; 4] {
    let account = AccountId::from_number(ACCOUNT).unwrap();
    let root = Caller {
        kind: CallerKind::Root,
        account,
        arn: Arn::root(account),
        unique_id: account.to_string(),
        user_name: None,
        access_key_id: id(1),
        session: None,
        delegated: false,
    };
    let (kind, access_key_id) = (CallerKind::User, id(2));
    let user = Caller { kind, unique_id: unique("AIDA"), access_key_id, ..root.clone() };
    let token = Caller { session: session(false), access_key_id: id(3), ..user.clone() };
    let unique_id = format!("{}:s", unique("AROA"));
    let kind = CallerKind::AssumedRole;
    let role = Caller { kind, unique_id, session: session(true), ..token.clone() };
    [root, user, token, role]
}

/// Who of root, user, session of the user and session of the role is live.
fn live(known: &Known, ends: &[End], change: &dyn Fn(&mut Caller)) -> [bool; 4] {
    let mut catalogue = Catalogue::default();
    let descriptors = [
        Descriptor::User(known.user.clone()),
        Descriptor::Role(known.role.clone()),
        Descriptor::AccessKey(known.key.clone()),
        Descriptor::AccessKey(known.root_key.clone()),
    ];
    descriptors.into_iter().for_each(|d| catalogue.admit(&opened(d)).unwrap());
    ends.iter().for_each(|end| assert!(catalogue.end(end.clone())));
    callers().map(|mut caller| {
        change(&mut caller);
        catalogue.is_live(&caller, NOW)
    })
}

#[test]
fn caller_lives_while_its_principal_key_and_session_do() {
    type Change = fn(&mut Known);
    let (all, other) = ([true; 4], AccountId::from_number(5).unwrap());
    let people = [true, false, false, true];
    let table: [(&str, Change, [bool; 4]); 9] = [
        ("all is well", |_| {}, all),
        ("user deleted", |k| k.user.deleted = true, people),
        ("user of another id", |k| k.user.unique_id = unique("AIDB"), people),
        ("role deleted", |k| k.role.deleted = true, [true, true, true, false]),
        ("role renamed", |k| k.role.name = "s".to_owned(), [true, true, true, false]),
        ("key deleted", |k| k.key.deleted = true, [true, false, true, true]),
        ("key inactive", |k| k.key.active = false, [true, false, true, true]),
        ("key of another user", |k| k.key.user = Some(unique("AIDB")), [true, false, true, true]),
        (
            "root's key of a user",
            |k| k.root_key.user = Some(unique("AIDA")),
            [false, true, true, true],
        ),
    ];
    for (name, change, expected) in table {
        let mut known = known();
        change(&mut known);
        assert_eq!(live(&known, &[], &|_| {}), expected, "{name}");
    }
    let moved = |change: &dyn Fn(&mut Known)| {
        let mut known = known();
        change(&mut known);
        live(&known, &[], &|_| {})
    };
    assert_eq!(moved(&|k| k.user.account = other), people, "user of another account");
    assert_eq!(moved(&|k| k.role.account = other), [true, true, true, false], "role");
    assert_eq!(moved(&|k| k.key.account = other), [true, false, true, true], "key");
    assert_eq!(moved(&|k| k.root_key.account = other), [false, true, true, true], "root's");
}

#[test]
fn caller_whose_session_is_over_or_without_its_role_is_not_live() {
    let ends_at = |millis| {
        live(&known(), &[], &move |caller: &mut Caller| {
            if let Some(session) = &mut caller.session {
                session.expires = Timestamp::from_millis(millis);
            }
        })
    };
    let now = NOW.millis();
    assert_eq!(ends_at(now + 1), [true; 4]);
    assert_eq!(ends_at(now), [true, true, false, false]);
    assert_eq!(ends_at(now - 1), [true, true, false, false]);
    let roleless = |caller: &mut Caller| {
        caller.session.iter_mut().for_each(|session| session.role = None);
    };
    assert_eq!(live(&known(), &[], &roleless), [true, true, true, false]);
}

#[test]
fn caller_that_was_ended_is_not_live() {
    let sessions = |id: &str, secs| End::Sessions((id.to_owned(), Timestamp::from_secs(secs)));
    let (user, role) = (unique("AIDA"), unique("AROA"));
    let table = [
        (vec![End::AccessKey(id(1))], [false, true, true, true]),
        (vec![End::AccessKey(id(2))], [true, false, true, true]),
        (vec![End::AccessKey(id(3))], [true, true, false, false]),
        (vec![End::Principal(user.clone())], [true, false, false, true]),
        (vec![End::Principal(role.clone())], [true, true, true, false]),
        (vec![sessions(&user, 900)], [true; 4]),
        (vec![sessions(&user, 901)], [true, true, false, true]),
        (vec![sessions(&role, 901)], [true, true, true, false]),
        (vec![sessions(&role, 901), sessions(&role, 800)], [true, true, true, false]),
        (vec![sessions(&role, 800), sessions(&role, 901)], [true, true, true, false]),
    ];
    for (ends, expected) in table {
        assert_eq!(live(&known(), &ends, &|_| {}), expected, "{}", ends.len());
    }
}

#[test]
fn access_key_never_goes_over_to_another_owner() {
    let mut catalogue = Catalogue::default();
    let key = known().key;
    catalogue.admit(&opened(Descriptor::AccessKey(key.clone()))).unwrap();
    let newer = AccessKeyDescriptor { revision: 2, ..key };
    let other = AccountId::from_number(5).unwrap();
    for stolen in [
        AccessKeyDescriptor { user: None, ..newer.clone() },
        AccessKeyDescriptor { user: Some(unique("AIDB")), ..newer.clone() },
        AccessKeyDescriptor { account: other, ..newer.clone() },
    ] {
        let stolen = opened(Descriptor::AccessKey(stolen));
        assert_eq!(catalogue.admit(&stolen), Err(Stale::Other));
    }
    catalogue.admit(&opened(Descriptor::AccessKey(newer))).unwrap();
}

#[test]
fn reasons_of_refused_descriptors_differ() {
    let all = [Stale::Old, Stale::Other, Stale::Taken, Stale::Unknown, Stale::Full];
    let texts: BTreeSet<_> = all.into_iter().map(Stale::why).collect();
    assert!(texts.len() == all.len() && texts.iter().all(|text| text.contains(' ')));
}
