//! A real key module whose peers are all ours: what somebody can do who took over front or s3.
//!
//! The process is `writ role keyd` with the root and head files of a stopped site. Our ends of its
//! channels play front, s3, trail and the supervisor. Our trail acknowledges every record and keeps it.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use writ_keyd_client::channel::Channel;
use writ_keyd_client::client::Client;
use writ_keyd_client::control::Notice;
use writ_keyd_client::protocol::{
    Ack, Answer, Beat, Command, Hello, HelloReply, Load, PROTOCOL, Push, Refusal, Reply, Role,
};
use writ_model::Uuid;
use writ_proof::cbor;
use writ_proof::use_record::{Use, UseBatch, UseRecord, What};

use crate::site::binary;
use crate::wait::until;

/// The running key module.
pub struct Keyd {
    child: Child,
    front: Arc<Client<Command, Answer>>,
    s3: Client<Command, Answer>,
    trail: Arc<Client<Command, Answer>>,
    records: Arc<Mutex<Vec<UseRecord>>>,
    ended: Arc<AtomicBool>,
    control: Channel,
}

impl Keyd {
    /// Starts it on the directory of a stopped site, with front's `descriptors` loaded.
    pub fn start(dir: &Path, site: &str, descriptors: Vec<Vec<u8>>) -> Keyd {
        let genesis = hex::encode(std::fs::read(dir.join("genesis")).unwrap());
        let config = format!("{{\"site\": \"{site}\", \"genesis\": \"{genesis}\"}}");
        let open = |name: &str| -> OwnedFd {
            let path = dir.join("keyd").join(name);
            File::options().read(true).append(true).open(path).unwrap().into()
        };
        let ((front, a), (s3, b)) = (Channel::pair().unwrap(), Channel::pair().unwrap());
        let ((trail, c), (control, d)) = (Channel::pair().unwrap(), Channel::pair().unwrap());
        // Nobody comes in here: the gate is not started.
        let (_, gate) = Channel::pair().unwrap();
        let fds: Vec<(&str, OwnedFd)> = vec![
            ("bastion", gate.into()),
            ("front", a.into()),
            ("s3", b.into()),
            ("trail", c.into()),
            ("control", d.into()),
            ("root", open("root")),
            ("head", open("head")),
            ("config", temporary(config.as_bytes())),
        ];
        let mut program = Program::new(binary());
        program.args(["role", "keyd"]).stdin(Stdio::null());
        for (name, fd) in &fds {
            program.arg("--fd").arg(format!("{name}={}", fd.as_raw_fd()));
            fcntl_setfd(fd.as_fd(), FdFlags::empty()).unwrap();
        }
        let child = program.spawn().unwrap();
        drop(fds);
        let records = Arc::new(Mutex::new(Vec::new()));
        let (sender, acks) = channel::<Ack>();
        let trail = Arc::new(trail_client(trail, Arc::clone(&records), sender));
        let acknowledging = Arc::clone(&trail);
        std::thread::spawn(move || {
            for ack in acks {
                if acknowledging.call_blocking(&Command::Ack(ack)).is_err() {
                    return;
                }
            }
        });
        let front = Arc::new(Client::new("keyd", front).unwrap());
        let s3 = Client::new("keyd", s3).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let keyd = Keyd { child, front, s3, trail, records, ended, control };
        keyd.greet(Role::Trail, None);
        keyd.greet(Role::Front, None);
        let epoch = Uuid::from_bytes([1; 16]);
        let load = Load { descriptors, ended: Vec::new(), last: true, epoch, roster: vec![] };
        keyd.carried(Role::Front, Command::Load(load));
        keyd.beat();
        keyd.wait_until_ready();
        keyd
    }

    /// Waits for its word to the supervisor that it serves.
    fn wait_until_ready(&self) {
        let packet = self.control.recv().unwrap().expect("keyd ended");
        let notice: Notice = cbor::from_slice(&packet.bytes).unwrap();
        assert!(matches!(notice, Notice::Ready(_)), "{notice:?}");
    }

    /// Says hello on the channel of `role`.
    pub fn greet(&self, role: Role, x25519: Option<[u8; 32]>) -> HelloReply {
        match self.carried(role, Command::Hello(Hello { protocol: PROTOCOL, x25519 })) {
            Reply::Hello(reply) => reply,
            _ => panic!("hello is not answered by hello"),
        }
    }

    /// Sends a command on the channel of `role`.
    #[expect(clippy::needless_pass_by_value, reason = "callers make the command for this one call")]
    pub fn ask(&self, role: Role, command: Command) -> Result<Reply, Refusal> {
        let client = match role {
            Role::Front => &*self.front,
            Role::S3 => &self.s3,
            Role::Trail => &*self.trail,
            _ => panic!("there is no such channel"),
        };
        match client.call_blocking(&command).unwrap() {
            Answer::Carried(reply) => Ok(reply),
            Answer::Refused(refusal) => Err(refusal),
        }
    }

    /// The command must be carried out.
    #[track_caller]
    pub fn carried(&self, role: Role, command: Command) -> Reply {
        self.ask(role, command).unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
    }

    /// How many records there are once those of all commands so far have come. They come behind the
    /// answers: one counted too early would be taken for the next command's.
    pub fn recorded(&self) -> usize {
        let before = self.records.lock().unwrap().len();
        self.fence(before) + 1
    }

    /// The uses that are recorded behind the first `before` records, up to now.
    pub fn uses_after(&self, before: usize) -> Vec<Use> {
        let fence = self.fence(before);
        let records = self.records.lock().unwrap();
        let uses =
            records.iter().take(fence).skip(before).filter_map(|record| match &record.what {
                What::Use(used) => Some((**used).clone()),
                _ => None,
            });
        uses.collect()
    }

    /// Sends a command that s3 may not send, which is recorded behind all others, and waits for its
    /// record; gives its place.
    fn fence(&self, before: usize) -> usize {
        assert!(self.ask(Role::S3, Command::Beat(Beat { feed: 0 })).is_err(), "s3 may beat");
        until("the record of s3's beat", || {
            let records = self.records.lock().unwrap();
            let fence = |record: &UseRecord| match &record.what {
                What::Use(used) => used.op == "s3:beat",
                _ => false,
            };
            records.iter().skip(before).position(fence).map(|at| before + at)
        })
    }

    /// An honest front's beat, every 250 ms.
    fn beat(&self) {
        static FEED: AtomicU64 = AtomicU64::new(1);
        let (front, ended) = (Arc::clone(&self.front), Arc::clone(&self.ended));
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let feed = FEED.fetch_add(1, Ordering::Relaxed);
                if front.call_blocking(&Command::Beat(Beat { feed })).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(250));
            }
        });
    }
}

impl Drop for Keyd {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn trail_client(
    channel: Channel,
    records: Arc<Mutex<Vec<UseRecord>>>,
    acks: Sender<Ack>,
) -> Client<Command, Answer> {
    let on_push = move |body: Vec<u8>| {
        let Ok(Push::UseRecords(batch)) = cbor::from_slice(&body) else { return };
        let Ok(batch) = cbor::from_slice::<UseBatch>(&batch) else { return };
        let read = batch.records.iter().map(|record| UseRecord::from_bytes(record).unwrap());
        records.lock().unwrap().extend(read);
        let last = batch.position();
        acks.send(Ack { boot: last.boot, seq: last.seq }).ok();
    };
    Client::with_pushes("keyd", channel, Box::new(on_push)).unwrap()
}

fn temporary(content: &[u8]) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file.into()
}
