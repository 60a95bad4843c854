//! The proof of an enrolled person.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_console::caller::{DATE, NAMESPACE, SCHEME, caller, message};
use writ_keyd_client::protocol::Network;
use writ_model::Timestamp;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_service::http::Request;

type Change = fn(&mut Request);

const NOW: u64 = 1_800_000_000;

fn request(method: &str, path: &str, body: &[u8], at: Timestamp, namespace: &str) -> Request {
    let key = SoftKey::from_seed(&[7; 32]).unwrap();
    let date = at.basic();
    let proof =
        SshSig::sign(message(method, path, &date, body).as_bytes(), namespace, &key).unwrap();
    let proof = format!("{SCHEME}{}", STANDARD.encode(proof.to_bytes()));
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
    let good = || request("POST", "/a", b"{}", now, NAMESPACE);
    let known = caller(&good(), now).unwrap();
    let key = SoftKey::from_seed(&[7; 32]).unwrap();
    assert_eq!(known.key, SshPublicKey::Ed25519(key.public_key().0));
    // Sent again it is the same one.
    assert_eq!(caller(&good(), now).unwrap().digest, known.digest);
    let late = |seconds| caller(&good(), now.plus(Duration::from_secs(seconds)));
    assert!(late(300).is_ok());
    assert!(late(301).unwrap_err().contains("five minutes"));

    let changes: [(&str, Change); 6] = [
        ("does not hold", |r| r.path = "/b".to_owned()),
        ("does not hold", |r| r.method = "GET".to_owned()),
        ("does not hold", |r| r.body = b"[]".to_vec()),
        ("a query", |r| r.query = "x=1".to_owned()),
        ("no date", |r| r.headers.retain(|(name, _)| name != DATE)),
        ("no signature", |r| r.headers.retain(|(name, _)| name != "authorization")),
    ];
    for (why, change) in changes {
        let mut request = good();
        change(&mut request);
        let refused = caller(&request, now).unwrap_err();
        assert!(refused.contains(why), "{why}: {refused}");
    }
    let other = request("POST", "/a", b"{}", now, "roster@writ");
    assert!(caller(&other, now).unwrap_err().contains("does not hold"));
}
