//! One installation in memory: calls come in as query-protocol forms, and what they change is
//! applied to the snapshot at once.

use std::sync::{Arc, Mutex};

use writ_aws::sigv4::encode::encode;
use writ_aws::{ApiError, Service, Value, query};
use writ_iam::{Iam, Sts};
use writ_keyd_client::caller::{Caller, CallerKind, Session, SessionRole};
use writ_keyd_client::channel::{Channel, Message, MessageKind, pack, unpack};
use writ_keyd_client::client::Client;
use writ_keyd_client::descriptor::{
    AccessKeyDescriptor, Descriptor, HEADER_BYTES, MAGIC, RoleDescriptor, UserDescriptor, peek,
};
use writ_keyd_client::protocol::{
    Answer, Command, Credential, End, IssueCredential, Network, Reply, Seal, Sealed,
};
use writ_keyd_client::secret::SecretBytes;
use writ_model::env::TestEnv;
use writ_model::{
    AccessKeyId, AccountId, Arn, Env, Nonce, Region, Revision, StoreEpoch, Timestamp, Uuid,
};
use writ_proof::cbor;
use writ_service::api::Api;
use writ_service::call::{Call, KeydClient, Outcome};
use writ_store::{Change, Object, ObjectId, Snapshot};
use writ_trail::client::TrailClient;

/// The account of most tests.
pub(crate) const HOME: &str = "111122223333";
/// Another one.
pub(crate) const AWAY: &str = "444455556666";

/// A policy that allows everything.
pub(crate) const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// What the stand-in must know of the signed request; the real key module reads it from its bytes.
#[derive(Default)]
struct Signed {
    operation: &'static str,
    caller: Option<Caller>,
    session_name: String,
    name: String,
    path: String,
    active: bool,
    /// What was asked, for tests: `seal`, or `issue` with `delegated`.
    asked: Vec<String>,
}

pub(crate) struct World {
    pub(crate) env: Arc<TestEnv>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) ends: Vec<End>,
    keyd: KeydClient,
    trail: TrailClient,
    _trail_end: Channel,
    signed: Arc<Mutex<Signed>>,
}

impl World {
    pub(crate) fn new() -> World {
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(1_800_000_000), 1));
        let epoch: StoreEpoch = Uuid::from_bytes([7; 16]);
        let (ours, theirs) = Channel::pair().unwrap();
        let (trail, trail_end) = Channel::pair().unwrap();
        let signed = Arc::new(Mutex::new(Signed::default()));
        serve(theirs, Arc::clone(&signed), Arc::clone(&env));
        World {
            env,
            snapshot: Arc::new(Snapshot::empty(epoch)),
            ends: Vec::new(),
            keyd: Client::new("keyd", ours).unwrap(),
            trail: TrailClient::new(trail).unwrap(),
            _trail_end: trail_end,
            signed,
        }
    }

    /// Carries out one call and applies what it changes. `form` is the query protocol's body without
    /// action and version.
    pub(crate) async fn run(
        &mut self,
        caller: &Caller,
        operation: &str,
        form: &str,
    ) -> Result<Outcome, ApiError> {
        let found = [Service::Iam, Service::Sts];
        let operation = found.into_iter().find_map(|s| writ_aws::operation(s, operation)).unwrap();
        let input = query::decode(operation, form.as_bytes())?;
        let text = |name| input.member(name).and_then(Value::text).unwrap_or_default().to_owned();
        {
            let mut signed = self.signed.lock().unwrap();
            signed.operation = operation.name;
            signed.caller = Some(caller.clone());
            signed.session_name = text("RoleSessionName");
            signed.name = text("UserName") + &text("RoleName");
            signed.path =
                Some(text("Path")).filter(|path| !path.is_empty()).unwrap_or("/".to_owned());
            signed.active = text("Status") != "Inactive";
        }
        let region: Region = "us-east-1".parse().unwrap();
        let call = Call {
            operation,
            caller: caller.clone(),
            handle: Nonce([1; 16]),
            forwarded: None,
            network: Network { source_ip: "192.0.2.1".to_owned(), tls: None, vpce: None },
            user_agent: None,
            referer: None,
            host: None,
            snapshot: Arc::clone(&self.snapshot),
            region: region.clone(),
            regions: Arc::from([region]),
            now: self.env.now(),
            request_id: Uuid::random(&*self.env),
            event_id: Uuid::random(&*self.env),
            env: Arc::<TestEnv>::clone(&self.env),
            keyd: self.keyd.clone(),
            trail: self.trail.clone(),
            sealed: std::sync::atomic::AtomicBool::new(false),
        };
        let outcome = match operation.service {
            Service::Iam => Iam.execute(&call, input).await?,
            _ => Sts.execute(&call, input).await?,
        };
        if let Some(changes) = &outcome.changes {
            let (puts, deletes, ends) = changes.parts();
            self.apply(puts, deletes);
            self.ends.extend(ends.iter().cloned());
        }
        Ok(outcome)
    }

    /// The reply of a call that succeeds.
    pub(crate) async fn ok(&mut self, caller: &Caller, operation: &str, form: &str) -> Value {
        match self.run(caller, operation, form).await {
            Ok(outcome) => outcome.reply,
            Err(error) => panic!("{operation} {form}: {error}"),
        }
    }

    /// `Code: message` of a call that fails.
    pub(crate) async fn err(&mut self, caller: &Caller, operation: &str, form: &str) -> String {
        match self.run(caller, operation, form).await {
            Ok(_) => panic!("{operation} {form} succeeded"),
            Err(error) => error.to_string(),
        }
    }

    /// What the key module was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.signed.lock().unwrap().asked)
    }

    /// A user of the home account that exists, with a long-term key.
    pub(crate) fn user(&self, name: &str) -> Caller {
        self.user_of(HOME, name)
    }

    pub(crate) fn user_of(&self, owner: &str, name: &str) -> Caller {
        let owner = account(owner);
        let user = self.snapshot.user(owner, name).unwrap();
        Caller {
            kind: CallerKind::User,
            account: owner,
            arn: Arn::iam(owner, &format!("user{}{}", user.path, user.name)),
            unique_id: user.unique_id.to_string(),
            user_name: Some(user.name.clone()),
            access_key_id: AccessKeyId::long_term(owner, &*self.env),
            session: None,
            delegated: false,
        }
    }

    /// The session that the last call made.
    pub(crate) fn session(&self) -> Caller {
        self.signed.lock().unwrap().caller.clone().unwrap()
    }

    fn apply(&mut self, puts: &[Object], deletes: &[ObjectId]) {
        let revision = Revision(self.snapshot.revision().0 + 1);
        let deleted = deletes.iter().map(|id| (id.clone(), None));
        let put = puts.iter().map(|object| (object.id(), Some(object.body.clone())));
        let changes: Vec<Change> = deleted
            .chain(put)
            .enumerate()
            .map(|(at, (object, body))| Change {
                revision,
                ordinal: u32::try_from(at).unwrap(),
                object,
                body,
                actor: "test".to_owned(),
                request_id: Uuid::random(&*self.env),
                at: self.env.now(),
            })
            .collect();
        self.snapshot = Arc::new(self.snapshot.apply(&changes, revision));
    }

    pub(crate) fn env_now(&self) -> Timestamp {
        self.env.now()
    }

    /// Puts objects into the state without a call.
    pub(crate) fn put(&mut self, objects: &[Object]) {
        self.apply(objects, &[]);
    }
}

pub(crate) fn account(id: &str) -> AccountId {
    id.parse().unwrap()
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

/// A value of a form.
pub(crate) fn enc(text: &str) -> String {
    encode(text.as_bytes())
}

/// The text at a path such as `User.Arn` or `Users.0.UserName`; numbers and booleans as text.
pub(crate) fn at(reply: &Value, path: &str) -> String {
    let mut value = reply;
    for step in path.split('.') {
        value = match (value, step.parse::<usize>()) {
            (Value::List(items), Ok(index)) => {
                items.get(index).unwrap_or_else(|| panic!("no {path}"))
            }
            _ => value.member(step).unwrap_or_else(|| panic!("no {path} in {reply:?}")),
        };
    }
    match value {
        Value::Text(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Time(time) => time.iso(),
        Value::List(items) => items.len().to_string(),
        other => panic!("{path} is a {}", other.kind()),
    }
}

/// The texts at `field` of each item of a list.
pub(crate) fn names(reply: &Value, list: &str, field: &str) -> Vec<String> {
    let Some(Value::List(items)) = reply.member(list) else { panic!("no list {list}") };
    items.iter().map(|item| at(item, field)).collect()
}

/// An allow statement as a policy document.
pub(crate) fn allow(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}]}}"#
    )
}

/// A trust policy for one AWS principal; `more` are further members of its statement.
pub(crate) fn trust(principal: &str, actions: &str, more: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":{actions}{more}}}]}}"#
    )
}

fn serve(channel: Channel, signed: Arc<Mutex<Signed>>, env: Arc<TestEnv>) {
    std::thread::spawn(move || {
        while let Ok(Some(packet)) = channel.recv() {
            for message in unpack(&packet.bytes).unwrap() {
                let command: Command = cbor::from_slice(&message.body).unwrap();
                let mut signed = signed.lock().unwrap();
                let reply = match command {
                    Command::Seal(seal) => {
                        signed.asked.push("seal".to_owned());
                        Reply::Sealed(seal_as(&seal, &signed))
                    }
                    Command::IssueCredential(issue) => {
                        signed.asked.push(format!("issue delegated={}", issue.delegated));
                        let made = issue_as(&issue, &signed, &*env);
                        signed.caller = made.caller.clone();
                        Reply::Credential(Box::new(made))
                    }
                    _ => Reply::Done,
                };
                let body = cbor::to_vec(&Answer::Carried(reply));
                let reply = Message { kind: MessageKind::Reply, id: message.id, body: body.into() };
                if channel.send(&pack(&[reply])).is_err() {
                    return;
                }
            }
        }
    });
}

/// The next revision of what is changed, or a first one of the kind that the id says.
fn seal_as(seal: &Seal, signed: &Signed) -> Sealed {
    let account = signed.caller.as_ref().unwrap().account;
    let id = seal.new_id.clone().unwrap_or_default();
    let descriptor = match &seal.current {
        Some(current) => match peek(current).unwrap() {
            Descriptor::AccessKey(d) => Descriptor::AccessKey(AccessKeyDescriptor {
                active: signed.active,
                revision: d.revision + 1,
                ..d
            }),
            Descriptor::Role(d) => {
                Descriptor::Role(RoleDescriptor { revision: d.revision + 1, ..d })
            }
            Descriptor::User(d) => {
                Descriptor::User(UserDescriptor { revision: d.revision + 1, ..d })
            }
            other => panic!("IAM sealed {other:?}"),
        },
        None if id.starts_with("AIDA") => Descriptor::User(UserDescriptor {
            account,
            unique_id: id,
            name: signed.name.clone(),
            path: signed.path.clone(),
            revision: 1,
            deleted: false,
        }),
        None => Descriptor::Role(RoleDescriptor {
            account,
            unique_id: id,
            name: signed.name.clone(),
            path: signed.path.clone(),
            trust_policy: String::new(),
            max_session_secs: 3600,
            revision: 1,
            deleted: false,
            principals: Vec::new(),
        }),
    };
    Sealed {
        descriptors: vec![sealed(&descriptor)],
        tokens: Vec::new(),
        position: None,
        policies: Vec::new(),
    }
}

fn issue_as(issue: &IssueCredential, signed: &Signed, env: &dyn Env) -> Credential {
    let caller = signed.caller.clone().unwrap();
    let (secret, now) = (SecretBytes::new(vec![b's'; 40]), env.now());
    let subject = issue.subject.as_ref().map(|sealed| peek(sealed).unwrap());
    if signed.operation == "CreateAccessKey" {
        let id = AccessKeyId::long_term(caller.account, env);
        let user = match subject {
            Some(Descriptor::User(user)) => Some(user.unique_id),
            _ => None,
        };
        let descriptor = Descriptor::AccessKey(AccessKeyDescriptor {
            id: id.clone(),
            account: caller.account,
            user,
            active: true,
            created: now,
            revision: 1,
            deleted: false,
        });
        return Credential {
            access_key_id: id,
            secret,
            wrapped: Some(vec![1]),
            descriptor: Some(sealed(&descriptor)),
            session_token: None,
            expires: None,
            caller: None,
            packed_policy_size: None,
            position: None,
        };
    }
    let caller = match subject {
        Some(Descriptor::Role(role)) => role_caller(&role, signed, &caller, now, env),
        _ => {
            let id = AccessKeyId::session(caller.account, env);
            Caller { access_key_id: id, session: Some(session(None, now)), ..caller }
        }
    };
    Credential {
        access_key_id: caller.access_key_id.clone(),
        secret,
        wrapped: None,
        descriptor: None,
        session_token: Some("token".to_owned()),
        expires: caller.session.as_ref().map(|session| session.expires),
        caller: Some(caller),
        packed_policy_size: Some(3),
        position: None,
    }
}

fn role_caller(
    role: &RoleDescriptor,
    signed: &Signed,
    by: &Caller,
    now: Timestamp,
    env: &dyn Env,
) -> Caller {
    let name = &signed.session_name;
    let role_arn = Arn::iam(role.account, &format!("role{}{}", role.path, role.name));
    let mut session = session(
        Some(SessionRole {
            arn: role_arn,
            unique_id: role.unique_id.clone(),
            name: role.name.clone(),
            session_name: name.clone(),
        }),
        now,
    );
    session.chained = by.session.is_some();
    Caller {
        kind: CallerKind::AssumedRole,
        account: role.account,
        arn: Arn::build(
            "sts",
            "",
            Some(role.account),
            &format!("assumed-role/{}/{name}", role.name),
        ),
        unique_id: format!("{}:{name}", role.unique_id),
        user_name: None,
        access_key_id: AccessKeyId::session(role.account, env),
        session: Some(session),
        delegated: false,
    }
}

fn session(role: Option<SessionRole>, now: Timestamp) -> Session {
    Session {
        role,
        issued: now,
        expires: now.plus(std::time::Duration::from_secs(3600)),
        mfa_at: None,
        source_identity: None,
        tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
        policy: None,
        policy_arns: Vec::new(),
        chained: false,
    }
}

/// The form of a sealed descriptor, with a tag that nobody checks here.
fn sealed(descriptor: &Descriptor) -> Vec<u8> {
    let body = cbor::to_vec(descriptor);
    let mut sealed = MAGIC.to_vec();
    sealed.extend(1u32.to_be_bytes());
    sealed.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    assert_eq!(sealed.len(), HEADER_BYTES);
    sealed.extend(body);
    sealed.extend([0; 32]);
    sealed
}
