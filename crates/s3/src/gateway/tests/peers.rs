//! The other processes, played: a key module that takes any signature, a KMS with one key, a ledger
//! in memory. They speak the real protocols over real channels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as AeadNonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::{hkdf, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use writ_aws::classify::{Request, classify};
use writ_aws::sigv4::{self, RawRequest};
use writ_keyd_client::arena::Arena;
use writ_keyd_client::caller::{Caller, CallerKind};
use writ_keyd_client::channel::{Channel, Message, MessageKind, pack, unpack};
use writ_keyd_client::client::Client as ChannelClient;
use writ_keyd_client::descriptor::{Descriptor, HEADER_BYTES, KeyDescriptor, KeyState, TAG_BYTES};
use writ_keyd_client::protocol::{
    Answer, Authenticate, Authenticated, AwsRefusal, Command, HelloReply, PROTOCOL, Refusal, Reply,
    Role, Ticket,
};
use writ_keyd_client::secret::SecretBytes;
use writ_model::{AccessKeyId, AccountId, Arn, Env, Nonce, Revision, SystemEnv, Timestamp, Uuid};
use writ_proof::append::{AppendRefusal, AppendReply, Position};
use writ_proof::cbor::{self, Decode, Encode, Writer};
use writ_store::state::{AccessKey, Key};
use writ_store::{Blob, Object, Snapshot};
use writ_trail::client::TrailClient;
use writ_trail::protocol::{Reply as TrailReply, Request as TrailRequest};

use super::super::policies::SnapshotPolicies;
use super::super::ports::State;
use super::super::{Gateway, GatewayParts, serve};
use super::client::Client;
use crate::blob::Blobs;
use crate::index::Index;
use crate::keyd::Keyd;
use crate::kms_link::{KmsReply, KmsRequest, SealedKey};

const KEY_ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000";

/// A gateway and its peers.
pub(super) struct World {
    address: SocketAddr,
    access_key: AccessKeyId,
    other_key: AccessKeyId,
    dir: tempfile::TempDir,
    state: Arc<TestState>,
    ledger: Arc<Mutex<Vec<Value>>>,
    closed: Arc<AtomicBool>,
    kms: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    callers: Callers,
    base: Vec<(Object, Revision)>,
    pub(super) gateway: Arc<Gateway>,
}

/// What the key module was asked.
pub(super) enum Seen {
    /// Header names of a request.
    Headers(Vec<String>),
    /// Signatures of chunks and of the trailer.
    Chunks(Vec<[u8; 32]>, Option<[u8; 32]>),
}

/// Who signs with a key, where it is not the root of the key's account.
type Callers = Arc<Mutex<HashMap<AccessKeyId, Caller>>>;

struct TestState(Mutex<Option<Arc<Snapshot>>>);

impl State for TestState {
    fn lease(&self) -> Option<Arc<Snapshot>> {
        self.0.lock().unwrap().clone()
    }
}

impl World {
    pub(super) async fn start() -> World {
        World::start_in(Arc::new(SystemEnv)).await
    }

    pub(super) async fn start_in(env: Arc<dyn Env>) -> World {
        let account = AccountId::from_number(123_456_789_012).unwrap();
        let access_key = AccessKeyId::long_term(account, &*env);
        let key = AccessKey {
            id: access_key.clone(),
            user: None,
            active: true,
            created: Timestamp::from_secs(1),
            wrapped: Blob::from(vec![1]),
            descriptor: Blob::from(vec![1]),
        };
        let other_account = AccountId::from_number(210_987_654_321).unwrap();
        let other_key = AccessKeyId::long_term(other_account, &*env);
        let other = AccessKey { id: other_key.clone(), ..key.clone() };
        let objects = [
            (Object::new(account, key), Revision(1)),
            (Object::new(other_account, other), Revision(1)),
        ];
        let base = Vec::from(objects);
        let snapshot = Snapshot::build(Uuid::random(&*env), Revision(1), base.clone());
        let state = Arc::new(TestState(Mutex::new(Some(Arc::new(snapshot)))));

        let seal_key = Arc::new(Mutex::new([0u8; 32]));
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let callers = Callers::default();
        let keyd = keyd(Arc::clone(&seen), Arc::clone(&seal_key), Arc::clone(&callers));
        let (ledger, closed) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<AtomicBool>::default());
        let trail = trail(Arc::clone(&ledger), Arc::clone(&closed));
        let kms = Arc::<Mutex<Vec<String>>>::default();
        let front = front(seal_key, Arc::clone(&kms));

        let dir = tempfile::tempdir().unwrap();
        let region: writ_model::Region = "us-east-1".parse().unwrap();
        let blobs = Arc::new(Blobs::open(dir.path(), &region, 0).unwrap());
        let path = dir.path().join("index.sqlite");
        let index = Arc::new(Index::open(&path, &region, Arc::clone(&env)).unwrap());
        let arena = Arena::new(256).unwrap();
        let keyd = Keyd::new(ChannelClient::new("keyd", keyd).unwrap(), arena);
        keyd.hello().await.unwrap();
        let gateway = Gateway::new(GatewayParts {
            env,
            region,
            site: "test".parse().unwrap(),
            index,
            blobs,
            keyd,
            kms: ChannelClient::new("front", front).unwrap(),
            trail: TrailClient::new(trail).unwrap(),
            state: Arc::clone(&state) as Arc<dyn State>,
            decide: Arc::new(SnapshotPolicies),
        });
        let address = served(Arc::clone(&gateway));
        World {
            address,
            access_key,
            other_key,
            dir,
            state,
            ledger,
            closed,
            kms,
            seen,
            callers,
            base,
            gateway,
        }
    }

    pub(super) fn client(&self) -> Client {
        Client { address: self.address, access_key: self.access_key.to_string() }
    }

    /// A client of another account.
    pub(super) fn stranger(&self) -> Client {
        Client { address: self.address, access_key: self.other_key.to_string() }
    }

    /// Takes a table that every write needs out of the index.
    pub(super) fn break_index(&self) {
        let index = rusqlite::Connection::open(self.dir.path().join("index.sqlite")).unwrap();
        // Earlier commits are acknowledged beside their replies, and would meet the damage first.
        let waiting = "SELECT count(*) FROM outbox";
        while index.query_row(waiting, [], |row| row.get::<_, i64>(0)).unwrap() != 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        index.execute_batch("DROP TABLE touched").unwrap();
    }

    /// Takes what the key module was asked so far.
    pub(super) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// From now on the key of [`World::stranger`] is this caller's, of the first account.
    pub(super) fn stranger_is(&self, change: impl FnOnce(&mut Caller)) {
        let account = self.access_key.account().unwrap();
        let mut caller = Caller {
            kind: CallerKind::Root,
            account,
            arn: Arn::root(account),
            unique_id: account.to_string(),
            user_name: None,
            access_key_id: self.other_key.clone(),
            session: None,
            delegated: false,
        };
        change(&mut caller);
        self.callers.lock().unwrap().insert(self.other_key.clone(), caller);
    }

    /// The feed brings these objects beside the access keys.
    pub(super) fn publish(&self, more: impl IntoIterator<Item = Object>) {
        let more = more.into_iter().map(|object| (object, Revision(2)));
        let all: Vec<_> = self.base.iter().cloned().chain(more).collect();
        let snapshot = Snapshot::build(Uuid::random(&SystemEnv), Revision(2), all);
        *self.state.0.lock().unwrap() = Some(Arc::new(snapshot));
    }

    /// The feed brings a user of the first account, with the key of [`World::stranger`].
    pub(super) fn publish_user(&self, name: &str, id: &str, policy: Option<&str>) {
        let account = self.access_key.account().unwrap();
        let user = writ_store::state::User {
            name: name.to_owned(),
            path: "/".to_owned(),
            unique_id: id.parse().unwrap(),
            created: Timestamp::from_secs(1),
            descriptor: Blob::from(vec![1]),
            inline_policies: policy
                .map(|text| ("own".to_owned(), text.to_owned()))
                .into_iter()
                .collect(),
            attached_policies: BTreeSet::new(),
            groups: BTreeSet::new(),
            boundary: None,
            tags: BTreeMap::new(),
        };
        let key = AccessKey {
            id: self.other_key.clone(),
            user: Some(name.to_owned()),
            active: true,
            created: Timestamp::from_secs(1),
            wrapped: Blob::from(vec![1]),
            descriptor: Blob::from(vec![1]),
        };
        self.publish([Object::new(account, user), Object::new(account, key)]);
    }

    /// The feed brings the one KMS key in this state.
    pub(super) fn publish_key(&self, state: KeyState) {
        let account = self.access_key.account().unwrap();
        let arn: Arn = KEY_ARN.parse().unwrap();
        let region: writ_model::Region = "us-east-1".parse().unwrap();
        let key_id: writ_model::KeyId = KEY_ARN.rsplit('/').next().unwrap().parse().unwrap();
        let descriptor = Descriptor::Key(Box::new(KeyDescriptor {
            arn: arn.clone(),
            account,
            region: region.clone(),
            key_id: key_id.clone(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
            usage: "ENCRYPT_DECRYPT".to_owned(),
            origin: "AWS_KMS".to_owned(),
            created: Timestamp::from_secs(1),
            multi_region: 0,
            state,
            policy_digest: [0; 32],
            grants_root: [0; 32],
            rotation_days: None,
            deletion_date: None,
            material_expiry: None,
            backing_keys: vec![[1; 16]],
            managed_by: None,
            revision: 1,
            principals: Vec::new(),
        }));
        let sealed =
            [vec![0; HEADER_BYTES], cbor::to_vec(&descriptor), vec![0; TAG_BYTES]].concat();
        let key = Key {
            arn,
            key_id,
            region,
            description: String::new(),
            policy: String::new(),
            principals: BTreeMap::new(),
            tags: BTreeMap::new(),
            descriptor: Blob::from(sealed),
            tokens: Vec::new(),
            created: Timestamp::from_secs(1),
            managed_by: None,
        };
        self.publish([Object::new(account, key)]);
    }

    /// Waits until no stream runs; fails after a second, the limit of an ended access.
    pub(super) async fn streams_end_within_a_second(&self) {
        let ended = async {
            while self.gateway.streams.running() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(1), ended).await.unwrap();
    }

    /// The newest record.
    pub(super) fn last_record(&self) -> Value {
        self.ledger.lock().unwrap().last().unwrap().clone()
    }

    /// The state's lease is lost.
    pub(super) fn lose_lease(&self) {
        *self.state.0.lock().unwrap() = None;
    }

    /// Names of the recorded events, in order.
    pub(super) fn recorded(&self) -> Vec<String> {
        let events = self.ledger.lock().unwrap();
        events.iter().map(|event| event["eventName"].as_str().unwrap().to_owned()).collect()
    }

    /// Operations that KMS was asked for.
    pub(super) fn kms_calls(&self) -> Vec<String> {
        self.kms.lock().unwrap().clone()
    }

    pub(super) fn close_ledger(&self, closed: bool) {
        self.closed.store(closed, Ordering::SeqCst);
    }

    /// Deletes the caller's access key.
    pub(super) fn end_access(&self) {
        let empty = Snapshot::empty(Uuid::random(&SystemEnv));
        *self.state.0.lock().unwrap() = Some(Arc::new(empty));
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        fn walk(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, out) } else { out.push(path) }
            }
        }
        let mut out = Vec::new();
        walk(self.dir.path(), &mut out);
        out
    }

    pub(super) fn disk_files(&self) -> usize {
        self.files().len()
    }

    pub(super) fn disk_holds(&self, window: &[u8]) -> bool {
        self.files().iter().any(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(window.len()).any(|w| w == window)
        })
    }

    fn sealed(&self) -> Vec<std::path::PathBuf> {
        let below = |path: &std::path::PathBuf| {
            ["seg", "man"].iter().any(|tree| path.starts_with(self.dir.path().join(tree)))
        };
        self.files().into_iter().filter(below).collect()
    }

    /// Segment and manifest files.
    pub(super) fn segments(&self) -> usize {
        self.sealed().len()
    }

    /// Flips a bit in the first frame of every segment.
    pub(super) fn damage_segments(&self) {
        for path in self.sealed() {
            let mut bytes = std::fs::read(&path).unwrap();
            let header = usize::from(bytes[10]) * 256 + usize::from(bytes[11]);
            bytes[12 + header + 5] ^= 1;
            let mut file = std::fs::File::create(&path).unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
        }
    }
}

/// Serves one end of a new channel on a thread of its own; answers the other end.
fn peer<Req: Decode, Rep: Encode>(mut answer: impl FnMut(Req) -> Rep + Send + 'static) -> Channel {
    let (ours, theirs) = Channel::pair().unwrap();
    std::thread::spawn(move || {
        while let Ok(Some(packet)) = ours.recv() {
            for message in unpack(&packet.bytes).unwrap() {
                let request = cbor::from_slice(&message.body).unwrap();
                let body = cbor::to_vec(&answer(request));
                let reply = Message { kind: MessageKind::Reply, id: message.id, body: body.into() };
                if ours.send(&pack(&[reply])).is_err() {
                    return;
                }
            }
        }
    });
    theirs
}

fn keyd(seen: Arc<Mutex<Vec<Seen>>>, seal: Arc<Mutex<[u8; 32]>>, callers: Callers) -> Channel {
    peer(move |command: Command| {
        Answer::Carried(match command {
            Command::Hello(hello) => {
                let (public, key) = agree(hello.x25519.unwrap());
                *seal.lock().unwrap() = key;
                Reply::Hello(HelloReply {
                    protocol: PROTOCOL,
                    role: Role::S3,
                    boot: Uuid::random(&SystemEnv),
                    x25519: Some(public),
                })
            }
            Command::Authenticate(ask) => {
                let names = ask.headers.iter().map(|(name, _)| name.clone()).collect();
                seen.lock().unwrap().push(Seen::Headers(names));
                let mut found = authenticated(&ask);
                let callers = callers.lock().unwrap();
                if let Some(caller) = callers.get(&found.caller.access_key_id) {
                    found.caller = caller.clone();
                }
                Reply::Authenticated(Box::new(found))
            }
            Command::Chunks(chunks) => {
                let signatures = chunks.chunks.iter().map(|(signature, _)| *signature).collect();
                let trailer = chunks.trailer.map(|(signature, _)| signature);
                seen.lock().unwrap().push(Seen::Chunks(signatures, trailer));
                if trailer == Some([0xbd; 32]) {
                    return Answer::Refused(Refusal::Aws(Box::new(AwsRefusal {
                        code: "SignatureDoesNotMatch".to_owned(),
                        message: "no".to_owned(),
                        status: 403,
                        caller: None,
                    })));
                }
                Reply::ChunksVerified
            }
            _ => Reply::Done,
        })
    })
}

fn authenticated(ask: &Authenticate) -> Authenticated {
    let raw = RawRequest {
        method: &ask.method,
        path: &ask.path,
        query: &ask.query,
        headers: &ask.headers,
    };
    let claim = sigv4::parse(&raw).unwrap().unwrap();
    let key: AccessKeyId = claim.access_key_id.parse().unwrap();
    let account = key.account().unwrap();
    let request = Request {
        method: &ask.method,
        host: "",
        path: &ask.path,
        query: &ask.query,
        headers: &ask.headers,
        body: &[],
        scope_service: Some("s3"),
        s3_domain: None,
    };
    let operation = classify(&request).map_or("Unknown", |found| found.name);
    let mut ticket = Writer::default();
    ticket.array(4);
    ticket.uint(1);
    ticket.bytes(b"root");
    ticket.array(0);
    ticket.bytes(&[7; 32]);
    Authenticated {
        caller: Caller {
            kind: CallerKind::Root,
            account,
            arn: Arn::root(account),
            unique_id: account.to_string(),
            user_name: None,
            access_key_id: key,
            session: None,
            delegated: false,
        },
        handle: Nonce([3; 16]),
        service: "s3".to_owned(),
        operation: operation.to_owned(),
        request_digest: [1; 32],
        signature_digest: [2; 32],
        presigned: false,
        ticket: Some(Ticket { ticket: SecretBytes::new(ticket.into_bytes()), context: Vec::new() }),
        forwarded: None,
    }
}

/// keyd's side of the key agreement: its public key, and the key that seals results.
fn agree(peer: [u8; 32]) -> ([u8; 32], [u8; 32]) {
    let private = EphemeralPrivateKey::generate(&X25519, &rand::SystemRandom::new()).unwrap();
    let public = <[u8; 32]>::try_from(private.compute_public_key().unwrap().as_ref()).unwrap();
    let salt = [peer, public].concat();
    let key = agree_ephemeral(private, UnparsedPublicKey::new(&X25519, peer), (), |shared| {
        let mut key = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, &salt)
            .extract(shared)
            .expand(&[b"writ-channel-seal-v1"], hkdf::HKDF_SHA256)
            .unwrap()
            .fill(&mut key)
            .unwrap();
        Ok(key)
    });
    (public, key.unwrap())
}

/// front with a KMS of one key. A data key opens only with the context that it was made with.
fn front(seal: Arc<Mutex<[u8; 32]>>, calls: Arc<Mutex<Vec<String>>>) -> Channel {
    let mut keys: HashMap<String, ([u8; 32], Value)> = HashMap::new();
    peer(move |request: KmsRequest| {
        let operation = request.target.strip_prefix("TrentService.").unwrap().to_owned();
        calls.lock().unwrap().push(operation.clone());
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let context = body["EncryptionContext"].clone();
        let mut data_key = [0u8; 32];
        let reply = match operation.as_str() {
            "GenerateDataKey" => {
                SystemEnv.fill(&mut data_key);
                let blob = STANDARD.encode(SystemEnv.nonce().0);
                keys.insert(blob.clone(), (data_key, context));
                json!({"CiphertextBlob": blob, "KeyId": KEY_ARN})
            }
            "Decrypt" => {
                let (key, made_with) = keys.get(body["CiphertextBlob"].as_str().unwrap()).unwrap();
                assert_eq!((made_with, &body["KeyId"]), (&context, &json!(KEY_ARN)));
                data_key = *key;
                json!({"KeyId": KEY_ARN})
            }
            other => panic!("KMS was asked for {other}"),
        };
        let handle = SystemEnv.nonce();
        let cipher = UnboundKey::new(&AES_256_GCM, &*seal.lock().unwrap()).unwrap();
        let mut sealed = data_key.to_vec();
        let nonce = AeadNonce::assume_unique_for_key([9; 12]);
        LessSafeKey::new(cipher)
            .seal_in_place_append_tag(nonce, Aad::from(handle.0), &mut sealed)
            .unwrap();
        let sealed = [[9; 12].as_slice(), &sealed].concat();
        let body = reply.to_string().into_bytes();
        KmsReply { status: 200, body, sealed: Some(SealedKey { handle, sealed }) }
    })
}

fn trail(ledger: Arc<Mutex<Vec<Value>>>, closed: Arc<AtomicBool>) -> Channel {
    let mut seen = std::collections::HashSet::new();
    peer(move |request: TrailRequest| {
        let TrailRequest::Append(append) = request else { panic!("the ledger was asked") };
        if closed.load(Ordering::SeqCst) {
            return TrailReply::Append(AppendReply::Refused(AppendRefusal::Closed));
        }
        let bytes: usize = append.items.iter().map(|item| item.record.len()).sum();
        if bytes > writ_trail::limits::BATCH_MAX_BYTES {
            let why = AppendRefusal::Invalid("it holds too many bytes".to_owned());
            return TrailReply::Append(AppendReply::Refused(why));
        }
        let mut positions = Vec::new();
        for item in append.items {
            let repeated = !seen.insert(item.event_id);
            if !repeated {
                ledger.lock().unwrap().push(serde_json::from_slice(&item.record).unwrap());
            }
            let wal = seen.len() as u64;
            positions.push(Position { wal, leaves: Vec::new(), repeated });
        }
        TrailReply::Append(AppendReply::Done(positions))
    })
}

/// Has the gateway served on a port of its own for as long as the runtime lives.
fn served(gateway: Arc<Gateway>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    writ_service::task::spawn("serve", async move {
        let (_running, stop) = tokio::sync::watch::channel(false);
        serve(gateway, listener, certificate(), stop).await.unwrap();
    });
    address
}

fn certificate() -> writ_service::listener::TlsSettings {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.signing_key.serialize_pem() + &made.cert.pem();
    writ_service::listener::tls(pem.as_bytes()).unwrap()
}
