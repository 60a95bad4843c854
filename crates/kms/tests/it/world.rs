//! One installation in memory: calls come in as JSON bodies. The key module's channel is closed, so what
//! gets as far as it is answered `ServiceUnavailableException`.

use std::collections::BTreeMap;
use std::sync::Arc;

use writ_aws::{ApiError, Service, Value, json};
use writ_keyd_client::caller::{Caller, CallerKind};
use writ_keyd_client::channel::Channel;
use writ_keyd_client::client::Client;
use writ_keyd_client::descriptor::{Descriptor, KeyDescriptor, KeyState, MAGIC, TAG_BYTES};
use writ_keyd_client::protocol::Network;
use writ_kms::Kms;
use writ_model::env::TestEnv;
use writ_model::{AccountId, Arn, Env, KeyId, Nonce, Region, Revision, Timestamp, Uuid};
use writ_proof::cbor;
use writ_service::api::Api;
use writ_service::call::{Call, Outcome};
use writ_store::state::{Alias, Key, User};
use writ_store::{Blob, Body, Change, Object, Snapshot};
use writ_trail::client::TrailClient;

/// The account of most tests.
pub(crate) const HOME: &str = "111122223333";
/// Another one.
pub(crate) const AWAY: &str = "444455556666";

/// The id under which nobody has a key.
pub(crate) const MISSING: &str = "00000000-0000-4000-8000-000000000000";

pub(crate) struct World {
    env: Arc<TestEnv>,
    snapshot: Snapshot,
}

impl World {
    pub(crate) fn new() -> World {
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(1_800_000_000), 1));
        World { env, snapshot: Snapshot::empty(Uuid::from_bytes([7; 16])) }
    }

    /// A key of `owner`, whose policy lets these accounts do everything; its ARN.
    pub(crate) fn key(&mut self, owner: &str, admitted: &[&str], state: KeyState) -> Arn {
        let roots: Vec<String> =
            admitted.iter().map(|id| format!(r#""arn:aws:iam::{id}:root""#)).collect();
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":[{}]}},"Action":"kms:*","Resource":"*"}}]}}"#,
            roots.join(",")
        );
        let (key_id, account) = (KeyId::random(&*self.env), account(owner));
        let arn = Arn::build("kms", region().as_str(), Some(account), &format!("key/{key_id}"));
        let created = self.env.now();
        let descriptor = KeyDescriptor {
            arn: arn.clone(),
            account,
            region: region(),
            key_id: key_id.clone(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            usage: "ENCRYPT_DECRYPT".to_owned(),
            origin: "AWS_KMS".to_owned(),
            created,
            multi_region: 0,
            state,
            policy_digest: [0; 32],
            grants_root: [0; 32],
            rotation_days: None,
            deletion_date: None,
            material_expiry: None,
            backing_keys: vec![[9; 16]],
            managed_by: None,
            revision: 1,
            principals: Vec::new(),
        };
        let key = Key {
            arn: arn.clone(),
            key_id,
            region: region(),
            description: String::new(),
            policy,
            principals: BTreeMap::new(),
            tags: BTreeMap::new(),
            descriptor: Blob::from(sealed(&Descriptor::Key(Box::new(descriptor)))),
            tokens: Vec::new(),
            created,
            managed_by: None,
        };
        self.put(owner, Body::from(key));
        arn
    }

    /// An alias of `owner` for a key.
    pub(crate) fn alias(&mut self, owner: &str, name: &str, key: &Arn) {
        let now = self.env.now();
        let alias = Alias {
            arn: Arn::build("kms", region().as_str(), Some(account(owner)), name),
            region: region(),
            name: name.to_owned(),
            target: key.resource().trim_start_matches("key/").parse().unwrap(),
            descriptor: Blob::from(Vec::new()),
            created: now,
            updated: now,
        };
        self.put(owner, Body::from(alias));
    }

    /// A user of `owner` without any rights.
    pub(crate) fn user(&mut self, owner: &str, name: &str) -> Caller {
        let account = account(owner);
        let id = "AIDAAAAAAAAAAAAAAAAAA";
        let user = User {
            name: name.to_owned(),
            path: "/".to_owned(),
            unique_id: id.parse().unwrap(),
            created: self.env.now(),
            descriptor: Blob::from(Vec::new()),
            inline_policies: BTreeMap::new(),
            attached_policies: Default::default(),
            groups: Default::default(),
            boundary: None,
            tags: BTreeMap::new(),
        };
        self.put(owner, Body::from(user));
        Caller {
            kind: CallerKind::User,
            arn: Arn::iam(account, &format!("user/{name}")),
            unique_id: id.to_owned(),
            user_name: Some(name.to_owned()),
            ..root(owner)
        }
    }

    /// Adds a deny of everything under a condition to the policy of a key.
    pub(crate) fn deny(&mut self, key: &Arn, condition: &str) {
        let mut changed = (*self.snapshot.key(key).unwrap().value).clone();
        changed.policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}},{{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{condition}}}]}}"#
        );
        self.put(&key.account().unwrap().to_string(), Body::from(changed));
    }

    fn put(&mut self, owner: &str, body: Body) {
        let revision = Revision(self.snapshot.revision().0 + 1);
        let object = Object { account: account(owner), body: body.clone() }.id();
        let change = Change {
            revision,
            ordinal: 0,
            object,
            body: Some(body),
            actor: "test".to_owned(),
            request_id: Uuid::random(&*self.env),
            at: self.env.now(),
        };
        self.snapshot = self.snapshot.apply(&[change], revision);
    }

    /// Carries out one call.
    pub(crate) async fn run(
        &self,
        caller: &Caller,
        operation: &str,
        body: &str,
    ) -> Result<Outcome, ApiError> {
        let operation = writ_aws::operation(Service::Kms, operation).unwrap();
        let input = json::decode(operation, body.as_bytes()).unwrap();
        let (keyd, trail) = (Channel::pair().unwrap().0, Channel::pair().unwrap().0);
        let call = Call {
            operation,
            caller: caller.clone(),
            handle: Nonce([1; 16]),
            forwarded: None,
            network: Network { source_ip: "192.0.2.1".to_owned(), tls: None, vpce: None },
            user_agent: None,
            referer: None,
            host: None,
            snapshot: Arc::new(self.snapshot.clone()),
            region: region(),
            regions: Arc::from([region()]),
            now: self.env.now(),
            request_id: Uuid::random(&*self.env),
            event_id: Uuid::random(&*self.env),
            env: Arc::<TestEnv>::clone(&self.env),
            keyd: Client::new("keyd", keyd).unwrap(),
            trail: TrailClient::new(trail).unwrap(),
            sealed: std::sync::atomic::AtomicBool::new(false),
        };
        Kms::default().execute(&call, input).await
    }

    /// The reply of a call that succeeds.
    pub(crate) async fn ok(&self, caller: &Caller, operation: &str, body: &str) -> Value {
        match self.run(caller, operation, body).await {
            Ok(outcome) => outcome.reply,
            Err(error) => panic!("{operation} {body}: {error}"),
        }
    }

    /// The error of a call that fails.
    pub(crate) async fn err(&self, caller: &Caller, operation: &str, body: &str) -> ApiError {
        match self.run(caller, operation, body).await {
            Ok(_) => panic!("{operation} {body} succeeded"),
            Err(error) => error,
        }
    }
}

/// The root of an account.
pub(crate) fn root(of: &str) -> Caller {
    let account = account(of);
    Caller {
        kind: CallerKind::Root,
        account,
        arn: Arn::root(account),
        unique_id: account.to_string(),
        user_name: None,
        access_key_id: "AKIAROOTROOTROOTROOT".parse().unwrap(),
        session: None,
        delegated: false,
    }
}

/// How many items a list of a reply has.
pub(crate) fn count(reply: &Value, list: &str) -> usize {
    match reply.member(list) {
        Some(Value::List(items)) => items.len(),
        _ => panic!("no list {list} in {reply:?}"),
    }
}

fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn region() -> Region {
    "us-east-1".parse().unwrap()
}

fn sealed(descriptor: &Descriptor) -> Vec<u8> {
    let body = cbor::to_vec(descriptor);
    let mut sealed = MAGIC.to_vec();
    sealed.extend(1u32.to_be_bytes());
    sealed.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    sealed.extend(body);
    sealed.extend([0; TAG_BYTES]);
    sealed
}
