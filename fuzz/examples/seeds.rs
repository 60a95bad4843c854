//! Writes the seeds of the binary formats into `corpus/`: `cargo run --example seeds` in this folder.
//! The seeds of text formats are written by hand.

use std::time::Duration;

use writ_keyd_client::channel::{Message, MessageKind, pack};
use writ_keyd_client::protocol::{Command, Hello, PROTOCOL};
use writ_model::{AccountId, Arn, Nonce, Revision, Timestamp, Ulid, Uuid};
use writ_proof::at_most::AtMost;
use writ_proof::cbor::{self, Version};
use writ_proof::ed25519::PublicKey;
use writ_proof::export::{Begin, Leaves, Line, Node, Part, Sequence, preamble};
use writ_proof::fas::{
    Caveat, ContextRule, Customer, Forward, Holder, Network, Pair, ResourceRule, Root,
    SignedRequest, Ticket,
};
use writ_proof::frame::{Batch, Entry, Frame, WalEnd, frame_hash};
use writ_proof::hash::Hash;
use writ_proof::hostlog::{self, Class, Enrol, FromAgent, Payload};
use writ_proof::krl::Krl;
use writ_proof::leaf::{Commit, Kind, Leaf, Source};
use writ_proof::origin::LogName;
use writ_proof::recording::{
    Chain, Direction, Frame as RecordingFrame, Header, Kind as FrameKind, RecordingKey, SessionKind,
};
use writ_proof::ssh::put_string;
use writ_proof::ssh_auth::UserAuth;
use writ_proof::ssh_cert::{CertFields, CertKind, CriticalOptions, Extension};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::use_record::{UseBatchView, ViewedRecord};
use writ_ssh::{Algorithms, Cipher, Kex, Transport};

fn main() {
    write("leaf", "event", &leaf().to_bytes());
    write(
        "leaf",
        "record",
        br#"{"eventVersion":"1.11","eventName":"Encrypt","requestParameters":null}"#,
    );
    write("wal_frame", "two-frames", &segment());
    let enrol = Enrol { v: Version, token: [1; 32], key: [2; 32], proof: [3; 64], config: "watch = \"w:1\"".to_owned() };
    write("host_frames", "enrol", &cbor::to_vec(&FromAgent::Enrol(enrol)));
    write("host_frames", "line", &host_frame());
    write("host_sources", "journal", b"_PID=1\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\n");
    let packet = b"\x1c\0\0\0\x14\x05\0\0\0\0\0\0\0\0\0\0audit(1.2:3)";
    write("host_sources", "audit", packet);
    write("account_bundle", "small", &bundle());
    let ticket = Ticket::mint(&[1; 32], &root()).expect("a ticket");
    write("fas_ticket", "root", &ticket.to_bytes());
    let expires = Caveat::Expires(Timestamp::from_secs(1_800_000_030));
    write("fas_ticket", "narrowed", &ticket.append(&expires).expect("a caveat").to_bytes());
    write("fas_ticket", "root-alone", &cbor::to_vec(&root()));
    let hello = Command::Hello(Hello { protocol: PROTOCOL, x25519: Some([9; 32]) });
    let bodies = [cbor::to_vec(&hello), cbor::to_vec(&Command::Status)];
    let kinds = [MessageKind::Request, MessageKind::Push];
    let messages: Vec<Message> = std::iter::zip(kinds, bodies)
        .enumerate()
        .map(|(id, (kind, body))| Message { kind, id: id as u64, body: body.into() })
        .collect();
    write("channel_packet", "hello", &pack(&messages));
    write("ssh_formats", "certificate", &certificate());
    write("ssh_formats", "krl", &krl());
    write("recording", "ended", &recording());
    write("sftp_packets", "open-for-writing", &sftp_session());
    ssh();
}

fn certificate() -> Vec<u8> {
    let fields = CertFields {
        nonce: [1; 32],
        key: PublicKey([2; 32]),
        serial: 7,
        kind: CertKind::User,
        key_id: "req=1;user=a;ses=2".to_owned(),
        principals: vec!["svc@web-1".to_owned()],
        valid_after: 1,
        valid_before: 2,
        critical: CriticalOptions { verify_required: true, ..CriticalOptions::default() },
        extensions: [Extension::PermitPty].into(),
    };
    fields.to_be_signed(&PublicKey([3; 32])).expect("fields")
}

fn krl() -> Vec<u8> {
    let mut krl = Krl::new(1, 2, "seed").expect("a list");
    for serial in [1, 3, 5, 7, 9, 100] {
        krl.revoke_serials(None, serial..=serial).expect("a serial number");
    }
    krl.revoke_key_id(Some(&PublicKey([3; 32])), "req=1").expect("a key id");
    krl.to_bytes().expect("a short list")
}

fn recording() -> Vec<u8> {
    let header = Header {
        v: Version,
        session: Ulid::from_bytes([1; 16]),
        request: Ulid::from_bytes([3; 16]),
        grants: vec![Hash([1; 32])],
        human: "alice".parse().expect("a person"),
        host: "web-1".to_owned(),
        kind: SessionKind::Ssh,
        start: Timestamp::from_secs(1_800_000_000),
        key: "k".to_owned(),
        recorder: Uuid::from_bytes([2; 16]),
        accounts: None,
    };
    let mut bytes = header.to_bytes().expect("a header");
    let mut chain = Chain::begin(&header).expect("a chain");
    let key = RecordingKey::new(&[9; 32]).expect("a key");
    let content = b"ls".to_vec();
    let (direction, kind) = (Direction::ToHost, FrameKind::Data);
    let frame = RecordingFrame { monotonic_ns: 1, channel: 2, direction, kind, content };
    chain.push(&mut bytes, &frame, &key).expect("a frame");
    chain.checkpoint(&mut bytes, 2, header.start);
    chain.end(&mut bytes, 3, header.start, "closed");
    bytes
}

/// Pieces as the target reads them: who speaks, the length in two bytes, and a packet.
fn sftp_session() -> Vec<u8> {
    let string = |text: &[u8]| [&(text.len() as u32).to_be_bytes(), text].concat();
    let packet = |kind: u8, id: u32, body: &[u8]| [&[kind][..], &id.to_be_bytes(), body].concat();
    let name =
        |path: &[u8]| [&[0, 0, 0, 1][..], &string(path), &string(b""), &[0, 0, 0, 0]].concat();
    let open = [&string(b"/w/x")[..], &[0, 0, 0, 26], &[0, 0, 0, 0]].concat();
    let write = [&string(b"h")[..], &[0; 8], &string(b"data")].concat();
    let pieces = [
        (0, packet(3, 9, &open)),
        (1, packet(104, 1, &name(b"/w/x"))),
        (1, packet(101, 2, &[&[0, 0, 0, 2][..], &string(b""), &string(b"")].concat())),
        (1, packet(102, 3, &string(b"h"))),
        (0, packet(6, 10, &write)),
        (1, packet(101, 4, &[&[0, 0, 0, 0][..], &string(b""), &string(b"")].concat())),
        (0, packet(4, 11, &string(b"h"))),
    ];
    let piece = |(side, packet): &(u8, Vec<u8>)| {
        [&[*side][..], &(packet.len() as u16).to_be_bytes(), packet].concat()
    };
    pieces.iter().flat_map(piece).collect()
}

/// A good client's first bytes, and its messages after them, as far as they need no key.
fn ssh() {
    let env = std::sync::Arc::new(writ_model::env::TestEnv::new(Timestamp::from_secs(0), 1));
    let names = vec!["ssh-ed25519".to_owned()];
    let algorithms = Algorithms { kex: vec![Kex::Curve25519], ciphers: vec![Cipher::Aes256Gcm] };
    let mut client = Transport::client(algorithms, names, env).expect("a client");
    let offer = client.output().split();
    write("ssh_handshake", "version-and-kexinit", &[&[0xfe], &offer[..]].concat());
    // Any 32 bytes are half of an agreement.
    let mut half = vec![0, 0, 0, 44, 6, 30, 0, 0, 0, 32];
    half.extend([5; 32]);
    half.extend([0; 6]);
    let newkeys = [0, 0, 0, 12, 10, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let all = [&[0xfe], &offer[..], &half, &newkeys].concat();
    write("ssh_handshake", "to-newkeys", &all);
    let key = SshPublicKey::Ed25519([2; 32]);
    let request = UserAuth { session_id: [1; 32], user: "svc".to_owned(), key }.to_bytes();
    write("ssh_auth", "signed-bytes", &request);
    let strings = |number: u8, strings: &[&[u8]]| {
        let mut message = vec![number];
        strings.iter().for_each(|string| put_string(&mut message, string));
        message
    };
    let service = strings(5, &[b"ssh-userauth"]);
    let none = strings(50, &[b"svc", b"ssh-connection", b"none"]);
    let signature = strings(0, &[b"ssh-ed25519", &[3; 64]])[1..].to_vec();
    let signed = [request[36..].to_vec(), strings(0, &[&signature])[1..].to_vec()].concat();
    write("ssh_auth", "login", &stream(&[service, none, signed]));
    let open = [strings(90, &[b"session"]), vec![0, 0, 0, 7, 0, 1, 0, 0, 0, 0, 0x80, 0]].concat();
    let global = [strings(80, &[b"keepalive@openssh.com"]), vec![1]].concat();
    write("ssh_channels", "open", &stream(&[open, global]));
    let pty =
        [strings(0, &[b"xterm"])[1..].to_vec(), vec![0; 16], strings(0, &[&[0]])[1..].to_vec()];
    write("ssh_channels", "pty", &pty.concat());
}

/// Messages, each after its length.
fn stream(messages: &[Vec<u8>]) -> Vec<u8> {
    let length = |message: &Vec<u8>| u16::try_from(message.len()).expect("short").to_be_bytes();
    messages.iter().flat_map(|m| [length(m).to_vec(), m.clone()].concat()).collect()
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(name), bytes).expect("a seed");
}

fn host_frame() -> Vec<u8> {
    let line =
        hostlog::Line { inode: 7, end: 9, text: b"Accepted publickey".to_vec(), partial: false };
    let frame = hostlog::Frame {
        v: Version,
        host: "web-1".parse().expect("a host"),
        boot: Uuid::from_bytes([1; 16]),
        epoch: 1,
        seq: 0,
        mono_ms: 5,
        wall: Timestamp::from_secs(1_800_000_000),
        source: "sshd".to_owned(),
        class: Class::Security,
        payload: Payload::Line(line),
        signature: None,
    };
    frame.to_bytes().expect("a frame")
}

fn account() -> AccountId {
    AccountId::from_number(123_456_789_012).expect("an account")
}

fn leaf() -> Leaf {
    let epoch = Uuid::from_bytes([2; 16]);
    Leaf {
        v: Version,
        seq: 5,
        time: Timestamp::from_secs(1_800_000_000),
        kind: Kind::Event,
        log: LogName::Account(account()),
        event_id: Uuid::from_bytes([1; 16]),
        source: Source::Front,
        commit: Some(Commit { epoch, rev: 300, ordinal: 0, count: 2, replaces: None }),
        use_position: None,
        rec: Hash([3; 32]),
    }
}

fn segment() -> Vec<u8> {
    let mut end = WalEnd::default();
    let mut segment = Vec::new();
    for _ in 0..2 {
        let entry = Entry { record: b"{}".to_vec(), leaves: vec![leaf().to_bytes()] };
        let batch =
            Batch { entries: vec![entry], uses: vec![], statements: vec![], frontiers: vec![] };
        let frame = Frame { epoch: 1, first_seq: end.next_seq, prev: end.hash, batch };
        let bytes = frame.to_bytes().expect("a frame");
        end = WalEnd { epoch: 1, next_seq: frame.next_seq(), hash: frame_hash(&bytes) };
        segment.extend_from_slice(&bytes);
    }
    segment
}

fn bundle() -> Vec<u8> {
    let begin = Begin {
        account: account(),
        genesis: b"genesis".to_vec(),
        checkpoint: b"checkpoint".to_vec(),
        operator: b"operator".to_vec(),
    };
    let line = Line { leaf: leaf().to_bytes(), record: b"{}".to_vec() };
    let nodes = || vec![Node::Line(line.clone()), Node::Hash(Hash([4; 32]))];
    let leaves = |log| Part::Leaves(Leaves { log, first: 0, nodes: AtMost(nodes()) });
    let uses = UseBatchView {
        boot: Uuid::from_bytes([5; 16]),
        first_seq: 0,
        records: AtMost(vec![
            ViewedRecord::Whole(b"record".to_vec()),
            ViewedRecord::Hash(Hash([6; 32])),
        ]),
        head: Hash([7; 32]),
        signature: [8; 64],
    };
    let mut sequence = Sequence::begin(&preamble()).expect("our own preamble");
    let mut bytes = preamble().to_vec();
    for part in [
        Part::Begin(Box::new(begin)),
        leaves(LogName::Operator),
        leaves(LogName::Checkpoint),
        leaves(LogName::Account(account())),
        Part::Uses(uses),
    ] {
        bytes.extend(sequence.write(&part).expect("a part"));
    }
    bytes.extend(sequence.write(&sequence.end()).expect("the end"));
    bytes
}

fn root() -> Root {
    let now = Timestamp::from_secs(1_800_000_000);
    let object = "arn:aws:s3:::bucket/key".to_owned();
    Root {
        kid: Nonce([2; 16]),
        txn: Nonce([3; 16]),
        jti: Nonce([4; 16]),
        iat: now,
        exp: now.plus(Duration::from_secs(300)),
        principal: Customer {
            arn: Arn::iam(account(), "user/alice"),
            unique_id: Some("AIDAAAAAAAAAAAAAAAAAA".parse().expect("an id")),
            account: account(),
            access_key: "AKIAAAAAAAAAAAAAAAAA".parse().expect("an id"),
            issuer: None,
            mfa: None,
            source_identity: None,
        },
        req: SignedRequest {
            digest: Hash([5; 32]),
            signature: Hash([6; 32]),
            request_id: Uuid::from_bytes([7; 16]),
            event_id: Uuid::from_bytes([8; 16]),
            service: "s3".to_owned(),
            region: "eu-west-1".parse().expect("a region"),
            operation: "s3:GetObject".to_owned(),
            resources: vec![object.clone()],
        },
        net: Network { source_ip: Some("192.0.2.1".to_owned()), vpce: None, vpc: None, tls: None },
        ctx: Hash([9; 32]),
        fwd: vec![Forward {
            audience: "kms".to_owned(),
            action: "kms:Decrypt".to_owned(),
            resource: ResourceRule::Any,
            context: ContextRule::Includes(Pair { key: "aws:s3:arn".to_owned(), value: object }),
            budget: 1,
        }],
        holder: Holder::Channel(Source::S3),
        via: vec!["s3.amazonaws.com".to_owned()],
        depth: 0,
        epoch: Revision(42),
    }
}
