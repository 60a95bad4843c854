//! Use records as a whole: every field of them against what the test itself put in, so that none can
//! be left out, or be another's, unseen.

use writ_keyd_client::descriptor::{Descriptor, peek};
use writ_model::Arn;
use writ_proof::fas::context_digest;
use writ_proof::hash::{Hash, sha256};
use writ_proof::leaf::LogHead;
use writ_proof::use_record::{self, Basis, Boot, UsePrincipal, UseProof};

use super::*;

pub(super) const OWNER: u64 = 111_122_223_333;
const OTHER: u64 = 444_455_556_666;

/// An encryption context.
type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A signer, and how records name them.
pub(super) struct Who {
    pub(super) signing: Signing,
    pub(super) principal: UsePrincipal,
}

impl Who {
    fn new(signing: Signing, arn: &str, unique_id: Option<&str>) -> Who {
        let arn: Arn = arn.parse().unwrap();
        let (account, unique_id) =
            (arn.account().unwrap(), unique_id.map(|id| id.parse().unwrap()));
        Who { signing, principal: UsePrincipal { arn, unique_id, account } }
    }

    pub(super) fn root(site: &Site, n: u64) -> Who {
        Who::new(site.create_account(n), &format!("arn:aws:iam::{n}:root"), None)
    }

    fn user(site: &Site, root: &Who, name: &str) -> Who {
        let (n, id) = (root.principal.account, unique_id("AIDA", name));
        let (_, signing) = site.create_user_of(&root.signing, name, id.clone());
        Who::new(signing, &format!("arn:aws:iam::{n}:user/{name}"), Some(&id))
    }
}

/// A unique id that holds `name`.
pub(super) fn unique_id(kind: &str, name: &str) -> String {
    format!("{kind}{:A<17}", name.to_ascii_uppercase())
}

/// A key with what records tell of it.
pub(super) struct Key {
    pub(super) stored: StoredKey,
    arn: Arn,
    backing: [u8; 16],
    blob: Vec<u8>,
}

impl Key {
    fn new(site: &Site, root: &Who, policy: Option<&str>) -> Key {
        let stored = site.create_key(&root.signing, policy);
        let blob = site.encrypt(&root.signing, &stored, b"x");
        Key::of(stored, blob)
    }

    /// A key, and a blob of it, which names its backing key.
    pub(super) fn of(stored: StoredKey, blob: Vec<u8>) -> Key {
        let arn = format!("arn:aws:kms:us-east-1:{OWNER}:key/{}", stored.id).parse().unwrap();
        let backing = blob[12..28].try_into().unwrap();
        Key { stored, arn, backing, blob }
    }
}

/// A record that tells nothing but its name.
pub(super) fn nothing(op: &str) -> use_record::Use {
    use_record::Use {
        op: op.to_owned(),
        key: None,
        backing_key: None,
        principal: None,
        proof: UseProof::None,
        request: None,
        context: None,
        policy: None,
        grant: None,
        basis: Basis::None,
        result: UseResult::Ok,
        request_id: Uuid::from_bytes([0; 16]),
        event_id: Uuid::from_bytes([0; 16]),
        via: vec![],
        run: None,
    }
}

/// A use of `key`.
pub(super) fn used(op: &str, key: &Key, context: Pairs<'_>, basis: Basis) -> use_record::Use {
    use_record::Use { context: Some(digest(context)), ..changed(op, key, Some(key.backing), basis) }
}

/// A change of `key`, by the policy that it has.
fn changed(op: &str, key: &Key, backing: Option<[u8; 16]>, basis: Basis) -> use_record::Use {
    use_record::Use {
        key: Some(key.arn.clone()),
        backing_key: backing,
        policy: Some(sha256(key.stored.policy.as_bytes())),
        basis,
        ..nothing(op)
    }
}

/// What was refused before any key was looked at.
pub(super) fn refused(op: &str, code: &str) -> use_record::Use {
    use_record::Use { result: UseResult::Denied(code.to_owned()), ..nothing(op) }
}

/// What was refused for `key`.
pub(super) fn refused_for(op: &str, code: &str, key: &Key, context: Pairs<'_>) -> use_record::Use {
    let result = UseResult::Denied(code.to_owned());
    use_record::Use { result, backing_key: None, ..used(op, key, context, Basis::None) }
}

fn digest(context: Pairs<'_>) -> Hash {
    context_digest(&context.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

/// A record with what `request` and its signer put into it.
fn told(
    part: use_record::Use,
    request: &Authenticate,
    principal: &UsePrincipal,
) -> use_record::Use {
    let (text, signature) = digests(request);
    use_record::Use {
        principal: Some(principal.clone()),
        proof: UseProof::Signature(signature),
        request: Some(text),
        request_id: request.request_id,
        event_id: request.event_id,
        ..part
    }
}

/// SHA-256 of a request's string to sign and of its signature, made from its bytes as AWS documents it
/// (IAM User Guide, "Create a signed AWS API request").
pub(super) fn digests(request: &Authenticate) -> (Hash, Hash) {
    let header = |name: &str| {
        let (_, value) = request.headers.iter().find(|(n, _)| n == name).unwrap();
        String::from_utf8(value.clone()).unwrap()
    };
    let authorization = header("authorization");
    let part = |name| authorization.split_once(name).unwrap().1.split(',').next().unwrap();
    let names = part("SignedHeaders=");
    let headers: String = names.split(';').map(|n| format!("{n}:{}\n", header(n))).collect();
    let payload = match &request.payload {
        Payload::Body(body) => sha256(body).to_string(),
        Payload::Declared(literal) => literal.clone(),
    };
    let Authenticate { method, path, query, .. } = request;
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload}");
    let (date, (_, scope)) = (header("x-amz-date"), part("Credential=").split_once('/').unwrap());
    let canonical = sha256(canonical.as_bytes());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
    (sha256(text.as_bytes()), sha256(&hex::decode(part("Signature=")).unwrap()))
}

/// The records since there were `before` are exactly these, made now.
pub(super) fn check(site: &Site, before: usize, expected: &[use_record::Use], name: &str) {
    let records = site.records();
    let new = records[before..].iter().map(|record| match &record.what {
        What::Use(used) => (**used).clone(),
        What::Boot(_) => panic!("{name}: a boot"),
    });
    assert_eq!(new.collect::<Vec<_>>(), expected, "{name}");
    assert!(records[before..].iter().all(|record| record.time == site.env.now()), "{name}: time");
}

/// The answer to a use tells of it what its records do.
pub(super) fn check_answer(site: &Site, used: &Used, records: &[use_record::Use], name: &str) {
    let keys: Vec<Arn> = records.iter().filter_map(|record| record.key.clone()).collect();
    assert_eq!(used.keys, keys, "{name}");
    let with_key = records.iter().filter(|record| record.key.is_some());
    let basis = with_key.map(|record| match record.basis {
        Basis::Delegated => "delegated",
        Basis::Grant => "grant",
        Basis::None => "none",
        Basis::Policy => "policy",
        Basis::Roster => "roster",
    });
    assert_eq!(used.basis, basis.collect::<Vec<_>>(), "{name}");
    let material = records
        .iter()
        .filter_map(|record| record.backing_key)
        .map(|id| sha256(&[b"writ-key-material-v1\0".as_slice(), &id].concat()).to_string());
    assert_eq!(used.material_ids, material.collect::<Vec<_>>(), "{name}");
    let last = site.trail.0.lock().unwrap().last().map(UseBatch::position);
    assert_eq!(Some(used.position), last, "{name}");
}

/// An account with its people, another's user, and two keys: `key` names ann, eve and the role `r`,
/// both are the account's.
struct World {
    site: Site,
    root: Who,
    ann: Who,
    bob: Who,
    eve: Who,
    role: Vec<u8>,
    key: Key,
    other: Key,
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/ann","arn:aws:iam::111122223333:root"]},"Action":"sts:AssumeRole"}]}"#;

impl World {
    fn new() -> World {
        let site = Site::new();
        let (root, foreign) = (Who::root(&site, OWNER), Who::root(&site, OTHER));
        let [ann, bob] = ["ann", "bob"].map(|name| Who::user(&site, &root, name));
        let eve = Who::user(&site, &foreign, "eve");
        let role = site.create_role_of(&root.signing, "r", TRUST, unique_id("AROA", "r"));
        let policy = r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},
            {"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/ann",
             "arn:aws:iam::111122223333:role/r","arn:aws:iam::444455556666:user/eve"]},
             "Action":"kms:*","Resource":"*"}]}"#;
        let key = Key::new(&site, &root, Some(policy));
        let other = Key::new(&site, &root, None);
        World { site, root, ann, bob, eve, role, key, other }
    }

    fn assume(&self, by: &Who) -> (Authenticate, Vec<u8>) {
        let form = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fr&RoleSessionName=s1";
        (self.site.query(&by.signing, "sts", form), self.role.clone())
    }

    /// A session of the role, and one of ann herself.
    fn sessions(&self) -> [Who; 2] {
        let (request, role) = self.assume(&self.ann);
        let assumed = signing(self.site.issue(request, Some(&role), false).unwrap());
        let request = self.session_token(&self.ann);
        let token = signing(self.site.issue(request, None, false).unwrap());
        let arn = "arn:aws:sts::111122223333:assumed-role/r/s1";
        let own = Who { signing: token, principal: self.ann.principal.clone() };
        [Who::new(assumed, arn, Some(&unique_id("AROA", "r"))), own]
    }

    fn session_token(&self, by: &Who) -> Authenticate {
        self.site.query(&by.signing, "sts", "Action=GetSessionToken&Version=2011-06-15")
    }

    fn check_use(&self, row: &Row<'_>) {
        let Row { name, by, operation, body, keys, delegated, records } = row;
        let request = self.site.kms(&by.signing, operation, body);
        let expected: Vec<_> =
            records.iter().map(|part| told(part.clone(), &request, &by.principal)).collect();
        let before = self.site.records().len();
        let stored: Vec<&StoredKey> = keys.iter().map(|key| &key.stored).collect();
        let result = self.site.use_keys(request, &stored, *delegated);
        check(&self.site, before, &expected, name);
        match (&result, &expected[0].result) {
            (Ok(used), UseResult::Ok) => check_answer(&self.site, used, &expected, name),
            (Err(refusal), UseResult::Denied(code)) => {
                assert_eq!(crate::refuse::code(refusal), *code, "{name}");
            }
            _ => panic!("{name}: the record says the contrary"),
        }
    }
}

/// A use, asked for by `by`, and the records of it without what the request puts into them.
struct Row<'a> {
    name: &'a str,
    by: &'a Who,
    operation: &'a str,
    body: Json,
    keys: Vec<&'a Key>,
    delegated: bool,
    records: Vec<use_record::Use>,
}

/// One with front's word for it.
fn row<'a>(
    name: &'a str,
    by: &'a Who,
    (operation, body): (&'a str, Json),
    keys: impl Into<Vec<&'a Key>>,
    records: impl Into<Vec<use_record::Use>>,
) -> Row<'a> {
    let (keys, records) = (keys.into(), records.into());
    Row { name, by, operation, body, keys, delegated: true, records }
}

#[test]
fn record_of_a_use_tells_who_what_with_which_key_and_why() {
    use Basis::{Delegated, Policy};
    let world = World::new();
    let World { root, ann, eve, key, other, .. } = &world;
    let [assumed, token] = &world.sessions();
    let (a, to): (Pairs<'_>, Pairs<'_>) = (&[("tenant", "a"), ("z", "")], &[("to", "b")]);
    let decrypt = json!({ "CiphertextBlob": b64(&key.blob) });
    let data = |key: &Key| {
        let context = json!({ "z": "", "tenant": "a" });
        json!({ "KeyId": key.stored.id, "KeySpec": "AES_256", "EncryptionContext": context })
    };
    let random = json!({ "NumberOfBytes": 8 });
    let by_front = use_record::Use { basis: Delegated, ..nothing("kms:GenerateRandom") };
    let (encrypt, without) = ("kms:Encrypt", "GenerateDataKeyWithoutPlaintext");
    let named = || [used(encrypt, key, to, Policy)];
    let both = [
        used("kms:ReEncryptFrom", key, &[], Policy),
        used("kms:ReEncryptTo", other, to, Delegated),
    ];
    let shown = [used("kms:GenerateDataKey", other, a, Delegated)];
    let unseen = [used("kms:GenerateDataKeyWithoutPlaintext", key, a, Policy)];
    let asked = || encryption(key.arn.as_str());
    let rows = [
        row("by root", root, asked(), [key], [used(encrypt, key, to, Delegated)]),
        row("by a user", ann, asked(), [key], named()),
        row("by a user of another account", eve, asked(), [key], named()),
        row("by a role", assumed, asked(), [key], named()),
        row("in a session of a user", token, asked(), [key], named()),
        row("out", ann, ("Decrypt", decrypt), [key], [used("kms:Decrypt", key, &[], Policy)]),
        row("data key", root, ("GenerateDataKey", data(other)), [other], shown),
        row("data key unseen", ann, (without, data(key)), [key], unseen),
        row("two keys", ann, reencryption(key, &[], other), [key, other], both),
        row("no key", ann, ("GenerateRandom", random), [], [by_front]),
    ];
    rows.iter().for_each(|row| world.check_use(row));
}

#[test]
fn record_of_a_use_that_no_policy_allows_tells_of_which_key() {
    let world = World::new();
    let World { ann, bob, key, other, .. } = &world;
    let denied = "AccessDeniedException";
    let to: Pairs<'_> = &[("to", "b")];
    let random = json!({ "NumberOfBytes": 8 });
    let by_policy = [refused_for("kms:Encrypt", denied, key, to)];
    let second = [refused_for("kms:ReEncrypt", denied, other, to)];
    let by_front = [refused("kms:GenerateRandom", denied)];
    let mut rows = [
        row("key policy", bob, encryption(&key.stored.id), [key], by_policy),
        row("policy of the second", ann, reencryption(key, &[], other), [key, other], second),
        row("no word of front's", ann, ("GenerateRandom", random), [], by_front),
    ];
    rows.iter_mut().for_each(|row| row.delegated = false);
    rows.iter().for_each(|row| world.check_use(row));
}

fn encryption(key: &str) -> (&str, Json) {
    let context = json!({ "to": "b" });
    ("Encrypt", json!({ "KeyId": key, "Plaintext": "AAAA", "EncryptionContext": context }))
}

/// From a context that may be wrong.
fn reencryption(from: &Key, context: Pairs<'_>, to: &Key) -> (&'static str, Json) {
    let context = Json::from_iter(context.iter().map(|(k, v)| (*k, *v)));
    let body = json!({ "CiphertextBlob": b64(&from.blob), "SourceEncryptionContext": context,
        "DestinationKeyId": to.stored.id, "DestinationEncryptionContext": { "to": "b" } });
    ("ReEncrypt", body)
}

#[test]
fn record_of_a_refused_use_tells_who_asked_for_what_and_why_not() {
    let world = World::new();
    let World { site, root, ann, key, .. } = &world;
    let off = &world.disabled();
    let (op, to): (_, Pairs<'_>) = ("kms:Encrypt", &[("to", "b")]);
    let free = Uuid::random(&*site.env).to_string();
    let unknown = use_record::Use {
        key: Some(format!("arn:aws:kms:us-east-1:{OWNER}:key/{free}").parse().unwrap()),
        context: Some(digest(to)),
        ..refused(op, "Forbidden")
    };
    let id = &key.stored.id;
    let wrong = json!({ "CiphertextBlob": b64(&key.blob), "EncryptionContext": { "to": "b" } });
    let dry = json!({ "KeyId": id, "Plaintext": "AAAA", "DryRun": true });
    let rsa =
        json!({ "KeyId": id, "Plaintext": "AAAA", "EncryptionAlgorithm": "RSAES_OAEP_SHA_1" });
    let disabled = [refused_for(op, "DisabledException", off, to)];
    let invalid = [refused_for("kms:Decrypt", "InvalidCiphertextException", key, to)];
    let only_asked = [refused_for(op, "DryRunOperationException", key, &[])];
    let not_for_it = [refused(op, "InvalidKeyUsageException")];
    let rows = [
        row("no such key", root, encryption(&free), [key], [unknown]),
        row(
            "no such alias",
            root,
            encryption("alias/x"),
            [key],
            [refused(op, "NotFoundException")],
        ),
        row("no key given", root, encryption(id), [], [refused(op, "Forbidden")]),
        row("disabled", root, encryption(&off.stored.id), [off], disabled),
        row("wrong context", ann, ("Decrypt", wrong), [key], invalid),
        row("dry run", ann, ("Encrypt", dry), [key], only_asked),
        row("not for this key", ann, ("Encrypt", rsa), [key], not_for_it),
    ];
    rows.iter().for_each(|row| world.check_use(row));
}

#[test]
fn refused_reencryption_is_recorded_for_the_key_that_it_is_refused_for() {
    let world = World::new();
    let World { ann, key, other, .. } = &world;
    let off = &world.disabled();
    let (op, wrong): (_, Pairs<'_>) = ("kms:ReEncrypt", &[("from", "a")]);
    let (disabled, invalid) = ("DisabledException", "InvalidCiphertextException");
    let first = [refused_for(op, disabled, off, &[])];
    let second = [refused_for(op, disabled, off, &[("to", "b")])];
    let unopened = [refused_for(op, invalid, key, wrong)];
    let rows = [
        row("first disabled", ann, reencryption(off, &[], other), [off, other], first),
        row("second disabled", ann, reencryption(key, &[], off), [key, off], second),
        row("first unopened", ann, reencryption(key, wrong, other), [key, other], unopened),
    ];
    rows.iter().for_each(|row| world.check_use(row));
}

impl World {
    /// A key like `key` that is disabled.
    fn disabled(&self) -> Key {
        let key = Key::new(&self.site, &self.root, Some(&self.key.stored.policy));
        let id = json!({ "KeyId": key.stored.id });
        let root = &self.root.signing;
        let stored = self.site.change_key(root, &key.stored, "DisableKey", &id).unwrap();
        Key { stored, ..key }
    }

    fn form(&self, by: &Who, action: &str) -> Authenticate {
        let form = format!("Version=2010-05-08&Action={action}");
        self.site.query(&by.signing, "iam", &form)
    }

    /// Seals, and holds the record against `part`; the first descriptor.
    fn check_seal(
        &self,
        by: &Who,
        request: Authenticate,
        with: impl FnOnce(&mut Seal),
        part: impl FnOnce(&Sealed) -> use_record::Use,
    ) -> Vec<u8> {
        let name = body_of(&request);
        let whole = told(nothing(""), &request, &by.principal);
        let before = self.site.records().len();
        let sealed = self.site.seal(request, with).unwrap();
        let use_record::Use { op, key, backing_key, policy, basis, .. } = part(&sealed);
        let expected = use_record::Use { op, key, backing_key, policy, basis, ..whole };
        check(&self.site, before, &[expected], &name);
        let last = self.site.trail.0.lock().unwrap().last().map(UseBatch::position);
        assert_eq!(sealed.position, last, "{name}");
        sealed.descriptors[0].clone()
    }

    /// Issues, and holds the record against `part`.
    fn check_issue(
        &self,
        by: &Who,
        request: Authenticate,
        subject: Option<&[u8]>,
        part: use_record::Use,
    ) {
        let (name, expected) = (body_of(&request), told(part, &request, &by.principal));
        let before = self.site.records().len();
        let made = self.site.issue(request, subject, true);
        check(&self.site, before, &[expected], &name);
        if let Ok(made) = made {
            let last = self.site.trail.0.lock().unwrap().last().map(UseBatch::position);
            assert_eq!(made.position, last, "{name}");
        }
    }
}

/// What a request asks for, for messages.
fn body_of(request: &Authenticate) -> String {
    match &request.payload {
        Payload::Body(body) => String::from_utf8_lossy(body).into_owned(),
        Payload::Declared(literal) => literal.clone(),
    }
}

#[test]
fn record_of_a_change_tells_who_changed_which_key_by_which_policy() {
    use Basis::{Delegated, Policy};
    let world = World::new();
    let World { site, root, ann, key, other, .. } = &world;
    let id = Uuid::random(&*site.env).to_string();
    let policy = writ_keyd_client::key_policy::default_key_policy(account(OWNER));
    let request = site.kms(&root.signing, "CreateKey", &json!({}));
    let make = |seal: &mut Seal| seal.new_id = Some(id.clone());
    world.check_seal(root, request, make, |sealed| {
        let Ok(Descriptor::Key(new)) = peek(&sealed.descriptors[0]) else { panic!("no key") };
        use_record::Use {
            key: Some(format!("arn:aws:kms:us-east-1:{OWNER}:key/{id}").parse().unwrap()),
            backing_key: Some(new.backing_keys[0]),
            policy: Some(sha256(policy.as_bytes())),
            basis: Delegated,
            ..nothing("kms:CreateKey")
        }
    });
    for (by, basis) in [(ann, Policy), (root, Delegated)] {
        for operation in ["DisableKey", "PutKeyPolicy"] {
            let key = Key::new(site, root, Some(&key.stored.policy));
            let mut body = json!({ "KeyId": key.stored.id });
            if operation == "PutKeyPolicy" {
                body["Policy"] = json!(other.stored.policy);
            }
            let request = site.kms(&by.signing, operation, &body);
            let (given, op) = (key.stored.used(), format!("kms:{operation}"));
            let told = |_: &Sealed| changed(&op, &key, None, basis);
            world.check_seal(by, request, |seal| seal.keys = vec![given], told);
        }
    }
    let alias = |operation: &str, target: Option<&Key>, keys: &[&Key], basis| {
        let mut body = json!({ "AliasName": "alias/prod" });
        if let Some(target) = target {
            body["TargetKeyId"] = json!(target.stored.id);
        }
        let request = site.kms(&ann.signing, operation, &body);
        let given = keys.iter().map(|key| key.stored.used()).collect();
        let op = format!("kms:{operation}");
        let told = |_: &Sealed| changed(&op, keys[0], None, basis);
        world.check_seal(ann, request, |seal| seal.keys = given, told);
    };
    alias("CreateAlias", Some(key), &[key], Policy);
    alias("UpdateAlias", Some(other), &[other, key], Delegated);
    alias("UpdateAlias", Some(key), &[key, other], Delegated);
    alias("DeleteAlias", None, &[key], Policy);
}

#[test]
fn record_of_a_change_of_people_or_credentials_tells_who_asked_and_what_it_rests_on() {
    use Basis::{Delegated, Policy};
    let world = World::new();
    let World { root, ann, bob, role, .. } = &world;
    let basis = |op: &str, basis| use_record::Use { basis, ..nothing(op) };
    // What root asks for rests on nobody's word; for a user front decides.
    for (by, rests, name) in [(root, Policy, "u1"), (ann, Delegated, "u2")] {
        let request = world.form(by, &format!("CreateUser&UserName={name}"));
        let make = |seal: &mut Seal| seal.new_id = Some(unique_id("AIDA", name));
        let user = world.check_seal(by, request, make, |_| basis("iam:CreateUser", rests));
        let request = world.form(by, &format!("CreateAccessKey&UserName={name}"));
        world.check_issue(by, request, Some(&user), basis("iam:CreateAccessKey", rests));
        let request = world.form(by, &format!("DeleteUser&UserName={name}"));
        let delete = |seal: &mut Seal| seal.current = Some(user.clone());
        world.check_seal(by, request, delete, |_| basis("iam:DeleteUser", rests));
        let request = world.form(by, &format!("DeleteUser&UserName={name}"));
        let gone = refused("iam:DeleteUser", "Forbidden");
        let (expected, before) = (told(gone, &request, &by.principal), world.site.records().len());
        let again = world.site.seal(request, |seal| seal.current = Some(user));
        check(&world.site, before, &[expected], "deleted already");
        assert_eq!(code(again), "Forbidden");
    }
    let (request, _) = world.assume(ann);
    world.check_issue(ann, request, Some(role), basis("sts:AssumeRole", Policy));
    let (request, _) = world.assume(bob);
    world.check_issue(bob, request, Some(role), basis("sts:AssumeRole", Delegated));
    let (request, _) = world.assume(&world.eve);
    let denied = refused("sts:AssumeRole", "AccessDenied");
    world.check_issue(&world.eve, request, Some(role), denied);
    let request = world.session_token(ann);
    let again = copy(&request);
    world.check_issue(ann, request, None, nothing("sts:GetSessionToken"));
    for _ in 1..crate::limits::SESSIONS_PER_SIGNATURE {
        world.site.issue(copy(&again), None, true).unwrap();
    }
    let handle = world.site.authenticate(copy(&again));
    assert_eq!(code(handle), "Repeated", "told to front alone, which records it");
}

#[test]
fn record_of_a_signer_that_ended_before_its_handle_was_spent_is_whole() {
    let World { site, ann, key, .. } = World::new();
    let body = json!({ "KeyId": key.stored.id, "Plaintext": "AAAA" });
    let request = site.kms(&ann.signing, "Encrypt", &body);
    let code = "UnrecognizedClientException";
    let expected = told(refused("kms:Encrypt", code), &request, &ann.principal);
    let handle = site.authenticate(request).unwrap().handle;
    let end = End::Principal(unique_id("AIDA", "ann"));
    site.engine.handle(Role::Front, Command::End(end)).unwrap();
    let before = site.records().len();
    assert_eq!(super::code(site.spend(handle, &[&key.stored], true)), code);
    check(&site, before, &[expected], "ended");
}

#[test]
fn record_of_keyds_own_work_names_nobody_and_one_of_a_stranger_is_not_made() {
    let World { site, root, key, .. } = World::new();
    let before = site.records().len();
    site.create_account(7);
    check(&site, before, &[nothing("create-account:000000000007")], "a first credential");

    let id = json!({ "KeyId": key.stored.id });
    site.change_key(&root.signing, &key.stored, "ScheduleKeyDeletion", &id).unwrap();
    site.advance(Duration::from_secs(30 * 86_400));
    let before = site.records().len();
    site.engine.handle(Role::Front, Command::Tick).unwrap();
    let gone = use_record::Use { key: Some(key.arn.clone()), ..nothing("tick:DestroyKey") };
    check(&site, before, &[gone], "a due deletion");

    let before = site.records().len();
    assert_eq!(code(site.engine.handle(Role::S3, Command::Tick)), "Forbidden");
    check(&site, before, &[refused("s3:tick", "Forbidden")], "a command of another role");

    let before = site.records().len();
    let mut unsigned = site.kms(&root.signing, "Encrypt", &json!({}));
    unsigned.headers.retain(|(name, _)| name != "authorization");
    assert_eq!(code(site.authenticate(unsigned)), "MissingAuthenticationTokenException");
    assert_eq!(code(site.spend(nonce(1), &[&key.stored], true)), "Forbidden");
    check(&site, before, &[], "nobody, and a handle of nothing");
}

#[test]
fn record_of_a_start_tells_where_the_one_before_ended() {
    let World { site, root, .. } = World::new();
    let position = |site: &Site| site.trail.0.lock().unwrap().last().map(UseBatch::position);
    let (first, acknowledged) = (site.records()[0].clone(), position(&site));
    let none = Boot { persisted: None, acknowledged: None, signed: vec![] };
    assert_eq!(first.what, What::Boot(none), "the first start");
    // Acknowledged so far, and one record more.
    site.settle();
    site.encrypt(&root.signing, &site.create_key(&root.signing, None), b"x");
    let (persisted, root_hash) = (position(&site), writ_proof::merkle::leaf_hash(b"a"));
    site.env.advance(Duration::from_secs(6));
    site.engine.maintain().unwrap();
    let origin = "writ/test/operator".to_owned();
    let asked = Checkpoint { origin: origin.clone(), size: 1, root: root_hash.0, proof: vec![] };
    site.engine.handle(Role::Trail, Command::Checkpoint(asked)).unwrap();
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    again.settle();
    let signed = vec![LogHead { origin: origin.parse().unwrap(), size: 1, root: root_hash }];
    let expected = Boot { persisted, acknowledged, signed };
    assert_eq!(again.records()[0].what, What::Boot(expected));
}
