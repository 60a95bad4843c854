//! A made-up installation for tests: its keys, its genesis, and a log that grows.

use std::collections::BTreeMap;

use writ_model::{Timestamp, Uuid};
use writ_proof::at_most::AtMost;
use writ_proof::cbor::Version;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::ed25519::{PublicKey, Signer as _, SoftKey};
use writ_proof::frame::{Batch, Entry, Frame, LogFrontier, WalEnd, frame_hash};
use writ_proof::hash::sha256;
use writ_proof::leaf::{Commit, Kind, Leaf, Source, leaf_hash, rec};
use writ_proof::merkle::{Frontier, consistency_proof, subtree_root};
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::origin::{LogName, Origin};
use writ_proof::roster::{
    Change, ChannelPins, Enrolment, EnrolmentId, Genesis, KeydKeys, Mode, PersonKey,
    RosterStatement, Rule,
};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::statement::{Namespace, Signed};
use writ_proof::stream::{Hello, StreamPosition};
use writ_proof::tile::{Level, TileId, TileReader};
use writ_proof::witness::AddCheckpoint;
use writ_proof::{Error, Hash};

pub(crate) const WATCH_SEED: [u8; 32] = [9; 32];
pub(crate) const CHECKPOINT_SEED: [u8; 32] = [1; 32];

pub(crate) fn key(seed: [u8; 32]) -> SoftKey {
    SoftKey::from_seed(&seed).unwrap()
}

/// A TLS key with its certificate, in PEM, and its pin.
pub(crate) fn tls_identity() -> (String, String, Hash) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["x.writ.internal".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let pin = sha256(&rcgen::PublicKeyData::subject_public_key_info(&key));
    (certificate.pem(), key.serialize_pem(), pin)
}

pub(crate) fn genesis(channel: ChannelPins) -> Signed {
    let public = |n: u8| -> PublicKey { key([n; 32]).public_key() };
    let founder = |n: u8| PersonKey {
        person: format!("founder-{n}").parse().unwrap(),
        key: SshPublicKey::Ed25519(public(20 + n).0),
        passkey: None,
    };
    let watch = key(WATCH_SEED).public_key();
    let witness = VerifierKey::new("site-1/watch", KeyKind::Cosignature, watch).unwrap();
    let genesis = Genesis {
        v: Version,
        site: "site-1".parse().unwrap(),
        created: Timestamp::from_secs(1_800_000_000),
        mode: Mode::Dev,
        founders: vec![founder(1), founder(2)],
        rules: vec![Rule {
            namespace: Namespace::Roster,
            threshold: 2,
            hardware: false,
            group: None,
        }],
        keyd: KeydKeys {
            checkpoint: key(CHECKPOINT_SEED).public_key(),
            use_records: public(2),
            ssh_ca: public(3),
            run_orders: public(4),
            krl: public(5),
        },
        watch,
        witnesses: vec![witness.to_string()],
        channel,
    };
    let mut signed = Signed::new(&genesis).unwrap();
    [21, 22].iter().for_each(|n| signed.sign(&key([*n; 32])).unwrap());
    signed
}

/// trail's side of a log.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) genesis: Signed,
    end: WalEnd,
    logs: BTreeMap<LogName, Frontier>,
    hashes: Vec<Hash>,
    next_event: u8,
}

impl Log {
    pub(crate) fn new(channel: ChannelPins) -> Log {
        let (end, logs, hashes) = Default::default();
        Log { genesis: genesis(channel), end, logs, hashes, next_event: 1 }
    }

    /// A log whose first frame is made.
    pub(crate) fn begun() -> (Log, Vec<u8>) {
        let pins = ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) };
        let mut log = Log::new(pins);
        let first = log.first();
        (log, first)
    }

    pub(crate) fn first(&mut self) -> Vec<u8> {
        let record = self.genesis.to_bytes();
        self.frame(Kind::Statement, LogName::Operator, &record, None)
    }

    /// A frame with a statement that enrols somebody, as number `seq` after `prev`, with these signers.
    pub(crate) fn enrol(
        &mut self,
        person: u8,
        seq: u64,
        prev: Hash,
        signers: &[u8],
    ) -> (Vec<u8>, Hash) {
        let id: EnrolmentId =
            EnrolmentId { person: format!("p{person}").parse().unwrap(), number: 1 };
        let public = SshPublicKey::Ed25519(key([person; 32]).public_key().0);
        let own = PersonKey { person: id.person.clone(), key: public, passkey: None };
        let statement = RosterStatement {
            v: Version,
            site: "site-1".parse().unwrap(),
            seq,
            prev,
            created: Timestamp::from_secs(1_800_000_001),
            change: Change::Enrol(Enrolment { id, keys: AtMost(vec![own]) }),
        };
        let mut signed = Signed::new(&statement).unwrap();
        signers.iter().for_each(|n| signed.sign(&key([*n; 32])).unwrap());
        let record = signed.to_bytes();
        (self.frame(Kind::Statement, LogName::Operator, &record, None), signed.digest())
    }

    /// A frame with one record in the checkpoint log, which so grows by one.
    pub(crate) fn grow(&mut self, record: &[u8]) -> Vec<u8> {
        self.frame(Kind::Checkpoint, LogName::Checkpoint, record, None)
    }

    pub(crate) fn commit(&mut self, rev: u64, ordinal: u32, count: u32) -> Vec<u8> {
        let epoch = Uuid::from_bytes([7; 16]);
        let commit = Commit { epoch, rev, ordinal, count, replaces: None };
        self.frame(Kind::Config, LogName::Operator, b"{}", Some(commit))
    }

    fn frame(
        &mut self,
        kind: Kind,
        log: LogName,
        record: &[u8],
        commit: Option<Commit>,
    ) -> Vec<u8> {
        let frontier = self.logs.entry(log).or_default();
        let leaf = Leaf {
            v: Version,
            seq: frontier.size(),
            time: Timestamp::from_secs(1_800_000_001),
            kind,
            log,
            event_id: Uuid::from_bytes([self.next_event; 16]),
            source: Source::Front,
            commit,
            use_position: None,
            rec: rec(kind, record).unwrap(),
        };
        self.next_event += 1;
        let leaf = leaf.to_bytes();
        frontier.append(leaf_hash(&leaf));
        let frontiers = vec![LogFrontier { log, frontier: frontier.clone() }];
        if log == LogName::Checkpoint {
            self.hashes.push(leaf_hash(&leaf));
        }
        let entries = vec![Entry { record: record.to_vec(), leaves: vec![leaf] }];
        let batch = Batch { entries, frontiers, ..Batch::default() };
        let frame = Frame { epoch: 1, first_seq: self.end.next_seq, prev: self.end.hash, batch };
        let bytes = frame.to_bytes().unwrap();
        self.end = WalEnd { epoch: 1, next_seq: frame.next_seq(), hash: frame_hash(&bytes) };
        bytes
    }

    pub(crate) fn position(&self) -> StreamPosition {
        StreamPosition { next_seq: self.end.next_seq, hash: self.end.hash }
    }

    pub(crate) fn hello(&self) -> Hello {
        let site = "site-1".parse().unwrap();
        Hello { v: Version, site, genesis: self.genesis.digest(), end: self.position() }
    }

    pub(crate) fn origin(&self) -> String {
        Origin::new("site-1".parse().unwrap(), LogName::Checkpoint).to_string()
    }

    /// The request that takes a witness from `old` to the checkpoint log's end.
    pub(crate) fn request(&self, old: u64) -> Vec<u8> {
        let frontier = self.logs.get(&LogName::Checkpoint).cloned().unwrap_or_default();
        let origin = self.origin();
        let shown = Checkpoint::new(&origin, frontier.size(), frontier.root());
        let mut checkpoint = shown.to_note().unwrap();
        checkpoint.add(checkpoint.sign(&origin, &key(CHECKPOINT_SEED)).unwrap());
        let proof = consistency_proof(&Tiles(&self.hashes), old, frontier.size()).unwrap();
        AddCheckpoint { old, proof, checkpoint }.to_bytes()
    }

    pub(crate) fn log_key(&self) -> VerifierKey {
        let public = key(CHECKPOINT_SEED).public_key();
        VerifierKey::new(&self.origin(), KeyKind::Ed25519, public).unwrap()
    }
}

struct Tiles<'a>(&'a [Hash]);

impl TileReader for Tiles<'_> {
    fn tile(&self, id: &TileId) -> Result<Vec<Hash>, Error> {
        let Level::Hashes(level) = id.level() else { unreachable!("no entries are asked for") };
        let mut hashes = self.0.to_vec();
        for _ in 0..level {
            hashes = hashes.chunks_exact(256).map(|c| subtree_root(c).unwrap()).collect();
        }
        let from = usize::try_from(id.index() * 256).unwrap();
        Ok(hashes[from..from + usize::from(id.width())].to_vec())
    }
}
