//! Peers that do not keep to the protocol: each is refused, and nobody gets in.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use writ_model::SystemEnv;
use writ_proof::ed25519::Signer as _;
use writ_ssh::connection::Core;
use writ_ssh::{Algorithms, Arrived, Cipher, Config, Error, Incoming, Transport};

use crate::raw::{Raw, key, message, offered, public, serve, signed};
use crate::world::{host_key, host_public};

/// "publickey" is the one method, and nothing was half right.
const FAILURE: &[u8] = b"\x33\0\0\0\x09publickey\0";

fn pair(client: Algorithms, server: Algorithms) -> (Transport, Transport) {
    let names = vec!["ssh-ed25519".to_owned()];
    (
        Transport::client(client, names, Arc::new(SystemEnv)).unwrap(),
        Transport::server(server, host_key().public_key().0, Arc::new(SystemEnv)).unwrap(),
    )
}

/// What comes of polling one end; questions are answered as honest ends do.
fn poll(end: &mut Transport) -> Result<Vec<Arrived>, Error> {
    let mut all = Vec::new();
    while let Some(arrived) = end.poll()? {
        match &arrived {
            Arrived::Sign(hash) => end.signed(&host_key().sign(hash).unwrap())?,
            Arrived::HostKey(_) => end.host_key(host_public())?,
            _ => {}
        }
        all.push(arrived);
    }
    Ok(all)
}

/// Carries bytes between both ends until neither says more; `tamper` changes what is on the way.
fn carry(
    client: &mut Transport,
    server: &mut Transport,
    mut tamper: impl FnMut(bool, &mut Vec<u8>),
) -> Result<Vec<Arrived>, Error> {
    let mut all = Vec::new();
    loop {
        let mut there = client.output().split().to_vec();
        let mut back = server.output().split().to_vec();
        if there.is_empty() && back.is_empty() {
            return Ok(all);
        }
        tamper(true, &mut there);
        tamper(false, &mut back);
        server.input().extend_from_slice(&there);
        client.input().extend_from_slice(&back);
        all.extend(poll(server)?);
        all.extend(poll(client)?);
    }
}

/// A packet in the clear.
fn plain(payload: &[u8]) -> Vec<u8> {
    let mut padding = 8 - (5 + payload.len()) % 8;
    if padding < 4 {
        padding += 8;
    }
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend_from_slice(payload);
    packet.extend(vec![0; padding]);
    packet
}

/// Where the first packet after a version line starts.
fn after_version(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1
}

#[test]
fn honest_ends_agree_and_change_keys() {
    let (mut client, mut server) = pair(Algorithms::default(), Algorithms::default());
    let came = carry(&mut client, &mut server, |_, _| {}).unwrap();
    assert_eq!(came.iter().filter(|a| **a == Arrived::Established).count(), 2);
    assert_eq!(client.session_id(), server.session_id());
    let first = client.session_id();
    client.rekey().unwrap();
    server.rekey().unwrap();
    assert!(!client.may_send());
    client.send(b"\xc8held").unwrap();
    let came = carry(&mut client, &mut server, |_, _| {}).unwrap();
    assert!(came.contains(&Arrived::Message(Bytes::from_static(b"\xc8held"))));
    assert_eq!((client.session_id(), server.session_id()), (first, first));
}

/// CVE-2023-48795 (Terrapin): a message in the clear moves the sequence numbers, so that one behind
/// NEWKEYS can be cut. Any message out of turn before the first keys ends the connection, from
/// either side, whatever it is.
#[test]
fn strict_kex_message_before_the_first_keys_ends_the_connection() {
    let disturbing: [&[u8]; 8] = [
        &message(2, &[b"ignore"]),
        &message(4, &[b"\x01debug", b""]),
        b"\x03\0\0\0\0",
        &message(7, &[]),
        &message(5, &[b"ssh-userauth"]),
        b"\x34",
        b"\x15",
        &message(80, &[b"keepalive@openssh.com\0"]),
    ];
    for payload in disturbing {
        for to_server in [true, false] {
            // Before KEXINIT, and after it.
            for late in [false, true] {
                let (mut client, mut server) = pair(Algorithms::default(), Algorithms::default());
                let mut round = 0;
                let ended = carry(&mut client, &mut server, |direction, bytes| {
                    if direction == to_server && !bytes.is_empty() {
                        round += 1;
                        let at = if late { bytes.len() } else { after_version(bytes) };
                        if round == 1 {
                            bytes.splice(at..at, plain(payload));
                        }
                    }
                });
                assert!(
                    matches!(ended, Err(Error::Protocol(_))),
                    "{payload:?} {to_server} {late}: {ended:?}"
                );
            }
        }
    }
}

/// A peer without strict key exchange gets AES-GCM, which Terrapin does not reach, and never ChaCha20.
#[test]
fn peer_without_strict_kex_gets_no_chacha() {
    let strip = |bytes: &mut Vec<u8>| {
        for marker in [&b"kex-strict-c-v00@openssh.com"[..], b"kex-strict-s-v00@openssh.com"] {
            if let Some(at) = bytes.windows(marker.len()).position(|window| window == marker) {
                bytes[at..at + 3].copy_from_slice(b"xxx");
            }
        }
    };
    let only = Algorithms { ciphers: vec![Cipher::ChaCha20Poly1305], ..Algorithms::default() };
    let (mut client, mut server) = pair(only, Algorithms::default());
    let ended = carry(&mut client, &mut server, |_, bytes| strip(bytes));
    assert!(matches!(ended, Err(Error::NoCommon { what: "cipher", .. })), "{ended:?}");
}

/// Whoever changes an offer on the way, to get a weaker choice, changes what the host's key signs.
#[test]
fn kex_downgrade_on_the_way_is_found() {
    let changes: [(&[u8], &[u8]); 3] = [
        (b"mlkem768x25519-sha256", b"mlkem768x25519-sha25x"),
        (b"chacha20-poly1305@openssh.com", b"chacha20-poly1305@openssh.coX"),
        (b"kex-strict-c-v00@openssh.com", b"kex-strict-X-v00@openssh.com"),
    ];
    for (from, to) in changes {
        for both in [true, false] {
            let (mut client, mut server) = pair(Algorithms::default(), Algorithms::default());
            let ended = carry(&mut client, &mut server, |to_server, bytes| {
                if both || to_server {
                    while let Some(at) = bytes.windows(from.len()).position(|w| w == from) {
                        bytes[at..at + to.len()].copy_from_slice(to);
                    }
                }
            });
            assert!(ended.is_err(), "{}: {ended:?}", String::from_utf8_lossy(from));
        }
    }
}

#[test]
fn version_changed_on_the_way_is_found() {
    let (mut client, mut server) = pair(Algorithms::default(), Algorithms::default());
    let ended = carry(&mut client, &mut server, |to_server, bytes| {
        if to_server && bytes.starts_with(b"SSH-2.0-Writ") {
            bytes[8] = b'w';
        }
    });
    assert!(matches!(ended, Err(Error::HostKey(_))), "{ended:?}");
}

/// Any flipped bit of anything on the way ends the connection, before a message is taken from it.
#[test]
fn flipped_byte_on_the_way_is_found() {
    let wanted = Arrived::Message(Bytes::from_static(b"\xc8message"));
    let work = |flip: Option<usize>| {
        let (mut client, mut server) = pair(Algorithms::default(), Algorithms::default());
        carry(&mut client, &mut server, |_, _| {}).unwrap();
        client.send(b"\xc8message").unwrap();
        let mut length = 0;
        let came = carry(&mut client, &mut server, |_, bytes| {
            length = length.max(bytes.len());
            if let Some(at) = flip.filter(|_| !bytes.is_empty()) {
                bytes[at] ^= 0x10;
            }
        });
        (came, length)
    };
    let (came, length) = work(None);
    assert_eq!(came.unwrap(), std::slice::from_ref(&wanted));
    for at in 0..length {
        let (came, _) = work(Some(at));
        assert!(came.as_ref().map_or(true, |all| !all.contains(&wanted)), "byte {at}");
    }
}

/// Bytes to a server in the clear, and the error with which it ends.
async fn blunt(bytes: &[u8]) -> (Error, Vec<u8>) {
    let (mut stream, serving, seen) = serve(Config::default());
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert!(seen.lock().unwrap().is_empty());
    (serving.await.unwrap().err().expect("it was let in"), said)
}

#[tokio::test]
async fn packet_that_is_too_long_or_badly_padded_ends_the_connection() {
    let version = b"SSH-2.0-x\r\n";
    let with = |packet: &[u8]| [version, packet].concat();
    // A length of 2^32 - 1, and the first one above the limit: refused at once, not waited for.
    for length in [u32::MAX, 35_004, 0, 1, 4, 11] {
        let (error, _) = blunt(&with(&length.to_be_bytes())).await;
        assert!(matches!(error, Error::Limit { .. } | Error::Protocol(_)), "{length}: {error}");
    }
    for padding in [0, 3, 11, 12, 255] {
        let mut packet = 12u32.to_be_bytes().to_vec();
        packet.push(padding);
        packet.extend([20; 11]);
        let (error, said) = blunt(&with(&packet)).await;
        assert_eq!(error, Error::Protocol("a packet's padding has a wrong length"));
        assert!(said.windows(7).any(|window| window == b"padding"), "the client is not told");
    }
    for bad in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-1.5-x\r\n", &[b'S'; 300], b"SSH-2.0-\x01\r\n"] {
        let (error, _) = blunt(bad).await;
        assert!(matches!(error, Error::Limit { .. } | Error::Protocol(_)), "{error}");
    }
}

/// RFC 8731 section 3, and the hybrid's encapsulation key: bad halves of the agreement.
#[tokio::test]
async fn bad_half_of_a_key_agreement_ends_the_connection() {
    for (kex, halves) in [
        ("curve25519-sha256", vec![vec![], vec![0; 32], vec![1; 31], vec![1; 33]]),
        ("mlkem768x25519-sha256", vec![vec![0; 1216], vec![0xff; 1216], vec![1; 1215]]),
    ] {
        for half in halves {
            let mut kexinit = vec![20; 17];
            let cipher = b"aes256-gcm@openssh.com";
            let lists: [&[u8]; 10] = [
                kex.as_bytes(),
                b"ssh-ed25519",
                cipher,
                cipher,
                b"",
                b"",
                b"none",
                b"none",
                b"",
                b"",
            ];
            lists.iter().for_each(|list| writ_proof::ssh::put_string(&mut kexinit, list));
            kexinit.extend([0; 5]);
            let packets = [plain(&kexinit), plain(&message(30, &[&half]))].concat();
            let (error, _) = blunt(&[&b"SSH-2.0-x\r\n"[..], &packets].concat()).await;
            assert_eq!(error, Error::Crypto("key agreement failed"), "{kex} {}", half.len());
        }
    }
}

/// CVE-2024-45337: the client offers A and proves B. It is B.
#[tokio::test]
async fn key_offered_is_not_key_proven() {
    let mut raw = Raw::secured().await;
    raw.send(&offered(&key(1), "svc")).await;
    assert_eq!(raw.next().await.unwrap()[0], 60);
    let session = raw.session();
    raw.send(&signed(&key(2), session, "svc")).await;
    assert_eq!(raw.next().await.unwrap()[..], [52]);
    let accepted = raw.serving.take().unwrap().await.unwrap().unwrap();
    assert_eq!(*accepted.proof.key(), public(&key(2)));
    let seen = raw.seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert!(seen[1] == format!("proven {}", public(&key(2)).fingerprint()), "{seen:?}");
}

#[tokio::test]
async fn signature_that_is_wrong_or_of_another_session_proves_nothing() {
    let mut raw = Raw::secured().await;
    let session = raw.session();
    let mut bad = signed(&key(1), session, "svc");
    *bad.last_mut().unwrap() ^= 1;
    let other_session = signed(&key(1), [7; 32], "svc");
    // The key of A with the signature of B.
    let mut mixed = signed(&key(2), session, "svc");
    let (a, b) = (public(&key(1)).to_blob(), public(&key(2)).to_blob());
    let at = mixed.windows(b.len()).position(|window| window == b).unwrap();
    mixed[at..at + a.len()].copy_from_slice(&a);
    // No signature at all, and an empty one.
    let request = signed(&key(1), session, "svc");
    let without = &request[..request.len() - 4 - 83];
    let empty = [without, &[0; 4]].concat();
    for attack in [bad, other_session, mixed, empty] {
        raw.send(&attack).await;
        assert_eq!(raw.next().await.unwrap()[..], *FAILURE);
    }
    raw.send(without).await;
    assert!(matches!(raw.refusal().await, Error::Protocol(_)));
    assert!(raw.seen.lock().unwrap().is_empty());
}

/// No answer tells one method, user or key from another, and attempts are counted.
#[tokio::test]
async fn auth_methods_are_refused_alike_and_counted() {
    let mut raw = Raw::secured().await;
    let request = |method: &[u8], more: &[u8]| {
        [&message(50, &[b"svc", b"ssh-connection", method]), more].concat()
    };
    // The first question for the methods is free.
    raw.send(&request(b"none", b"")).await;
    assert_eq!(raw.next().await.unwrap()[..], *FAILURE);
    let certificate = message(0, &[b"ssh-ed25519-cert-v01@openssh.com", b"blob"]);
    for attack in [
        request(b"none", b""),
        request(b"password", &message(0, &[b"secret"])),
        request(b"keyboard-interactive", &message(0, &[b"", b""])[1..]),
        request(b"hostbased", b""),
        request(b"publickey", &certificate),
    ] {
        raw.send(&attack).await;
        assert_eq!(raw.next().await.unwrap()[..], *FAILURE);
    }
    raw.send(&request(b"gssapi-with-mic", b"")).await;
    let told = raw.next().await.unwrap_err();
    assert!(matches!(told, Error::Disconnected { reason: 14, .. }), "{told}");
    assert_eq!(raw.refusal().await, Error::Authentication("too many attempts".to_owned()));
}

#[tokio::test]
async fn auth_with_another_name_or_service_ends_the_connection() {
    let attacks: [&[u8]; 6] = [
        &message(50, &[b"other", b"ssh-connection", b"none"]),
        &message(50, &[b"svc", b"ssh-other", b"none"]),
        &message(50, &[&[b'u'; 300], b"ssh-connection", b"none"]),
        // Messages of the server, and of later.
        b"\x34",
        &message(61, &[b"answer"]),
        &message(90, &[b"session", &[0; 12]]),
    ];
    for attack in attacks {
        let mut raw = Raw::secured().await;
        raw.send(&message(50, &[b"svc", b"ssh-connection", b"none"])).await;
        assert_eq!(raw.next().await.unwrap()[..], *FAILURE);
        raw.send(attack).await;
        assert!(matches!(raw.next().await.unwrap_err(), Error::Disconnected { reason: 2, .. }));
        let refusal = raw.refusal().await;
        assert!(matches!(refusal, Error::Protocol(_) | Error::Limit { .. }), "{refusal}");
    }
}

/// Each exchange costs us an agreement and a signature: a stranger gets one.
#[tokio::test]
async fn new_keys_before_authentication_are_refused() {
    let mut raw = Raw::secured().await;
    raw.transport.rekey().unwrap();
    assert!(matches!(raw.next().await, Err(Error::Disconnected { reason: 2, .. })));
    let wanted = Error::Protocol("new keys were asked for before authentication");
    assert_eq!(raw.refusal().await, wanted);
}

#[tokio::test]
async fn auth_without_end_is_ended() {
    let mut raw = Raw::secured().await;
    for _ in 0..31 {
        raw.send(&offered(&key(1), "svc")).await;
        assert_eq!(raw.next().await.unwrap()[0], 60);
    }
    raw.send(&offered(&key(1), "svc")).await;
    assert!(raw.next().await.is_err());
    assert_eq!(raw.refusal().await, Error::Authentication("too many requests".to_owned()));
}

/// A client that does nothing is cut when its time is over, wherever it stopped.
#[tokio::test]
async fn silent_client_is_cut_after_the_login_grace() {
    let login_grace = std::time::Duration::from_millis(500);
    let config = Config { login_grace, ..Config::default() };
    let mut raw = Raw::secured_with(config.clone()).await;
    let (_silent, serving, _) = serve(config);
    for refusal in [raw.refusal().await, serving.await.unwrap().err().unwrap()] {
        assert!(matches!(refusal, Error::Timeout { what: "login", .. }), "{refusal}");
    }
}

#[tokio::test]
async fn unknown_message_types_are_unimplemented() {
    let mut raw = Raw::secured().await;
    for kind in [8, 19, 128, 192, 255] {
        raw.send(&[kind, 1, 2, 3]).await;
        let reply = raw.next();
        // UNIMPLEMENTED is the transport's own and comes to nobody: the next answer is awaited.
        tokio::time::timeout(std::time::Duration::from_millis(50), reply).await.unwrap_err();
    }
    let session = raw.session();
    raw.send(&signed(&key(1), session, "svc")).await;
    assert_eq!(raw.next().await.unwrap()[..], [52]);

    let mut core = Core::new(10, 1000);
    for kind in [8, 49, 79, 83, 101, 127, 200] {
        let known = core.receive(&Bytes::from(vec![kind, 0, 0, 0, 0]));
        let expected = if kind == 79 { known.is_err() } else { known == Ok(false) };
        assert!(expected, "{kind}");
    }
}

#[tokio::test]
async fn unimplemented_names_the_message_that_was_unknown() {
    let (mut client, mut server) = pair(Algorithms::default(), Algorithms::default());
    carry(&mut client, &mut server, |_, _| {}).unwrap();
    client.send(b"\xc8one").unwrap();
    client.send(b"\xc8two").unwrap();
    let wire: BytesMut = client.output().split();
    server.input().extend_from_slice(&wire);
    assert!(server.poll().unwrap().is_some());
    server.unimplemented().unwrap();
    assert!(server.poll().unwrap().is_some());
    server.unimplemented().unwrap();
    // Strict key exchange: the sequence began anew behind NEWKEYS. The client takes both in silence.
    let back = server.output().split();
    client.input().extend_from_slice(&back);
    assert_eq!(client.poll().unwrap(), None);
}

/// Messages in a channel that break its rules, each after a good opening.
#[tokio::test]
async fn channel_rules_broken_end_the_connection() {
    let open =
        [&message(90, &[b"session"])[..], &[0, 0, 0, 5], &[0xff; 4], &[0, 0, 0x80, 0]].concat();
    let at = |number: u8, more: &[u8]| [&[number, 0, 0, 0, 0][..], more].concat();
    let long = [&[0, 0, 0x81, 0][..], &vec![0; 0x8100]].concat();
    let attacks: [(&str, Vec<Vec<u8>>); 12] = [
        ("window", vec![at(93, &[0, 0, 0, 1])]),
        ("huge", vec![at(94, &long)]),
        ("beyond the window", vec![at(94, &[&[0, 0, 0x60, 0][..], &vec![0; 0x6000]].concat()); 2]),
        ("data after the end", vec![at(96, b""), at(94, &[0, 0, 0, 1, 7])]),
        ("two ends", vec![at(96, b""), at(96, b"")]),
        ("data after close", vec![at(97, b""), at(94, &[0, 0, 0, 1, 7])]),
        ("another channel", vec![b"\x5e\0\0\0\x09\0\0\0\x01x".to_vec()]),
        ("an answer to nothing", vec![at(99, b"")]),
        ("a global answer to nothing", vec![vec![81]]),
        ("odd extended data", vec![at(95, &[0, 0, 0, 2, 0, 0, 0, 1, 7])]),
        ("a confirmation", vec![at(91, &[0; 12])]),
        ("cut", vec![at(98, &[0, 0, 0, 99])]),
    ];
    for (what, messages) in attacks {
        let (mut raw, accepted) =
            Raw::authenticated(Config { window_bytes: 0x9000, ..Config::default() }).await;
        let mut incoming = accepted.incoming;
        let running = tokio::spawn(accepted.driver.run());
        raw.send(&open).await;
        let Some(Incoming::Open(opening)) = incoming.next().await else { panic!() };
        let channel = opening.accept().unwrap();
        for message in messages {
            raw.send(&message).await;
        }
        let ended = running.await.unwrap().unwrap_err();
        let known = matches!(ended, Error::Protocol(_) | Error::Limit { .. });
        assert!(known, "{what}: {ended}");
        // Whoever holds the channel learns the end.
        while channel.next().await.is_some() {}
        assert!(channel.send(writ_ssh::Stream::Main, Bytes::from_static(b"x")).await.is_err());
    }
}
