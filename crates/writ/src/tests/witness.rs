//! Tests of `writ witness` over real HTTP: each status code, and what is persisted.

use std::io::{Read as _, Write as _};

use writ_model::Timestamp;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::ed25519::Signer as _;
use writ_proof::hash::sha256;
use writ_proof::merkle::{Frontier, leaf_hash};
use writ_proof::note::KeyKind;
use writ_proof::witness::AddCheckpoint;

use super::*;

const ORIGIN: &str = "example.org/log";

fn log_key() -> SoftKey {
    SoftKey::from_seed(&[3; 32]).unwrap()
}

/// A request for the log of the given leaves, without a proof.
fn request(origin: &str, signer: &SoftKey, old: u64, leaves: &[&[u8]]) -> Vec<u8> {
    let mut frontier = Frontier::new();
    for leaf in leaves {
        frontier.append(leaf_hash(leaf));
    }
    let shown = Checkpoint::new(origin, frontier.size(), frontier.root());
    let mut checkpoint = shown.to_note().unwrap();
    checkpoint.add(checkpoint.sign(origin, signer).unwrap());
    AddCheckpoint { old, proof: Vec::new(), checkpoint }.to_bytes()
}

/// Runs a witness on a thread of its own.
fn start(data: &Path) -> (SocketAddr, VerifierKey) {
    let vkey = VerifierKey::new(ORIGIN, KeyKind::Ed25519, log_key().public_key()).unwrap();
    let args = WitnessArgs {
        data: data.to_owned(),
        name: "w.example".to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        origin_key: vec![vkey],
    };
    let witness = open(&args, &SystemEnv).unwrap();
    let verifier = witness.verifier().clone();
    let listener = std::net::TcpListener::bind(args.listen).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            serve(listener, Arc::new(Mutex::new(witness)), Arc::new(SystemEnv)).await
        })
    });
    (address, verifier)
}

/// One exchange; answers status, media type and body.
fn exchange(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A refusal may come before the whole body has gone out.
    stream.write_all(body).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.get(9..12).unwrap().parse().unwrap();
    let media = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
    (status, media.to_owned(), body.to_owned())
}

#[test]
fn witness_answers_each_status_of_the_specification() {
    let temp = tempfile::tempdir().unwrap();
    let (address, verifier) = start(temp.path());
    let post = |body: &[u8]| exchange(address, "POST", "/add-checkpoint", body);
    let first = request(ORIGIN, &log_key(), 0, &[b"a"]);

    let stranger = SoftKey::from_seed(&[4; 32]).unwrap();
    let table: [(&str, Vec<u8>, u16); 6] = [
        ("no request", b"x".to_vec(), 400),
        ("old above the size", request(ORIGIN, &log_key(), 2, &[b"a"]), 400),
        ("unknown log", request("example.org/other", &log_key(), 0, &[b"a"]), 404),
        ("another key", request(ORIGIN, &stranger, 0, &[b"a"]), 403),
        ("old that is not ours", request(ORIGIN, &log_key(), 1, &[b"a", b"b"]), 409),
        ("too long", vec![b'x'; BODY_MAX_BYTES + 1], 400),
    ];
    for (name, body, status) in table {
        assert_eq!(post(&body).0, status, "{name}");
    }
    let (status, _, line) = post(&first);
    assert_eq!(status, 200);
    let mut note = AddCheckpoint::from_bytes(&first).unwrap().checkpoint;
    note.add(line.parse().unwrap());
    let time = note.verify_one(&verifier).unwrap().time.unwrap();
    assert!(time > Timestamp::from_secs(1_700_000_000));

    let (status, media, size) = post(&first);
    assert_eq!((status, media.as_str(), size.as_str()), (409, SIZE_MEDIA_TYPE, "1\n"));
    let fork = request(ORIGIN, &log_key(), 1, &[b"b"]);
    assert_eq!(post(&fork).0, 422, "another tree of the same size");
    let unproven = request(ORIGIN, &log_key(), 1, &[b"a", b"b"]);
    assert_eq!(post(&unproven).0, 422, "no proof");
    assert_eq!(post(&request(ORIGIN, &log_key(), 1, &[b"a"])).0, 200, "unchanged size again");

    let get = |path: &str| exchange(address, "GET", path, b"");
    let shown = get(&format!("/{}/checkpoint", sha256(ORIGIN.as_bytes())));
    assert!(shown.0 == 200 && shown.2.starts_with(ORIGIN), "{shown:?}");
    assert_eq!(get(&format!("/{}/checkpoint", sha256(b"x"))).0, 404);
    assert_eq!(get("/add-checkpoint").0, 404);
    assert_eq!(exchange(address, "DELETE", "/", b"").0, 404);
}

#[test]
fn witness_keeps_its_key_and_its_logs() {
    use std::os::unix::fs::PermissionsExt as _;
    let temp = tempfile::tempdir().unwrap();
    let args = |origin_key| WitnessArgs {
        data: temp.path().join("w"),
        name: "w.example".to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        origin_key,
    };
    let vkey = |seed: u8| {
        let key = SoftKey::from_seed(&[seed; 32]).unwrap().public_key();
        VerifierKey::new(ORIGIN, KeyKind::Ed25519, key).unwrap()
    };
    let first = open(&args(vec![vkey(3)]), &SystemEnv).unwrap().verifier().clone();
    assert_eq!(open(&args(vec![]), &SystemEnv).unwrap().verifier(), &first);
    assert_eq!(logs(&args(vec![]).data).unwrap(), [vkey(3)]);
    assert!(open(&args(vec![vkey(5)]), &SystemEnv).is_err(), "a log has one key");
    let seed = args(vec![]).data.join(SEED_FILE);
    assert_eq!(std::fs::metadata(seed).unwrap().permissions().mode() & 0o777, 0o600);
}
