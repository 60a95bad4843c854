//! asyncssh, client and server: a second implementation, and the one with `mlkem768x25519-sha256`.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;
use writ_model::SystemEnv;
use writ_proof::ed25519::SoftKey;
use writ_ssh::{
    Algorithms, Cipher, Config, Kex, KnownKey, Rekey, SessionRequest, SoftUserKey, Stream, connect,
};

use crate::world::{Ending, Log, Server, ignore, input, keygen, pattern, run, run_with};

/// The interpreter with asyncssh, of `cargo xtask test tools`.
fn python(script: &str) -> Command {
    let tools = std::env::var_os("WRIT_TOOLS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools")),
        PathBuf::from,
    );
    let mut python = Command::new(tools.join("venv/bin/python"));
    python.arg(format!("{}/tests/it/{script}", env!("CARGO_MANIFEST_DIR")));
    python
}

/// asyncssh as client, with each cipher and method of key agreement: data both ways, and new keys.
#[test]
fn asyncssh_client_works_with_each_cipher_and_kex() {
    let rekey = Rekey { bytes: 1_000_000, ..Config::default().rekey };
    let server = Server::start(Config { rekey, ..Config::default() });
    let mut command = python("client.py");
    command.arg(server.address.port().to_string()).arg(server.folder.path());
    command.args(Kex::ALL.map(|kex| format!("kex={}", kex.name())));
    command.args(Cipher::ALL.map(|cipher| format!("cipher={}", cipher.name())));
    let output = run_with(command, b"", 0);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.matches("whole").count(), Kex::ALL.len() * Cipher::ALL.len(), "{said}");
}

/// Unknown channels, requests and global requests, in odd orders: each refused, each an event, and
/// nothing else breaks.
#[test]
fn asyncssh_odd_channels_and_requests_are_refused_and_seen() {
    let server = Server::start(Config::default());
    let mut command = python("odd.py");
    command.arg(server.address.port().to_string()).arg(server.folder.path());
    let output = run_with(command, b"", 0);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "all refused");
    for line in ["open direct-tcpip", "open x-odd", "global x-odd", "request x-odd"] {
        assert!(server.saw(line), "{line}: {:#?}", server.log.lock().unwrap());
    }
    assert!(server.saw("refused session ResourceShortage"));
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncssh_server_works_with_each_kex() {
    let folder = tempfile::tempdir().unwrap();
    let host = keygen(folder.path(), "host_key", &["-t", "ed25519"]);
    let user = SoftUserKey::new(SoftKey::from_seed(&[3; 32]).unwrap());
    let mut command = python("server.py");
    let mut child = Ending(command.arg(folder.path()).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    for kex in Kex::ALL {
        let algorithms = Algorithms { kex: vec![kex], ..Algorithms::default() };
        let rekey = Rekey { bytes: 500_000, ..Config::default().rekey };
        let config = Config { algorithms, rekey, ..Config::default() };
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let known = KnownKey(host.clone());
        let env = Arc::new(SystemEnv);
        let connected = connect(stream, &config, &known, "alice", &user, env).await.unwrap();
        run(connected.driver, Log::default());
        tokio::spawn(ignore(connected.incoming));
        let channel = Arc::new(connected.session.open_session().await.unwrap().unwrap());
        assert!(channel.request(&SessionRequest::Exec(b"echo".to_vec())).await.unwrap());
        let data = pattern(2_000_000);
        let (sender, bytes) = (Arc::clone(&channel), Bytes::from(data.clone()));
        let sending = tokio::spawn(async move {
            sender.send(Stream::Main, bytes).await.unwrap();
            sender.eof().unwrap();
        });
        let mut came = Vec::new();
        input(&channel, |bytes| came.extend_from_slice(bytes)).await;
        sending.await.unwrap();
        assert!(came == data, "{kex:?}: other bytes came back");
    }
}
