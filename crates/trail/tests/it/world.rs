//! A ledger with everything around it that a test plays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, json};
use writ_keyd_client::channel::{Channel, Message, MessageKind, pack, unpack};
use writ_keyd_client::protocol::{
    Answer, Command, HelloReply, Network, PROTOCOL, Push, Refusal, Reply, Role,
};
use writ_model::{AccountId, Env, Region, SystemEnv, Timestamp, Uuid};
use writ_proof::Hash;
use writ_proof::append::{AppendItem, Position};
use writ_proof::cbor::{self, Version};
use writ_proof::checkpoint::Checkpoint;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::merkle::verify_consistency;
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::origin::{LogName, SiteId};
use writ_proof::roster::{ChannelPins, Genesis, KeydKeys, Mode, PersonKey, Rule};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::statement::{Namespace, Signed};
use writ_proof::use_record::{Boot, ChainEnd, UseBatch, UsePosition, What};
use writ_trail::record::{Call, Category, Identity};
use writ_trail::{Trail, TrailClient, TrailConfig, TrailError};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

pub(crate) fn site() -> SiteId {
    "test-1".parse().unwrap()
}

pub(crate) fn watch_key() -> VerifierKey {
    VerifierKey::new("watch.test", KeyKind::Cosignature, soft(106).public_key()).unwrap()
}

pub(crate) fn genesis(founder: u8) -> Vec<u8> {
    let public = |n| soft(n).public_key();
    let key = SshPublicKey::Ed25519(public(founder).0);
    let genesis = Genesis {
        v: Version,
        site: site(),
        created: Timestamp::from_secs(1_800_000_000),
        mode: Mode::Dev,
        founders: vec![PersonKey { person: "p1".parse().unwrap(), key, passkey: None }],
        rules: vec![Rule {
            namespace: Namespace::Roster,
            threshold: 1,
            hardware: false,
            group: None,
        }],
        keyd: KeydKeys {
            checkpoint: public(101),
            use_records: public(102),
            ssh_ca: public(103),
            run_orders: public(104),
            krl: public(105),
        },
        watch: public(106),
        witnesses: vec![watch_key().to_string()],
        channel: ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) },
    };
    let mut signed = Signed::new(&genesis).unwrap();
    signed.sign(&soft(founder)).unwrap();
    signed.to_bytes()
}

pub(crate) fn config(dir: &Path) -> TrailConfig {
    let mut config = TrailConfig::new(dir.join("trail"), Some(genesis(1)));
    config.reserve_bytes = 1 << 20;
    config.checkpoint_every = Duration::from_millis(50);
    config
}

pub(crate) fn start(dir: &Path) -> Trail {
    Trail::start(config(dir), Arc::new(SystemEnv)).unwrap()
}

pub(crate) fn end(trail: &Trail) {
    trail.stop();
    trail.wait().unwrap();
}

pub(crate) fn client(trail: &Trail, role: Role) -> TrailClient {
    let (ours, theirs) = Channel::pair().unwrap();
    trail.attach(role, theirs).unwrap();
    TrailClient::new(ours).unwrap()
}

pub(crate) fn append(client: &TrailClient, item: AppendItem) -> Result<Position, TrailError> {
    client.append_blocking(vec![item]).map(|positions| positions[0].clone())
}

pub(crate) fn account(n: u64) -> AccountId {
    AccountId::from_number(n).unwrap()
}

/// The record of a call by nobody in particular, for an account.
pub(crate) fn item(account: AccountId, name: &str, position: Option<UsePosition>) -> AppendItem {
    let env = SystemEnv;
    let (site, region) = (site(), "us-east-1".parse::<Region>().unwrap());
    let network = Network { source_ip: "127.0.0.1".to_owned(), tls: None, vpce: None };
    let mut parameters = Map::new();
    parameters.insert("keyId".to_owned(), json!("alias/x"));
    let call = Call {
        site: &site,
        identity: Identity::Service { principal: "kms.amazonaws.com", account },
        time: env.now(),
        event_source: "kms.amazonaws.com",
        event_name: name,
        region: &region,
        network: &network,
        user_agent: Some("test"),
        host: None,
        error: None,
        request_parameters: Some(parameters),
        response_elements: None,
        additional: Map::new(),
        request_id: Uuid::random(&env),
        event_id: Uuid::random(&env),
        read_only: true,
        resources: Vec::new(),
        api_version: None,
        category: Category::Management,
        forwarded: None,
        use_position: position,
    };
    call.records(&env).unwrap().remove(0).into_item(None)
}

/// A key module: signs checkpoints that extend its last, and makes use records when told.
#[derive(Clone)]
pub(crate) struct Keyd {
    state: Arc<Mutex<KeydState>>,
    out: Arc<Mutex<Option<Arc<Channel>>>>,
}

pub(crate) struct KeydState {
    pub(crate) chain: ChainEnd,
    pub(crate) signed: BTreeMap<String, (u64, Hash)>,
    pub(crate) acked: Option<u64>,
    pub(crate) refusals: u64,
}

impl Keyd {
    pub(crate) fn new() -> Keyd {
        let state = KeydState {
            chain: ChainEnd::begin(Uuid::random(&SystemEnv)),
            signed: BTreeMap::new(),
            acked: None,
            refusals: 0,
        };
        Keyd { state: Arc::new(Mutex::new(state)), out: Arc::new(Mutex::new(None)) }
    }

    pub(crate) fn attach(&self, trail: &Trail) {
        let (ours, theirs) = Channel::pair().unwrap();
        let ours = Arc::new(ours);
        *self.out.lock().unwrap() = Some(Arc::clone(&ours));
        let keyd = self.clone();
        std::thread::spawn(move || keyd.serve(&ours));
        trail.attach(Role::Keyd, theirs).unwrap();
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, KeydState> {
        self.state.lock().unwrap()
    }

    /// A new record: its position, and the batch that would bring it to trail.
    pub(crate) fn make(&self) -> (UsePosition, UseBatch) {
        let mut state = self.state();
        let boot = Boot { persisted: None, acknowledged: None, signed: Vec::new() };
        let what = if state.chain.next_seq() == 0 { What::Boot(boot) } else { used() };
        let (bytes, position) = state.chain.add(SystemEnv.now(), what);
        let batch = UseBatch::sign(vec![bytes], position.seq, position, &soft(102)).unwrap();
        (position, batch)
    }

    pub(crate) fn push(&self, batch: &UseBatch) {
        let body = cbor::to_vec(&Push::UseRecords(cbor::to_vec(batch)));
        let packet = pack(&[Message { kind: MessageKind::Push, id: 0, body: body.into() }]);
        let channel = self.out.lock().unwrap().clone().unwrap();
        channel.send(&packet).unwrap();
    }

    fn serve(&self, channel: &Channel) {
        while let Ok(Some(packet)) = channel.recv() {
            for message in unpack(&packet.bytes).unwrap() {
                let body = cbor::to_vec(&self.answer(cbor::from_slice(&message.body).unwrap()));
                let reply = Message { kind: MessageKind::Reply, id: message.id, body: body.into() };
                if channel.send(&pack(&[reply])).is_err() {
                    return;
                }
            }
        }
    }

    fn answer(&self, command: Command) -> Answer {
        let mut state = self.state();
        match command {
            Command::Hello(_) => Answer::Carried(Reply::Hello(HelloReply {
                protocol: PROTOCOL,
                role: Role::Trail,
                boot: state.chain.boot(),
                x25519: None,
            })),
            Command::Ack(ack) => {
                state.acked = Some(ack.seq);
                Answer::Carried(Reply::Done)
            }
            Command::Checkpoint(asked) => {
                let proof: Vec<Hash> = asked.proof.iter().map(|h| Hash(*h)).collect();
                let root = Hash(asked.root);
                let (size, old) = state
                    .signed
                    .get(&asked.origin)
                    .copied()
                    .unwrap_or((0, writ_proof::merkle::empty_root()));
                if verify_consistency(size, asked.size, &old, &root, &proof).is_err() {
                    state.refusals += 1;
                    return Answer::Refused(Refusal::Forbidden("no extension".to_owned()));
                }
                state.signed.insert(asked.origin.clone(), (asked.size, root));
                let mut note = Checkpoint::new(&asked.origin, asked.size, root).to_note().unwrap();
                note.add(note.sign(&asked.origin, &soft(101)).unwrap());
                Answer::Carried(Reply::Note(String::from_utf8(note.to_bytes()).unwrap()))
            }
            _ => Answer::Refused(Refusal::Forbidden("not played".to_owned())),
        }
    }
}

fn used() -> What {
    use writ_proof::use_record::{Basis, Use, UseProof, UseResult};
    What::Use(Box::new(Use {
        op: "kms:Decrypt".to_owned(),
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
        request_id: Uuid::random(&SystemEnv),
        event_id: Uuid::random(&SystemEnv),
        via: Vec::new(),
        run: None,
    }))
}

/// Waits until `holds`, or fails.
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(is_soon(holds), "still not: {what}");
}

/// Waits until `holds`; false if it did not within a test's patience.
pub(crate) fn is_soon(mut holds: impl FnMut() -> bool) -> bool {
    let begin = SystemEnv.monotonic();
    while !holds() {
        if SystemEnv.monotonic() - begin >= PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

pub(crate) fn wal_dir(dir: &Path) -> PathBuf {
    dir.join("trail").join("wal")
}

pub(crate) const OPERATOR: LogName = LogName::Operator;
