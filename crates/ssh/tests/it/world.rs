//! A server as a proxy would be, with a few commands of its own, or one that forwards to a real `sshd`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use writ_model::SystemEnv;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hash::sha256;
use writ_proof::ssh_auth::verify;
use writ_proof::sshsig::SshPublicKey;
use writ_ssh::{
    Accepted, Answer, Authenticator, Channel, ChannelEvent, Config, Connected, Decision, Driver,
    Error, Incoming, IncomingEvents, OpenFailure, Proof, Session, SessionRequest, SoftHostKey,
    Stream, accept,
};

/// What the server saw, one line each.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// How a forwarding server gets to its host.
pub(crate) type Dial = Arc<dyn Fn() -> Answer<'static, Connected<TcpStream>> + Send + Sync>;

/// What the server does with its sessions.
#[derive(Clone)]
pub(crate) enum Mode {
    Commands,
    Forward(Dial),
}

/// Which keys the server lets in, by what their owners are told.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    pub(crate) welcome: HashSet<String>,
    /// Those who are told this, and are not let in.
    pub(crate) refused: Option<Decision>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
    pub(crate) folder: TempDir,
    pub(crate) proofs: Arc<Mutex<Vec<Proof>>>,
    pub(crate) runtime: Runtime,
}

pub(crate) fn host_key() -> SoftKey {
    SoftKey::from_seed(&[9; 32]).unwrap()
}

pub(crate) fn host_public() -> SshPublicKey {
    SshPublicKey::Ed25519(host_key().public_key().0)
}

impl Server {
    /// A server that lets in the key `id_ed25519`, which it makes, in its folder.
    pub(crate) fn start(config: Config) -> Server {
        Server::with(config, Mode::Commands, None)
    }

    pub(crate) fn with(config: Config, mode: Mode, refused: Option<Decision>) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let key = keygen(folder.path(), "id_ed25519", &["-t", "ed25519"]);
        let mut server = Server::without_keys(folder);
        let rules = Rules { welcome: HashSet::from([key.to_string()]), refused };
        server.serve(config, mode, rules);
        server
    }

    pub(crate) fn without_keys(folder: TempDir) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Server { address, log: Log::default(), folder, proofs: Arc::default(), runtime }
    }

    pub(crate) fn serve(&mut self, config: Config, mode: Mode, rules: Rules) {
        let listener = self.runtime.block_on(TcpListener::bind(self.address)).unwrap();
        self.address = listener.local_addr().unwrap();
        let known = format!(
            "[127.0.0.1]:{} {}\n",
            self.address.port(),
            SshPublicKey::Ed25519(host_key().public_key().0)
        );
        std::fs::write(self.folder.path().join("known_hosts"), known).unwrap();
        let (log, proofs) = (Arc::clone(&self.log), Arc::clone(&self.proofs));
        self.runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let door = Door {
                    rules: rules.clone(),
                    log: Arc::clone(&log),
                    proofs: Arc::clone(&proofs),
                };
                tokio::spawn(one(stream, config.clone(), mode.clone(), door));
            }
        });
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn saw(&self, line: &str) -> bool {
        self.log.lock().unwrap().iter().any(|seen| seen.contains(line))
    }

    /// Waits for a line of the log.
    pub(crate) fn wait_for(&self, line: &str) {
        for _ in 0..500 {
            if self.saw(line) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("`{line}` is not in {:#?}", self.log.lock().unwrap());
    }

    /// `ssh` to this server, with a clean configuration.
    pub(crate) fn ssh(&self, options: &[&str], command: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(self.common()).args(["-p", &self.address.port().to_string()]).args(options);
        ssh.arg("svc+web-1@127.0.0.1").args(command);
        ssh.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        ssh
    }

    /// Options of `ssh` and `sftp`.
    pub(crate) fn common(&self) -> Vec<String> {
        let known = self.path("known_hosts");
        let mut all = vec!["-F".to_owned(), "none".to_owned(), "-i".to_owned()];
        all.push(self.path("id_ed25519").display().to_string());
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            &format!("UserKnownHostsFile={}", known.display()),
            "GlobalKnownHostsFile=/dev/null",
        ] {
            all.extend(["-o".to_owned(), option.to_owned()]);
        }
        all
    }
}

struct Door {
    rules: Rules,
    log: Log,
    proofs: Arc<Mutex<Vec<Proof>>>,
}

impl Authenticator for Door {
    fn offered(&self, user: &str, key: &SshPublicKey) -> bool {
        self.log.lock().unwrap().push(format!("offered {user} {}", key.fingerprint()));
        self.rules.welcome.contains(&key.to_string())
    }

    fn proven<'a>(&'a mut self, proof: &'a Proof) -> Answer<'a, Decision> {
        // As keyd would: from the bytes alone.
        let again = verify(proof.signed_bytes(), proof.signature_blob()).unwrap();
        assert_eq!(again.request().session_id, proof.session_id());
        assert_eq!(again.request().key, *proof.key());
        let welcome = self.rules.welcome.contains(&proof.key().to_string());
        let line = format!("proven {} {}", proof.user(), proof.key().fingerprint());
        self.log.lock().unwrap().push(line);
        self.proofs.lock().unwrap().push(proof.clone());
        Box::pin(async move {
            match (&self.rules.refused, welcome) {
                (Some(decision), _) => decision.clone(),
                (None, true) => Decision::Accept,
                (None, false) => Decision::Refuse(None),
            }
        })
    }
}

async fn one(stream: TcpStream, config: Config, mode: Mode, mut door: Door) {
    stream.set_nodelay(true).unwrap();
    let log = Arc::clone(&door.log);
    let say = |line: String| log.lock().unwrap().push(line);
    let key = Arc::new(SoftHostKey(host_key()));
    let accepted = accept(stream, &config, key, &mut door, Arc::new(SystemEnv)).await;
    let Accepted { session, mut incoming, driver, proof } = match accepted {
        Ok(accepted) => accepted,
        Err(error) => return say(format!("ended before login: {error}")),
    };
    say(format!("login {}", proof.user()));
    assert_eq!(session.session_id(), proof.session_id());
    run(driver, Arc::clone(&log));
    let host = match &mode {
        Mode::Forward(dial) => Some(dial().await),
        Mode::Commands => None,
    };
    let host = host.map(|Connected { session, incoming, driver, .. }| {
        run(driver, Log::default());
        tokio::spawn(ignore(incoming));
        session
    });
    while let Some(event) = incoming.next().await {
        match event {
            Incoming::Global(request) => say(format!("global {}", request.name())),
            Incoming::Refused { kind, why } => say(format!("refused {kind} {why:?}")),
            Incoming::Open(open) if open.kind() == "session" => {
                let channel = open.accept().unwrap();
                match &host {
                    Some(host) => tokio::spawn(forward(channel, host.clone())),
                    None => tokio::spawn(serve(channel, session.clone(), Arc::clone(&log))),
                };
            }
            Incoming::Open(open) => {
                say(format!("open {}", open.kind()));
                open.refuse(OpenFailure::Prohibited, "no forwarding here");
            }
        }
    }
}

/// Runs a driver, and logs its end.
pub(crate) fn run(driver: Driver<TcpStream>, log: Log) {
    tokio::spawn(async move {
        let end = driver.run().await;
        let line = end.map_or_else(|error| format!("ended: {error}"), |()| "left".to_owned());
        log.lock().unwrap().push(line);
    });
}

pub(crate) async fn ignore(mut incoming: IncomingEvents) {
    while incoming.next().await.is_some() {}
}

/// Bytes that show when one is lost or moved.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 65_536) as u8).collect()
}

async fn serve(channel: Channel, session: Session, log: Log) {
    let say = |line: String| log.lock().unwrap().push(line);
    let mut terminal = String::from("no terminal");
    while let Some(event) = channel.next().await {
        let ChannelEvent::Request(request) = event else {
            say(format!("early {event:?}"));
            continue;
        };
        let parsed = request.parse().unwrap();
        say(format!("request {}", request.name()));
        match parsed {
            SessionRequest::Pty(pty) => {
                terminal = format!("{} {}x{}", pty.term, pty.size.columns, pty.size.rows);
                request.answer(true);
            }
            SessionRequest::Env { name, value } => {
                say(format!("env {name}={value}"));
                request.answer(true);
            }
            SessionRequest::Shell => {
                request.answer(true);
                return finish(&channel, &terminal, 0).await;
            }
            SessionRequest::Exec(command) => {
                request.answer(true);
                let command = String::from_utf8(command).unwrap();
                return execute(&channel, &session, &command, &log).await;
            }
            _ => drop(request),
        }
    }
}

async fn finish(channel: &Channel, output: &str, status: u32) {
    channel.send(Stream::Main, Bytes::from(output.to_owned())).await.ok();
    channel.notify(&SessionRequest::ExitStatus(status)).ok();
    channel.eof().ok();
    channel.close();
    while channel.next().await.is_some() {}
}

async fn execute(channel: &Channel, session: &Session, command: &str, log: &Log) {
    let (verb, argument) = command.split_once(' ').unwrap_or((command, "0"));
    let number: usize = argument.parse().unwrap_or(0);
    match verb {
        "digest" => {
            let mut all = Vec::new();
            input(channel, |bytes| all.extend_from_slice(bytes)).await;
            let output = format!("{} {}", all.len(), hex::encode(sha256(&all).0));
            finish(channel, &output, 0).await;
        }
        "echo" => {
            while let Some(event) = channel.next().await {
                match event {
                    ChannelEvent::Data { bytes, .. } => {
                        let length = bytes.len();
                        channel.send(Stream::Main, bytes).await.unwrap();
                        channel.accept(length);
                    }
                    ChannelEvent::Eof | ChannelEvent::Close => break,
                    ChannelEvent::Request(request) => {
                        log.lock().unwrap().push(format!("request {}", request.name()));
                    }
                }
            }
            finish(channel, "", 0).await;
        }
        "exit" => finish(channel, "", u32::try_from(number).unwrap()).await,
        "kick" => session.disconnect("your access has ended"),
        "produce" => {
            channel.send(Stream::Main, Bytes::from(pattern(number))).await.unwrap();
            finish(channel, "", 0).await;
        }
        "signal" => {
            let (signal, text) = ("TERM".to_owned(), "ended".to_owned());
            let exit = SessionRequest::ExitSignal { signal, core: false, text };
            channel.notify(&exit).unwrap();
            channel.close();
        }
        "stderr" => {
            channel.send(Stream::Stderr, Bytes::from_static(b"to stderr")).await.unwrap();
            finish(channel, "to stdout", 0).await;
        }
        "never" => while channel.next().await.is_some() {},
        _ => finish(channel, "unknown command", 127).await,
    }
}

/// Gives all input, and accepts it.
pub(crate) async fn input(channel: &Channel, mut take: impl FnMut(&[u8])) {
    while let Some(event) = channel.next().await {
        match event {
            ChannelEvent::Data { bytes, .. } => {
                take(&bytes);
                channel.accept(bytes.len());
            }
            ChannelEvent::Eof | ChannelEvent::Close => return,
            ChannelEvent::Request(_) => {}
        }
    }
}

/// As the bastion does: each direction in a task of its own.
async fn forward(near: Channel, host: Session) {
    let Ok(Ok(far)) = host.open_session().await else { return };
    let (near, far) = (Arc::new(near), Arc::new(far));
    let other = tokio::spawn(pump(Arc::clone(&far), Arc::clone(&near)));
    pump(near, far).await;
    other.await.unwrap();
}

async fn pump(from: Arc<Channel>, to: Arc<Channel>) {
    while let Some(event) = from.next().await {
        let done: Result<(), Error> = match event {
            ChannelEvent::Data { stream, bytes } => {
                let length = bytes.len();
                let sent = to.send(stream, bytes).await;
                from.accept(length);
                sent
            }
            ChannelEvent::Eof => to.eof(),
            ChannelEvent::Close => {
                to.close();
                Ok(())
            }
            ChannelEvent::Request(request) => {
                let parsed = request.parse().unwrap();
                if request.wants_reply() {
                    let granted = to.request(&parsed).await;
                    request.answer(granted.unwrap_or(false));
                    Ok(())
                } else {
                    to.notify(&parsed)
                }
            }
        };
        if done.is_err() {
            from.close();
        }
    }
}

/// Makes a key pair, and gives its public half.
pub(crate) fn keygen(folder: &Path, name: &str, arguments: &[&str]) -> SshPublicKey {
    let path = folder.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", "", "-f"]).arg(&path).args(arguments);
    assert!(command.stdin(Stdio::null()).status().unwrap().success());
    std::fs::read_to_string(path.with_extension("pub")).unwrap().parse().unwrap()
}

/// A process that ends with the test.
pub(crate) struct Ending(pub(crate) Child);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs a command with this input; panics, with what it said, unless it exits with `code`.
pub(crate) fn run_with(mut command: Command, input: &[u8], code: i32) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Ending(command.spawn().unwrap());
    let mut stdin = child.0.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input).ok());
    let read = |mut stream: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all
        })
    };
    let stdout = read(Box::new(child.0.stdout.take().unwrap()));
    let stderr = read(Box::new(child.0.stderr.take().unwrap()));
    let status = child.0.wait().unwrap();
    writer.join().unwrap();
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(code), "{command:?}: {said}");
    Output { status, stdout, stderr }
}
