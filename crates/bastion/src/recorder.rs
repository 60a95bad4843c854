//! One recorder for all sessions: what it has accepted is on the disk.
//!
//! One thread seals, chains and writes the frames of every session and makes them durable together;
//! [`Recording::accept`] completes only then. Another thread looks whether the first stands still. Any
//! failure ends the sessions that it touches, before anything more of them is acknowledged; a recording
//! that fails stays as it is and is closed by the next start ([`Recovered`]).

mod disk;
mod queue;
mod recover;
mod session;
mod syncers;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use writ_model::{Env, failpoint};
use writ_proof::recording::{Direction, Header, Kind, Mark, RecordingKey};

pub use disk::{Disk, DiskFile, SystemDisk};
pub use recover::Recovered;

use crate::error::Error;
use crate::limits;
use queue::{Line, Shared, What};
use syncers::Syncers;
use writer::Writer;

/// Where and how to record.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the recordings.
    pub dir: PathBuf,
    /// Free bytes below which no session begins.
    pub refuse_below_bytes: u64,
    /// Free bytes below which running sessions are closed, the oldest first.
    pub close_below_bytes: u64,
    /// How long the recorder may stand still before its sessions end.
    pub stall: Duration,
    /// How often a recording is checkpointed when there is something new.
    pub checkpoint_every: Duration,
}

impl Config {
    /// The usual limits, in this folder.
    pub fn new(dir: PathBuf) -> Config {
        Config {
            dir,
            refuse_below_bytes: limits::REFUSE_BELOW_BYTES,
            close_below_bytes: limits::CLOSE_BELOW_BYTES,
            stall: limits::STALL_MAX,
            checkpoint_every: limits::CHECKPOINT_EVERY,
        }
    }
}

/// Who has marks signed and puts them into the ledger.
pub trait Marks: Send {
    /// Takes a mark that is durable in its recording. Must not wait; an error ends the session.
    fn take(&mut self, mark: Mark) -> Result<(), String>;
}

/// Something to record; the recorder adds the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The channel; 0 for what concerns the connection.
    pub channel: u32,
    /// Who said it.
    pub direction: Direction,
    /// What it is.
    pub kind: Kind,
    /// Its contents, at most `RECORDING_CONTENT_MAX_BYTES`.
    pub content: Vec<u8>,
}

/// The recorder. Dropping it stops it: running recordings stay without an end.
pub struct Recorder {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Recorder {
    /// Closes what an earlier run left open in the folder, then starts. `disk` is where new recordings
    /// go: [`SystemDisk::open`] of the same folder. Whatever fails on the way, fails the start.
    pub fn start(
        config: Config,
        disk: Box<dyn Disk>,
        mut marks: Box<dyn Marks>,
        env: Arc<dyn Env>,
    ) -> Result<(Recorder, Vec<Recovered>), Error> {
        let recovered = recover::recover(&config.dir, &*env)?;
        for one in &recovered {
            marks.take(one.mark.clone()).map_err(Error::Marks)?;
        }
        let shared = Arc::new(Shared::new(env));
        let stall = config.stall;
        let writer = Writer::new(config, disk, marks, Arc::clone(&shared), Syncers::start()?);
        let watched = Arc::clone(&shared);
        let threads = vec![
            thread("recorder", move || writer.run())?,
            thread("recorder-watch", move || watched.watch(stall))?,
        ];
        Ok((Recorder { shared, threads }, recovered))
    }

    /// Begins a recording; its header is durable when this returns. Refused below the first floor of the disk.
    pub async fn open(&self, header: Header, key: RecordingKey) -> Result<Recording, Error> {
        let line = self.shared.new_line();
        let what = What::Open(Box::new((header, key)));
        let answer = self.shared.put(&line, what, 0);
        let recording = Recording { shared: Arc::clone(&self.shared), line };
        recording.settled(answer).await?;
        Ok(recording)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stop();
        // A thread that hangs in a storage call is left behind: the process is about to end.
        for _ in 0..limits::STOP_LOOKS {
            if self.threads.iter().all(JoinHandle::is_finished) {
                return;
            }
            std::thread::sleep(limits::STALL_LOOK_EVERY);
        }
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(run).map_err(Error::io("start the thread", name))
}

/// One session's recording. Dropping it without [`Recording::end`] leaves it without an end.
pub struct Recording {
    shared: Arc<Shared>,
    line: Arc<Line>,
}

impl Recording {
    /// Queues the records at once, in the order of the calls; the future completes when they are on the
    /// disk. Only then may their bytes go on. After an error nothing of the session may.
    pub fn accept(&self, records: Vec<Record>) -> impl Future<Output = Result<(), Error>> + '_ {
        let bytes = records.iter().map(|record| record.content.len() + 128).sum();
        let answer = self.shared.put(&self.line, What::Append(records), bytes);
        async move {
            // What the crash tests must notice: bytes go on that are not recorded yet.
            if failpoint::is_set("bastion.forward_first") {
                return answer.map(drop);
            }
            self.settled(answer).await
        }
    }

    /// Ends the recording in order; what was queued before is in it, and nothing can be added any more.
    pub async fn end(&self, reason: &str) -> Result<(), Error> {
        let what = What::End(reason.to_owned());
        let answer = self.shared.put(&self.line, what, 0);
        self.settled(answer).await
    }

    /// Completes when the recording has failed, whether or not anything is in flight: close both legs.
    pub async fn failed(&self) -> Error {
        self.line.failed().await
    }

    async fn settled(
        &self,
        answer: Result<oneshot::Receiver<Result<(), Error>>, Error>,
    ) -> Result<(), Error> {
        let answer = answer?;
        tokio::select! {
            biased;
            error = self.line.failed() => Err(error),
            done = answer => done.unwrap_or(Err(Error::Stopped)),
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.shared.forget(&self.line);
    }
}
