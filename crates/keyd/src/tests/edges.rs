//! What is just allowed and what is just refused: each rule of an operation with a request at either
//! side of it.

use super::fas::{data_key, gateway};
use super::use_records::{OWNER, unique_id};
use super::*;

fn iam(form: &str) -> String {
    format!("Version=2010-05-08&Action={form}")
}

#[test]
fn dry_run_looks_at_the_ciphertext_unless_told_not_to() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let key = site.create_key(&root, None);
    let blob = b64(&site.encrypt(&root, &key, b"x"));
    let wrong = json!({ "k": "v" });
    let decrypt = |more: Json| {
        let mut body = json!({ "KeyId": key.id, "CiphertextBlob": blob });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        code(site.use_keys(site.kms(&root, "Decrypt", &body), &[&key], true))
    };
    let ignore = json!(["IGNORE_CIPHERTEXT"]);
    let (dry, invalid) = ("DryRunOperationException", "InvalidCiphertextException");
    let table = [
        (json!({ "DryRun": true }), dry),
        (json!({ "DryRun": true, "EncryptionContext": wrong }), invalid),
        (json!({ "DryRun": true, "EncryptionContext": wrong, "DryRunModifiers": ignore }), dry),
        (json!({ "DryRun": true, "EncryptionContext": wrong, "DryRunModifiers": [] }), invalid),
        (json!({ "DryRun": false, "DryRunModifiers": ignore }), "ok"),
        (
            json!({ "DryRun": false, "EncryptionContext": wrong, "DryRunModifiers": ignore }),
            invalid,
        ),
    ];
    for (more, expected) in table {
        assert_eq!(decrypt(more.clone()), expected, "{more}");
    }
}

#[test]
fn random_bytes_need_fronts_word_and_no_key() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let key = site.create_key(&root, None);
    let random = |body: Json, keys: &[&StoredKey], delegated| {
        code(site.use_keys(site.kms(&root, "GenerateRandom", &body), keys, delegated))
    };
    let eight = || json!({ "NumberOfBytes": 8 });
    assert_eq!(random(eight(), &[], true), "ok");
    assert_eq!(random(eight(), &[], false), "AccessDeniedException");
    assert_eq!(random(eight(), &[&key], true), "AccessDeniedException");
    assert_eq!(random(json!({}), &[], true), "ValidationException");
    let store = json!({ "NumberOfBytes": 8, "CustomKeyStoreId": "cks-1" });
    assert_eq!(random(store, &[], true), "UnsupportedOperationException");
}

#[test]
fn handles_that_were_drawn_side_by_side_spend_one_budget() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (key, s3) = (site.create_key(&root, None), gateway(&site));
    let ticket = site.put(&root, "/b/k", &[]);
    let longer = json!({ "KeyId": key.id, "NumberOfBytes": 64,
        "EncryptionContext": { "aws:s3:arn": "arn:aws:s3:::b/k" } });
    let handles = [data_key(&key, "b/k"), longer].map(|body| {
        let inner = site.inner(&ticket, "GenerateDataKey", &body);
        site.present(site.presented(&s3, &inner)).unwrap().handle
    });
    let spent = handles.map(|handle| code(site.spend(handle, &[&key], true)));
    assert_eq!(spent, ["ok", "AccessDeniedException"]);
}

#[test]
fn platforms_own_account_gets_no_credential() {
    let site = Site::new();
    let create = CreateAccount { account: AccountId::PLATFORM };
    let result = site.engine.handle(Role::Front, Command::CreateAccount(create));
    assert_eq!(why(result), "the platform's own account is no customer's");
}

#[test]
fn session_token_with_a_second_factor_is_refused() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let get = |more: &str| {
        let form = format!("Action=GetSessionToken&Version=2011-06-15{more}");
        why(site.issue(site.query(&root, "sts", &form), None, false))
    };
    let refused = "MultiFactorAuthentication failed with invalid MFA one time pass code.";
    let serial = "&SerialNumber=arn%3Aaws%3Aiam%3A%3A111122223333%3Amfa%2Fann";
    assert_eq!(get(""), "ok");
    for more in [serial, "&TokenCode=123456", &format!("{serial}&TokenCode=123456")] {
        assert_eq!(get(more), refused, "{more}");
    }
}

#[test]
fn access_key_is_made_for_the_user_of_the_request_alone() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (ann_user, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    let (bob_user, _) = site.create_user_of(&root, "bob", unique_id("AIDA", "bob"));
    let (gone, _) = site.create_user_of(&root, "gone", unique_id("AIDA", "gone"));
    let delete = site.query(&root, "iam", &iam("DeleteUser&UserName=gone"));
    let gone = site.seal(delete, |seal| seal.current = Some(gone)).unwrap().descriptors.remove(0);
    let role = site.create_role(&root, "r", &open_trust());
    let other = "the descriptor is not that of the user in the request";
    let missing = "the user's descriptor is missing";
    type Row<'a> = (&'a str, &'a Signing, &'a str, Option<&'a [u8]>, &'a str);
    let table: [Row<'_>; 11] = [
        ("root, for itself", &root, "", None, "ok"),
        ("root, for a user", &root, "ann", Some(&ann_user), "ok"),
        ("in another case", &root, "ANN", Some(&ann_user), "ok"),
        ("root, the user left out", &root, "ann", None, missing),
        ("root, nobody named", &root, "", Some(&ann_user), other),
        ("root, another user", &root, "ann", Some(&bob_user), other),
        ("root, a deleted user", &root, "gone", Some(&gone), other),
        ("root, no user", &root, "r", Some(&role), "the subject is not a user"),
        ("a user, for herself", &ann, "", Some(&ann_user), "ok"),
        ("a user, another put in her place", &ann, "", Some(&bob_user), other),
        ("a user, for another", &ann, "bob", Some(&bob_user), "ok"),
    ];
    for (name, who, user, subject, expected) in table {
        let named = if user.is_empty() { String::new() } else { format!("&UserName={user}") };
        let request = site.query(who, "iam", &iam(&format!("CreateAccessKey{named}")));
        assert_eq!(why(site.issue(request, subject, true)), expected, "{name}");
    }
    let request = site.query(&ann, "iam", &iam("CreateAccessKey"));
    assert_eq!(
        why(site.issue(request, Some(&ann_user), false)),
        "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: \
         iam:CreateAccessKey on resource: user ann",
        "front says no"
    );
}

fn open_trust() -> String {
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}]}"#.to_owned()
}

#[test]
fn access_key_is_changed_for_its_owner_by_the_owners_name() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (_, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    let (_, bob) = site.create_user_of(&root, "bob", unique_id("AIDA", "bob"));
    let other = "the descriptor is not that of the access key in the request";
    let change = |who: &Signing, key: &Signing, named: &Signing, user: &str| {
        let user = if user.is_empty() { String::new() } else { format!("&UserName={user}") };
        let id = &named.credentials.access_key_id;
        let form = iam(&format!("UpdateAccessKey&AccessKeyId={id}&Status=Active{user}"));
        let current = key.descriptor.clone();
        why(site.seal(site.query(who, "iam", &form), |seal| seal.current = current))
    };
    // What is refused first: an allowed change makes the descriptor old.
    type Row<'a> = (&'a str, &'a Signing, &'a Signing, &'a Signing, &'a str, &'a str);
    let table: [Row<'_>; 9] = [
        ("a user's, by nobody's name", &root, &ann, &ann, "", other),
        ("a user's, by another's", &root, &ann, &ann, "bob", other),
        ("another key than named", &root, &ann, &bob, "ann", other),
        ("another's own", &ann, &bob, &bob, "", other),
        ("root's, by a user", &ann, &root, &root, "", other),
        ("root's, by a name", &root, &root, &root, "ann", other),
        ("a user's own", &ann, &ann, &ann, "", "ok"),
        ("a user's, by its name", &root, &bob, &bob, "BOB", "ok"),
        ("root's own", &root, &root, &root, "", "ok"),
    ];
    for (name, who, key, named, user, expected) in table {
        assert_eq!(change(who, key, named, user), expected, "{name}");
    }
}

#[test]
fn new_unique_id_is_of_its_kind_and_new() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    site.create_role_of(&root, "r", &open_trust(), unique_id("AROA", "r"));
    let trust = writ_aws::sigv4::encode::encode(open_trust().as_bytes());
    let role = format!("CreateRole&RoleName=x&AssumeRolePolicyDocument={trust}");
    let create = |form: &str, id: Option<String>| {
        code(site.seal(site.query(&root, "iam", &iam(form)), |seal| seal.new_id = id))
    };
    let user = "CreateUser&UserName=x";
    for (form, id, expected) in [
        (user, None, "Forbidden"),
        (user, Some("AIDA".to_owned()), "Forbidden"),
        (user, Some(unique_id("AROA", "x")), "Forbidden"),
        (user, Some(unique_id("AIDA", "ann")), "Forbidden"),
        (user, Some(unique_id("AIDA", "r")), "ok"),
        (&role, Some(unique_id("AIDA", "x")), "Forbidden"),
        (&role, Some(unique_id("AROA", "r")), "Forbidden"),
        (&role, Some(unique_id("AROA", "ann")), "ok"),
    ] {
        assert_eq!(create(form, id.clone()), expected, "{form} {id:?}");
    }
}

#[test]
fn user_or_role_is_changed_by_its_own_name_while_it_lives() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (mut user, ann) = site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    site.create_user_of(&root, "bob", unique_id("AIDA", "bob"));
    let mut role = site.create_role_of(&root, "r", &open_trust(), unique_id("AROA", "r"));
    let key = ann.descriptor.clone().unwrap();
    let change = |current: &[u8], form: &str| {
        let current = Some(current.to_vec());
        let request = site.query(&root, "iam", &iam(form));
        site.seal(request, |seal| seal.current = current)
            .map(|mut sealed| sealed.descriptors.remove(0))
    };
    let other = "the descriptor is not that of the user in the request";
    assert_eq!(why(change(&user, "UpdateUser&UserName=bob&NewPath=%2Fx%2F")), other);
    assert_eq!(why(change(&user, "DeleteUser&UserName=bob")), other);
    let not = "the current descriptor is not a user's";
    assert_eq!(why(change(&role, "DeleteUser&UserName=r")), not);
    let taken = why(change(&user, "UpdateUser&UserName=ann&NewUserName=BOB"));
    assert_eq!(taken, "User with name BOB already exists.");
    user = change(&user, "UpdateUser&UserName=ANN&NewUserName=Ann").unwrap();
    user = change(&user, "DeleteUser&UserName=ann").unwrap();
    assert_eq!(why(change(&user, "UpdateUser&UserName=ann&NewPath=%2Fx%2F")), other, "deleted");

    let other = "the descriptor is not that of the role in the request";
    assert_eq!(why(change(&role, "DeleteRole&RoleName=x")), other);
    assert_eq!(why(change(&role, "UpdateRole&RoleName=x&Description=d")), other);
    let not = "the current descriptor is not a role's";
    assert_eq!(why(change(&user, "DeleteRole&RoleName=ann")), not);
    role = change(&role, "DeleteRole&RoleName=R").unwrap();
    let gone = why(change(&role, "UpdateRole&RoleName=r&MaxSessionDuration=7200"));
    assert_eq!(gone, "the role is deleted");

    let id = &ann.credentials.access_key_id;
    let not = "the current descriptor is not an access key's";
    let delete = format!("DeleteAccessKey&AccessKeyId={id}&UserName=ann");
    assert_eq!(why(change(&role, &delete)), not);
    let key = change(&key, &delete).unwrap();
    assert_eq!(why(change(&key, &delete)), "the access key is deleted");
}

#[test]
fn trust_policy_is_read_up_to_its_limit() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let max = crate::limits::TRUST_POLICY_MAX_CHARS;
    let create = |name: &str, trust: &str| {
        let trust = writ_aws::sigv4::encode::encode(trust.as_bytes());
        let form = iam(&format!("CreateRole&RoleName={name}&AssumeRolePolicyDocument={trust}"));
        let id = UniqueId::random(UniqueIdKind::Role, &*site.env).as_str().to_owned();
        code(site.seal(site.query(&root, "iam", &form), |seal| seal.new_id = Some(id)))
    };
    let padded = |chars: usize| format!("{:<chars$}", open_trust());
    assert_eq!(create("a", &padded(max)), "ok");
    assert_eq!(create("b", &padded(max + 1)), "LimitExceeded");
    assert_eq!(create("b", &padded(max + 2)), "LimitExceeded");
    assert_eq!(create("b", "{}x"), "MalformedPolicyDocument");
    let nobody = open_trust().replace("111122223333", "arn:aws:iam::111122223333:user/nobody");
    assert_eq!(create("b", &nobody), "MalformedPolicyDocument");
    assert_eq!(create("A", &open_trust()), "EntityAlreadyExists");
}

#[test]
fn key_policy_is_read_up_to_its_limit_and_has_one_name() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let key = site.create_key(&root, None);
    let max = crate::limits::KEY_POLICY_MAX_BYTES;
    let put = |bytes: usize, name: &str| {
        let policy = format!("{:<bytes$}", key.policy);
        let body = json!({ "KeyId": key.id, "PolicyName": name, "Policy": policy });
        code(site.change_key(&root, &key, "PutKeyPolicy", &body))
    };
    assert_eq!(put(max + 1, "default"), "LimitExceededException");
    assert_eq!(put(max + 2, "default"), "LimitExceededException");
    assert_eq!(put(0, "another"), "NotFoundException");
    assert_eq!(put(max, "default"), "ok");
}

#[test]
fn key_of_another_account_or_name_is_not_changed() {
    let site = Site::new();
    let (mine, theirs) = (site.create_account(OWNER), site.create_account(444_455_556_666));
    let open = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}"#;
    let (key, other) = (site.create_key(&mine, Some(open)), site.create_key(&mine, None));
    let arn = format!("arn:aws:kms:us-east-1:{OWNER}:key/{}", key.id);
    let disable = |who: &Signing, keys: Vec<UsedKey>| {
        let request = site.kms(who, "DisableKey", &json!({ "KeyId": arn }));
        why(site.seal(request, |seal| seal.keys = keys))
    };
    let account = "the current descriptor belongs to another account";
    assert_eq!(disable(&theirs, vec![key.used()]), account);
    let named = "the descriptor is not that of the key in the request";
    assert_eq!(disable(&mine, vec![other.used()]), named);
    let missing = "the key that changes is missing";
    assert_eq!(disable(&mine, vec![]), missing);
    assert_eq!(disable(&mine, vec![key.used(), key.used()]), missing);
    let all = "the tokens of all backing keys must come";
    assert_eq!(disable(&mine, vec![UsedKey { tokens: vec![], ..key.used() }]), all);
    assert_eq!(disable(&mine, vec![key.used()]), "ok");
}

#[test]
fn key_of_a_kind_that_writ_does_not_make_is_refused() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let refused = "UnsupportedOperationException";
    for (body, expected) in [
        (json!({ "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT" }), "ok"),
        (json!({ "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "Origin": "AWS_KMS" }), "ok"),
        (json!({ "MultiRegion": false }), "ok"),
        (json!({ "KeySpec": "RSA_2048" }), refused),
        (json!({ "CustomerMasterKeySpec": "RSA_2048" }), refused),
        (json!({ "KeyUsage": "SIGN_VERIFY" }), refused),
        (json!({ "Origin": "EXTERNAL" }), refused),
        (json!({ "MultiRegion": true }), refused),
        (json!({ "CustomKeyStoreId": "cks-1" }), refused),
        (json!({ "XksKeyId": "x" }), refused),
    ] {
        let id = Uuid::random(&*site.env).to_string();
        let request = site.kms(&root, "CreateKey", &body);
        assert_eq!(code(site.seal(request, |seal| seal.new_id = Some(id))), expected, "{body}");
    }
}

#[test]
fn policy_sees_whether_the_lockout_check_is_bypassed() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let text = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},
        {"Effect":"Deny","Principal":"*","Action":"kms:PutKeyPolicy","Resource":"*",
         "Condition":{"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"true"}}}]}"#;
    let key = site.create_key(&root, Some(text));
    for (bypass, expected) in [(true, "AccessDeniedException"), (false, "ok")] {
        let body =
            json!({ "KeyId": key.id, "Policy": text, "BypassPolicyLockoutSafetyCheck": bypass });
        assert_eq!(code(site.change_key(&root, &key, "PutKeyPolicy", &body)), expected, "{bypass}");
    }
}

#[test]
fn alias_has_a_name_of_its_form_and_a_key_that_is_there() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (key, off) = (site.create_key(&root, None), site.create_key(&root, None));
    let id = json!({ "KeyId": off.id });
    let off = site.change_key(&root, &off, "ScheduleKeyDeletion", &id).unwrap();
    let create = |name: &str, target: &str, key: &StoredKey| {
        let body = json!({ "AliasName": name, "TargetKeyId": target });
        let request = site.kms(&root, "CreateAlias", &body);
        code(site.seal(request, |seal| seal.keys = vec![key.used()]))
    };
    // The models refuse a name of another alphabet before; then there is no handle.
    for (name, expected) in [
        ("alias/a/b_c-d:1", "ok"),
        ("alias/", "InvalidAliasNameException"),
        ("prod", "InvalidAliasNameException"),
        ("alias/a b", "Forbidden"),
        ("alias/aws/x", "NotAuthorizedException"),
        ("alias/awsx", "ok"),
    ] {
        assert_eq!(create(name, &key.id, &key), expected, "{name}");
    }
    let free = Uuid::random(&*site.env).to_string();
    assert_eq!(create("alias/n", &free, &key), "NotFoundException");
    assert_eq!(create("alias/n", &off.id, &off), "KMSInvalidStateException");
    assert_eq!(create("alias/n", &key.id, &off), "Forbidden");
    let update = json!({ "AliasName": "alias/none", "TargetKeyId": key.id });
    let request = site.kms(&root, "UpdateAlias", &update);
    assert_eq!(code(site.seal(request, |seal| seal.keys = vec![key.used()])), "NotFoundException");
    let delete = json!({ "AliasName": "alias/none" });
    let request = site.kms(&root, "DeleteAlias", &delete);
    assert_eq!(code(site.seal(request, |_| {})), "NotFoundException");
}

#[test]
fn alias_leaves_a_key_that_is_to_be_deleted_and_dies_with_it() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let [key, other] = [(); 2].map(|()| site.create_key(&root, None));
    let alias = |operation: &str, body: Json, keys: &[&StoredKey]| {
        let keys = keys.iter().map(|key| key.used()).collect();
        code(site.seal(site.kms(&root, operation, &body), |seal| seal.keys = keys))
    };
    let to = |key: &StoredKey| json!({ "AliasName": "alias/n", "TargetKeyId": key.id });
    assert_eq!(alias("CreateAlias", to(&key), &[&key]), "ok");
    let schedule = json!({ "KeyId": key.id });
    let key = site.change_key(&root, &key, "ScheduleKeyDeletion", &schedule).unwrap();
    assert_eq!(alias("UpdateAlias", to(&other), &[&other, &key]), "ok", "away from it");
    assert_eq!(alias("UpdateAlias", to(&key), &[&key, &other]), "KMSInvalidStateException");
    let schedule = json!({ "KeyId": other.id });
    let other = site.change_key(&root, &other, "ScheduleKeyDeletion", &schedule).unwrap();
    assert_eq!(alias("DeleteAlias", json!({ "AliasName": "alias/n" }), &[&other]), "ok");
}

#[test]
fn key_policy_decides_on_what_the_key_and_the_use_are() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    site.create_user_of(&root, "ann", unique_id("AIDA", "ann"));
    let (_, bob) = site.create_user_of(&root, "bob", unique_id("AIDA", "bob"));
    let any = "ForAnyValue:StringEquals";
    let (equals, boolean, refused) = ("StringEquals", "Bool", "AccessDeniedException");
    let table = [
        (equals, "aws:ResourceAccount", "111122223333", "ok"),
        (equals, "aws:ResourceAccount", "444455556666", refused),
        (equals, "kms:CallerAccount", "111122223333", "ok"),
        (equals, "kms:CallerAccount", "444455556666", refused),
        (equals, "kms:KeyOrigin", "AWS_KMS", "ok"),
        (equals, "kms:KeyOrigin", "EXTERNAL", refused),
        (equals, "kms:KeySpec", "SYMMETRIC_DEFAULT", "ok"),
        (equals, "kms:KeySpec", "RSA_2048", refused),
        (equals, "kms:KeyUsage", "ENCRYPT_DECRYPT", "ok"),
        (equals, "kms:KeyUsage", "SIGN_VERIFY", refused),
        (boolean, "kms:MultiRegion", "false", "ok"),
        (boolean, "kms:MultiRegion", "true", refused),
        (equals, "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT", "ok"),
        (equals, "kms:EncryptionAlgorithm", "RSAES_OAEP_SHA_1", refused),
        (equals, "kms:EncryptionContext:tenant", "a", "ok"),
        (equals, "kms:EncryptionContext:tenant", "b", refused),
        (any, "kms:EncryptionContextKeys", "tenant", "ok"),
        (any, "kms:EncryptionContextKeys", "a", refused),
        (equals, "aws:PrincipalArn", "arn:aws:iam::111122223333:user/bob", "ok"),
        (equals, "aws:PrincipalArn", "arn:aws:iam::111122223333:user/ann", refused),
    ];
    for (operator, name, value, expected) in table {
        let administer = json!({ "Effect": "Allow", "Principal": { "AWS": "111122223333" },
            "Action": "kms:Put*", "Resource": "*" });
        let only = json!({ "Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*",
            "Principal": { "AWS": "arn:aws:iam::111122223333:user/bob" },
            "Condition": { operator: { name: value } } });
        let policy = json!({ "Version": "2012-10-17", "Statement": [administer, only] });
        let key = site.create_key(&root, Some(&policy.to_string()));
        let context = json!({ "tenant": "a" });
        let body = json!({ "KeyId": key.id, "Plaintext": "AAAA", "EncryptionContext": context });
        let result = site.use_keys(site.kms(&bob, "Encrypt", &body), &[&key], false);
        assert_eq!(code(result), expected, "{name} {value}");
    }
}
