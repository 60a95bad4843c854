//! The whole process: files, channels, threads and sandbox, with this test as all of its peers.
//!
//! The sandbox binds the process for good, so this binary holds one test.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of a test")]

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use writ_keyd::{KeydConfig, root, run};
use writ_keyd_client::channel::{Channel, Message, MessageKind, pack, unpack};
use writ_keyd_client::control::{Control, Notice};
use writ_keyd_client::protocol::*;
use writ_model::{AccountId, SystemEnv, Uuid};
use writ_proof::cbor;

/// Sends one request and waits for its answer; pushes in between are dropped.
fn call(channel: &Channel, id: u64, command: &Command) -> Answer {
    let body = cbor::to_vec(command);
    channel.send(&pack(&[Message { kind: MessageKind::Request, id, body: body.into() }])).unwrap();
    loop {
        let packet = channel.recv().unwrap().expect("keyd is gone");
        for message in unpack(&packet.bytes).unwrap() {
            if message.kind == MessageKind::Reply && message.id == id {
                return cbor::from_slice(&message.body).unwrap();
            }
        }
    }
}

fn hello(channel: &Channel) {
    let hello = Command::Hello(Hello { protocol: PROTOCOL, x25519: None });
    assert!(matches!(call(channel, 1, &hello), Answer::Carried(Reply::Hello(_))));
}

fn files() -> (File, File) {
    let (bytes, _) = root::create(&SystemEnv).unwrap();
    let mut root = tempfile::tempfile().unwrap();
    root.write_all(&bytes).unwrap();
    root.seek(SeekFrom::Start(0)).unwrap();
    (root, tempfile::tempfile().unwrap())
}

#[test]
fn sandboxed_keyd_serves_its_peers_and_can_open_nothing() {
    let (root, head) = files();
    let (front, front_end) = Channel::pair().unwrap();
    let (trail, trail_end) = Channel::pair().unwrap();
    let (control, control_end) = Channel::pair().unwrap();
    let config = KeydConfig {
        site: "test".parse().unwrap(),
        s3_domain: None,
        genesis: Vec::new(),
        root,
        head,
        channels: vec![(Role::Front, front_end), (Role::Trail, trail_end)],
        control: Arc::new(control_end),
    };
    let (later, later_end) = Channel::pair().unwrap();
    let keyd = std::thread::spawn(move || run(config, Arc::new(SystemEnv)));
    let ready = control.recv().unwrap().expect("keyd ended");
    let Ok(Notice::Ready(facts)) = cbor::from_slice(&ready.bytes) else { panic!("not ready") };
    for fact in &facts {
        println!("{}: {}", fact.name, fact.value);
    }
    let seccomp = facts.iter().find(|fact| fact.name == "seccomp").unwrap();
    assert_eq!(seccomp.value, "on");

    hello(&trail);
    hello(&front);
    let epoch = Uuid::from_bytes([1; 16]);
    let load = Load { descriptors: vec![], ended: vec![], last: true, epoch, roster: vec![] };
    assert!(matches!(call(&front, 2, &Command::Load(load)), Answer::Carried(Reply::Done)));
    let beat = Command::Beat(Beat { feed: 1 });
    assert!(matches!(call(&front, 3, &beat), Answer::Carried(Reply::Done)));
    let Answer::Carried(Reply::Status(status)) = call(&front, 4, &Command::Status) else {
        panic!("no status")
    };
    let ack = Command::Ack(Ack { boot: status.boot, seq: 0 });
    assert!(matches!(call(&trail, 2, &ack), Answer::Carried(Reply::Done)));
    let account = AccountId::from_number(123_456_789_012).unwrap();
    let create = Command::CreateAccount(CreateAccount { account });
    assert!(matches!(call(&front, 5, &create), Answer::Carried(Reply::Credential(_))));
    let asked = Checkpoint {
        origin: "writ/test/operator".to_owned(),
        size: 1,
        root: [1; 32],
        proof: vec![],
    };
    let note = call(&trail, 3, &Command::Checkpoint(asked));
    assert!(matches!(note, Answer::Carried(Reply::Note(_))), "the head file is written");

    // A large packet goes as a sealed memfd, both ways through the sandbox.
    let unknown = Command::Load(Load {
        descriptors: vec![vec![0; 1 << 20]],
        ended: vec![],
        last: false,
        epoch,
        roster: vec![],
    });
    assert!(matches!(call(&front, 6, &unknown), Answer::Refused(Refusal::Forbidden(_))));

    // A restarted s3 gets its end through the supervisor; what it may not send is refused.
    use std::os::fd::AsFd as _;
    let peer = cbor::to_vec(&Control::Peer(Role::S3));
    control.send_with_fds(&peer, &[later_end.as_fd()]).unwrap();
    hello(&later);
    assert!(matches!(call(&later, 2, &Command::Tick), Answer::Refused(Refusal::Forbidden(_))));

    // The filter binds every thread of the process, this one too.
    assert!(File::open("/etc/hostname").is_err());
    assert!(std::net::TcpListener::bind("127.0.0.1:0").is_err());
    assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_err());
    assert!(std::thread::Builder::new().spawn(|| ()).is_err());

    control.send(&cbor::to_vec(&Control::Stop)).unwrap();
    keyd.join().unwrap().unwrap();
}
