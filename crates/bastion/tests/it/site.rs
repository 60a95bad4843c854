//! A bastion in this process, between a client and a host that the test plays: front, keyd and the ledger say what the
//! test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use writ_bastion::access::Access;
use writ_bastion::ports::{Keyd, Ledger, NotDone, PortFuture, Stale, State};
use writ_bastion::recorder::SystemDisk;
use writ_bastion::{Bastion, Ports, Settings};
use writ_keyd_client::operator::{RecordingFacts, RecordingKey, SshCertificate, SshSign};
use writ_keyd_client::protocol::{Command, Reply, UsePosition};
use writ_keyd_client::secret::SecretBytes;
use writ_model::{Env as _, SystemEnv, Timestamp, Uuid};
use writ_proof::append::AppendItem;
use writ_proof::cbor::Version;
use writ_proof::hash::Hash;
use writ_proof::recording::{Kind, Verifier};
use writ_proof::roster::{Accounts, Change, Host, Roster, RosterStatement};
use writ_proof::ssh_cert::{CertFields, CertKind, Certificate, CriticalOptions};
use writ_proof::statement::Signed;
use writ_ssh::{
    Channel, ChannelEvent, Config, Incoming, IncomingEvents, KnownKey, Session, SoftHostKey,
    SoftUserKey, Stream, admit, connect,
};

use super::people::{access, held, public, roster, soft, ssh_key};
use super::world::{config, key};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What front says.
pub(crate) struct Front {
    access: Mutex<Arc<Access>>,
    pub(crate) age: Mutex<Duration>,
    changes: watch::Sender<u64>,
}

impl Front {
    /// Ends every grant.
    pub(crate) fn revoke(&self) {
        let mut now = self.access.lock().unwrap();
        *now = Arc::new(access(Roster::clone(&now.roster), Vec::new()));
        self.changes.send_modify(|change| *change += 1);
    }
}

impl State for Front {
    fn current(&self) -> Result<Arc<Access>, Stale> {
        if *self.age.lock().unwrap() >= Duration::from_millis(800) {
            return Err(Stale);
        }
        Ok(Arc::clone(&self.access.lock().unwrap()))
    }

    fn newest(&self) -> Option<Arc<Access>> {
        Some(Arc::clone(&self.access.lock().unwrap()))
    }

    fn age(&self) -> Option<Duration> {
        Some(*self.age.lock().unwrap())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Signs whatever it is asked.
struct AnyKeyd;

impl Keyd for AnyKeyd {
    fn ask(&self, command: Command) -> PortFuture<'_, Result<Reply, NotDone>> {
        Box::pin(async move {
            Ok(match command {
                Command::SshSign(asked) => Reply::Certificate(Box::new(certificate(&asked))),
                Command::NewRecording(session) => Reply::Recording(Box::new(RecordingKey {
                    key: SecretBytes::new(vec![9; 32]),
                    sealed: vec![1; 8],
                    facts: RecordingFacts {
                        session,
                        grant: Hash([7; 32]),
                        person: "anna".parse().unwrap(),
                        host: "web-1".parse().unwrap(),
                        accounts: None,
                    },
                })),
                _ => Reply::Signature([0; 64]),
            })
        })
    }
}

fn certificate(asked: &SshSign) -> SshCertificate {
    let fields = CertFields {
        nonce: [7; 32],
        key: writ_proof::ed25519::PublicKey(asked.key),
        serial: 1,
        kind: CertKind::User,
        key_id: "req=1".to_owned(),
        principals: vec!["svc@web-1".to_owned()],
        valid_after: 0,
        valid_before: u64::MAX,
        critical: CriticalOptions::default(),
        extensions: Default::default(),
    };
    SshCertificate {
        certificate: fields.sign(&soft(103)).unwrap().to_bytes(),
        serial: 1,
        person: "anna".parse().unwrap(),
        grant: Hash([7; 32]),
        not_after: Timestamp::from_secs(u64::MAX / 2000),
        position: UsePosition { boot: Uuid::from_bytes([1; 16]), seq: 0, hash: Hash([0; 32]) },
    }
}

/// Takes everything.
#[derive(Default)]
struct Book(Mutex<Vec<serde_json::Value>>);

impl Ledger for Book {
    fn append(&self, items: Vec<AppendItem>) -> PortFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let read = |item: AppendItem| serde_json::from_slice(&item.record).unwrap();
            self.0.lock().unwrap().extend(items.into_iter().map(read));
            Ok(())
        })
    }
}

/// A bastion and its one host, `web-1`.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) front: Arc<Front>,
    /// Whether the host answers a login.
    pub(crate) lets_in: watch::Sender<bool>,
    /// The requests that came to the host.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    book: Arc<Book>,
    /// Ends the bastion when it is dropped.
    _stop: watch::Sender<bool>,
}

impl Site {
    pub(crate) async fn start() -> Site {
        let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (lets_in, let_in) = watch::channel(true);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut known = roster();
        let change = Change::SetHost(Box::new(Host {
            name: "web-1".parse().unwrap(),
            address: host.local_addr().unwrap().to_string(),
            key: ssh_key(50),
            accounts: Accounts::All,
        }));
        let statement = RosterStatement {
            v: Version,
            site: known.site().clone(),
            seq: 1,
            prev: known.head(),
            created: known.created(),
            change,
        };
        let mut signed = Signed::new(&statement).unwrap();
        signed.sign(&soft(1)).unwrap();
        known.apply(&signed).unwrap();
        tokio::spawn(serve_hosts(host, let_in, Arc::clone(&asked)));

        let grants = vec![held(SystemEnv.now(), &["rw:/srv/"])];
        let (changes, age) = (watch::Sender::new(0), Mutex::new(Duration::ZERO));
        let access = Mutex::new(Arc::new(access(known, grants)));
        let front = Arc::new(Front { access, age, changes });
        let (dir, book) = (tempfile::tempdir().unwrap(), Arc::new(Book::default()));
        let ports = Ports {
            state: Arc::clone(&front) as Arc<dyn State>,
            keyd: Arc::new(AnyKeyd),
            ledger: Arc::clone(&book) as Arc<dyn Ledger>,
            env: Arc::new(SystemEnv),
            disk: Box::new(SystemDisk::open(dir.path()).unwrap()),
        };
        let settings = Settings {
            site: "test".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            recorder: config(dir.path()),
        };
        let bastion = Bastion::start(&settings, soft(40), ports).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(bastion.serve(listener, stopped));
        Site { dir, address, front, lets_in, asked, book, _stop: stop }
    }

    /// Logs in as `anna` to the host, with such a window for what comes back.
    pub(crate) async fn log_in(&self, window_bytes: u32) -> Result<Session, writ_ssh::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let config = Config { window_bytes, ..Config::default() };
        let (host, user) = (KnownKey(ssh_key(40)), SoftUserKey::new(soft(1)));
        let env = Arc::new(SystemEnv);
        let connected = connect(stream, &config, &host, "svc+web-1", &user, env).await?;
        tokio::spawn(connected.driver.run());
        tokio::spawn(ignore(connected.incoming));
        Ok(connected.session)
    }

    /// A channel of such a login.
    pub(crate) async fn channel(&self, window_bytes: u32) -> (Session, Channel) {
        let session = self.log_in(window_bytes).await.unwrap();
        let channel = session.open_session().await.unwrap().unwrap();
        (session, channel)
    }

    pub(crate) fn host_was_asked(&self, what: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked == what)
    }

    /// Events of this name in the ledger.
    pub(crate) fn events(&self, name: &str) -> Vec<serde_json::Value> {
        let all = self.book.0.lock().unwrap();
        all.iter().filter(|event| event["eventName"] == name).cloned().collect()
    }

    /// The frames of a kind in the one recording that there is.
    pub(crate) fn recorded(&self, kind: Kind) -> Vec<Vec<u8>> {
        let names = std::fs::read_dir(self.dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().path());
        let mut paths = names.filter(|path| path.display().to_string().contains(".rec"));
        let bytes = std::fs::read(paths.next().unwrap()).unwrap();
        assert_eq!(paths.next(), None);
        let mut found = Vec::new();
        let pushed = Verifier::new().push(&bytes, &mut |_, frame| {
            if frame.kind == kind {
                found.push(frame.open(&key())?);
            }
            Ok(())
        });
        pushed.unwrap();
        found
    }
}

/// Waits for something that the test makes happen.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let look = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, look).await;
    assert!(came.is_ok(), "no {what}");
}

async fn ignore(mut incoming: IncomingEvents) {
    while incoming.next().await.is_some() {}
}

async fn serve_hosts(
    listener: TcpListener,
    let_in: watch::Receiver<bool>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve_host(stream, let_in.clone(), Arc::clone(&asked)));
    }
}

async fn serve_host(
    stream: TcpStream,
    mut let_in: watch::Receiver<bool>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    asked.lock().unwrap().push("login".to_owned());
    if let_in.wait_for(|let_in| *let_in).await.is_err() {
        return;
    }
    let judge = |user: &str, shown: &Certificate| user == "svc" && *shown.ca() == public(103);
    let (config, key, env) =
        (Config::default(), Arc::new(SoftHostKey(soft(50))), Arc::new(SystemEnv));
    let Ok(mut admitted) = admit(stream, &config, key, &judge, env).await else { return };
    tokio::spawn(admitted.driver.run());
    while let Some(event) = admitted.incoming.next().await {
        if let Incoming::Open(open) = event {
            tokio::spawn(serve_program(open.accept().unwrap(), Arc::clone(&asked)));
        }
    }
}

/// Takes every request, and answers SFTP's first packets.
async fn serve_program(channel: Channel, asked: Arc<Mutex<Vec<String>>>) {
    while let Some(event) = channel.next().await {
        match event {
            ChannelEvent::Request(request) => {
                asked.lock().unwrap().push(request.name().to_owned());
                request.answer(true);
            }
            ChannelEvent::Data { bytes, .. } => {
                channel.accept(bytes.len());
                for answer in greeting(&bytes) {
                    channel.send(Stream::Main, Bytes::from(answer)).await.ok();
                }
            }
            ChannelEvent::Close | ChannelEvent::Eof => return,
        }
    }
}

/// The answers to INIT, and to REALPATH of `.`: the version, and `/srv`.
fn greeting(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    while let [0, 0, 0, length, rest @ ..] = bytes {
        let (packet, rest) = rest.split_at(usize::from(*length));
        bytes = rest;
        match packet {
            [1, ..] => answers.push(vec![0, 0, 0, 5, 2, 0, 0, 0, 3]),
            [16, id @ ..] => {
                let mut name = vec![0, 0, 0, 30, 104, id[0], id[1], id[2], id[3], 0, 0, 0, 1];
                name.extend_from_slice(&[0, 0, 0, 4, b'/', b's', b'r', b'v']);
                name.extend_from_slice(&[0, 0, 0, 1, b'x', 0, 0, 0, 0]);
                name[3] = u8::try_from(name.len() - 4).unwrap();
                answers.push(name);
            }
            _ => {}
        }
    }
    answers
}
