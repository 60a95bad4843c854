//! Sealed descriptors as a whole: every field of every revision against what the request said.

use writ_keyd_client::descriptor::*;
use writ_keyd_client::key_policy::managed_key_policy;
use writ_model::{Arn, KeyId};
use writ_proof::hash::sha256;

use super::fas::{data_key, gateway};
use super::use_records::{OWNER, unique_id};
use super::*;

/// The account's root changes one thing again and again.
struct Changes<'a> {
    site: &'a Site,
    root: &'a Signing,
    current: Option<Vec<u8>>,
}

impl Changes<'_> {
    fn first<'a>(site: &'a Site, root: &'a Signing, form: &str, id: &str) -> Changes<'a> {
        let request = site.query(root, "iam", &whole_form(form));
        let sealed = site.seal(request, |seal| seal.new_id = Some(id.to_owned())).unwrap();
        Changes { site, root, current: Some(sealed.descriptors[0].clone()) }
    }

    fn next(&mut self, form: &str) {
        let request = self.site.query(self.root, "iam", &whole_form(form));
        let current = self.current.take();
        let sealed = self.site.seal(request, |seal| seal.current = current).unwrap();
        self.current = Some(sealed.descriptors[0].clone());
        // Nothing is dated anew by a change.
        self.site.advance(Duration::from_secs(1));
    }

    fn now(&self) -> Descriptor {
        peek(self.current.as_ref().unwrap()).unwrap()
    }
}

/// A form of these pairs, whose values are not encoded yet.
fn whole_form(pairs: &str) -> String {
    let encode = |text: &str| writ_aws::sigv4::encode::encode(text.as_bytes());
    let pairs = pairs.split('&').map(|pair| pair.split_once('=').unwrap());
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("Version=2010-05-08&{}", pairs.join("&"))
}

fn trust(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("arn:aws:iam::{OWNER}:{name}")).collect();
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": names }, "Action": "sts:AssumeRole" }] })
    .to_string()
}

fn bound(names: &[(&str, &str)]) -> Vec<(Arn, UniqueId)> {
    let bind = |(name, id): &(&str, &str)| {
        (format!("arn:aws:iam::{OWNER}:{name}").parse().unwrap(), id.parse().unwrap())
    };
    names.iter().map(bind).collect()
}

#[test]
fn descriptor_of_a_user_is_as_requested_in_every_revision() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let id = unique_id("AIDA", "ann");
    let mut user = Changes::first(&site, &root, "Action=CreateUser&UserName=ann", &id);
    let first = UserDescriptor {
        account: account(OWNER),
        unique_id: id,
        name: "ann".to_owned(),
        path: "/".to_owned(),
        revision: 1,
        deleted: false,
    };
    assert_eq!(user.now(), Descriptor::User(first.clone()));
    user.next("Action=UpdateUser&UserName=ann&NewPath=/x/");
    let moved = UserDescriptor { path: "/x/".to_owned(), revision: 2, ..first };
    assert_eq!(user.now(), Descriptor::User(moved.clone()));
    user.next("Action=UpdateUser&UserName=ann&NewUserName=anne");
    let renamed = UserDescriptor { name: "anne".to_owned(), revision: 3, ..moved };
    assert_eq!(user.now(), Descriptor::User(renamed.clone()));
    user.next("Action=DeleteUser&UserName=anne");
    let deleted = UserDescriptor { revision: 4, deleted: true, ..renamed };
    assert_eq!(user.now(), Descriptor::User(deleted));

    let id = unique_id("AIDA", "bob");
    let user = Changes::first(&site, &root, "Action=CreateUser&UserName=bob&Path=/p/q/", &id);
    let elsewhere = UserDescriptor {
        account: account(OWNER),
        unique_id: id,
        name: "bob".to_owned(),
        path: "/p/q/".to_owned(),
        revision: 1,
        deleted: false,
    };
    assert_eq!(user.now(), Descriptor::User(elsewhere));
}

#[test]
fn descriptor_of_a_role_is_as_requested_in_every_revision() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let [ann, bob] = ["ann", "bob"].map(|name| unique_id("AIDA", name));
    for (name, id) in [("ann", &ann), ("bob", &bob)] {
        site.create_user_of(&root, name, id.clone());
    }
    let (id, both) = (unique_id("AROA", "r"), trust(&["user/bob", "user/ann", "user/bob"]));
    let form = format!("Action=CreateRole&RoleName=r&AssumeRolePolicyDocument={both}");
    let mut role = Changes::first(&site, &root, &form, &id);
    let first = RoleDescriptor {
        account: account(OWNER),
        unique_id: id,
        name: "r".to_owned(),
        path: "/".to_owned(),
        trust_policy: both,
        max_session_secs: 3600,
        revision: 1,
        deleted: false,
        principals: bound(&[("user/ann", &ann), ("user/bob", &bob)]),
    };
    assert_eq!(role.now(), Descriptor::Role(first.clone()));
    role.next("Action=UpdateRole&RoleName=r&MaxSessionDuration=7200");
    let longer = RoleDescriptor { max_session_secs: 7200, revision: 2, ..first };
    assert_eq!(role.now(), Descriptor::Role(longer.clone()));
    role.next("Action=UpdateRole&RoleName=R&Description=d");
    let described = RoleDescriptor { revision: 3, ..longer };
    assert_eq!(role.now(), Descriptor::Role(described.clone()));
    let one = trust(&["user/bob"]);
    role.next(&format!("Action=UpdateAssumeRolePolicy&RoleName=r&PolicyDocument={one}"));
    let principals = bound(&[("user/bob", &bob)]);
    let trusting = RoleDescriptor { trust_policy: one, principals, revision: 4, ..described };
    assert_eq!(role.now(), Descriptor::Role(trusting.clone()));
    role.next("Action=DeleteRole&RoleName=r");
    let deleted = RoleDescriptor { revision: 5, deleted: true, ..trusting };
    assert_eq!(role.now(), Descriptor::Role(deleted));

    let (id, nobody) = (unique_id("AROA", "s"), trust(&["root"]));
    let form = format!(
        "Action=CreateRole&RoleName=s&Path=/p/&MaxSessionDuration=43200&AssumeRolePolicyDocument={nobody}"
    );
    let role = Changes::first(&site, &root, &form, &id);
    let other = RoleDescriptor {
        account: account(OWNER),
        unique_id: id,
        name: "s".to_owned(),
        path: "/p/".to_owned(),
        trust_policy: nobody,
        max_session_secs: 43_200,
        revision: 1,
        deleted: false,
        principals: vec![],
    };
    assert_eq!(role.now(), Descriptor::Role(other));
}

#[test]
fn descriptor_of_an_access_key_is_as_requested_in_every_revision() {
    let site = Site::new();
    let created = site.env.now();
    let root = site.create_account(OWNER);
    let of = |signer: &Signing, user: Option<&str>| AccessKeyDescriptor {
        id: signer.credentials.access_key_id.parse().unwrap(),
        account: account(OWNER),
        user: user.map(str::to_owned),
        active: true,
        created,
        revision: 1,
        deleted: false,
    };
    let sealed = |signer: &Signing| peek(signer.descriptor.as_ref().unwrap()).unwrap();
    assert_eq!(sealed(&root), Descriptor::AccessKey(of(&root, None)));
    let id = unique_id("AIDA", "ann");
    let (_, ann) = site.create_user_of(&root, "ann", id.clone());
    let first = of(&ann, Some(&id));
    assert_eq!(sealed(&ann), Descriptor::AccessKey(first.clone()));
    let mut key = Changes { site: &site, root: &root, current: ann.descriptor.clone() };
    let named = format!("AccessKeyId={}&UserName=ann", ann.credentials.access_key_id);
    key.next(&format!("Action=UpdateAccessKey&{named}&Status=Inactive"));
    let inactive = AccessKeyDescriptor { active: false, revision: 2, ..first };
    assert_eq!(key.now(), Descriptor::AccessKey(inactive.clone()));
    key.next(&format!("Action=UpdateAccessKey&{named}&Status=Active"));
    let active = AccessKeyDescriptor { active: true, revision: 3, ..inactive };
    assert_eq!(key.now(), Descriptor::AccessKey(active.clone()));
    key.next(&format!("Action=DeleteAccessKey&{named}"));
    let deleted = AccessKeyDescriptor { revision: 4, deleted: true, ..active };
    assert_eq!(key.now(), Descriptor::AccessKey(deleted));
}

/// A key as it is made, but for its backing key, which a blob of it names.
fn made(id: &str, policy: &str, created: Timestamp, blob: &[u8]) -> KeyDescriptor {
    let id: KeyId = id.parse().unwrap();
    KeyDescriptor {
        arn: format!("arn:aws:kms:us-east-1:{OWNER}:key/{id}").parse().unwrap(),
        account: account(OWNER),
        region: region(),
        key_id: id,
        spec: "SYMMETRIC_DEFAULT".to_owned(),
        usage: "ENCRYPT_DECRYPT".to_owned(),
        origin: "AWS_KMS".to_owned(),
        created,
        multi_region: 0,
        state: KeyState::Enabled,
        policy_digest: sha256(policy.as_bytes()).0,
        grants_root: [0; 32],
        rotation_days: None,
        deletion_date: None,
        material_expiry: None,
        backing_keys: vec![blob[12..28].try_into().unwrap()],
        managed_by: None,
        revision: 1,
        principals: vec![],
    }
}

#[test]
fn descriptor_of_a_key_is_as_requested_in_every_revision() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let ann = unique_id("AIDA", "ann");
    site.create_user_of(&root, "ann", ann.clone());
    let (created, mut key) = (site.env.now(), site.create_key(&root, None));
    let blob = site.encrypt(&root, &key, b"x");
    let mut expected = made(&key.id, &key.policy, created, &blob);
    assert_eq!(peek(&key.descriptor), Ok(Descriptor::Key(Box::new(expected.clone()))));

    let naming = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"AWS":["111122223333","arn:aws:iam::111122223333:user/ann"]},
         "Action":"kms:*","Resource":"*"}]}"#;
    // Nothing is dated anew by a change.
    let now = NOON.plus(Duration::from_secs(100));
    site.env.set_now(now);
    site.settle();
    let mut change = |operation: &str, mut body: Json, with: &dyn Fn(&mut KeyDescriptor)| {
        body["KeyId"] = json!(key.id);
        key = site.change_key(&root, &key, operation, &body).unwrap();
        expected.revision += 1;
        with(&mut expected);
        let found = peek(&key.descriptor);
        assert_eq!(found, Ok(Descriptor::Key(Box::new(expected.clone()))), "{operation}");
        expected.clone()
    };
    change("PutKeyPolicy", json!({ "Policy": naming }), &|key| {
        key.policy_digest = sha256(naming.as_bytes()).0;
        key.principals = bound(&[("user/ann", &ann)]);
    });
    use KeyState::{Destroyed, Disabled, Enabled, PendingDeletion};
    let window = |days: u64| json!({ "PendingWindowInDays": days });
    let table = [
        ("DisableKey", json!({}), Disabled, None),
        ("EnableKey", json!({}), Enabled, None),
        ("ScheduleKeyDeletion", window(7), PendingDeletion, Some(7)),
        ("CancelKeyDeletion", json!({}), Disabled, None),
        ("ScheduleKeyDeletion", window(30), PendingDeletion, Some(30)),
        ("CancelKeyDeletion", json!({}), Disabled, None),
        ("EnableKey", json!({}), Enabled, None),
        ("ScheduleKeyDeletion", json!({}), PendingDeletion, Some(30)),
    ];
    let mut last = None;
    for (operation, body, state, days) in table {
        let due = days.map(|days: u64| now.plus(Duration::from_secs(days * 86_400)));
        let with = |key: &mut KeyDescriptor| (key.state, key.deletion_date) = (state, due);
        last = Some(change(operation, body, &with));
    }
    site.advance(Duration::from_secs(30 * 86_400));
    let Ok(Reply::Sealed(gone)) = site.engine.handle(Role::Front, Command::Tick) else {
        panic!("not an answer to tick")
    };
    let last = last.unwrap();
    let expected = KeyDescriptor { state: Destroyed, revision: last.revision + 1, ..last };
    assert_eq!(peek(&gone.descriptors[0]), Ok(Descriptor::Key(Box::new(expected))));
    assert_eq!((gone.descriptors.len(), gone.tokens.len(), gone.policies.len()), (1, 0, 0));
}

#[test]
fn descriptor_of_an_alias_is_as_requested_in_every_revision() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let [one, two] = [(); 2].map(|()| site.create_key(&root, None));
    let seal = |operation: &str, target: Option<&StoredKey>, keys: &[&StoredKey]| {
        let mut body = json!({ "AliasName": "alias/a/b" });
        if let Some(target) = target {
            body["TargetKeyId"] = json!(target.id);
        }
        let request = site.kms(&root, operation, &body);
        let given = keys.iter().map(|key| key.used()).collect();
        let sealed = site.seal(request, |seal| seal.keys = given).unwrap();
        assert_eq!((sealed.descriptors.len(), sealed.tokens.len()), (1, 0), "{operation}");
        peek(&sealed.descriptors[0]).unwrap()
    };
    let of = |target: &StoredKey, revision, deleted| {
        Descriptor::Alias(AliasDescriptor {
            arn: format!("arn:aws:kms:us-east-1:{OWNER}:alias/a/b").parse().unwrap(),
            account: account(OWNER),
            target: target.id.parse().unwrap(),
            revision,
            deleted,
        })
    };
    assert_eq!(seal("CreateAlias", Some(&one), &[&one]), of(&one, 1, false));
    assert_eq!(seal("UpdateAlias", Some(&two), &[&two, &one]), of(&two, 2, false));
    assert_eq!(seal("DeleteAlias", None, &[&two]), of(&two, 3, true));
    assert_eq!(seal("CreateAlias", Some(&one), &[&one]), of(&one, 4, false), "made again");
}

#[test]
fn descriptors_of_a_managed_key_and_its_alias_are_its_services() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let s3 = gateway(&site);
    let put = || site.put(&root, "/b/k", &[]);
    let inner = site.inner(&put(), "CreateKey", &json!({}));
    let handle = site.present(site.presented(&s3, &inner)).unwrap().handle;
    let id = Uuid::random(&*site.env).to_string();
    let seal = Seal { handle, new_id: Some(id.clone()), ..Seal::default() };
    let sealed = site.engine.handle(Role::Front, Command::Seal(Box::new(seal)));
    let Ok(Reply::Sealed(sealed)) = sealed else { panic!("not sealed") };
    let (created, descriptor) = (site.env.now(), sealed.descriptors[0].clone());
    let policy = managed_key_policy("s3", account(OWNER), &region());
    let key = StoredKey { id, descriptor, tokens: sealed.tokens, policy };
    let body = data_key(&key, "b/k");
    let inner = site.inner(&put(), "GenerateDataKey", &body);
    let blob = site.through(&s3, &inner, &key).unwrap().ciphertext.unwrap();
    let expected = KeyDescriptor {
        managed_by: Some("s3".to_owned()),
        ..made(&key.id, &key.policy, created, &blob)
    };
    let alias = AliasDescriptor {
        arn: format!("arn:aws:kms:us-east-1:{OWNER}:alias/aws/s3").parse().unwrap(),
        account: account(OWNER),
        target: key.id.parse().unwrap(),
        revision: 1,
        deleted: false,
    };
    let found: Vec<_> = sealed.descriptors.iter().map(|bytes| peek(bytes).unwrap()).collect();
    assert_eq!(found, [Descriptor::Key(Box::new(expected)), Descriptor::Alias(alias)]);
}
