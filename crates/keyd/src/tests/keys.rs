//! Keys: only as signed, only as the sealed policy says, only with the newest descriptor.

use super::*;
use writ_keyd_client::descriptor::{Descriptor, peek};

const OWNER: u64 = 111_122_223_333;

/// One account with a key of the default policy.
fn setup() -> (Site, Signing, StoredKey) {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let key = site.create_key(&root, None);
    (site, root, key)
}

fn decrypt(site: &Site, signer: &Signing, key: &StoredKey, body: &Json) -> Result<Used, Refusal> {
    site.use_keys(site.kms(signer, "Decrypt", body), &[key], true)
}

fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

/// The account may administer, and `more` says who may use.
fn all_used(keys: &[&StoredKey]) -> Vec<UsedKey> {
    keys.iter().map(|key| key.used()).collect()
}

fn with_admin(more: &str) -> String {
    policy(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"111122223333"}},"Action":["kms:Put*","kms:Enable*","kms:Disable*","kms:Schedule*"],"Resource":"*"}},{more}"#
    ))
}

#[test]
fn decrypt_gives_back_what_encrypt_took_and_both_are_recorded() {
    let (site, root, key) = setup();
    let context = json!({ "tenant": "a" });
    let body = json!({ "KeyId": key.id, "Plaintext": b64(b"attack at dawn"), "EncryptionContext": context });
    let used = site.use_keys(site.kms(&root, "Encrypt", &body), &[&key], true).unwrap();
    assert_eq!(used.basis, ["delegated"]);
    let blob = used.ciphertext.unwrap();
    let body = json!({ "CiphertextBlob": b64(&blob), "EncryptionContext": context });
    let back = decrypt(&site, &root, &key, &body).unwrap();
    assert_eq!(back.plaintext.unwrap().expose(), b"attack at dawn");
    assert_eq!(site.last_record(), ("kms:Decrypt".to_owned(), "ok".to_owned()));
    let records = site.records();
    let What::Use(last) = &records.last().unwrap().what else { panic!("no use") };
    assert_eq!(back.position.seq, records.last().unwrap().seq);
    let named = last.key.as_ref().unwrap().to_string();
    assert_eq!(named, format!("arn:aws:kms:us-east-1:{OWNER}:key/{}", key.id));
}

#[test]
fn decrypt_with_another_context_or_blob_says_nothing() {
    let (site, root, key) = setup();
    let body = json!({ "KeyId": key.id, "Plaintext": "AAAA", "EncryptionContext": { "k": "v" } });
    let used = site.use_keys(site.kms(&root, "Encrypt", &body), &[&key], true).unwrap();
    let blob = used.ciphertext.unwrap();
    let mut flipped = blob.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut foreign = blob.clone();
    foreign[4] ^= 1;
    let table: [(&str, &[u8], Json); 5] = [
        ("no context", &blob, json!({})),
        ("another value", &blob, json!({ "k": "w" })),
        ("another case", &blob, json!({ "K": "v" })),
        ("flipped bit", &flipped, json!({ "k": "v" })),
        ("another domain", &foreign, json!({ "k": "v" })),
    ];
    for (name, blob, context) in table {
        let body =
            json!({ "KeyId": key.id, "CiphertextBlob": b64(blob), "EncryptionContext": context });
        match decrypt(&site, &root, &key, &body) {
            Err(Refusal::Aws(refusal)) => {
                assert_eq!(refusal.code, "InvalidCiphertextException", "{name}");
                assert_eq!(refusal.message, "", "{name}");
            }
            _ => panic!("{name}: opened"),
        }
    }
}

#[test]
fn blob_of_one_key_never_opens_under_another() {
    let (site, root, key) = setup();
    let other = site.create_key(&root, None);
    let blob = site.encrypt(&root, &key, b"x");
    let body = json!({ "KeyId": other.id, "CiphertextBlob": b64(&blob) });
    assert_eq!(code(decrypt(&site, &root, &other, &body)), "IncorrectKeyException");
    let body = json!({ "CiphertextBlob": b64(&blob) });
    assert_eq!(code(decrypt(&site, &root, &other, &body)), "Forbidden", "front gives another key");
    assert_eq!(code(decrypt(&site, &root, &key, &body)), "ok");
}

#[test]
fn front_that_swaps_key_token_policy_or_count_gains_nothing() {
    let (site, root, key) = setup();
    let other = site.create_key(&root, None);
    let body = json!({ "KeyId": key.id, "Plaintext": "AAAA" });
    let cheat = |keys: &[&StoredKey]| {
        let result = site.use_keys(site.kms(&root, "Encrypt", &body), keys, true);
        let record = site.last_record();
        assert_eq!(record, ("kms:Encrypt".to_owned(), "Forbidden".to_owned()), "recorded");
        why(result)
    };
    let not_asked = "the descriptor is not that of the key in the request";
    assert_eq!(cheat(&[&other]), not_asked);
    let count = "as many keys must come as the operation names";
    assert_eq!(cheat(&[]), count);
    assert_eq!(cheat(&[&key, &key]), count);
    let with_token = StoredKey { tokens: other.tokens.clone(), ..key.clone() };
    let open = policy(r#"{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}"#);
    let with_policy = StoredKey { policy: open, ..key.clone() };
    assert_eq!(cheat(&[&with_policy]), "the policy is not the one that is sealed to the key");
    let mut forged = key.clone();
    forged.descriptor[20] ^= 1;
    assert_eq!(cheat(&[&forged]), "the descriptor is not sealed here");
    // A keyd that has just started has unwrapped nothing: a wrong token must open then.
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    let descriptors = [root.descriptor.as_ref(), Some(&key.descriptor), Some(&other.descriptor)];
    again.load(descriptors.into_iter().flatten().cloned().collect());
    again.advance(Duration::from_secs(1));
    let swapped = again.use_keys(again.kms(&root, "Encrypt", &body), &[&with_token], true);
    assert_eq!(why(swapped), "the token does not belong to the key");
    let id = json!({ "KeyId": key.id });
    let resealed = again.change_key(&root, &with_token, "DisableKey", &id);
    assert_eq!(
        resealed.map(|_| ()).map_err(|r| why::<()>(Err(r))),
        Err("a token does not belong to the key".to_owned())
    );
    assert!(again.change_key(&root, &key, "DisableKey", &id).is_ok(), "its own");
}

#[test]
fn old_descriptor_or_policy_put_back_is_refused() {
    let (site, root, key) = setup();
    let blob = site.encrypt(&root, &key, b"x");
    let body = json!({ "CiphertextBlob": b64(&blob) });
    let off = site.change_key(&root, &key, "DisableKey", &json!({ "KeyId": key.id })).unwrap();
    assert_eq!(code(decrypt(&site, &root, &off, &body)), "DisabledException");
    assert_eq!(code(decrypt(&site, &root, &key, &body)), "Forbidden", "the enabled descriptor");
    let on = site.change_key(&root, &off, "EnableKey", &json!({ "KeyId": key.id })).unwrap();
    assert_eq!(code(decrypt(&site, &root, &on, &body)), "ok");
    let nobody =
        with_admin(r#"{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}"#);
    let put = json!({ "KeyId": key.id, "Policy": nobody, "BypassPolicyLockoutSafetyCheck": true });
    let narrow = site.change_key(&root, &on, "PutKeyPolicy", &put).unwrap();
    assert_eq!(code(decrypt(&site, &root, &narrow, &body)), "AccessDeniedException");
    assert_eq!(code(decrypt(&site, &root, &on, &body)), "Forbidden", "the wider policy put back");
    let mixed = StoredKey { policy: on.policy.clone(), ..narrow.clone() };
    assert_eq!(code(decrypt(&site, &root, &mixed, &body)), "Forbidden", "its text alone");
    // A restart of front that loads the old one changes nothing while keyd runs.
    site.load(vec![on.descriptor.clone()]);
    assert_eq!(code(decrypt(&site, &root, &on, &body)), "Forbidden");
}

#[test]
fn key_policy_decides_whatever_front_says() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (_, ann) = site.create_user(&root, "ann");
    let (_, bob) = site.create_user(&root, "bob");
    let foreign = site.create_account(444_455_556_666);
    let ann_only = with_admin(
        r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ann"},"Action":"kms:Encrypt","Resource":"*"}"#,
    );
    let account = with_admin(
        r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:Encrypt","Resource":"*"}"#,
    );
    let undelegated = with_admin(
        r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:Encrypt","Resource":"*"},
           {"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"Bool":{"writ:Delegated":"true"}}}"#,
    );
    let elsewhere = with_admin(
        r#"{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}"#,
    );
    let by_context = with_admin(
        r#"{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:tenant":"a"}}}"#,
    );
    let table: [(&str, &str, &Signing, bool, &str, &str); 12] = [
        ("named", &ann_only, &ann, false, "", "ok"),
        ("not named, forged delegation", &ann_only, &bob, true, "", "AccessDeniedException"),
        ("account, front silent", &account, &ann, false, "", "AccessDeniedException"),
        ("account, front allows", &account, &ann, true, "", "ok"),
        ("account, a foreign caller", &account, &foreign, true, "", "AccessDeniedException"),
        ("delegation refused by policy", &undelegated, &ann, true, "", "AccessDeniedException"),
        ("another network", &elsewhere, &ann, true, "", "AccessDeniedException"),
        ("right context", &by_context, &ann, false, "a", "ok"),
        ("wrong context", &by_context, &ann, true, "b", "AccessDeniedException"),
        ("no context", &by_context, &ann, true, "", "AccessDeniedException"),
        (
            "open to all, foreign, own side silent",
            &by_context,
            &foreign,
            false,
            "a",
            "AccessDeniedException",
        ),
        ("open to all, foreign, both sides", &by_context, &foreign, true, "a", "ok"),
    ];
    for (name, policy, who, delegated, tenant, expected) in table {
        let key = site.create_key(&root, Some(policy));
        let arn = format!("arn:aws:kms:us-east-1:{OWNER}:key/{}", key.id);
        let mut body = json!({ "KeyId": arn, "Plaintext": "AAAA" });
        if !tenant.is_empty() {
            body["EncryptionContext"] = json!({ "tenant": tenant });
        }
        let result = site.use_keys(site.kms(who, "Encrypt", &body), &[&key], delegated);
        assert_eq!(code(result), expected, "{name}");
    }
}

#[test]
fn alias_means_what_the_catalogue_says() {
    let (site, root, key) = setup();
    let other = site.create_key(&root, None);
    let alias = |operation: &str, body: &Json, keys: &[&StoredKey]| {
        site.seal(site.kms(&root, operation, body), |s| s.keys = all_used(keys))
    };
    let to = |key: &StoredKey| json!({ "AliasName": "alias/prod", "TargetKeyId": key.id });
    alias("CreateAlias", &to(&key), &[&key]).unwrap();
    assert_eq!(code(alias("CreateAlias", &to(&key), &[&key])), "AlreadyExistsException");
    let body = json!({ "KeyId": "alias/prod", "Plaintext": "AAAA" });
    let encrypt =
        |key: &StoredKey| code(site.use_keys(site.kms(&root, "Encrypt", &body), &[key], true));
    assert_eq!(encrypt(&key), "ok");
    assert_eq!(encrypt(&other), "Forbidden", "front swaps what the alias means");
    let old = alias("UpdateAlias", &to(&other), &[&other, &key]).unwrap();
    assert!(matches!(peek(&old.descriptors[0]), Ok(Descriptor::Alias(a)) if a.revision == 2));
    assert_eq!((encrypt(&key), encrypt(&other)), ("Forbidden".to_owned(), "ok".to_owned()));
    alias("DeleteAlias", &json!({ "AliasName": "alias/prod" }), &[&other]).unwrap();
    assert_eq!(encrypt(&other), "NotFoundException");
    let reserved = json!({ "AliasName": "alias/aws/s3", "TargetKeyId": key.id });
    assert_eq!(code(alias("CreateAlias", &reserved, &[&key])), "NotAuthorizedException");
    let victim = site.create_account(444_455_556_666);
    let foreign = site.kms(&victim, "CreateAlias", &json!({
        "AliasName": "alias/x", "TargetKeyId": format!("arn:aws:kms:us-east-1:{OWNER}:key/{}", key.id)
    }));
    let stolen = site.seal(foreign, |s| s.keys = all_used(&[&key]));
    assert_eq!(code(stolen), "NotFoundException");
}

#[test]
fn alias_moves_only_if_the_policies_of_both_keys_allow_it() {
    let (site, root, key) = setup();
    let kept = with_admin(
        r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*Alias","Resource":"*"},
           {"Effect":"Deny","Principal":"*","Action":"kms:UpdateAlias","Resource":"*","Condition":{"StringEquals":{"kms:KeyOrigin":"AWS_KMS"}}}"#,
    );
    let kept = site.create_key(&root, Some(&kept));
    let to = |key: &StoredKey| json!({ "AliasName": "alias/prod", "TargetKeyId": key.id });
    let alias = |operation: &str, target: &StoredKey, keys: &[&StoredKey]| {
        let request = site.kms(&root, operation, &to(target));
        site.seal(request, |s| s.keys = all_used(keys))
    };
    alias("CreateAlias", &kept, &[&kept]).unwrap();
    let update = |keys: &[&StoredKey]| code(alias("UpdateAlias", &key, keys));
    assert_eq!(update(&[&key, &kept]), "AccessDeniedException");
    assert_eq!(update(&[&key]), "Forbidden", "front leaves the old key out");
    assert_eq!(update(&[&key, &key]), "Forbidden", "front puts another in its place");
}

#[test]
fn key_policy_means_the_user_that_it_was_written_for() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (user, alice) = site.create_user(&root, "alice");
    let statement = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"kms:Encrypt","Resource":"*"}"#;
    let key = site.create_key(&root, Some(&with_admin(statement)));
    let encrypt = |who: &Signing| {
        let body = json!({ "KeyId": format!("arn:aws:kms:us-east-1:{OWNER}:key/{}", key.id), "Plaintext": "AAAA" });
        code(site.use_keys(site.kms(who, "Encrypt", &body), &[&key], false))
    };
    assert_eq!(encrypt(&alice), "ok");
    let form = "Action=UpdateUser&Version=2010-05-08&UserName=alice&NewUserName=alicia";
    site.seal(site.query(&root, "iam", form), |s| s.current = Some(user)).unwrap();
    let (_, another) = site.create_user(&root, "alice");
    assert_eq!(encrypt(&alice), "ok", "renamed, still meant");
    assert_eq!(encrypt(&another), "AccessDeniedException", "another of the old name");
    let nobody = with_admin(&statement.replace("alice", "nobody"));
    let put = json!({ "KeyId": key.id, "Policy": nobody });
    let refused = site.change_key(&root, &key, "PutKeyPolicy", &put);
    assert_eq!(code(refused), "MalformedPolicyDocumentException", "names nobody");
}

#[test]
fn key_policy_decides_on_aliases_and_on_both_keys_of_a_reencryption() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let conditional = |condition: &str| {
        let allow = format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::111122223333:root"}},"Action":"kms:*Alias","Resource":"*"}},
               {{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::111122223333:root"}},"Action":["kms:Encrypt","kms:ReEncrypt*"],"Resource":"*","Condition":{condition}}}"#
        );
        let key = site.create_key(&root, Some(&with_admin(&allow)));
        let name = format!("alias/{}", key.id);
        let body = json!({ "AliasName": name, "TargetKeyId": key.id });
        let request = site.kms(&root, "CreateAlias", &body);
        site.seal(request, |s| s.keys = all_used(&[&key])).unwrap();
        key
    };
    let plain = site.create_key(&root, None);
    let blob = b64(&site.encrypt(&root, &plain, b"x"));
    let cases = [
        (r#"{"Bool":{"kms:ReEncryptOnSameKey":"false"}}"#, "id", "ok"),
        (r#"{"Bool":{"kms:ReEncryptOnSameKey":"true"}}"#, "id", "AccessDeniedException"),
        (r#"{"ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/*"}}"#, "id", "ok"),
        (
            r#"{"ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/no"}}"#,
            "id",
            "AccessDeniedException",
        ),
        (r#"{"StringLike":{"kms:RequestAlias":"alias/*"}}"#, "alias", "ok"),
        (r#"{"StringLike":{"kms:RequestAlias":"alias/*"}}"#, "id", "AccessDeniedException"),
    ];
    for (condition, by, expected) in cases {
        let key = conditional(condition);
        let name = if by == "id" { key.id.clone() } else { format!("alias/{}", key.id) };
        let body = json!({ "CiphertextBlob": blob, "DestinationKeyId": name });
        let request = site.kms(&root, "ReEncrypt", &body);
        let result = site.use_keys(request, &[&plain, &key], true);
        assert_eq!(code(result), expected, "{condition} by {by}");
    }
}

#[test]
fn key_policy_with_tags_works_and_rests_on_fronts_word() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (_, ann) = site.create_user(&root, "ann");
    let by_tag = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ann"},"Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}}"#;
    let undelegated = r#"{"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"Bool":{"writ:Delegated":"true"}}}"#;
    let policies = [
        (with_admin(by_tag), "blue", "ok"),
        (with_admin(by_tag), "red", "AccessDeniedException"),
        (with_admin(&format!("{by_tag},{undelegated}")), "blue", "AccessDeniedException"),
    ];
    for (text, team, expected) in policies {
        let key = site.create_key(&root, Some(&text));
        let body = json!({ "KeyId": key.id, "Plaintext": "AAAA" });
        let handle = site.authenticate(site.kms(&ann, "Encrypt", &body)).unwrap().handle;
        let tag = |value: &str| vec![("team".to_owned(), value.to_owned())];
        let used = UsedKey { tags: tag("blue"), ..key.used() };
        let wanted = Use { handle, principal_tags: tag(team), ..Use::of(vec![used]) };
        let result = site.engine.handle(Role::Front, Command::Use(Box::new(wanted)));
        if let Ok(Reply::Used(used)) = &result {
            assert_eq!(used.basis, ["delegated"]);
        }
        assert_eq!(code(result), expected, "{team}");
    }
}

#[test]
fn states_and_deletion_follow_the_sealed_schedule() {
    let (site, root, key) = setup();
    let blob = site.encrypt(&root, &key, b"x");
    let id = json!({ "KeyId": key.id });
    let body = json!({ "CiphertextBlob": b64(&blob) });
    let alias = |key: &StoredKey| {
        let body = json!({ "AliasName": "alias/prod", "TargetKeyId": key.id });
        site.seal(site.kms(&root, "CreateAlias", &body), |s| s.keys = all_used(&[key]))
    };
    alias(&key).unwrap();
    assert_eq!(
        code(site.change_key(&root, &key, "CancelKeyDeletion", &id)),
        "KMSInvalidStateException"
    );
    let days = |n: u64| json!({ "KeyId": key.id, "PendingWindowInDays": n });
    assert_eq!(
        code(site.change_key(&root, &key, "ScheduleKeyDeletion", &days(6))),
        "ValidationException"
    );
    let pending = site.change_key(&root, &key, "ScheduleKeyDeletion", &days(7)).unwrap();
    assert_eq!(code(decrypt(&site, &root, &pending, &body)), "KMSInvalidStateException");
    for operation in ["EnableKey", "DisableKey", "ScheduleKeyDeletion"] {
        let result = site.change_key(&root, &pending, operation, &id);
        assert_eq!(code(result), "KMSInvalidStateException", "{operation}");
    }
    let off = site.change_key(&root, &pending, "CancelKeyDeletion", &id).unwrap();
    assert_eq!(code(decrypt(&site, &root, &off, &body)), "DisabledException");
    let pending = site.change_key(&root, &off, "ScheduleKeyDeletion", &days(7)).unwrap();
    let tick = || match site.engine.handle(Role::Front, Command::Tick).unwrap() {
        Reply::Sealed(sealed) => sealed.descriptors,
        _ => panic!("not an answer to tick"),
    };
    site.advance(Duration::from_secs(7 * 86_400 - 1));
    assert!(tick().is_empty(), "before its date");
    site.advance(Duration::from_secs(1));
    let gone = tick();
    assert!(
        matches!(peek(&gone[0]), Ok(Descriptor::Key(k)) if k.state.name() == "PendingDeletion")
    );
    assert!(tick().is_empty(), "once");
    assert_eq!(code(decrypt(&site, &root, &pending, &body)), "Forbidden", "the old descriptor");
    let tombstone = StoredKey { descriptor: gone[0].clone(), ..pending };
    let by_alias = json!({ "KeyId": "alias/prod", "Plaintext": "AAAA" });
    let by_alias = site.use_keys(site.kms(&root, "Encrypt", &by_alias), &[&tombstone], true);
    assert_eq!(code(by_alias), "NotFoundException");
    let other = site.create_key(&root, None);
    assert_eq!(code(alias(&other)), "ok", "the name of a destroyed key's alias is free");
    assert_eq!(code(decrypt(&site, &root, &tombstone, &body)), "KMSInvalidStateException");
    let revive = site.change_key(&root, &tombstone, "CancelKeyDeletion", &id);
    assert_eq!(code(revive), "KMSInvalidStateException");
}

#[test]
fn new_key_gets_no_policy_of_fronts_making_and_none_that_locks_out() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let create = |body: &Json, id: &str| {
        site.seal(site.kms(&root, "CreateKey", body), |seal| {
            seal.new_id = Some(id.to_owned());
        })
    };
    let locked =
        policy(r#"{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*"}"#);
    let id = || Uuid::random(&*site.env).to_string();
    let table = [
        ("lock-out", json!({ "Policy": locked }), "MalformedPolicyDocumentException"),
        (
            "lock-out, bypassed",
            json!({ "Policy": locked, "BypassPolicyLockoutSafetyCheck": true }),
            "ok",
        ),
        (
            "no policy at all",
            json!({ "Policy": "anything not JSON" }),
            "MalformedPolicyDocumentException",
        ),
        ("asymmetric", json!({ "KeySpec": "RSA_2048" }), "UnsupportedOperationException"),
        ("several Regions", json!({ "MultiRegion": true }), "UnsupportedOperationException"),
    ];
    for (name, body, expected) in table {
        assert_eq!(code(create(&body, &id())), expected, "{name}");
    }
    let first = id();
    assert_eq!(code(create(&json!({}), &first)), "ok");
    assert_eq!(code(create(&json!({}), &first)), "Forbidden", "an id twice");
    assert_eq!(code(create(&json!({}), "../x")), "Forbidden", "no key id");
}

#[test]
fn data_keys_random_and_reencrypt_are_as_documented() {
    let (site, root, key) = setup();
    let other = site.create_key(&root, None);
    let table = [
        (json!({ "KeyId": key.id, "KeySpec": "AES_256" }), Some(32)),
        (json!({ "KeyId": key.id, "KeySpec": "AES_128" }), Some(16)),
        (json!({ "KeyId": key.id, "NumberOfBytes": 64 }), Some(64)),
        (json!({ "KeyId": key.id }), None),
        (json!({ "KeyId": key.id, "KeySpec": "AES_256", "NumberOfBytes": 8 }), None),
    ];
    for (body, expected) in table {
        let used = site.use_keys(site.kms(&root, "GenerateDataKey", &body), &[&key], true);
        let length = used.ok().map(|used| {
            let plain = used.plaintext.unwrap().expose().to_vec();
            let opened = json!({ "CiphertextBlob": b64(&used.ciphertext.unwrap()) });
            let back = decrypt(&site, &root, &key, &opened).unwrap().plaintext.unwrap();
            assert_eq!(back.expose(), plain);
            plain.len()
        });
        assert_eq!(length, expected, "{body}");
    }
    let body = json!({ "KeyId": key.id, "KeySpec": "AES_256" });
    let request = site.kms(&root, "GenerateDataKeyWithoutPlaintext", &body);
    assert!(site.use_keys(request, &[&key], true).unwrap().plaintext.is_none());

    let random = |delegated| {
        let request = site.kms(&root, "GenerateRandom", &json!({ "NumberOfBytes": 24 }));
        site.use_keys(request, &[], delegated)
    };
    assert_eq!(random(true).unwrap().plaintext.unwrap().expose().len(), 24);
    assert_eq!(code(random(false)), "AccessDeniedException");

    let blob = site.encrypt(&root, &key, b"moved");
    let body = json!({ "CiphertextBlob": b64(&blob), "DestinationKeyId": other.id,
        "DestinationEncryptionContext": { "a": "b" } });
    let used = site.use_keys(site.kms(&root, "ReEncrypt", &body), &[&key, &other], true).unwrap();
    assert!(used.plaintext.is_none());
    assert_eq!(used.keys.len(), 2);
    let moved = used.ciphertext.unwrap();
    let body = json!({ "CiphertextBlob": b64(&moved), "EncryptionContext": { "a": "b" } });
    assert_eq!(decrypt(&site, &root, &other, &body).unwrap().plaintext.unwrap().expose(), b"moved");
    let dry = json!({ "KeyId": key.id, "Plaintext": "AAAA", "DryRun": true });
    let result = site.use_keys(site.kms(&root, "Encrypt", &dry), &[&key], true);
    assert_eq!(code(result), "DryRunOperationException");
}

#[test]
fn uses_stop_when_trail_or_the_revocation_feed_stops() {
    let (site, root, key) = setup();
    let body = json!({ "KeyId": key.id, "Plaintext": "AAAA" });
    let encrypt = || code(site.use_keys(site.kms(&root, "Encrypt", &body), &[&key], true));
    assert_eq!(encrypt(), "ok");
    site.env.advance(Duration::from_millis(1001));
    assert_eq!(encrypt(), "ServiceUnavailable", "neither beat nor acknowledgement for a second");
    site.engine.handle(Role::Front, Command::Beat(Beat { feed: 1_000_000 })).unwrap();
    assert_eq!(encrypt(), "ServiceUnavailable", "trail still owes");
    *site.feed.lock().unwrap() = 1_000_000;
    site.settle();
    assert_eq!(encrypt(), "ok");
    site.settle();
    site.env.advance(Duration::from_millis(1001));
    assert_eq!(encrypt(), "ServiceUnavailable", "the feed is old");
    let back = site.engine.handle(Role::Front, Command::Beat(Beat { feed: 1 }));
    assert_eq!(code(back), "Forbidden", "the feed goes backwards");
}

#[test]
fn repeated_signature_is_admitted_up_to_the_limit() {
    let (site, root, key) = setup();
    let body = json!({ "KeyId": key.id, "Plaintext": "AAAA" });
    let once = site.kms(&root, "Encrypt", &body);
    let again = || copy(&once);
    for n in 0..crate::limits::ADMISSIONS_PER_SIGNATURE {
        assert_eq!(code(site.use_keys(again(), &[&key], true)), "ok", "{n}");
    }
    assert_eq!(code(site.use_keys(again(), &[&key], true)), "Repeated");
}

#[test]
fn replayed_signature_changes_nothing_and_gives_no_further_secret() {
    let (site, root, key) = setup();
    let open = with_admin(r#"{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}"#);
    let put =
        |text: &str| site.kms(&root, "PutKeyPolicy", &json!({ "KeyId": key.id, "Policy": text }));
    let seal = |request: Authenticate, key: &StoredKey| {
        site.seal(request, |seal| {
            seal.keys = vec![key.used()];
        })
    };
    let (wide, narrow) = (put(&open), put(&key.policy));
    let widened = seal(copy(&wide), &key).unwrap();
    let widened = StoredKey {
        descriptor: widened.descriptors[0].clone(),
        tokens: widened.tokens,
        policy: open,
        ..key.clone()
    };
    let narrowed = seal(narrow, &widened).unwrap();
    let narrowed = StoredKey {
        descriptor: narrowed.descriptors[0].clone(),
        tokens: narrowed.tokens,
        ..key.clone()
    };
    assert_eq!(code(seal(wide, &narrowed)), "Repeated", "the wide policy again");

    // Handles that were drawn before one of them is spent.
    let off = site.kms(&root, "DisableKey", &json!({ "KeyId": key.id }));
    let handles = [copy(&off), copy(&off)].map(|r| site.authenticate(r).unwrap().handle);
    let sealed = handles.map(|handle| {
        let seal = Seal { handle, keys: vec![narrowed.used()], ..Seal::default() };
        code(site.engine.handle(Role::Front, Command::Seal(Box::new(seal))))
    });
    assert_eq!(sealed, ["ok", "Repeated"]);
    // What came to nothing may be asked again.
    let early = site.kms(&root, "CancelKeyDeletion", &json!({ "KeyId": key.id }));
    for _ in 0..2 {
        assert_eq!(code(seal(copy(&early), &narrowed)), "Forbidden");
    }

    let form = "Action=CreateAccessKey&Version=2010-05-08";
    let once = site.query(&root, "iam", form);
    assert_eq!(code(site.issue(copy(&once), None, true)), "ok");
    let Err(Refusal::Repeated(caller)) = site.issue(once, None, true) else { panic!("issued") };
    assert_eq!(caller.arn.as_str(), format!("arn:aws:iam::{OWNER}:root"), "recorded as its own");
    let session = site.query(&root, "sts", "Action=GetSessionToken&Version=2011-06-15");
    for n in 0..crate::limits::SESSIONS_PER_SIGNATURE {
        assert_eq!(code(site.issue(copy(&session), None, true)), "ok", "session {n}");
    }
    assert_eq!(code(site.issue(session, None, true)), "Repeated");
    site.advance(Duration::from_secs(1));
    let anew = site.query(&root, "iam", form);
    assert_eq!(code(site.issue(anew, None, true)), "ok", "signed again, a second later");
}

#[test]
fn restarted_keyd_opens_what_was_sealed_before() {
    let (site, root, key) = setup();
    let blob = site.encrypt(&root, &key, b"kept");
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    again.load(vec![root.descriptor.clone().unwrap(), key.descriptor.clone()]);
    again.advance(Duration::from_secs(1));
    let body = json!({ "CiphertextBlob": b64(&blob) });
    let used = decrypt(&again, &root, &key, &body).unwrap();
    assert_eq!(used.plaintext.unwrap().expose(), b"kept");
    let mut swapped = key.clone();
    swapped.tokens = site.create_key(&root, None).tokens;
    let third = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    third.load(vec![root.descriptor.clone().unwrap(), key.descriptor.clone()]);
    third.advance(Duration::from_secs(1));
    assert_eq!(code(decrypt(&third, &root, &swapped, &body)), "Forbidden", "another key's token");
}

#[test]
fn offline_derivation_gives_the_keys_that_blobs_open_under() {
    let (site, root, key) = setup();
    let blob = site.encrypt(&root, &key, b"searched for");
    let secrets = crate::offline::backing_keys(&site.root, &key.descriptor, &key.tokens).unwrap();
    let header = crate::blob::header(&blob).unwrap();
    let plain = crate::blob::decrypt(&header, &secrets[0], &Default::default(), &blob).unwrap();
    assert_eq!(plain.as_slice(), b"searched for");
    let open = |secret: &[u8; 32], context: &[(&str, &str)]| {
        let context = context.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        crate::offline::open_blob(secret, &context, &blob)
    };
    assert_eq!(open(&secrets[0], &[]).unwrap().as_slice(), b"searched for");
    assert!(open(&secrets[0], &[("k", "v")]).is_none() && open(&[0; 32], &[]).is_none());
    let user = site.create_user(&root, "ann").0;
    let of_a_user = crate::offline::backing_keys(&site.root, &user, &key.tokens).unwrap();
    assert!(of_a_user.is_empty());
    let (other_root, _) = root::create(&writ_model::SystemEnv).unwrap();
    let none = crate::offline::backing_keys(&other_root, &key.descriptor, &key.tokens).unwrap();
    assert!(none.is_empty());
}

#[test]
fn front_that_died_before_its_commit_gets_the_newest_when_it_loads() {
    let (site, root, key) = setup();
    let blob = site.encrypt(&root, &key, b"x");
    let id = json!({ "KeyId": key.id });
    let off = site.change_key(&root, &key, "DisableKey", &id).unwrap();
    let load = |descriptor: &[u8]| {
        let epoch = Uuid::from_bytes([1; 16]);
        let descriptors = vec![descriptor.to_vec()];
        let load = Load { descriptors, ended: vec![], last: true, epoch, roster: vec![] };
        site.engine.handle(Role::Front, Command::Load(load)).unwrap()
    };
    let Reply::Sealed(again) = load(&key.descriptor) else { panic!("nothing came back") };
    assert_eq!((&again.descriptors[0], &again.tokens), (&off.descriptor, &off.tokens));
    assert!(matches!(load(&off.descriptor), Reply::Done), "nothing is lost any more");
    let body = json!({ "CiphertextBlob": b64(&blob) });
    assert_eq!(code(decrypt(&site, &root, &off, &body)), "DisabledException");
}

#[test]
fn policy_text_of_a_key_comes_back_with_its_lost_change() {
    let (site, root, key) = setup();
    let policy = writ_keyd_client::key_policy::default_key_policy(account(OWNER));
    let text = format!(" {policy}");
    let put = json!({ "KeyId": key.id, "PolicyName": "default", "Policy": text });
    site.change_key(&root, &key, "PutKeyPolicy", &put).unwrap();
    let again = load_all(&site, vec![key.descriptor.clone()]).unwrap();
    assert_eq!(again.policies, [text], "the descriptor holds only the digest");
    assert_eq!(again.tokens.len(), 1);
}

#[test]
fn name_of_a_creation_that_was_never_stored_is_free_again() {
    let (site, root, _) = setup();
    let (kept, _) = site.create_user(&root, "kept");
    let (_, signer) = site.create_user(&root, "lost");
    let again = |name: &str| {
        let form = format!("Action=CreateUser&Version=2010-05-08&UserName={name}");
        let id = UniqueId::random(UniqueIdKind::User, &*site.env).as_str().to_owned();
        site.seal(site.query(&root, "iam", &form), |seal| seal.new_id = Some(id))
    };
    assert_eq!(code(again("lost")), "EntityAlreadyExists");
    assert!(load_all(&site, vec![kept]).is_none());
    assert_eq!(code(again("kept")), "EntityAlreadyExists");
    let who = site.query(&signer, "sts", "Action=GetCallerIdentity&Version=2011-06-15");
    assert!(site.authenticate(who).is_err(), "what was never stored signs nothing");
    again("lost").unwrap();
}

fn load_all(site: &Site, descriptors: Vec<Vec<u8>>) -> Option<Sealed> {
    let epoch = Uuid::from_bytes([1; 16]);
    let load = Load { descriptors, ended: vec![], last: true, epoch, roster: vec![] };
    match site.engine.handle(Role::Front, Command::Load(load)).unwrap() {
        Reply::Sealed(sealed) => Some(sealed),
        _ => None,
    }
}
