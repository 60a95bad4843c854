//! Attacks on the engine, written as a front (or s3, or trail) that cheats: each must fail. The
//! harness plays all peers in one process over a clock that moves when told.

mod callers;
mod customer;
mod descriptors;
mod edges;
mod engine;
mod fas;
mod identity;
mod keys;
mod liveness;
mod roles;
mod roster;
mod run_order;
mod session;
mod signatures;
mod use_records;
mod use_records_fas;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use writ_aws::sigv4::client::{Credentials, Signer};
use writ_aws::sigv4::{Payload as Covered, RawRequest};
use writ_keyd_client::protocol::*;
use writ_model::env::TestEnv;
use writ_model::{AccountId, Env, Nonce, Region, Timestamp, UniqueId, UniqueIdKind, Uuid};
use writ_proof::cbor;
use writ_proof::roster::KeydKeys;
use writ_proof::use_record::{ChainEnd, UseBatch, UseRecord, UseResult, What};
use zeroize::Zeroizing;

use crate::engine::{Engine, EngineParts};
use crate::head::Head;
use crate::head::tests::MemoryHead;
use crate::records::RecordSink;
use crate::root::{self, Root};

/// Noon of some day, so that no test crosses midnight.
pub(crate) const NOON: Timestamp =
    Timestamp::from_secs(1_790_000_000 - 1_790_000_000 % 86_400 + 43_200);

#[derive(Default)]
struct Trail(Mutex<Vec<UseBatch>>);

impl RecordSink for Trail {
    fn send(&self, batch: Vec<u8>) -> bool {
        self.0.lock().unwrap().push(cbor::from_slice(&batch).unwrap());
        true
    }

    fn restart(&self) {}
}

/// One installation: keyd, and the peers' side of it.
pub(crate) struct Site {
    pub(crate) env: Arc<TestEnv>,
    pub(crate) engine: Engine,
    pub(crate) root: Vec<u8>,
    pub(crate) keys: KeydKeys,
    pub(crate) head: Arc<MemoryHead>,
    trail: Arc<Trail>,
    feed: Mutex<u64>,
}

/// A signer: credentials, and what front stores of them.
pub(crate) struct Signing {
    pub(crate) credentials: Credentials,
    pub(crate) wrapped: Option<Vec<u8>>,
    pub(crate) descriptor: Option<Vec<u8>>,
}

/// A KMS key as front stores it.
#[derive(Clone)]
pub(crate) struct StoredKey {
    pub(crate) id: String,
    pub(crate) descriptor: Vec<u8>,
    pub(crate) tokens: Vec<Vec<u8>>,
    pub(crate) policy: String,
}

impl StoredKey {
    pub(crate) fn used(&self) -> UsedKey {
        UsedKey {
            descriptor: self.descriptor.clone(),
            tokens: self.tokens.clone(),
            policy: self.policy.clone(),
            tags: Vec::new(),
        }
    }
}

pub(crate) fn account(n: u64) -> AccountId {
    AccountId::from_number(n).unwrap()
}

pub(crate) use roster::genesis;

pub(crate) fn region() -> Region {
    "us-east-1".parse().unwrap()
}

pub(crate) fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

impl Site {
    /// A started, loaded and current keyd.
    pub(crate) fn new() -> Site {
        let env = Arc::new(TestEnv::new(NOON, 7));
        let (root, keys) = root::create(&*env).unwrap();
        let site = Site::start(env, root.to_vec(), keys, Arc::default());
        site.load(vec![]);
        site.advance(Duration::from_secs(1));
        site
    }

    pub(crate) fn start(
        env: Arc<TestEnv>,
        root: Vec<u8>,
        keys: KeydKeys,
        head: Arc<MemoryHead>,
    ) -> Site {
        Site::start_with(env, root, keys, head, genesis().to_bytes())
    }

    pub(crate) fn start_with(
        env: Arc<TestEnv>,
        root: Vec<u8>,
        keys: KeydKeys,
        head: Arc<MemoryHead>,
        genesis: Vec<u8>,
    ) -> Site {
        let trail = Arc::new(Trail::default());
        let engine = Engine::new(EngineParts {
            env: env.clone(),
            root: Root::parse(&root).unwrap(),
            head: Head::parse(&head.bytes()).unwrap(),
            head_log: head.clone(),
            sink: trail.clone(),
            site: "test".parse().unwrap(),
            s3_domain: None,
            genesis,
        })
        .unwrap();
        Site { env, engine, root, keys, head, trail, feed: Mutex::new(0) }
    }

    pub(crate) fn load(&self, descriptors: Vec<Vec<u8>>) {
        let epoch = Uuid::from_bytes([1; 16]);
        let load = Load { descriptors, ended: vec![], last: true, epoch, roster: vec![] };
        self.engine.handle(Role::Front, Command::Load(load)).unwrap();
        self.settle();
    }

    /// Moves the clock; trail and front have kept up.
    pub(crate) fn advance(&self, by: Duration) {
        self.env.advance(by);
        self.settle();
    }

    /// trail acknowledges all records, front beats.
    pub(crate) fn settle(&self) {
        self.engine.handle(Role::Trail, Command::Hello(hello(None))).unwrap();
        let last = self.trail.0.lock().unwrap().last().map(UseBatch::position);
        if let Some(last) = last {
            let ack = Ack { boot: last.boot, seq: last.seq };
            self.engine.handle(Role::Trail, Command::Ack(ack)).unwrap();
        }
        let mut feed = self.feed.lock().unwrap();
        *feed += 1;
        self.engine.handle(Role::Front, Command::Beat(Beat { feed: *feed })).unwrap();
    }

    /// All records so far, in order, their chain and signatures checked.
    pub(crate) fn records(&self) -> Vec<UseRecord> {
        let batches = self.trail.0.lock().unwrap();
        let boot = self.engine.status().boot;
        let mut end = ChainEnd::begin(boot);
        let mut records = Vec::new();
        for batch in batches.iter() {
            // A batch that was sent again after a hello is no news.
            if batch.first_seq < end.next_seq() {
                continue;
            }
            records.extend(end.accept(batch, &self.keys.use_records).unwrap());
        }
        records
    }

    /// The last record.
    pub(crate) fn last_use(&self) -> writ_proof::use_record::Use {
        match self.records().pop().map(|record| record.what) {
            Some(What::Use(last)) => *last,
            _ => panic!("no use is recorded"),
        }
    }

    /// The last record's operation and result.
    pub(crate) fn last_record(&self) -> (String, String) {
        let last = self.last_use();
        let result = match last.result {
            UseResult::Ok => "ok".to_owned(),
            UseResult::Denied(code) => code,
        };
        (last.op, result)
    }

    pub(crate) fn create_account(&self, n: u64) -> Signing {
        let create = CreateAccount { account: account(n) };
        match self.engine.handle(Role::Front, Command::CreateAccount(create)).unwrap() {
            Reply::Credential(credential) => signing(*credential),
            _ => panic!("no credential"),
        }
    }

    /// A signed JSON request for KMS.
    pub(crate) fn kms(&self, signer: &Signing, operation: &str, body: &Json) -> Authenticate {
        let body = body.to_string().into_bytes();
        let target = format!("TrentService.{operation}").into_bytes();
        let headers = vec![
            ("content-type".to_owned(), b"application/x-amz-json-1.1".to_vec()),
            ("x-amz-target".to_owned(), target),
        ];
        self.signed(signer, "kms", "/", headers, body)
    }

    /// A signed form for IAM or STS.
    pub(crate) fn query(&self, signer: &Signing, service: &str, form: &str) -> Authenticate {
        let kind = b"application/x-www-form-urlencoded".to_vec();
        let headers = vec![("content-type".to_owned(), kind)];
        self.signed(signer, service, "/", headers, form.as_bytes().to_vec())
    }

    /// A signed S3 request.
    pub(crate) fn s3(
        &self,
        signer: &Signing,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Authenticate {
        self.s3_with(signer, (method, path), headers, "UNSIGNED-PAYLOAD")
    }

    /// The same with another literal of `x-amz-content-sha256`.
    pub(crate) fn s3_with(
        &self,
        signer: &Signing,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        literal: &str,
    ) -> Authenticate {
        let mut all = host("s3.test");
        all.extend(headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())));
        let id = Uuid::random(&*self.env).to_string().into_bytes();
        all.push(("amz-sdk-invocation-id".to_owned(), id));
        let raw = RawRequest { method, path, query: "", headers: &all };
        let region = region();
        let by = Signer { credentials: &signer.credentials, region: &region, service: "s3" };
        let headers = by.sign_request(&raw, Covered::Declared(literal), self.env.now()).unwrap();
        let payload = Payload::Declared(literal.to_owned());
        self.whole(signer, method, path, headers.headers, payload)
    }

    fn signed(
        &self,
        signer: &Signing,
        service: &str,
        path: &str,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    ) -> Authenticate {
        let mut all = host("front.test");
        all.extend(headers);
        // As SDKs do: two equal calls in one second differ.
        let id = Uuid::random(&*self.env).to_string().into_bytes();
        all.push(("amz-sdk-invocation-id".to_owned(), id));
        let raw = RawRequest { method: "POST", path, query: "", headers: &all };
        let region = region();
        let by = Signer { credentials: &signer.credentials, region: &region, service };
        let signed = by.sign_request(&raw, Covered::Body(&body), self.env.now()).unwrap();
        self.whole(signer, "POST", path, signed.headers, Payload::Body(body))
    }

    fn whole(
        &self,
        signer: &Signing,
        method: &str,
        path: &str,
        headers: Vec<(String, Vec<u8>)>,
        payload: Payload,
    ) -> Authenticate {
        Authenticate {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            headers,
            payload,
            credential: signer.wrapped.clone(),
            network: Network { source_ip: "192.0.2.7".to_owned(), tls: None, vpce: None },
            request_id: Uuid::random(&*self.env),
            event_id: Uuid::random(&*self.env),
            region: region(),
        }
    }

    pub(crate) fn authenticate(&self, request: Authenticate) -> Result<Authenticated, Refusal> {
        self.authenticate_as(Role::Front, request)
    }

    pub(crate) fn authenticate_as(
        &self,
        role: Role,
        request: Authenticate,
    ) -> Result<Authenticated, Refusal> {
        match self.engine.handle(role, Command::Authenticate(Box::new(request)))? {
            Reply::Authenticated(answer) => Ok(*answer),
            _ => panic!("not an answer to authenticate"),
        }
    }

    /// Authenticates and seals.
    pub(crate) fn seal(
        &self,
        request: Authenticate,
        with: impl FnOnce(&mut Seal),
    ) -> Result<Sealed, Refusal> {
        let handle = self.authenticate(request)?.handle;
        let mut seal = Seal { handle, ..Seal::default() };
        with(&mut seal);
        match self.engine.handle(Role::Front, Command::Seal(Box::new(seal)))? {
            Reply::Sealed(sealed) => Ok(sealed),
            _ => panic!("not an answer to seal"),
        }
    }

    /// Authenticates and uses.
    pub(crate) fn use_keys(
        &self,
        request: Authenticate,
        keys: &[&StoredKey],
        delegated: bool,
    ) -> Result<Used, Refusal> {
        let handle = self.authenticate(request)?.handle;
        self.spend(handle, keys, delegated)
    }

    pub(crate) fn spend(
        &self,
        handle: Handle,
        keys: &[&StoredKey],
        delegated: bool,
    ) -> Result<Used, Refusal> {
        let keys = keys.iter().map(|key| key.used()).collect();
        let wanted = Use { handle, delegated, ..Use::of(keys) };
        match self.engine.handle(Role::Front, Command::Use(Box::new(wanted)))? {
            Reply::Used(used) => Ok(*used),
            _ => panic!("not an answer to use"),
        }
    }

    pub(crate) fn issue(
        &self,
        request: Authenticate,
        subject: Option<&[u8]>,
        delegated: bool,
    ) -> Result<Credential, Refusal> {
        let handle = self.authenticate(request)?.handle;
        let issue = IssueCredential {
            handle,
            subject: subject.map(<[u8]>::to_vec),
            delegated,
            principal_tags: vec![],
        };
        match self.engine.handle(Role::Front, Command::IssueCredential(Box::new(issue)))? {
            Reply::Credential(credential) => Ok(*credential),
            _ => panic!("not an answer to issue"),
        }
    }

    /// A user with a long-term key; its descriptor and its signer.
    pub(crate) fn create_user(&self, root: &Signing, name: &str) -> (Vec<u8>, Signing) {
        let id = UniqueId::random(UniqueIdKind::User, &*self.env).as_str().to_owned();
        self.create_user_of(root, name, id)
    }

    /// The same with this unique id.
    pub(crate) fn create_user_of(
        &self,
        root: &Signing,
        name: &str,
        id: String,
    ) -> (Vec<u8>, Signing) {
        let form = format!("Action=CreateUser&Version=2010-05-08&UserName={name}");
        let sealed = self.seal(self.query(root, "iam", &form), |s| s.new_id = Some(id)).unwrap();
        let user = sealed.descriptors[0].clone();
        let form = format!("Action=CreateAccessKey&Version=2010-05-08&UserName={name}");
        let made = self.issue(self.query(root, "iam", &form), Some(&user), false).unwrap();
        (user, signing(made))
    }

    /// A role with this trust policy: its descriptor.
    pub(crate) fn create_role(&self, root: &Signing, name: &str, trust: &str) -> Vec<u8> {
        let id = UniqueId::random(UniqueIdKind::Role, &*self.env).as_str().to_owned();
        self.create_role_of(root, name, trust, id)
    }

    /// The same with this unique id.
    pub(crate) fn create_role_of(
        &self,
        root: &Signing,
        name: &str,
        trust: &str,
        id: String,
    ) -> Vec<u8> {
        let trust = writ_aws::sigv4::encode::encode(trust.as_bytes());
        let form = format!(
            "Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument={trust}"
        );
        let sealed = self.seal(self.query(root, "iam", &form), |s| s.new_id = Some(id)).unwrap();
        sealed.descriptors[0].clone()
    }

    /// A key with the default policy, or this one.
    pub(crate) fn create_key(&self, signer: &Signing, policy: Option<&str>) -> StoredKey {
        let body = policy.map_or(json!({}), |policy| json!({ "Policy": policy }));
        let id = Uuid::random(&*self.env).to_string();
        let request = self.kms(signer, "CreateKey", &body);
        let owner = signer.credentials.access_key_id.parse::<writ_model::AccessKeyId>().unwrap();
        let default = writ_keyd_client::key_policy::default_key_policy(owner.account().unwrap());
        let sealed = self.seal(request, |seal| seal.new_id = Some(id.clone())).unwrap();
        StoredKey {
            id,
            descriptor: sealed.descriptors[0].clone(),
            tokens: sealed.tokens,
            policy: policy.map_or(default, str::to_owned),
        }
    }

    /// Changes a key as its owner, and what front stores of it.
    pub(crate) fn change_key(
        &self,
        signer: &Signing,
        key: &StoredKey,
        operation: &str,
        body: &Json,
    ) -> Result<StoredKey, Refusal> {
        let sealed = self.seal(self.kms(signer, operation, body), |seal| {
            seal.keys = vec![key.used()];
        })?;
        let policy = body.get("Policy").and_then(Json::as_str).unwrap_or(&key.policy).to_owned();
        Ok(StoredKey {
            descriptor: sealed.descriptors[0].clone(),
            tokens: sealed.tokens,
            policy,
            id: key.id.clone(),
        })
    }

    /// Encrypts as a direct caller.
    pub(crate) fn encrypt(&self, signer: &Signing, key: &StoredKey, plain: &[u8]) -> Vec<u8> {
        let body = json!({ "KeyId": key.id, "Plaintext": b64(plain) });
        let used = self.use_keys(self.kms(signer, "Encrypt", &body), &[key], true).unwrap();
        used.ciphertext.unwrap()
    }
}

pub(crate) fn hello(x25519: Option<[u8; 32]>) -> Hello {
    Hello { protocol: PROTOCOL, x25519 }
}

pub(crate) fn signing(credential: Credential) -> Signing {
    let secret = String::from_utf8(credential.secret.expose().to_vec()).unwrap();
    Signing {
        credentials: Credentials {
            access_key_id: credential.access_key_id.to_string(),
            secret: Zeroizing::new(secret),
            session_token: credential.session_token.map(Zeroizing::new),
        },
        wrapped: credential.wrapped,
        descriptor: credential.descriptor,
    }
}

/// The same request again, as a front that replays would send it.
pub(crate) fn copy(request: &Authenticate) -> Authenticate {
    let bytes = cbor::to_vec(request);
    cbor::from_slice(&bytes).unwrap()
}

fn host(name: &str) -> Vec<(String, Vec<u8>)> {
    vec![("host".to_owned(), name.as_bytes().to_vec())]
}

/// The code of a refusal, for tables.
pub(crate) fn code<T>(result: Result<T, Refusal>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(refusal) => crate::refuse::code(&refusal),
    }
}

/// The text of a refusal, for tables of attacks: each must fail for its own reason.
pub(crate) fn why<T>(result: Result<T, Refusal>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(Refusal::Aws(refusal)) => refusal.message,
        Err(Refusal::Forbidden(why) | Refusal::Unavailable(why)) => why,
        Err(Refusal::Repeated(_)) => "repeated".to_owned(),
    }
}

pub(crate) fn nonce(n: u8) -> Nonce {
    Nonce([n; 16])
}
