//! A made-up ledger on disk for tests of `writ verify`, written from what a test wants it to hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use writ_model::{AccountId, Arn, Timestamp, Uuid};
use writ_proof::Hash;
use writ_proof::cbor::Version;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::ed25519::{PublicKey, Signer as _, SoftKey};
use writ_proof::frame::{Batch, Entry, Frame, LogFrontier, WalEnd, frame_hash};
use writ_proof::leaf::{Commit, Head, Kind, Leaf, LogHead, Source, UseHead, leaf_hash, rec};
use writ_proof::merkle::{Frontier, subtree_root};
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::origin::{LogName, Origin};
use writ_proof::roster::{ChannelPins, Genesis, KeydKeys, Mode, PersonKey, Rule};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::statement::{Namespace, Signed};
use writ_proof::tile::{TileId, encode_entries, encode_hashes};
use writ_proof::use_record::{
    Basis, Boot, ChainEnd, TicketProof, Use, UseBatch, UsePosition, UsePrincipal, UseProof,
    UseResult, What,
};

pub(crate) const WATCH: [u8; 32] = [9; 32];
pub(crate) const KEYD: [u8; 32] = [1; 32];
const USES: [u8; 32] = [2; 32];

pub(crate) fn key(seed: [u8; 32]) -> SoftKey {
    SoftKey::from_seed(&seed).unwrap()
}

pub(crate) fn time(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

pub(crate) fn id(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

pub(crate) fn account() -> LogName {
    LogName::Account(owner())
}

/// Whose log most tests look at.
pub(crate) fn owner() -> AccountId {
    AccountId::from_number(111_122_223_333).unwrap()
}

/// Another customer.
pub(crate) fn stranger() -> AccountId {
    AccountId::from_number(999_988_887_777).unwrap()
}

pub(crate) fn genesis() -> Signed {
    let public = |n: u8| -> PublicKey { key([n; 32]).public_key() };
    let founder = |n: u8| PersonKey {
        person: format!("founder-{n}").parse().unwrap(),
        key: SshPublicKey::Ed25519(public(20 + n).0),
        passkey: None,
    };
    let watch = key(WATCH).public_key();
    let witness = VerifierKey::new("site-1/watch", KeyKind::Cosignature, watch).unwrap();
    let genesis = Genesis {
        v: Version,
        site: "site-1".parse().unwrap(),
        created: time(0),
        mode: Mode::Dev,
        founders: vec![founder(1), founder(2)],
        rules: vec![Rule {
            namespace: Namespace::Roster,
            threshold: 2,
            hardware: false,
            group: None,
        }],
        keyd: KeydKeys {
            checkpoint: key(KEYD).public_key(),
            use_records: key(USES).public_key(),
            ssh_ca: public(3),
            run_orders: public(4),
            krl: public(5),
        },
        watch,
        witnesses: vec![witness.to_string()],
        channel: ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) },
    };
    let mut signed = Signed::new(&genesis).unwrap();
    [21, 22].iter().for_each(|n| signed.sign(&key([*n; 32])).unwrap());
    signed
}

pub(crate) fn origin(log: LogName) -> String {
    Origin::new("site-1".parse().unwrap(), log).to_string()
}

/// A record that is to be appended.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) log: LogName,
    pub(crate) id: Uuid,
    pub(crate) record: Vec<u8>,
    pub(crate) commit: Option<Commit>,
    pub(crate) position: Option<UsePosition>,
    pub(crate) source: Source,
}

impl Item {
    fn new(kind: Kind, log: LogName, id: Uuid, record: Vec<u8>) -> Item {
        Item { kind, log, id, record, commit: None, position: None, source: Source::Front }
    }

    /// The same event with its JSON changed.
    pub(crate) fn told(self, change: impl FnOnce(&mut serde_json::Value)) -> Item {
        let mut record = serde_json::from_slice(&self.record).unwrap();
        change(&mut record);
        Item { record: record.to_string().into_bytes(), ..self }
    }
}

/// An event of the account, with what stands under `fas`.
pub(crate) fn event(n: u8, fas: Option<(u8, u8)>) -> Item {
    event_of(owner(), n, fas)
}

/// The same for any account.
pub(crate) fn event_of(account: AccountId, n: u8, fas: Option<(u8, u8)>) -> Item {
    let log = LogName::Account(account);
    let mut record = json!({
        "eventVersion": "1.11", "eventSource": "kms.amazonaws.com", "eventName": "Decrypt",
        "userIdentity": {"arn": Arn::iam(account, "user/u").as_str()}, "eventID": id(n).to_string(),
        "recipientAccountId": account.to_string(),
        "requestParameters": {"key": format!("key-{n}-of-{account}")},
        "responseElements": null, "sourceIPAddress": "192.0.2.1",
        "additionalEventData": {"writ": {"log": origin(log), "seed": STANDARD.encode([n; 32])}},
    });
    if let Some((parent, signature)) = fas {
        record["additionalEventData"]["fas"] = json!({
            "transactionId": "t", "parentEventId": id(parent).to_string(),
            "signatureSha256": Hash([signature; 32]).to_string(),
        });
    }
    Item::new(Kind::Event, log, id(n), record.to_string().into_bytes())
}

pub(crate) fn commit(item: Item, rev: u64, ordinal: u32, count: u32) -> Item {
    let commit = Commit { epoch: id(200), rev, ordinal, count, replaces: None };
    Item { commit: Some(commit), ..item }
}

pub(crate) fn boot(n: u8) -> Item {
    let record = json!({"process": "trail", "n": n}).to_string().into_bytes();
    let item = Item::new(Kind::Boot, LogName::Operator, id(n), record);
    Item { source: Source::Supervisor, ..item }
}

pub(crate) fn statement(n: u8, signed: &Signed) -> Item {
    Item::new(Kind::Statement, LogName::Operator, id(n), signed.to_bytes())
}

/// keyd's chain of one boot.
pub(crate) struct Chain {
    end: ChainEnd,
    from: ChainEnd,
    records: Vec<Vec<u8>>,
    last: Option<UsePosition>,
}

impl Chain {
    pub(crate) fn begin(n: u8, acknowledged: Option<UsePosition>) -> Chain {
        let end = ChainEnd::begin(id(n));
        let mut chain = Chain { end, from: end, records: Vec::new(), last: None };
        chain.add(1, What::Boot(Boot { persisted: None, acknowledged, signed: Vec::new() }));
        chain
    }

    fn add(&mut self, secs: u64, what: What) -> UsePosition {
        let (bytes, position) = self.end.add(time(secs), what);
        self.records.push(bytes);
        self.last = Some(position);
        position
    }

    /// A use for the event `n`, which came from the customer's request `parent` if it was forwarded.
    pub(crate) fn used(&mut self, secs: u64, n: u8, parent: Option<(u8, u8)>) -> UsePosition {
        self.used_by(owner(), secs, n, parent)
    }

    /// The same by a user of any account.
    pub(crate) fn used_by(
        &mut self,
        account: AccountId,
        secs: u64,
        n: u8,
        parent: Option<(u8, u8)>,
    ) -> UsePosition {
        self.used_as(secs, Chain::a_use(account, n, parent))
    }

    /// A use, as it is told.
    pub(crate) fn used_as(&mut self, secs: u64, told: Use) -> UsePosition {
        self.add(secs, What::Use(Box::new(told)))
    }

    /// What keyd tells of a Decrypt by a user of `account`, for the event `n`.
    pub(crate) fn a_use(account: AccountId, n: u8, parent: Option<(u8, u8)>) -> Use {
        let proof = match parent {
            Some((parent, signature)) => UseProof::Ticket(TicketProof {
                ticket: Hash([1; 32]),
                parent: id(parent),
                signature: Hash([signature; 32]),
            }),
            None => UseProof::Signature(Hash([1; 32])),
        };
        Use {
            op: "kms:Decrypt".to_owned(),
            key: None,
            backing_key: None,
            principal: Some(UsePrincipal {
                arn: Arn::iam(account, "user/u"),
                unique_id: None,
                account,
            }),
            proof,
            request: None,
            context: None,
            policy: None,
            grant: None,
            basis: Basis::None,
            result: UseResult::Ok,
            request_id: id(n),
            event_id: id(n),
            via: Vec::new(),
            run: None,
        }
    }

    /// What has come since the last batch, signed by `seed`.
    pub(crate) fn batch(&mut self, seed: [u8; 32]) -> UseBatch {
        let (records, first) = (std::mem::take(&mut self.records), self.from.next_seq());
        self.from = self.end;
        UseBatch::sign(records, first, self.last.unwrap(), &key(seed)).unwrap()
    }

    pub(crate) fn signed(&mut self) -> UseBatch {
        self.batch(USES)
    }
}

/// Leaves, or records.
type Blobs = Vec<Vec<u8>>;

/// The ledger in memory.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    end: WalEnd,
    secs: u64,
    pub(crate) frames: Vec<Vec<u8>>,
    logs: BTreeMap<LogName, (Frontier, Blobs, Blobs)>,
    use_head: Option<UseHead>,
}

impl Ledger {
    pub(crate) fn frame(&mut self, items: Vec<Item>, uses: Vec<UseBatch>) {
        self.secs += 1;
        let mut touched = BTreeMap::new();
        let mut entries = Vec::new();
        for item in items {
            let (frontier, leaves, records) = self.logs.entry(item.log).or_default();
            let leaf = Leaf {
                v: Version,
                seq: frontier.size(),
                time: time(self.secs),
                kind: item.kind,
                log: item.log,
                event_id: item.id,
                source: item.source,
                commit: item.commit,
                use_position: item.position,
                rec: rec(item.kind, &item.record).unwrap(),
            };
            let bytes = leaf.to_bytes();
            frontier.append(leaf_hash(&bytes));
            touched.insert(item.log, frontier.clone());
            leaves.push(bytes.clone());
            records.push(item.record.clone());
            entries.push(Entry { record: item.record, leaves: vec![bytes] });
        }
        if let Some(batch) = uses.last() {
            self.use_head =
                Some(UseHead { position: batch.position(), signature: batch.signature });
        }
        let frontiers =
            touched.into_iter().map(|(log, frontier)| LogFrontier { log, frontier }).collect();
        let batch = Batch { entries, uses, statements: Vec::new(), frontiers };
        let frame = Frame { epoch: 1, first_seq: self.end.next_seq, prev: self.end.hash, batch };
        let bytes = frame.to_bytes().unwrap();
        self.end = WalEnd { epoch: 1, next_seq: frame.next_seq(), hash: frame_hash(&bytes) };
        self.frames.push(bytes);
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, secs: u64) {
        self.secs += secs;
    }

    /// Puts the heads of all other logs into the checkpoint log, after `harm`.
    pub(crate) fn heads(&mut self, harm: impl Fn(&mut LogHead)) {
        let mut heads: Vec<Head> = Vec::new();
        for (log, (frontier, _, _)) in &self.logs {
            if *log != LogName::Checkpoint {
                let origin = Origin::new("site-1".parse().unwrap(), *log);
                let mut head = LogHead { origin, size: frontier.size(), root: frontier.root() };
                harm(&mut head);
                heads.push(Head::Log(head));
            }
        }
        heads.extend(self.use_head.map(Head::Uses));
        let item = |(head, n): (Head, u8)| {
            Item::new(Kind::Checkpoint, LogName::Checkpoint, id(n), head.to_bytes())
        };
        self.frame(heads.into_iter().zip(220..).map(item).collect(), Vec::new());
    }

    /// The checkpoint of a log as a note, cosigned if it is the checkpoint log's.
    pub(crate) fn note(
        &self,
        log: LogName,
        signer: [u8; 32],
        witness: Option<[u8; 32]>,
    ) -> Vec<u8> {
        let (frontier, _, _) = &self.logs[&log];
        let origin = origin(log);
        let checkpoint = Checkpoint::new(&origin, frontier.size(), frontier.root());
        let mut note = checkpoint.to_note().unwrap();
        note.add(note.sign(&origin, &key(signer)).unwrap());
        if let Some(seed) = witness {
            note.add(note.cosign("site-1/watch", &key(seed), time(100)).unwrap());
        }
        note.to_bytes()
    }

    /// Writes everything as a data directory.
    pub(crate) fn write(&self, dir: &Path) {
        let genesis = genesis().to_bytes();
        put(&dir.join("genesis"), &genesis);
        put(&dir.join("trail/genesis"), &genesis);
        let (first, second) = self.frames.split_at(self.frames.len() / 2);
        put(&dir.join("trail/wal/0000000000.wal"), &first.concat());
        put(&dir.join("trail/wal/0000000001.wal"), &second.concat());
        put(&dir.join("watch/mirror/0000000000.wal"), &self.frames.concat());
        for (log, (_, leaves, records)) in &self.logs {
            let folder = dir.join("trail/logs").join(origin(*log));
            write_log(&folder, leaves, records);
        }
        for log in [LogName::Operator, LogName::Checkpoint] {
            let witness = (log == LogName::Checkpoint).then_some(WATCH);
            let folder = dir.join("trail/logs").join(origin(log));
            put(&folder.join("checkpoint"), &self.note(log, KEYD, witness));
        }
    }
}

/// Tiles, bundles and records, as trail lays them out.
fn write_log(folder: &Path, leaves: &[Vec<u8>], records: &[Vec<u8>]) {
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let (mut level, mut above) = (0, hashes);
    // A level has the roots of the full tiles below it.
    while !above.is_empty() {
        let tiles: Vec<Vec<Hash>> = above.chunks(256).map(<[Hash]>::to_vec).collect();
        for (tile, index) in tiles.iter().zip(0..) {
            let id = TileId::hashes(level, index, tile.len() as u64).unwrap();
            put(&folder.join(id.to_string()), &encode_hashes(tile));
        }
        let full = tiles.iter().filter(|tile| tile.len() == 256);
        above = full.map(|tile| subtree_root(tile).unwrap()).collect();
        level += 1;
    }
    for (bundle, index) in leaves.chunks(256).zip(0..) {
        let id = TileId::entries(index, bundle.len() as u64).unwrap();
        put(&folder.join(id.to_string()), &encode_entries(bundle).unwrap());
    }
    let (mut data, mut index) = (Vec::new(), Vec::new());
    for record in records {
        data.extend_from_slice(&u32::try_from(record.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&[0; 4]);
        data.extend_from_slice(record);
        index.extend_from_slice(&(data.len() as u64).to_be_bytes());
    }
    put(&folder.join("records.dat"), &data);
    put(&folder.join("records.idx"), &index);
}

pub(crate) fn put(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().write_all(bytes).unwrap();
}
