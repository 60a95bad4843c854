//! A folder of recordings, and disks that misbehave when told.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use writ_bastion::Error;
use writ_bastion::recorder::{
    Config, Disk, DiskFile, Marks, Record, Recorder, Recording, Recovered, SystemDisk,
};
use writ_model::{SystemEnv, Timestamp, Uuid};
use writ_proof::cbor::Version;
use writ_proof::recording::{
    Direction, Header, Kind, Mark, RecordingKey, SessionKind, Verified, Verifier,
};

pub(crate) const SESSION: &str = "01JGZZZZZZZZZZZZZZZZZZZZZZ";

/// The name of the nth session.
pub(crate) fn session(n: usize) -> String {
    format!("01JGZZZZZZZZZZZZZZZZZZ{n:04}")
}

pub(crate) fn header(session: &str) -> Header {
    Header {
        v: Version,
        session: session.parse().unwrap(),
        request: "01JGYYYYYYYYYYYYYYYYYYYYYY".parse().unwrap(),
        grants: Vec::new(),
        human: "alice".parse().unwrap(),
        host: "web-1".to_owned(),
        kind: SessionKind::Ssh,
        start: Timestamp::from_secs(1_800_000_000),
        key: "k1".to_owned(),
        recorder: Uuid::from_bytes([2; 16]),
        accounts: None,
    }
}

pub(crate) fn key() -> RecordingKey {
    RecordingKey::new(&[9; 32]).unwrap()
}

/// A folder's settings with floors that no test disk goes below by itself, and patience with slow ones.
pub(crate) fn config(dir: &Path) -> Config {
    Config {
        refuse_below_bytes: 0,
        close_below_bytes: 0,
        stall: Duration::from_secs(20),
        ..Config::new(dir.to_owned())
    }
}

/// Keeps the marks, or refuses them.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) marks: Arc<Mutex<Vec<Mark>>>,
    pub(crate) closed: Arc<AtomicBool>,
}

impl Marks for Ledger {
    fn take(&mut self, mark: Mark) -> Result<(), String> {
        if self.closed.load(Ordering::SeqCst) {
            return Err("the ledger is closed".to_owned());
        }
        self.marks.lock().unwrap().push(mark);
        Ok(())
    }
}

pub(crate) fn start(config: Config) -> (Recorder, Vec<Recovered>, Ledger) {
    let ledger = Ledger::default();
    let disk = Box::new(SystemDisk::open(&config.dir).unwrap());
    let marks = Box::new(ledger.clone());
    let (recorder, recovered) = Recorder::start(config, disk, marks, Arc::new(SystemEnv)).unwrap();
    (recorder, recovered, ledger)
}

/// What a test does to a disk.
#[derive(Clone, Default)]
pub(crate) struct Fault {
    pub(crate) append: Arc<AtomicBool>,
    pub(crate) sync: Arc<AtomicBool>,
    pub(crate) hang: Arc<AtomicBool>,
    pub(crate) free: Arc<AtomicU64>,
    pub(crate) syncs: Arc<AtomicU64>,
    /// For each file how much was written, and how much of that was made durable.
    pub(crate) lengths: Arc<Mutex<BTreeMap<String, (u64, u64)>>>,
}

impl Fault {
    fn check(&self, which: &AtomicBool) -> io::Result<()> {
        while self.hang.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        match which.load(Ordering::SeqCst) {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    }
}

pub(crate) struct FaultyDisk {
    inner: SystemDisk,
    fault: Fault,
}

impl Disk for FaultyDisk {
    fn create(&mut self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let inner = self.inner.create(name)?;
        Ok(Box::new(FaultyFile { inner, name: name.to_owned(), fault: self.fault.clone() }))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn exists(&mut self, name: &str) -> io::Result<bool> {
        self.inner.exists(name)
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.inner.sync_names()
    }

    fn sync_everything(&mut self) -> Option<io::Result<()>> {
        self.fault.syncs.fetch_add(1, Ordering::SeqCst);
        match self.fault.check(&self.fault.sync) {
            Ok(()) => {
                let mut lengths = self.fault.lengths.lock().unwrap();
                lengths.values_mut().for_each(|(written, synced)| *synced = *written);
                self.inner.sync_everything()
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn free_bytes(&mut self) -> io::Result<u64> {
        Ok(self.fault.free.load(Ordering::SeqCst))
    }
}

struct FaultyFile {
    name: String,
    inner: Box<dyn DiskFile>,
    fault: Fault,
}

impl DiskFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.fault.append.load(Ordering::SeqCst) {
            // As a full disk does: half of it.
            self.inner.append(&bytes[..bytes.len() / 2])?;
        }
        self.fault.check(&self.fault.append)?;
        let mut lengths = self.fault.lengths.lock().unwrap();
        lengths.entry(self.name.clone()).or_default().0 += bytes.len() as u64;
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fault.syncs.fetch_add(1, Ordering::SeqCst);
        self.fault.check(&self.fault.sync)?;
        self.inner.sync()?;
        let mut lengths = self.fault.lengths.lock().unwrap();
        lengths.entry(self.name.clone()).and_modify(|(written, synced)| *synced = *written);
        Ok(())
    }
}

pub(crate) fn start_faulty(config: Config) -> (Recorder, Fault, Ledger) {
    let fault = Fault::default();
    fault.free.store(1 << 40, Ordering::SeqCst);
    let inner = SystemDisk::open(&config.dir).unwrap();
    let disk = Box::new(FaultyDisk { inner, fault: fault.clone() });
    let ledger = Ledger::default();
    let marks = Box::new(ledger.clone());
    let (recorder, _) = Recorder::start(config, disk, marks, Arc::new(SystemEnv)).unwrap();
    (recorder, fault, ledger)
}

pub(crate) fn data(content: &[u8]) -> Record {
    let direction = Direction::FromHost;
    Record { channel: 1, direction, kind: Kind::Data, content: content.to_vec() }
}

pub(crate) async fn say(recording: &Recording, text: &str) -> Result<(), Error> {
    recording.accept(vec![data(text.as_bytes())]).await
}

/// What the recording holds of the host's output, up to where it verifies.
pub(crate) fn recorded(path: &Path) -> String {
    let mut text = Vec::new();
    let mut verifier = Verifier::new();
    let each = &mut |_: &Header, frame: &writ_proof::recording::Stored<'_>| {
        if frame.kind == Kind::Data {
            text.extend(frame.open(&key())?);
        }
        Ok(())
    };
    drop(verifier.push(&std::fs::read(path).unwrap(), each));
    String::from_utf8(text).unwrap()
}

/// Verifies a closed recording, with what the ledger holds.
pub(crate) fn verified(path: &Path, marks: &[Mark]) -> Result<Verified, writ_proof::Error> {
    let mut verifier = Verifier::new();
    marks.iter().cloned().for_each(|mark| verifier.expect(mark));
    verifier.push(&std::fs::read(path).unwrap(), &mut |_, _| Ok(()))?;
    verifier.finish()
}
