//! Both of our ends against each other, where stock peers cannot be made to do it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;
use writ_model::SystemEnv;
use writ_proof::ed25519::Signer as _;
use writ_proof::ssh_cert::{CertFields, CertKind, Certificate, CriticalOptions};
use writ_ssh::{
    Accepted, Channel, ChannelEvent, Config, Connected, Error, Incoming, IncomingEvents, KnownKey,
    OpenFailure, Session, SessionRequest, SoftHostKey, SoftUserKey, Stream, accept, admit, connect,
};

use crate::raw::{Anybody, Raw, Seen, key};
use crate::world::{host_key, host_public, pattern};

struct End {
    session: Session,
    incoming: IncomingEvents,
    running: JoinHandle<Result<(), Error>>,
}

/// A client and a server, connected and authenticated.
async fn ends(client: Config, server: Config) -> (End, End) {
    let (near, far) = duplex(64 * 1024);
    let serving = tokio::spawn(async move {
        let host = Arc::new(SoftHostKey(host_key()));
        let mut anybody = Anybody(Seen::default());
        accept(far, &server, host, &mut anybody, Arc::new(SystemEnv)).await
    });
    let (host, user) = (KnownKey(host_public()), SoftUserKey::new(key(1)));
    let env = Arc::new(SystemEnv);
    let Connected { session, incoming, driver, .. } =
        connect(near, &client, &host, "svc", &user, env).await.unwrap();
    let client = End { session, incoming, running: tokio::spawn(driver.run()) };
    let accepted: Accepted<DuplexStream> = serving.await.unwrap().unwrap();
    let Accepted { session, incoming, driver, .. } = accepted;
    (client, End { session, incoming, running: tokio::spawn(driver.run()) })
}

async fn channel(client: &End, server: &mut End) -> (Channel, Channel) {
    let opening = client.session.open_session();
    let taking = async {
        let Some(Incoming::Open(open)) = server.incoming.next().await else { panic!() };
        open.accept().unwrap()
    };
    let (near, far) = tokio::join!(opening, taking);
    (near.unwrap().unwrap(), far)
}

async fn receive(channel: &Channel, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        let Some(ChannelEvent::Data { bytes, .. }) = channel.next().await else { panic!() };
        channel.accept(bytes.len());
        all.extend_from_slice(&bytes);
    }
    all
}

/// Full buffers in both directions at once: neither end may wait for the other to read first.
#[tokio::test(flavor = "multi_thread")]
async fn data_both_ways_at_once_does_not_lock_up() {
    let rekey = writ_ssh::Rekey { bytes: 300_000, after: Duration::from_millis(20) };
    let config = Config { rekey, ..Config::default() };
    let (client, mut server) = ends(config.clone(), config).await;
    let (near, far) = channel(&client, &mut server).await;
    let data = pattern(6_000_000);
    let work = async {
        let (a, b, c, d) = tokio::join!(
            near.send(Stream::Main, Bytes::from(data.clone())),
            far.send(Stream::Main, Bytes::from(data.clone())),
            receive(&near, data.len()),
            receive(&far, data.len()),
        );
        a.unwrap();
        b.unwrap();
        assert!(c == data && d == data);
    };
    tokio::time::timeout(Duration::from_secs(50), work).await.expect("it locked up");
    assert_eq!(client.session.session_id(), server.session.session_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn channel_that_nobody_answers_is_refused_and_a_request_fails() {
    let (client, mut server) = ends(Config::default(), Config::default()).await;
    let opening = client.session.open("x-odd", b"data");
    let dropping = async {
        let Some(Incoming::Open(open)) = server.incoming.next().await else { panic!() };
        assert_eq!((open.kind(), &open.data()[..]), ("x-odd", &b"data"[..]));
    };
    let (opened, ()) = tokio::join!(opening, dropping);
    assert_eq!(opened.unwrap().err().unwrap().0, OpenFailure::Prohibited);
    let (near, far) = channel(&client, &mut server).await;
    let asking = near.request(&SessionRequest::Shell);
    let dropping = async {
        let Some(ChannelEvent::Request(request)) = far.next().await else { panic!() };
        assert_eq!(request.name(), "shell");
    };
    let (granted, ()) = tokio::join!(asking, dropping);
    assert!(!granted.unwrap());
    let asking = client.session.global_request("x-odd", b"data");
    let answering = async {
        let Some(Incoming::Global(request)) = server.incoming.next().await else { panic!() };
        request.answer(Some(b"yes"));
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.unwrap().unwrap(), b"yes"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_channel_is_closed_and_makes_room() {
    let (client, mut server) = ends(Config::default(), Config::default()).await;
    for _ in 0..30 {
        let (near, far) = channel(&client, &mut server).await;
        drop(near);
        assert!(matches!(far.next().await, Some(ChannelEvent::Close)));
        assert!(far.next().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn end_of_one_side_reaches_everybody_who_waits() {
    let (client, mut server) = ends(Config::default(), Config::default()).await;
    let (near, far) = channel(&client, &mut server).await;
    let waiting = tokio::spawn(async move {
        let big = Bytes::from(vec![0; 8_000_000]);
        (near.send(Stream::Main, big).await, near.request(&SessionRequest::Shell).await)
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.session.disconnect("your access has ended");
    assert_eq!(server.running.await.unwrap(), Ok(()));
    assert_eq!(server.session.ended().await, Ok(()));
    let text = "your access has ended".to_owned();
    let ended = Error::Disconnected { reason: 11, text };
    assert_eq!(client.running.await.unwrap(), Err(ended.clone()));
    assert_eq!(client.session.ended().await, Err(ended));
    assert_eq!(waiting.await.unwrap(), (Err(Error::Closed), Err(Error::Closed)));
    assert!(server.incoming.next().await.is_none());
    // What had come is still there, then the end.
    let mut held = 0;
    while let Some(event) = far.next().await {
        let ChannelEvent::Data { bytes, .. } = event else { panic!("{event:?}") };
        held += bytes.len();
    }
    assert!(held <= writ_ssh::limits::CHANNEL_WINDOW_BYTES as usize, "{held}");
    assert!(client.session.open_session().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_that_is_dropped_ends_everything() {
    let (client, server) = ends(Config::default(), Config::default()).await;
    client.running.abort();
    let ended = async {
        assert!(client.session.ended().await.is_err());
        assert!(server.session.ended().await.is_err());
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("somebody waits for ever");
}

/// A peer that answers nothing any more, not even whether it is there.
#[tokio::test(flavor = "multi_thread")]
async fn peer_that_falls_silent_is_given_up() {
    let keepalive_after = Duration::from_millis(100);
    let config = Config { keepalive_after, ..Config::default() };
    let (raw, accepted) = Raw::authenticated(config).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), accepted.driver.run()).await;
    let ended = ended.unwrap().unwrap_err();
    assert!(matches!(ended, Error::Timeout { what: "the peer's silence", .. }), "{ended}");
    drop(raw);
}

/// A managed host of ours: a certificate of its authority, with the certified key's signature, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn host_takes_certificates_of_its_authority_and_the_certified_key_alone() {
    let certificate = |authority: u8, certified: u8| {
        let fields = CertFields {
            nonce: [7; 32],
            key: key(certified).public_key(),
            serial: 1,
            kind: CertKind::User,
            key_id: "req=1".to_owned(),
            principals: vec!["svc@web-1".to_owned()],
            valid_after: 0,
            valid_before: u64::MAX,
            critical: CriticalOptions::default(),
            extensions: BTreeSet::new(),
        };
        fields.sign(&key(authority)).unwrap().to_bytes()
    };
    let cases = [
        ("right", SoftUserKey::certified(key(1), certificate(8, 1)), true),
        ("of another authority", SoftUserKey::certified(key(1), certificate(9, 1)), false),
        ("signed by another key", SoftUserKey::certified(key(2), certificate(8, 1)), false),
        ("the key alone", SoftUserKey::new(key(1)), false),
    ];
    for (name, user, taken) in cases {
        let (near, far) = duplex(64 * 1024);
        let serving = tokio::spawn(async move {
            let host = Arc::new(SoftHostKey(host_key()));
            let judge = |user: &str, shown: &Certificate| {
                user == "svc" && *shown.ca() == key(8).public_key()
            };
            let config = Config::default();
            let admitted = admit(far, &config, host, &judge, Arc::new(SystemEnv)).await?;
            Ok::<_, Error>(admitted.certified.certificate().unverified().key_id.clone())
        });
        let (host, env) = (KnownKey(host_public()), Arc::new(SystemEnv));
        let came = connect(near, &Config::default(), &host, "svc", &user, env).await;
        assert_eq!(came.is_ok(), taken, "{name}");
        drop(came);
        let served = tokio::time::timeout(Duration::from_secs(20), serving).await.expect(name);
        assert_eq!(served.unwrap().is_ok(), taken, "{name}");
    }
    // The gate takes no certificate, whoever signed it.
    let (near, far) = duplex(64 * 1024);
    let serving = tokio::spawn(async move {
        let host = Arc::new(SoftHostKey(host_key()));
        let mut anybody = Anybody(Seen::default());
        accept(far, &Config::default(), host, &mut anybody, Arc::new(SystemEnv)).await.is_ok()
    });
    let user = SoftUserKey::certified(key(1), certificate(8, 1));
    let (host, env) = (KnownKey(host_public()), Arc::new(SystemEnv));
    assert!(connect(near, &Config::default(), &host, "svc", &user, env).await.is_err());
    assert!(!serving.await.unwrap());
}
