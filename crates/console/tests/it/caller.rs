//! The proof of an enrolled person.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_console::caller::{DATE, READ, SCHEME, caller, callers, message};
use writ_console::limits::PROOFS_MAX;
use writ_keyd_client::protocol::Network;
use writ_model::Timestamp;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_service::http::Request;

type Change = fn(&mut Request);

const NOW: u64 = 1_800_000_000;

fn request(method: &str, path: &str, body: &[u8], at: Timestamp, namespace: &str) -> Request {
    signed_by(&[7], (method, path, body), at, namespace)
}

/// A request with a signature of each key.
fn signed_by(
    seeds: &[u8],
    (method, path, body): (&str, &str, &[u8]),
    at: Timestamp,
    namespace: &str,
) -> Request {
    let date = at.basic();
    let proof = |seed: &u8| {
        let key = SoftKey::from_seed(&[*seed; 32]).unwrap();
        let signed = message(method, path, &date, body);
        let proof = SshSig::sign(signed.as_bytes(), namespace, &key).unwrap();
        STANDARD.encode(proof.to_bytes())
    };
    let proofs: Vec<String> = seeds.iter().map(proof).collect();
    let proof = format!("{SCHEME}{}", proofs.join(", "));
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: vec![
            (DATE.to_owned(), date.into_bytes()),
            ("authorization".to_owned(), proof.into_bytes()),
        ],
        body: body.to_vec(),
        network: Network { source_ip: "127.0.0.1".to_owned(), tls: None, vpce: None },
    }
}

#[test]
fn proof_holds_for_its_own_request_and_for_minutes() {
    let now = Timestamp::from_secs(NOW);
    let good = || request("POST", "/a", b"{}", now, READ);
    let known = caller(&good(), READ, now).unwrap();
    let key = SoftKey::from_seed(&[7; 32]).unwrap();
    assert_eq!(known.key, SshPublicKey::Ed25519(key.public_key().0));
    // Sent again it is the same one.
    assert_eq!(caller(&good(), READ, now).unwrap().digest, known.digest);
    let late = |seconds| caller(&good(), READ, now.plus(Duration::from_secs(seconds)));
    assert!(late(300).is_ok());
    assert!(late(301).unwrap_err().contains("five minutes"));

    let changes: [(&str, Change); 6] = [
        ("does not hold", |r| r.path = "/b".to_owned()),
        ("does not hold", |r| r.method = "GET".to_owned()),
        ("does not hold", |r| r.body = b"[]".to_vec()),
        ("does not hold", |r| r.query = "x=1".to_owned()),
        ("no date", |r| r.headers.retain(|(name, _)| name != DATE)),
        ("no signature", |r| r.headers.retain(|(name, _)| name != "authorization")),
    ];
    for (why, change) in changes {
        let mut request = good();
        change(&mut request);
        let refused = caller(&request, READ, now).unwrap_err();
        assert!(refused.contains(why), "{why}: {refused}");
    }
    // A query is signed with the path that it follows.
    let mut asked = request("GET", "/a?of=mine", b"", now, READ);
    (asked.path, asked.query) = ("/a".to_owned(), "of=mine".to_owned());
    assert!(caller(&asked, READ, now).is_ok());
    asked.query = "of=all".to_owned();
    assert!(caller(&asked, READ, now).unwrap_err().contains("does not hold"));
    let other = request("POST", "/a", b"{}", now, "roster@writ");
    assert!(caller(&other, READ, now).unwrap_err().contains("does not hold"));
}

#[test]
fn request_that_several_sign_names_each_of_them() {
    let now = Timestamp::from_secs(NOW);
    let signed = |seeds: &[u8]| signed_by(seeds, ("POST", "/a", b""), now, "confirm@writ");
    let of = |request: &Request| callers(request, "confirm@writ", now);
    let key =
        |seed: u8| SshPublicKey::Ed25519(SoftKey::from_seed(&[seed; 32]).unwrap().public_key().0);
    let found: Vec<SshPublicKey> =
        of(&signed(&[7, 8])).unwrap().into_iter().map(|caller| caller.key).collect();
    assert_eq!(found, [key(7), key(8)]);
    let alone = caller(&signed(&[7, 8]), "confirm@writ", now).unwrap_err();
    assert!(alone.contains("more than one"), "{alone}");
    // The proof of one kind of request is worth nothing as that of another.
    assert!(callers(&signed(&[7, 8]), READ, now).unwrap_err().contains("does not hold"));

    // One that does not hold spoils all.
    let mut request = signed(&[7, 8]);
    request.headers[1].1.extend_from_slice(b",AAAA");
    assert!(of(&request).unwrap_err().contains("cannot be read"));
    assert!(of(&signed(&[7; PROOFS_MAX])).is_ok());
    assert!(of(&signed(&[7; PROOFS_MAX + 1])).unwrap_err().contains("too many"));
}
