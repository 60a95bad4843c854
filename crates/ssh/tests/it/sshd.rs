//! Our client against a stock `sshd`, and the bastion's shape: stock clients through our server and our
//! client to that `sshd`.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpStream;
use writ_model::SystemEnv;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hash::sha256;
use writ_proof::sshsig::SshPublicKey;
use writ_ssh::{
    Algorithms, Channel, ChannelEvent, Cipher, Config, Connected, Error, HostVerifier, Kex,
    KnownKey, Pty, Rekey, SessionRequest, Size, SoftUserKey, Stream, connect,
};

use crate::world::{Ending, Log, Mode, Server, ignore, input, keygen, pattern, run, run_with};

/// A real server on a free port of loopback.
struct Sshd {
    folder: TempDir,
    address: SocketAddr,
    user: String,
    host: SshPublicKey,
    _process: Ending,
}

fn user_key() -> SoftKey {
    SoftKey::from_seed(&[3; 32]).unwrap()
}

fn user_public() -> SshPublicKey {
    SshPublicKey::Ed25519(user_key().public_key().0)
}

fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

impl Sshd {
    fn start(host_kind: &[&str], more: &str) -> Sshd {
        // Where sshd runs as root it wants this folder, which the system's start script makes.
        std::fs::create_dir_all("/run/sshd").ok();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let host = keygen(folder.path(), "host_key", host_kind);
        put(&folder.path().join("authorized_keys"), &format!("{}\n", user_public()));
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "ListenAddress {address}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
             PermitRootLogin yes\nStrictModes no\nAcceptEnv LC_*\nLogLevel DEBUG1\n\
             Subsystem sftp internal-sftp\n{}",
            path("host_key"),
            path("authorized_keys"),
            more.replace("FOLDER", &folder.path().display().to_string()),
        );
        put(&folder.path().join("sshd_config"), &config);
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-f", &path("sshd_config"), "-E", &path("log")]);
        let process = sshd.stdin(Stdio::null()).spawn().expect("openssh-server is needed");
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout);
        let user = user.unwrap().trim().to_owned();
        let sshd = Sshd { folder, address, user, host, _process: Ending(process) };
        for _ in 0..500 {
            if std::net::TcpStream::connect(address).is_ok() {
                return sshd;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("sshd does not listen: {}", sshd.log());
    }

    fn plain() -> Sshd {
        Sshd::start(&["-t", "ed25519"], "")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn connect(&self, config: &Config) -> Connected<TcpStream> {
        let host = KnownKey(self.host.clone());
        let key = SoftUserKey::new(user_key());
        dial(self.address, config, &host, &self.user, &key).await.unwrap()
    }
}

async fn dial(
    address: SocketAddr,
    config: &Config,
    host: &dyn HostVerifier,
    user: &str,
    key: &SoftUserKey,
) -> Result<Connected<TcpStream>, Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    connect(stream, config, host, user, key, Arc::new(SystemEnv)).await
}

/// A session on the host; its driver and events are looked after.
async fn session(connected: Connected<TcpStream>) -> (writ_ssh::Session, Log) {
    let log = Log::default();
    run(connected.driver, Arc::clone(&log));
    tokio::spawn(ignore(connected.incoming));
    (connected.session, log)
}

/// What a command came to.
#[derive(Default)]
struct Came {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<SessionRequest>,
}

/// Everything of a channel until it closes.
async fn drain(channel: &Channel) -> Came {
    let mut came = Came::default();
    while let Some(event) = channel.next().await {
        match event {
            ChannelEvent::Data { stream, bytes } => {
                channel.accept(bytes.len());
                match stream {
                    Stream::Main => came.stdout.extend_from_slice(&bytes),
                    Stream::Stderr => came.stderr.extend_from_slice(&bytes),
                }
            }
            ChannelEvent::Request(request) => came.exit = Some(request.parse().unwrap()),
            ChannelEvent::Eof | ChannelEvent::Close => {}
        }
    }
    came
}

async fn execute(session: &writ_ssh::Session, command: &str) -> Came {
    let channel = session.open_session().await.unwrap().unwrap();
    let exec = SessionRequest::Exec(command.as_bytes().to_vec());
    assert!(channel.request(&exec).await.unwrap());
    channel.eof().unwrap();
    drain(&channel).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_command_runs_and_its_ends_come_back() {
    let sshd = Sshd::plain();
    let (session, _) = session(sshd.connect(&Config::default()).await).await;
    let came = execute(&session, "echo out; echo err >&2; exit 7").await;
    assert_eq!((came.stdout, came.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
    assert!(came.exit == Some(SessionRequest::ExitStatus(7)));
    let came = execute(&session, "kill -TERM $$").await;
    let Some(SessionRequest::ExitSignal { signal, .. }) = came.exit else { panic!() };
    assert_eq!(signal, "TERM");
    let keepalive = session.global_request("keepalive@openssh.com", &[]).await.unwrap();
    assert_eq!(keepalive, None);
    let refused = session.open("x-unknown", &[]).await.unwrap();
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_terminal_takes_size_environment_and_signals() {
    let sshd = Sshd::plain();
    let (session, _) = session(sshd.connect(&Config::default()).await).await;
    let channel = session.open_session().await.unwrap().unwrap();
    let size = Size { columns: 91, rows: 31, width: 0, height: 0 };
    let pty = Pty { term: "xterm".to_owned(), size, modes: vec![0] };
    assert!(channel.request(&SessionRequest::Pty(pty)).await.unwrap());
    let env = SessionRequest::Env { name: "LC_TEST".to_owned(), value: "yes".to_owned() };
    assert!(channel.request(&env).await.unwrap());
    let command = b"stty size; echo $LC_TEST $TERM; read x; stty size".to_vec();
    assert!(channel.request(&SessionRequest::Exec(command)).await.unwrap());
    let mut seen = String::new();
    while !seen.contains("yes xterm") {
        let Some(ChannelEvent::Data { bytes, .. }) = channel.next().await else { panic!("{seen}") };
        seen.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    let size = Size { columns: 92, rows: 32, ..size };
    channel.notify(&SessionRequest::WindowChange(size)).unwrap();
    channel.send(Stream::Main, Bytes::from_static(b"\n")).await.unwrap();
    let came = drain(&channel).await;
    assert!(seen.contains("31 91"), "{seen}");
    assert!(String::from_utf8_lossy(&came.stdout).contains("32 92"), "{:?}", came.stdout);
}

/// Each cipher, with data both ways while keys change by our wish.
#[tokio::test(flavor = "multi_thread")]
async fn sshd_data_arrives_whole_with_each_cipher_while_keys_change() {
    let sshd = Sshd::plain();
    for cipher in Cipher::ALL {
        for kex in [Kex::Curve25519, Kex::Curve25519Libssh] {
            let algorithms = Algorithms { kex: vec![kex], ciphers: vec![cipher] };
            let rekey = Rekey { bytes: 500_000, ..Config::default().rekey };
            let config = Config { algorithms, rekey, ..Config::default() };
            let (session, log) = session(sshd.connect(&config).await).await;
            let data = pattern(4_000_000);
            let channel = Arc::new(session.open_session().await.unwrap().unwrap());
            let exec = SessionRequest::Exec(b"cat".to_vec());
            assert!(channel.request(&exec).await.unwrap());
            let (sender, bytes) = (Arc::clone(&channel), Bytes::from(data.clone()));
            let sending = tokio::spawn(async move {
                sender.send(Stream::Main, bytes).await.unwrap();
                sender.eof().unwrap();
            });
            let mut came = Vec::new();
            input(&channel, |bytes| came.extend_from_slice(bytes)).await;
            sending.await.unwrap();
            assert!(came == data, "{cipher:?}: other bytes came back");
            assert!(log.lock().unwrap().is_empty(), "{:?}", log.lock().unwrap());
        }
    }
    assert!(sshd.log().matches("rekey").count() > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_with_its_own_rekey_limit_is_followed() {
    let sshd = Sshd::start(&["-t", "ed25519"], "RekeyLimit 1M\n");
    let (session, _) = session(sshd.connect(&Config::default()).await).await;
    let came = execute(&session, "head -c 20000000 /dev/zero").await;
    assert_eq!(came.stdout.len(), 20_000_000);
    let came = execute(&session, "head -c 5000000 /dev/zero | sha256sum").await;
    let wanted = hex::encode(sha256(&vec![0; 5_000_000]).0);
    assert!(came.stdout.starts_with(wanted.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_with_an_ecdsa_host_key_is_known() {
    let sshd = Sshd::start(&["-t", "ecdsa", "-b", "256"], "");
    let (session, _) = session(sshd.connect(&Config::default()).await).await;
    assert_eq!(execute(&session, "echo yes").await.stdout, b"yes\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn sshd_with_another_host_key_gets_no_login() {
    let sshd = Sshd::plain();
    let key = SoftUserKey::new(user_key());
    let other = KnownKey(SshPublicKey::Ed25519([1; 32]));
    let error = dial(sshd.address, &Config::default(), &other, &sshd.user, &key).await;
    assert!(matches!(error, Err(Error::HostKey(_))));
    assert!(!sshd.log().contains("userauth-request"), "{}", sshd.log());
    let stranger = SoftUserKey::new(SoftKey::from_seed(&[4; 32]).unwrap());
    let known = KnownKey(sshd.host.clone());
    let error = dial(sshd.address, &Config::default(), &known, &sshd.user, &stranger).await;
    assert!(matches!(error, Err(Error::Authentication(_))));
}

/// Reads no certificate itself: it knows this one blob, and the key inside.
struct KnownCertificate {
    blob: Vec<u8>,
    key: SshPublicKey,
}

impl HostVerifier for KnownCertificate {
    fn algorithms(&self) -> Vec<String> {
        vec!["ssh-ed25519-cert-v01@openssh.com".to_owned()]
    }

    fn verify(&self, blob: &[u8]) -> Result<SshPublicKey, Error> {
        assert_eq!(blob, self.blob);
        Ok(self.key.clone())
    }
}

fn certificate(path: &Path) -> Vec<u8> {
    use base64::Engine as _;
    let line = std::fs::read_to_string(path).unwrap();
    let blob = line.split(' ').nth(1).unwrap();
    base64::engine::general_purpose::STANDARD.decode(blob).unwrap()
}

/// Both sides by certificates alone, as the bastion goes to its hosts.
#[tokio::test(flavor = "multi_thread")]
async fn sshd_takes_our_user_certificate_and_shows_its_own() {
    let more = "TrustedUserCAKeys FOLDER/ca.pub\nHostCertificate FOLDER/host_key-cert.pub\n\
                AuthorizedKeysFile none\n";
    // The first AuthorizedKeysFile counts; a user without a file there has the certificate alone.
    let sshd = Sshd::start(&["-t", "ed25519"], more);
    let folder = sshd.folder.path();
    put(&folder.join("authorized_keys"), "");
    put(&folder.join("user.pub"), &format!("{}\n", user_public()));
    keygen(folder, "ca", &["-t", "ed25519"]);
    let sign = |arguments: &[&str]| {
        let mut keygen = Command::new("ssh-keygen");
        keygen.current_dir(folder).args(["-q", "-s", "ca"]).args(arguments);
        assert!(keygen.stdin(Stdio::null()).status().unwrap().success());
    };
    sign(&["-I", "host", "-h", "-n", "web-1", "host_key.pub"]);
    sign(&["-I", "req=1;user=alice;ses=2", "-n", &sshd.user, "-V", "+5m", "user.pub"]);
    // sshd reads its host certificate when it starts: a second one with the same folder.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = std::fs::read_to_string(folder.join("sshd_config")).unwrap();
    let config = config.replace(&sshd.address.to_string(), &address.to_string());
    put(&folder.join("second"), &config);
    let mut second = Command::new("/usr/sbin/sshd");
    second.arg("-D").arg("-f").arg(folder.join("second")).arg("-E").arg(folder.join("log2"));
    let _second = Ending(second.spawn().unwrap());
    while std::net::TcpStream::connect(address).is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let host = KnownCertificate {
        blob: certificate(&folder.join("host_key-cert.pub")),
        key: sshd.host.clone(),
    };
    let key = SoftUserKey::certified(user_key(), certificate(&folder.join("user-cert.pub")));
    let connected = dial(address, &Config::default(), &host, &sshd.user, &key).await.unwrap();
    let (session, _) = session(connected).await;
    assert_eq!(execute(&session, "echo yes").await.stdout, b"yes\n");
    let log = std::fs::read_to_string(folder.join("log2")).unwrap();
    assert!(log.contains("ID req=1;user=alice;ses=2"), "{log}");
}

/// A server that forwards to this sshd, as the bastion will.
fn bastion(sshd: &Sshd, config: Config) -> Server {
    let (address, user, host) = (sshd.address, sshd.user.clone(), sshd.host.clone());
    let inner = config.clone();
    let dialled = move || {
        let (user, host, config) = (user.clone(), KnownKey(host.clone()), inner.clone());
        let key = SoftUserKey::new(user_key());
        let connected = async move { dial(address, &config, &host, &user, &key).await.unwrap() };
        Box::pin(connected) as writ_ssh::Answer<'static, Connected<TcpStream>>
    };
    Server::with(config, Mode::Forward(Arc::new(dialled)), None)
}

#[test]
fn stock_client_works_through_us_on_a_stock_host() {
    let sshd = Sshd::plain();
    let rekey = Rekey { bytes: 2_000_000, ..Config::default().rekey };
    let server = bastion(&sshd, Config { rekey, ..Config::default() });
    let output = run_with(server.ssh(&[], &["echo out; echo err >&2; exit 9"]), b"", 9);
    assert_eq!((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
    let data = pattern(20_000_000);
    let output = run_with(server.ssh(&["-oRekeyLimit=1M"], &["cat"]), &data, 0);
    assert!(output.stdout == data, "other bytes came back");
    let terminal = server.ssh(&["-tt"], &["stty size; tty; exit 5"]);
    let output = run_with(terminal, b"", 5);
    assert!(String::from_utf8_lossy(&output.stdout).contains("/dev/pts/"));
}

#[test]
fn stock_sftp_works_through_us_on_a_stock_host() {
    let sshd = Sshd::plain();
    let server = bastion(&sshd, Config::default());
    let data = pattern(10_000_000);
    std::fs::write(server.path("up"), &data).unwrap();
    let mut sftp = Command::new("sftp");
    sftp.args(server.common()).args(["-P", &server.address.port().to_string(), "-b", "-"]);
    sftp.arg("svc+web-1@127.0.0.1");
    let (up, there, down) = (server.path("up"), server.path("there"), server.path("down"));
    let (up, there, down) = (up.display(), there.display(), down.display());
    let batch = format!("put {up} {there}\nget {there} {down}\nls -l {there}\n");
    run_with(sftp, batch.as_bytes(), 0);
    assert!(std::fs::read(server.path("there")).unwrap() == data);
    assert!(std::fs::read(server.path("down")).unwrap() == data);
}

/// The bastion's hard case: a consumer that accepts nothing for a while holds the sender back, and
/// nothing is lost or piles up.
#[tokio::test(flavor = "multi_thread")]
async fn sshd_is_held_back_until_bytes_are_accepted() {
    let sshd = Sshd::plain();
    let config = Config { window_bytes: 100_000, ..Config::default() };
    let (session, _) = session(sshd.connect(&config).await).await;
    let channel = session.open_session().await.unwrap().unwrap();
    let exec = SessionRequest::Exec(b"head -c 1000000 /dev/zero".to_vec());
    assert!(channel.request(&exec).await.unwrap());
    let mut held = 0;
    // Until nothing has come for a while, after something did.
    loop {
        let wait = Duration::from_millis(if held < 60_000 { 10_000 } else { 500 });
        match tokio::time::timeout(wait, channel.next()).await {
            Ok(Some(ChannelEvent::Data { bytes, .. })) => held += bytes.len(),
            Ok(other) => panic!("{other:?} after {held} bytes"),
            Err(_) => break,
        }
    }
    assert!((60_000..=100_000).contains(&held), "{held} came without being accepted");
    channel.accept(held);
    let came = drain(&channel).await;
    assert_eq!(held + came.stdout.len(), 1_000_000);
    assert!(came.exit == Some(SessionRequest::ExitStatus(0)));
}
