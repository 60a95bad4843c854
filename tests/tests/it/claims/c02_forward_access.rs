//! C-02, uses through a service: an s3 that somebody took over gets no data key but for the object,
//! key, context and action of the request that the customer signed.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use serde_json::{Value, json};
use writ_keyd_client::key_policy::inner_path;
use writ_keyd_client::protocol::{
    Authenticate, Command, Network, Payload, Present, Refusal, Reply, Role, Ticket, Use, Used,
};
use writ_keyd_client::secret::SecretBytes;
use writ_model::{Env as _, SystemEnv, Uuid};
use writ_proof::fas::{Proof, ProvenRequest};
use writ_proof::hash::sha256;
use writ_tests::Credentials;
use writ_tests::http::Http;
use writ_tests::site::ANN;

use super::c02_checks::{Checks, Left, Why};
use super::c02_hostile_front::{Taken, take_over};

/// s3's end of the channel, with the key that proves it.
struct Gateway<'t> {
    taken: &'t Taken,
    proof: [u8; 32],
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

impl<'t> Gateway<'t> {
    fn new(taken: &'t Taken) -> Gateway<'t> {
        let mut seed = [0u8; 32];
        SystemEnv.fill(&mut seed);
        let private = PrivateKey::from_private_key(&X25519, &seed).unwrap();
        let ours: [u8; 32] = private.compute_public_key().unwrap().as_ref().try_into().unwrap();
        let theirs = taken.keyd.greet(Role::S3, Some(ours)).x25519.unwrap();
        let salt = [ours, theirs].concat();
        let peer = UnparsedPublicKey::new(&X25519, theirs);
        let proof = agree(&private, peer, (), |secret| {
            let key = Salt::new(HKDF_SHA256, &salt).extract(secret);
            let mut out = [0; 32];
            key.expand(&[b"writ-channel-proof-v1"], Bytes32).unwrap().fill(&mut out).unwrap();
            Ok(out)
        });
        Gateway { taken, proof: proof.unwrap() }
    }

    /// The ticket of a request that `who` signed.
    fn ticket(
        &self,
        who: &Credentials,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Ticket {
        let http = Http::new("http://s3.test", "s3");
        let mut request = http.request(method, path, "", b"");
        let more = headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()));
        request.headers.extend(more);
        let id = Uuid::random(&SystemEnv).to_string().into_bytes();
        request.headers.push(("amz-sdk-invocation-id".to_owned(), id));
        let request = http.sign(who, &request);
        let digest = hex::encode(sha256(b"").0);
        let command = Authenticate {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            payload: Payload::Declared(digest),
            credential: Some(self.taken.wrapped(who)),
            network: Network { source_ip: "192.0.2.7".to_owned(), tls: None, vpce: None },
            request_id: Uuid::random(&SystemEnv),
            event_id: Uuid::random(&SystemEnv),
            region: "us-east-1".parse().unwrap(),
        };
        match self.taken.keyd.ask(Role::S3, Command::Authenticate(Box::new(command))) {
            Ok(Reply::Authenticated(answer)) => answer.ticket.expect("a ticket"),
            Ok(_) => panic!("not an answer to authenticate"),
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    /// An inner request with its proof.
    fn inner(&self, ticket: &Ticket, operation: &str, body: &Value) -> Present {
        let target = format!("TrentService.{operation}");
        let (path, body) = (inner_path(&target), body.to_string().into_bytes());
        let parsed = writ_proof::fas::Ticket::from_bytes(ticket.ticket.expose()).unwrap();
        let request = ProvenRequest {
            method: "POST",
            path: &path,
            query: "",
            body: sha256(&body),
            ticket: parsed.digest(),
        };
        let proof = Proof::make(&self.proof, &request, SystemEnv.now(), SystemEnv.nonce());
        Present {
            ticket: SecretBytes::new(parsed.to_bytes()),
            context: ticket.context.clone(),
            proof: proof.mac,
            proof_time: proof.time,
            proof_nonce: proof.nonce,
            holder: Role::S3,
            method: "POST".to_owned(),
            path,
            query: String::new(),
            target,
            body,
            request_id: Uuid::random(&SystemEnv),
            event_id: Uuid::random(&SystemEnv),
            region: "us-east-1".parse().unwrap(),
        }
    }

    /// Front presents it and uses the first key.
    fn through(&self, present: Present, key: usize) -> Result<Used, Refusal> {
        let present = Command::Present(Box::new(present));
        let Reply::Authenticated(admitted) = self.taken.keyd.ask(Role::Front, present)? else {
            panic!("not an answer to present");
        };
        let keys = vec![self.taken.key(&self.taken.keys[key])];
        let wanted = Use { handle: admitted.handle, delegated: true, ..Use::of(keys) };
        match self.taken.keyd.ask(Role::Front, Command::Use(Box::new(wanted)))? {
            Reply::Used(used) => Ok(*used),
            _ => panic!("not an answer to use"),
        }
    }

    fn data_key(&self, key: usize, object: &str) -> Value {
        json!({"KeyId": self.taken.keys[key], "KeySpec": "AES_256",
            "EncryptionContext": {"aws:s3:arn": format!("arn:aws:s3:::{object}")}})
    }
}

/// A ticket and the request that it is not for, with the reason of the refusal.
type Misuse = (&'static str, Ticket, &'static str, Value, &'static str);

/// A refusal of what a ticket does not allow.
fn refused(why: &'static str) -> Why {
    Why::Aws("AccessDeniedException", why)
}

/// A ticket opens what its customer signed for, and what comes out is sealed to s3.
#[test]
fn c02_ticket_for_another_object_key_context_or_action_is_refused() {
    let taken = take_over();
    let s3 = Gateway::new(&taken);
    let put = |path: &str| s3.ticket(&taken.ann, "PUT", path, &[]);
    let get = |path: &str| s3.ticket(&taken.ann, "GET", path, &[]);
    let made = s3.through(s3.inner(&put("/b/k"), "GenerateDataKey", &s3.data_key(0, "b/k")), 0);
    let made = made.unwrap_or_else(|refusal| panic!("the control: {refusal:?}"));
    assert!(made.plaintext.is_none() && made.sealed.is_some(), "front sees a data key");
    let blob = base64(&made.ciphertext.unwrap());
    let open = |object: &str| {
        json!({"CiphertextBlob": blob,
        "EncryptionContext": {"aws:s3:arn": format!("arn:aws:s3:::{object}")}})
    };
    let named = format!("arn:aws:kms:us-east-1:{ANN}:key/{}", taken.keys[0]);
    let by_name = || {
        s3.ticket(
            &taken.ann,
            "PUT",
            "/b/k",
            &[
                ("x-amz-server-side-encryption", "aws:kms"),
                ("x-amz-server-side-encryption-aws-kms-key-id", &named),
            ],
        )
    };
    let more = json!({"KeyId": taken.keys[0], "KeySpec": "AES_256",
        "EncryptionContext": {"aws:s3:arn": "arn:aws:s3:::b/k", "more": "1"}});
    let s3_of_bob = |path: &str| s3.ticket(&taken.bob, "GET", path, &[]);
    let encrypt = json!({"KeyId": taken.keys[0], "Plaintext": "Z29sZA==",
        "EncryptionContext": {"aws:s3:arn": "arn:aws:s3:::b/k"}});
    let reencrypt = json!({"CiphertextBlob": blob, "DestinationKeyId": taken.keys[1],
        "SourceEncryptionContext": {"aws:s3:arn": "arn:aws:s3:::b/k"},
        "DestinationEncryptionContext": {"aws:s3:arn": "arn:aws:s3:::b/k"}});
    let (plain, describe) = (json!({"CiphertextBlob": blob}), json!({"KeyId": taken.keys[0]}));
    let (decrypt, generate) = ("Decrypt", "GenerateDataKey");
    let (context, action) = ("this encryption context", "the action");
    let (first, second) = (s3.data_key(0, "b/k"), s3.data_key(1, "b/k"));
    let attacks: Vec<Misuse> = vec![
        ("another object", get("/b/other"), decrypt, open("b/k"), context),
        ("another context", get("/b/k"), decrypt, open("b/other"), context),
        ("no context", get("/b/k"), decrypt, plain, context),
        ("more context", put("/b/k"), generate, more, context),
        ("a write by a read", get("/b/k"), generate, first, action),
        ("a read by a write", put("/b/k"), decrypt, open("b/k"), action),
        ("encrypt by a write", put("/b/k"), "Encrypt", encrypt, action),
        ("re-encrypt by a read", get("/b/k"), "ReEncrypt", reencrypt, action),
        ("no use of a key", put("/b/k"), "DescribeKey", describe, action),
        ("another key", by_name(), generate, second, "this resource"),
    ];
    let mut checks = Checks::new(&taken.keyd);
    for (what, ticket, operation, body, why) in attacks {
        let key = usize::from(what == "another key");
        let present = s3.inner(&ticket, operation, &body);
        // keyd writes no name of an operation that it has no part in.
        let told = if operation == "DescribeKey" { "?" } else { operation };
        let record = format!("present:{told}").leak();
        checks.check(what, || s3.through(present, key), refused(why), Left::Record(record));
    }
    let present = s3.inner(&s3_of_bob("/b/k"), decrypt, &open("b/k"));
    let why = refused("not authorized to perform: kms:Decrypt");
    let left = Left::Record("kms:Decrypt");
    checks.check("another account", || s3.through(present, 0), why, left);
    let read = s3.through(s3.inner(&get("/b/k"), decrypt, &open("b/k")), 0);
    let used = checks.control("the right read", read.map(|used| Reply::Used(Box::new(used))));
    assert!(matches!(used, Reply::Used(used) if used.sealed.is_some()), "front sees a data key");
    checks.finish();
}

/// Without a customer's ticket, with a bent one, with another's proof, or twice.
#[test]
fn c02_s3_without_a_ticket_of_its_own_gets_nothing() {
    type Cheat = fn(&mut Present);
    let taken = take_over();
    let s3 = Gateway::new(&taken);
    let cheats: Vec<(&str, Cheat, Why)> = vec![
        ("no ticket", |p| p.ticket = SecretBytes::new(Vec::new()), refused("malformed")),
        (
            "half a ticket",
            |p| p.ticket = SecretBytes::new(p.ticket.expose()[9..].to_vec()),
            refused("malformed"),
        ),
        (
            "a changed ticket",
            |p| {
                let mut bytes = p.ticket.expose().to_vec();
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
                p.ticket = SecretBytes::new(bytes);
            },
            refused("was changed"),
        ),
        ("no proof of s3's", |p| p.proof = [0; 32], refused("proof of possession")),
        ("another holder", |p| p.holder = Role::Front, refused("another holder")),
        ("another body", |p| p.body.push(b' '), refused("proof of possession")),
        ("another context document", |p| p.context.push(0), refused("malformed")),
        (
            "another target",
            |p| p.target = "TrentService.Encrypt".to_owned(),
            refused("another request"),
        ),
    ];
    let mut checks = Checks::new(&taken.keyd);
    for (what, cheat, why) in cheats {
        let ticket = s3.ticket(&taken.ann, "PUT", "/b/k", &[]);
        let mut present = s3.inner(&ticket, "GenerateDataKey", &s3.data_key(0, "b/k"));
        cheat(&mut present);
        let record = match what {
            "another target" => "present:Encrypt",
            _ => "present:GenerateDataKey",
        };
        checks.check(what, || s3.through(present, 0), why, Left::Record(record));
    }
    let ticket = s3.ticket(&taken.ann, "PUT", "/b/k", &[]);
    let present = || s3.inner(&ticket, "GenerateDataKey", &s3.data_key(0, "b/k"));
    let (first, mut again) = (present(), present());
    again.proof = first.proof;
    again.proof_time = first.proof_time;
    again.proof_nonce = first.proof_nonce;
    let used = s3.through(first, 0).map(|used| Reply::Used(Box::new(used)));
    checks.control("a proof for the first time", used);
    checks.check(
        "a proof twice",
        || s3.through(again, 0),
        refused("the proof was used before"),
        Left::Record("present:GenerateDataKey"),
    );
    checks.finish();
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
