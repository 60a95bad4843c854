//! Signatures, credentials and sessions.

use super::*;

const CALLER: &str = "Action=GetCallerIdentity&Version=2011-06-15";

#[test]
fn right_signature_gives_the_caller() {
    let site = Site::new();
    let root = site.create_account(111_122_223_333);
    let answer = site.authenticate(site.query(&root, "sts", CALLER)).unwrap();
    assert_eq!(answer.caller.arn.as_str(), "arn:aws:iam::111122223333:root");
    assert_eq!((answer.service.as_str(), answer.operation.as_str()), ("sts", "GetCallerIdentity"));
    let (_, ann) = site.create_user(&root, "ann");
    let answer = site.authenticate(site.query(&ann, "sts", CALLER)).unwrap();
    assert_eq!(answer.caller.arn.as_str(), "arn:aws:iam::111122223333:user/ann");
    assert_eq!(answer.caller.user_name.as_deref(), Some("ann"));
}

#[test]
fn request_that_is_not_as_it_was_signed_is_refused() {
    type Cheat = fn(&mut Authenticate);
    let site = Site::new();
    let root = site.create_account(111_122_223_333);
    let other = site.create_account(444_455_556_666);
    fn set(request: &mut Authenticate, name: &str, value: &[u8]) {
        let header = request.headers.iter_mut().find(|(n, _)| n == name).unwrap();
        header.1 = value.to_vec();
    }
    let kms: [(&str, Cheat, &str); 8] = [
        ("as signed", |_| {}, "ok"),
        (
            "unsigned",
            |r| r.headers.retain(|(n, _)| n != "authorization"),
            "MissingAuthenticationTokenException",
        ),
        ("other body", |r| r.payload = Payload::Body(b"{}".to_vec()), "InvalidSignatureException"),
        (
            "other target",
            |r| set(r, "x-amz-target", b"TrentService.Decrypt"),
            "InvalidSignatureException",
        ),
        ("other path", |r| r.path = "/x".to_owned(), "InvalidSignatureException"),
        ("other query", |r| r.query = "a=b".to_owned(), "InvalidSignatureException"),
        (
            "further unsigned x-amz header",
            |r| r.headers.push(("x-amz-foo".to_owned(), b"1".to_vec())),
            "InvalidSignatureException",
        ),
        ("no credential", |r| r.credential = None, "UnrecognizedClientException"),
    ];
    for (name, cheat, expected) in kms {
        let mut request = site.kms(&root, "Encrypt", &json!({ "KeyId": "k", "Plaintext": "AA==" }));
        cheat(&mut request);
        assert_eq!(code(site.authenticate(request)), expected, "{name}");
    }
    let mut foreign = site.query(&root, "sts", CALLER);
    foreign.credential = other.wrapped.clone();
    assert_eq!(code(site.authenticate(foreign)), "InvalidClientTokenId", "another's credential");
    let mut body = site.query(&root, "sts", CALLER);
    body.payload = Payload::Body(b"Action=AssumeRole&Version=2011-06-15".to_vec());
    assert_eq!(code(site.authenticate(body)), "SignatureDoesNotMatch", "another action");
    let s3 = site.s3(&root, "GET", "/bucket/key", &[]);
    assert_eq!(code(site.authenticate(s3)), "SignatureDoesNotMatch", "an S3 request to front");
    let sts = site.query(&root, "sts", CALLER);
    assert_ne!(code(site.authenticate_as(Role::S3, sts)), "ok", "an STS request to s3");
}

#[test]
fn signature_lives_from_keyds_start_and_within_its_window() {
    let site = Site::new();
    let root = site.create_account(111_122_223_333);
    let old = site.query(&root, "sts", CALLER);
    let again = site.query(&root, "sts", CALLER);
    site.advance(Duration::from_secs(300));
    assert_eq!(code(site.authenticate(old)), "ok", "at the window's end");
    site.advance(Duration::from_secs(1));
    assert_eq!(code(site.authenticate(again)), "SignatureDoesNotMatch", "after it");

    let before = site.query(&root, "sts", CALLER);
    let descriptor = root.descriptor.clone().unwrap();
    let restarted = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    assert_eq!(
        code(restarted.authenticate(site.query(&root, "sts", CALLER))),
        "ServiceUnavailable",
        "not loaded"
    );
    restarted.load(vec![descriptor]);
    restarted.advance(Duration::from_secs(2));
    // The restart was at the very moment of the signature: move the signature before it.
    let answer = restarted.authenticate(before);
    assert_eq!(code(answer), "ok", "dated at the start");
    let early = {
        let now = site.env.now();
        site.env.set_now(Timestamp::from_secs(now.secs() - 5));
        let request = site.query(&root, "sts", CALLER);
        site.env.set_now(now);
        request
    };
    assert_eq!(code(restarted.authenticate(early)), "ServiceUnavailable", "dated before the start");
    restarted.advance(Duration::from_secs(1));
    let fresh = restarted.query(&root, "sts", CALLER);
    assert_eq!(code(restarted.authenticate(fresh)), "ok", "signed again");
}

#[test]
fn account_gets_its_first_credential_once_also_over_a_restart() {
    let site = Site::new();
    let root = site.create_account(7);
    let again = |site: &Site| {
        let create = CreateAccount { account: account(7) };
        code(site.engine.handle(Role::Front, Command::CreateAccount(create)))
    };
    assert_eq!(again(&site), "Forbidden");
    assert_eq!(code(site.authenticate(site.query(&root, "sts", CALLER))), "ok");
    // A hostile front that withholds the old key's descriptor gains nothing, in this run of keyd or in another.
    site.load(vec![]);
    assert_eq!(again(&site), "Forbidden");
    let restarted = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    restarted.load(vec![]);
    assert_eq!(again(&restarted), "Forbidden");
}

#[test]
fn account_whose_first_credential_was_lost_in_a_crash_is_created_again() {
    let site = Site::new();
    let lost = site.create_account(7);
    let again = |site: &Site| {
        let create = CreateAccount { account: account(7) };
        code(site.engine.handle(Role::Front, Command::CreateAccount(create)))
    };
    // Front died before its commit and starts again; keyd lives on.
    site.load(vec![]);
    let root = site.create_account(7);
    site.load(vec![root.descriptor.clone().unwrap()]);
    assert_eq!(again(&site), "Forbidden", "front has stored it");
    assert_eq!(code(site.authenticate(site.query(&root, "sts", CALLER))), "ok");
    assert_ne!(lost.credentials.access_key_id, root.credentials.access_key_id);
    // Both die.
    let site = Site::new();
    site.create_account(7);
    let restarted = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    restarted.load(vec![]);
    assert_eq!(again(&restarted), "ok");
}

#[test]
fn access_key_that_is_inactive_deleted_or_ended_signs_nothing() {
    let site = Site::new();
    let root = site.create_account(111_122_223_333);
    let (user, ann) = site.create_user(&root, "ann");
    let id = ann.credentials.access_key_id.clone();
    let set = |status: &str, current: &[u8]| {
        let form = format!(
            "Action=UpdateAccessKey&Version=2010-05-08&AccessKeyId={id}&Status={status}&UserName=ann"
        );
        site.seal(site.query(&root, "iam", &form), |s| s.current = Some(current.to_vec()))
    };
    let try_it = || code(site.authenticate(site.query(&ann, "sts", CALLER)));
    let first = ann.descriptor.clone().unwrap();
    assert_eq!(try_it(), "ok");
    let inactive = set("Inactive", &first).unwrap().descriptors.remove(0);
    assert_eq!(try_it(), "InvalidClientTokenId");
    assert_eq!(code(set("Active", &first)), "Forbidden", "the old descriptor put back");
    site.load(vec![user, first.clone()]);
    assert_eq!(try_it(), "InvalidClientTokenId", "the old descriptor loaded again");
    set("Active", &inactive).unwrap();
    assert_eq!(try_it(), "ok");
    let end = End::AccessKey(id.parse().unwrap());
    site.engine.handle(Role::Front, Command::End(end)).unwrap();
    assert_eq!(try_it(), "InvalidClientTokenId");
}

#[test]
fn descriptor_of_another_account_changes_nothing() {
    let site = Site::new();
    let (mine, theirs) = (site.create_account(1), site.create_account(2));
    let (their_user, their_key) = site.create_user(&theirs, "ann");
    let (my_user, _) = site.create_user(&mine, "ann");
    let form = "Action=DeleteUser&Version=2010-05-08&UserName=ann";
    let delete = |user: &[u8]| {
        site.seal(site.query(&mine, "iam", form), |s| s.current = Some(user.to_vec()))
    };
    assert_eq!(code(delete(&their_user)), "Forbidden");
    assert_eq!(site.last_record(), ("iam:DeleteUser".to_owned(), "Forbidden".to_owned()));
    assert!(delete(&my_user).is_ok());
    assert_eq!(code(site.authenticate(site.query(&their_key, "sts", CALLER))), "ok");
    let form = "Action=CreateAccessKey&Version=2010-05-08&UserName=ann";
    let stolen = site.issue(site.query(&mine, "iam", form), Some(&their_user), true);
    assert_eq!(code(stolen), "Forbidden");
}

#[test]
fn unique_id_created_in_another_account_carries_no_credential_over() {
    let site = Site::new();
    let (mine, theirs) =
        (site.create_account(111_122_223_333), site.create_account(444_455_556_666));
    let (user, ann) = site.create_user(&mine, "ann");
    let writ_keyd_client::descriptor::Descriptor::User(sealed) =
        writ_keyd_client::descriptor::peek(&user).unwrap()
    else {
        panic!("no user")
    };
    // Front withholds the user from a keyd that has just started, and has the other account make it.
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    again.load(vec![theirs.descriptor.clone().unwrap(), ann.descriptor.clone().unwrap()]);
    again.advance(Duration::from_secs(1));
    let form = "Action=CreateUser&Version=2010-05-08&UserName=eve";
    let id = sealed.unique_id.clone();
    again.seal(again.query(&theirs, "iam", form), |s| s.new_id = Some(id)).unwrap();
    let answer = again.authenticate(again.query(&ann, "sts", CALLER));
    assert_eq!(code(answer), "InvalidClientTokenId");
    again.load(vec![user]);
    let answer = again.authenticate(again.query(&ann, "sts", CALLER));
    assert_eq!(code(answer), "InvalidClientTokenId", "nor when the user is loaded after all");
}

#[test]
fn name_is_taken_once_across_paths_and_cases() {
    let site = Site::new();
    let root = site.create_account(1);
    let create = |name: &str, path: &str| {
        let form = format!("Action=CreateUser&Version=2010-05-08&UserName={name}&Path={path}");
        let id = UniqueId::random(UniqueIdKind::User, &*site.env).as_str().to_owned();
        code(site.seal(site.query(&root, "iam", &form), |s| s.new_id = Some(id)))
    };
    assert_eq!(create("ann", "%2F"), "ok");
    assert_eq!(create("ann", "%2Fx%2F"), "EntityAlreadyExists");
    assert_eq!(create("Ann", "%2F"), "EntityAlreadyExists");
    assert_eq!(create("bob", "%2F"), "ok");
}

#[test]
fn user_whose_descriptor_is_withheld_gets_no_key_of_the_root() {
    let site = Site::new();
    let root = site.create_account(1);
    let (_, ann) = site.create_user(&root, "ann");
    let form = "Action=CreateAccessKey&Version=2010-05-08";
    let stolen = site.issue(site.query(&ann, "iam", form), None, true);
    assert_eq!(why(stolen), "the user's descriptor is missing");
}

#[test]
fn handle_is_for_its_own_operation_once_and_for_a_minute() {
    let site = Site::new();
    let root = site.create_account(1);
    let user = "Action=CreateUser&Version=2010-05-08&UserName=ann";
    let handle = || site.authenticate(site.query(&root, "iam", user)).unwrap().handle;
    let issue = |handle| {
        let issue =
            IssueCredential { handle, subject: None, delegated: true, principal_tags: vec![] };
        code(site.engine.handle(Role::Front, Command::IssueCredential(Box::new(issue))))
    };
    assert_eq!(issue(handle()), "Forbidden", "a handle for CreateUser makes no credential");
    let key = "Action=CreateAccessKey&Version=2010-05-08";
    let spent = site.authenticate(site.query(&root, "iam", key)).unwrap().handle;
    assert_eq!(issue(spent), "ok");
    assert_eq!(issue(spent), "Forbidden", "twice");
    let late = site.authenticate(site.query(&root, "iam", key)).unwrap().handle;
    site.advance(Duration::from_secs(61));
    assert_eq!(issue(late), "Forbidden", "too late");
    let ended = site.authenticate(site.query(&root, "iam", key)).unwrap().handle;
    let end = End::AccessKey(root.credentials.access_key_id.parse().unwrap());
    site.engine.handle(Role::Front, Command::End(end)).unwrap();
    assert_eq!(issue(ended), "InvalidClientTokenId", "ended between");
}

#[test]
fn role_is_assumed_only_as_its_sealed_trust_policy_says() {
    let site = Site::new();
    let (mine, theirs) =
        (site.create_account(111_122_223_333), site.create_account(444_455_556_666));
    let (_, ann) = site.create_user(&mine, "ann");
    let (_, eve) = site.create_user(&theirs, "eve");
    let trust = |principal: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
        )
    };
    let direct = site.create_role(&mine, "direct", &trust("arn:aws:iam::111122223333:user/ann"));
    let account = site.create_role(&mine, "account", &trust("111122223333"));
    let crossing =
        site.create_role(&mine, "crossing", &trust("arn:aws:iam::444455556666:user/eve"));
    let form = |role: &str, more: &str| {
        format!(
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2F{role}&RoleSessionName=s1{more}"
        )
    };
    let assume = |who: &Signing, role: &str, sealed: &[u8], delegated: bool, more: &str| {
        site.issue(site.query(who, "sts", &form(role, more)), Some(sealed), delegated)
    };
    type Row<'a> = (&'a str, &'a Signing, &'a str, &'a [u8], bool, &'a str, &'a str);
    let table: [Row<'_>; 10] = [
        ("named", &ann, "direct", &direct, false, "", "ok"),
        ("by the account, identity silent", &ann, "account", &account, false, "", "AccessDenied"),
        ("by the account, identity allows", &ann, "account", &account, true, "", "ok"),
        ("not named", &eve, "direct", &direct, true, "", "AccessDenied"),
        (
            "across accounts, own side silent",
            &eve,
            "crossing",
            &crossing,
            false,
            "",
            "AccessDenied",
        ),
        ("across accounts, both sides", &eve, "crossing", &crossing, true, "", "ok"),
        ("by root", &mine, "account", &account, true, "", "AccessDenied"),
        ("another role's descriptor", &ann, "account", &direct, true, "", "Forbidden"),
        ("too long", &ann, "direct", &direct, false, "&DurationSeconds=7200", "ValidationError"),
        (
            "tags without TagSession",
            &ann,
            "direct",
            &direct,
            false,
            "&Tags.member.1.Key=k&Tags.member.1.Value=v",
            "AccessDenied",
        ),
    ];
    for (name, who, role, sealed, delegated, more, expected) in table {
        assert_eq!(code(assume(who, role, sealed, delegated, more)), expected, "{name}");
    }
    let made = assume(&ann, "account", &account, true, "").unwrap();
    assert!(made.caller.as_ref().unwrap().delegated);
    let session = signing(made);
    let answer = site.authenticate(site.query(&session, "sts", CALLER)).unwrap();
    assert_eq!(answer.caller.arn.as_str(), "arn:aws:sts::111122223333:assumed-role/account/s1");
    site.advance(Duration::from_secs(3601));
    let late = site.authenticate(site.query(&session, "sts", CALLER));
    assert_eq!(code(late), "ExpiredToken");
}

#[test]
fn session_that_is_changed_revoked_or_of_a_deleted_role_is_refused() {
    let site = Site::new();
    let root = site.create_account(111_122_223_333);
    let (_, ann) = site.create_user(&root, "ann");
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ann"},"Action":"sts:AssumeRole"}]}"#;
    let role = site.create_role(&root, "r", trust);
    let form = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fr&RoleSessionName=s1";
    let assume = || signing(site.issue(site.query(&ann, "sts", form), Some(&role), false).unwrap());
    let try_it = |s: &Signing| code(site.authenticate(site.query(s, "sts", CALLER)));
    let mut session = assume();
    assert_eq!(try_it(&session), "ok");

    let other = assume();
    let token =
        session.credentials.session_token.replace(other.credentials.session_token.clone().unwrap());
    assert_eq!(try_it(&session), "InvalidClientTokenId", "another session's token");
    let mut bytes = STANDARD.decode(token.as_ref().unwrap().as_bytes()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    session.credentials.session_token = Some(Zeroizing::new(b64(&bytes)));
    assert_eq!(try_it(&session), "InvalidClientTokenId", "a changed token");
    session.credentials.session_token = token;
    assert_eq!(try_it(&session), "ok");

    let unique = match writ_keyd_client::descriptor::peek(&role).unwrap() {
        writ_keyd_client::descriptor::Descriptor::Role(role) => role.unique_id,
        _ => panic!("not a role"),
    };
    site.advance(Duration::from_secs(1));
    let end = End::Sessions((unique, site.env.now()));
    site.engine.handle(Role::Front, Command::End(end)).unwrap();
    assert_eq!(try_it(&session), "InvalidClientTokenId", "sessions before now are revoked");
    let at_once = assume();
    assert_eq!(try_it(&at_once), "ok", "a session of the very moment is not");
    site.advance(Duration::from_secs(1));
    let later = assume();
    assert_eq!(try_it(&later), "ok", "a later session is not");
    let delete = "Action=DeleteRole&Version=2010-05-08&RoleName=r";
    site.seal(site.query(&root, "iam", delete), |s| s.current = Some(role.clone())).unwrap();
    assert_eq!(try_it(&later), "InvalidClientTokenId", "the role is deleted");
}

#[test]
fn get_session_token_needs_a_long_term_key() {
    let site = Site::new();
    let root = site.create_account(5);
    let (_, ann) = site.create_user(&root, "ann");
    let form = "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900";
    let session = signing(site.issue(site.query(&ann, "sts", form), None, false).unwrap());
    let answer = site.authenticate(site.query(&session, "sts", CALLER)).unwrap();
    assert_eq!(answer.caller.arn.as_str(), "arn:aws:iam::000000000005:user/ann");
    assert!(answer.caller.session.is_some());
    let again = site.issue(site.query(&session, "sts", form), None, false);
    assert_eq!(code(again), "AccessDenied");
    assert_eq!(site.last_record(), ("sts:GetSessionToken".to_owned(), "AccessDenied".to_owned()));
}

#[test]
fn ending_that_cannot_be_remembered_is_refused_in_a_load_too() {
    let site = Site::new();
    let load = |ended: Vec<End>| {
        let load = Load {
            descriptors: vec![],
            ended,
            last: true,
            epoch: Uuid::from_bytes([1; 16]),
            roster: vec![],
        };
        site.engine.handle(Role::Front, Command::Load(load))
    };
    // Each of the two shares its room; customers cannot take that of operators.
    let key = |n: usize| {
        let env = TestEnv::new(NOON, n as u64);
        End::AccessKey(writ_model::AccessKeyId::long_term(account(1), &env))
    };
    let person = |n: usize| {
        let person = format!("p{n}").parse().unwrap();
        End::Person(writ_proof::roster::EnrolmentId { person, number: 1 })
    };
    let principal = |n: usize| End::Principal(n.to_string());
    let sessions = |n: usize| End::Sessions((n.to_string(), NOON));
    let digest = |n: usize| writ_proof::hash::sha256(&n.to_be_bytes());
    let customers = |n: usize| vec![key(n), principal(n), sessions(n)];
    let operators = |n: usize| vec![person(n), End::Entry(digest(n)), End::Grant(digest(n))];
    let fill = |of_each: &dyn Fn(usize) -> Vec<End>, one: &dyn Fn(usize) -> End, room: usize| {
        let mut all: Vec<End> = (0..1000).flat_map(of_each).collect();
        all.extend((1000..room - 2 * 1000).map(one));
        assert_eq!(code(load(all)), "ok");
        assert_eq!(code(load(of_each(7))), "ok", "they are remembered already");
        for another in of_each(room) {
            let end = site.engine.handle(Role::Front, Command::End(another.clone()));
            assert_eq!(code(end), "ServiceUnavailable");
            assert_eq!(code(load(vec![another])), "ServiceUnavailable");
        }
    };
    fill(&customers, &principal, crate::limits::ENDED_MAX);
    fill(&operators, &|n| End::Grant(digest(n)), crate::limits::ENDED_ACCESS_MAX);
}
