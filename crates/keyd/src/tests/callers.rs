//! Callers as a whole: what a credential says of its holder, in the answer that makes it and in every
//! request signed with it.

use writ_keyd_client::caller::{Caller, CallerKind, Session, SessionRole};

use super::use_records::{OWNER, unique_id};
use super::*;

fn whoami(site: &Site, signer: &Signing) -> Caller {
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    site.authenticate(site.query(signer, "sts", form)).unwrap().caller
}

fn id_of(signer: &Signing) -> writ_model::AccessKeyId {
    signer.credentials.access_key_id.parse().unwrap()
}

fn root_of(signer: &Signing) -> Caller {
    Caller {
        kind: CallerKind::Root,
        account: account(OWNER),
        arn: format!("arn:aws:iam::{OWNER}:root").parse().unwrap(),
        unique_id: OWNER.to_string(),
        user_name: None,
        access_key_id: id_of(signer),
        session: None,
        delegated: false,
    }
}

fn ann_of(signer: &Signing) -> Caller {
    Caller {
        kind: CallerKind::User,
        account: account(OWNER),
        arn: format!("arn:aws:iam::{OWNER}:user/ann").parse().unwrap(),
        unique_id: unique_id("AIDA", "ann"),
        user_name: Some("ann".to_owned()),
        access_key_id: id_of(signer),
        session: None,
        delegated: false,
    }
}

/// A session from now on for so many seconds.
fn session(site: &Site, seconds: u64) -> Session {
    Session {
        role: None,
        issued: site.env.now(),
        expires: site.env.now().plus(Duration::from_secs(seconds)),
        mfa_at: None,
        source_identity: None,
        tags: vec![],
        transitive_tag_keys: vec![],
        policy: None,
        policy_arns: vec![],
        chained: false,
    }
}

/// The answer that made a session says who will sign with it, and then it is so.
fn check(site: &Site, made: Credential, expected: &dyn Fn(&Signing) -> Caller, size: Option<u64>) {
    let told = (made.caller.clone(), made.expires, made.packed_policy_size);
    assert_eq!((made.wrapped.is_some(), made.descriptor.is_some()), (false, false));
    let signer = signing(made);
    assert!(signer.credentials.access_key_id.starts_with("ASIA"));
    let caller = expected(&signer);
    let expires = caller.session.as_ref().map(|session| session.expires);
    assert_eq!(told, (Some(caller.clone()), expires, size));
    assert_eq!(whoami(site, &signer), caller);
}

#[test]
fn holder_of_a_long_term_key_is_told_whole() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    assert_eq!(whoami(&site, &root), root_of(&root));
    let (user, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    assert_eq!(whoami(&site, &ann), ann_of(&ann));
    // A key that an identity policy let her make.
    let form = "Action=CreateAccessKey&Version=2010-05-08";
    let own = site.issue(site.query(&ann, "iam", form), Some(&user), true).unwrap();
    assert!(own.caller.is_none() && own.session_token.is_none() && own.expires.is_none());
    let own = signing(own);
    assert_eq!(whoami(&site, &own), Caller { delegated: true, ..ann_of(&own) });
}

#[test]
fn holder_of_a_session_token_is_the_one_who_asked_for_a_time() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (user, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    let form = "Action=CreateAccessKey&Version=2010-05-08";
    let own = signing(site.issue(site.query(&ann, "iam", form), Some(&user), true).unwrap());
    type Of = fn(&Signing) -> Caller;
    let delegated: Of = |signer| Caller { delegated: true, ..ann_of(signer) };
    let table: [(&Signing, &str, u64, Of); 6] = [
        (&ann, "", 43_200, ann_of),
        (&ann, "&DurationSeconds=900", 900, ann_of),
        (&ann, "&DurationSeconds=129600", 129_600, ann_of),
        (&own, "", 43_200, delegated),
        (&root, "", 3600, root_of),
        (&root, "&DurationSeconds=900", 900, root_of),
    ];
    for (who, more, seconds, of) in table {
        let form = format!("Action=GetSessionToken&Version=2011-06-15{more}");
        let made = site.issue(site.query(who, "sts", &form), None, false).unwrap();
        let lasting =
            |signer: &Signing| Caller { session: Some(session(&site, seconds)), ..of(signer) };
        check(&site, made, &lasting, None);
    }
}

fn role_session(site: &Site, role: &str, seconds: u64) -> Session {
    let role = SessionRole {
        arn: format!("arn:aws:iam::{OWNER}:role/p/{role}").parse().unwrap(),
        unique_id: unique_id("AROA", role),
        name: role.to_owned(),
        session_name: "s1".to_owned(),
    };
    Session { role: Some(role), ..session(site, seconds) }
}

fn assumed(signer: &Signing, session: Session) -> Caller {
    let role = session.role.clone().unwrap();
    let (name, id) = (role.name, role.unique_id);
    Caller {
        kind: CallerKind::AssumedRole,
        account: account(OWNER),
        arn: format!("arn:aws:sts::{OWNER}:assumed-role/{name}/s1").parse().unwrap(),
        unique_id: format!("{id}:s1"),
        user_name: None,
        access_key_id: id_of(signer),
        session: Some(session),
        delegated: false,
    }
}

/// A role under `/p/` that this principal may assume, with tags and an identity.
fn role(site: &Site, root: &Signing, name: &str, principal: &str) -> Vec<u8> {
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{OWNER}:{principal}"}},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}}]}}"#
    );
    let trust = writ_aws::sigv4::encode::encode(trust.as_bytes());
    let form = format!(
        "Action=CreateRole&Version=2010-05-08&RoleName={name}&Path=%2Fp%2F&AssumeRolePolicyDocument={trust}"
    );
    let request = site.query(root, "iam", &form);
    let sealed = site.seal(request, |seal| seal.new_id = Some(unique_id("AROA", name)));
    sealed.unwrap().descriptors.remove(0)
}

fn assume(site: &Site, who: &Signing, name: &str, role: &[u8], more: &str) -> Credential {
    try_assume(site, who, name, role, more).unwrap()
}

fn try_assume(
    site: &Site,
    who: &Signing,
    name: &str,
    role: &[u8],
    more: &str,
) -> Result<Credential, Refusal> {
    let form = format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A{OWNER}%3Arole%2Fp%2F{name}&RoleSessionName=s1{more}"
    );
    site.issue(site.query(who, "sts", &form), Some(role), true)
}

#[test]
fn holder_of_a_roles_session_is_told_whole() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (_, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    let named = role(&site, &root, "named", "user/ann");
    let account = role(&site, &root, "account", "root");
    let made = assume(&site, &ann, "named", &named, "&DurationSeconds=900");
    check(&site, made, &|s| assumed(s, role_session(&site, "named", 900)), None);
    let made = assume(&site, &ann, "account", &account, "");
    let by_front = |s: &Signing| Caller {
        delegated: true,
        ..assumed(s, role_session(&site, "account", 3600))
    };
    check(&site, made, &by_front, None);
}

#[test]
fn session_of_a_chain_keeps_what_is_transitive() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (_, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    let (one, two) =
        (role(&site, &root, "one", "user/ann"), role(&site, &root, "two", "role/p/one"));
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let encoded = writ_aws::sigv4::encode::encode(policy.as_bytes());
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let more = format!(
        "&SourceIdentity=sid&Policy={encoded}&PolicyArns.member.1.arn={arn}\
         &Tags.member.1.Key=kept&Tags.member.1.Value=1&Tags.member.2.Key=dropped&Tags.member.2.Value=22\
         &TransitiveTagKeys.member.1=kept"
    );
    let made = assume(&site, &ann, "one", &one, &more);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let first = Session {
        source_identity: Some("sid".to_owned()),
        tags: vec![pair("dropped", "22"), pair("kept", "1")],
        transitive_tag_keys: vec!["kept".to_owned()],
        policy: Some(policy.to_owned()),
        policy_arns: vec![arn.parse().unwrap()],
        ..role_session(&site, "one", 3600)
    };
    let bytes = policy.len() + arn.len() + "dropped22".len() + "kept1".len() + 4;
    let percent = (100 * bytes).div_ceil(crate::limits::PACKED_POLICY_MAX_BYTES) as u64;
    let signer = {
        let copy = assume(&site, &ann, "one", &one, &more);
        check(&site, made, &|s| assumed(s, first.clone()), Some(percent));
        signing(copy)
    };
    site.advance(Duration::from_secs(60));
    let made = assume(&site, &signer, "two", &two, "&Tags.member.1.Key=own&Tags.member.1.Value=2");
    let second = Session {
        source_identity: Some("sid".to_owned()),
        tags: vec![pair("kept", "1"), pair("own", "2")],
        transitive_tag_keys: vec!["kept".to_owned()],
        chained: true,
        ..role_session(&site, "two", 3600)
    };
    let bytes = "kept1".len() + "own2".len() + 4;
    let percent = (100 * bytes).div_ceil(crate::limits::PACKED_POLICY_MAX_BYTES) as u64;
    check(&site, made, &|s| assumed(s, second.clone()), Some(percent));
}

/// A session of the role `one` under `/p/` with a source identity, for a quarter of an hour.
pub(super) fn session_of_ann(site: &Site, root: &Signing) -> (Signing, Caller) {
    let (_, ann) = site.create_user_of(root, "ann", unique_id("AIDA", "ann"));
    let one = role(site, root, "one", "user/ann");
    let made = assume(site, &ann, "one", &one, "&SourceIdentity=sid&DurationSeconds=900");
    let caller = made.caller.clone().unwrap();
    (signing(made), caller)
}

#[test]
fn role_is_assumed_for_as_long_and_with_what_the_caller_may_ask() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (signer, _) = session_of_ann(&site, &root);
    let (_, bob) = site.create_user_of(&root, "bob", unique_id("AIDA", "bob"));
    let two = role(&site, &root, "two", "role/p/one");
    let three = role(&site, &root, "three", "user/bob");
    let form = "Action=UpdateRole&Version=2010-05-08&RoleName=two&MaxSessionDuration=7200";
    let longer = site.seal(site.query(&root, "iam", form), |seal| seal.current = Some(two));
    let two = longer.unwrap().descriptors.remove(0);
    let chained = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
    let role_max =
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    let identity = "The source identity of the calling session cannot be changed.";
    let twice = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
    let absent = "The specified transitive tag key must be included in the requested tags.";
    let mfa = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
    let tag = |n: usize, key: &str| format!("&Tags.member.{n}.Key={key}&Tags.member.{n}.Value=v");
    let tags = |count: usize| (1..=count).map(|n| tag(n, &format!("k{n}"))).collect::<String>();
    let serial = "&SerialNumber=arn%3Aaws%3Aiam%3A%3A111122223333%3Amfa%2Fann".to_owned();
    let seconds = |n: u64| format!("&DurationSeconds={n}");
    let table: [(&Signing, String, &str); 17] = [
        (&signer, seconds(3600), "ok"),
        (&signer, seconds(3601), chained),
        (&signer, seconds(7200), chained),
        (&bob, seconds(3600), "ok"),
        (&bob, seconds(3601), role_max),
        (&bob, seconds(7200), role_max),
        (&signer, "&SourceIdentity=sid".to_owned(), "ok"),
        (&signer, "&SourceIdentity=other".to_owned(), identity),
        (&bob, "&SourceIdentity=other".to_owned(), "ok"),
        (&bob, tag(1, "a") + &tag(2, "A"), twice),
        (&bob, tag(1, "a") + "&TransitiveTagKeys.member.1=a", "ok"),
        (&bob, tag(1, "a") + "&TransitiveTagKeys.member.1=b", absent),
        (&bob, tags(50), "ok"),
        (&bob, tags(50) + "&TransitiveTagKeys.member.1=k50", "ok"),
        (&bob, serial.clone(), mfa),
        (&bob, "&TokenCode=123456".to_owned(), mfa),
        (&bob, serial + "&TokenCode=123456", mfa),
    ];
    for (who, more, expected) in table {
        let (name, role) =
            if std::ptr::eq(who, &signer) { ("two", &two) } else { ("three", &three) };
        assert_eq!(why(try_assume(&site, who, name, role, &more)), expected, "{name} {more}");
    }
}

#[test]
fn tag_that_goes_on_is_neither_given_anew_nor_more_than_there_is_room_for() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (_, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    let (one, two) =
        (role(&site, &root, "one", "user/ann"), role(&site, &root, "two", "role/p/one"));
    let tag = |n: usize, key: &str| format!("&Tags.member.{n}.Key={key}&Tags.member.{n}.Value=v");
    let kept = tag(1, "kept") + "&TransitiveTagKeys.member.1=kept";
    let signer = signing(assume(&site, &ann, "one", &one, &kept));
    let tags = |count: usize| (1..=count).map(|n| tag(n, &format!("k{n}"))).collect::<String>();
    let full = "The number of session tags exceeds the maximum of 50.";
    let conflict = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.";
    for (more, expected) in
        [(tags(49), "ok"), (tags(50), full), (tag(1, "KEPT"), conflict), (tag(1, "kept2"), "ok")]
    {
        assert_eq!(why(try_assume(&site, &signer, "two", &two, &more)), expected, "{more}");
    }
}

#[test]
fn trust_policy_decides_on_what_the_request_says_of_the_session() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (_, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    let team = "&Tags.member.1.Key=team&Tags.member.1.Value=blue";
    let kept = &format!("{team}&TransitiveTagKeys.member.1=team");
    let (external, name, seconds) =
        ("sts:ExternalId", "sts:RoleSessionName", "sts:DurationSeconds");
    let (source, keys, tag) = ("sts:SourceIdentity", "aws:TagKeys", "aws:RequestTag/team");
    let (transitive, owner) = ("sts:TransitiveTagKeys", "aws:ResourceAccount");
    let (equals, any, less) = ("StringEquals", "ForAnyValue:StringEquals", "NumericLessThanEquals");
    let denied = "AccessDenied";
    let table: [(&str, &str, &str, &str, &str); 20] = [
        (equals, external, "id-1", "&ExternalId=id-1", "ok"),
        (equals, external, "id-1", "&ExternalId=id-2", denied),
        (equals, external, "id-1", "", denied),
        (equals, name, "s1", "", "ok"),
        (equals, name, "s2", "", denied),
        (less, seconds, "900", "&DurationSeconds=900", "ok"),
        (less, seconds, "900", "&DurationSeconds=901", denied),
        (less, seconds, "3600", "", denied),
        (equals, source, "sid", "&SourceIdentity=sid", "ok"),
        (equals, source, "sid", "&SourceIdentity=other", denied),
        (equals, source, "sid", "", denied),
        (any, keys, "team", team, "ok"),
        (any, keys, "other", team, denied),
        (any, keys, "team", "", denied),
        (equals, tag, "blue", team, "ok"),
        (equals, tag, "red", team, denied),
        (any, transitive, "team", kept, "ok"),
        (any, transitive, "team", team, denied),
        (equals, owner, "111122223333", "", "ok"),
        (equals, owner, "444455556666", "", denied),
    ];
    for (n, (operator, key, value, more, expected)) in table.into_iter().enumerate() {
        let trust = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": "arn:aws:iam::111122223333:user/ann" },
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": { operator: { key: value } } }] });
        let role = format!("r{n}");
        let sealed = site.create_role(&root, &role, &trust.to_string());
        let form = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A{OWNER}%3Arole%2F{role}&RoleSessionName=s1{more}"
        );
        let result = site.issue(site.query(&ann, "sts", &form), Some(&sealed), false);
        assert_eq!(code(result), expected, "{key} {value} {more}");
    }
}
