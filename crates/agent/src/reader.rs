//! The reader: a process of its own that reads a host's sources, with the rights that this takes. It has no key and
//! no network. What it finds goes over a socket pair to the agent's first process, which has the spool, the host's
//! key and the connection to watch, and gives its own rights up once the reader lives.
//!
//! The two speak in turns: each message is answered before the next one. If either is gone, so is the other, and
//! watch sees an agent that was killed.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;

use rustix::process::{Signal, set_parent_process_death_signal};
use writ_link::wire::{self, Inbox};
use writ_model::Env;
use writ_proof::cbor::{Decode, Encode};
use writ_proof::hash::Hash;
use writ_proof::hostlog::SourceReport;
use writ_proof::{cbor_enum, cbor_map};

use crate::config::Config;
use crate::confine;
use crate::error::AgentError;
use crate::limits::{POLL, READER_END_TRIES, READER_MESSAGE_MAX_BYTES};
use crate::readable::Readable;
use crate::source::{Looked, Sources};
use crate::state::Cursor;

/// To the reader; each is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ToReader {
    Begin(Begin),
    Look(Look),
    Committed,
    End,
}
cbor_enum!(ToReader { 0: Begin(_), 1: Look(_), 2: Committed, 3: End });

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// At all sources; otherwise only the kernel's buffer is emptied, since what was found before is not written.
    pub(crate) all: bool,
    /// The last look found nothing: wait for the kernel, at most [`POLL`].
    pub(crate) idle: bool,
}
cbor_map!(Look { 1: all, 2: idle });

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Begin {
    /// SHA-256 of the configuration: both must have read the same.
    config: Hash,
    cursors: Vec<Cursor>,
}
cbor_map!(Begin { 1: config, 2: cursors });

/// From the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FromReader {
    /// It reads; what it gave up, and what this machine refuses of that.
    Began(Vec<SourceReport>),
    Looked(Looked),
    Committed(Vec<Cursor>),
    Ended,
    Failed(String),
}
cbor_enum!(FromReader { 0: Began(_), 1: Looked(_), 2: Committed(_), 3: Ended, 4: Failed(_) });

/// The reader, seen from the agent's first process. It dies with that.
pub(crate) struct Reader {
    child: Child,
    link: Link,
}

impl Reader {
    /// Starts its process, which waits.
    ///
    /// # Errors
    /// It cannot be started.
    #[expect(clippy::disallowed_methods, reason = "this very program, as the reader")]
    pub(crate) fn spawn(dir: &Path) -> Result<Reader, AgentError> {
        let spawn = || {
            let (own, theirs) = UnixStream::pair()?;
            let child = std::process::Command::new(std::env::current_exe()?)
                .args(["agent", "reader", "--dir"])
                .arg(dir)
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                .stdout(Stdio::null())
                // A terminal's signals are for the first process, which ends this one in its turn.
                .process_group(0)
                .spawn()?;
            Ok(Reader { child, link: Link::new(own) })
        };
        spawn().map_err(|error: std::io::Error| gone(error))
    }

    /// Lets it open the sources where they were left; answers what it gave up.
    ///
    /// # Errors
    /// The sources cannot be opened as configured.
    pub(crate) fn begin(
        &mut self,
        config: Hash,
        cursors: &[Cursor],
    ) -> Result<Vec<SourceReport>, AgentError> {
        let begin = Begin { config, cursors: cursors.to_vec() };
        match self.ask(&ToReader::Begin(begin))? {
            FromReader::Began(hardening) => Ok(hardening),
            other => Err(other.out_of_place()),
        }
    }

    /// Looks at the sources.
    pub(crate) fn look(&mut self, look: Look) -> Result<Looked, AgentError> {
        match self.ask(&ToReader::Look(look))? {
            FromReader::Looked(looked) => Ok(looked),
            other => Err(other.out_of_place()),
        }
    }

    /// Everything that was found is on the disk; answers where the sources are then.
    pub(crate) fn committed(&mut self) -> Result<Vec<Cursor>, AgentError> {
        match self.ask(&ToReader::Committed)? {
            FromReader::Committed(cursors) => Ok(cursors),
            other => Err(other.out_of_place()),
        }
    }

    /// Takes back what was asked of the kernel.
    pub(crate) fn end(&mut self) -> Result<(), AgentError> {
        match self.ask(&ToReader::End)? {
            FromReader::Ended => Ok(()),
            other => Err(other.out_of_place()),
        }
    }

    fn ask(&mut self, message: &ToReader) -> Result<FromReader, AgentError> {
        self.link.send(message).map_err(gone)?;
        self.link.recv().map_err(gone)?.ok_or_else(|| gone("it has ended"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It ends with the link. It is outside of what this process may signal.
        self.link.stream.shutdown(Shutdown::Both).ok();
        for _ in 0..READER_END_TRIES {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

impl FromReader {
    fn out_of_place(self) -> AgentError {
        AgentError::Reader(match self {
            FromReader::Failed(why) => why,
            _ => "it does not keep to its protocol".to_owned(),
        })
    }
}

fn gone(why: impl std::fmt::Display) -> AgentError {
    AgentError::Reader(why.to_string())
}

/// One end of the pair.
struct Link {
    stream: UnixStream,
    inbox: Inbox,
}

impl Link {
    fn new(stream: UnixStream) -> Link {
        Link { stream, inbox: Inbox::limited(READER_MESSAGE_MAX_BYTES) }
    }

    fn send<T: Encode>(&mut self, message: &T) -> std::io::Result<()> {
        self.stream.write_all(&wire::encode(message))
    }

    /// The next message; `None` at the end.
    fn recv<T: Decode>(&mut self) -> std::io::Result<Option<T>> {
        let mut buffer = [0; 8192];
        loop {
            if let Some(message) = self.inbox.take().map_err(std::io::Error::other)? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => self.inbox.extend(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The reader's own process; it ends with the agent's first one.
///
/// # Errors
/// Its standard input is no socket of an agent.
pub fn read(dir: &Path, env: &Arc<dyn Env>) -> Result<(), AgentError> {
    // If its parent is gone already, the pair is closed, which ends it as well.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(gone)?;
    outlive_signals()?;
    let stream = std::io::stdin().as_fd().try_clone_to_owned().map_err(gone)?;
    let mut link = Link::new(UnixStream::from(stream));
    let mut sources: Option<Sources> = None;
    while let Some(message) = link.recv::<ToReader>().map_err(gone)? {
        let answer = match (message, &mut sources) {
            (ToReader::Begin(begin), None) => match open(dir, &begin, Arc::clone(env)) {
                Ok((opened, hardening)) => {
                    sources = Some(opened);
                    FromReader::Began(hardening)
                }
                Err(error) => FromReader::Failed(error.to_string()),
            },
            (ToReader::Look(look), Some(sources)) => {
                if look.idle {
                    sources.wait(POLL);
                }
                FromReader::Looked(sources.look(look.all))
            }
            (ToReader::Committed, Some(sources)) => FromReader::Committed(sources.committed()),
            (ToReader::End, Some(sources)) => {
                sources.end();
                FromReader::Ended
            }
            _ => FromReader::Failed("a message that has no place here".to_owned()),
        };
        link.send(&answer).map_err(gone)?;
    }
    Ok(())
}

/// Goes on when asked to end: the first process says when.
fn outlive_signals() -> Result<(), AgentError> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(gone)?;
    let _inside = runtime.enter();
    // What handles a signal stays, also when nobody listens any more.
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        drop(signal(kind).map_err(gone)?);
    }
    Ok(())
}

/// Opens the sources, gives up what they do not need once they are open, and follows sessions with the rest.
fn open(
    dir: &Path,
    begin: &Begin,
    env: Arc<dyn Env>,
) -> Result<(Sources, Vec<SourceReport>), AgentError> {
    let (config, signed) = Config::load(dir)?;
    if signed.hash() != begin.config {
        return Err(gone("the configuration was changed while the agent started"));
    }
    let mut sources = Sources::open(&config, Readable::load(dir)?, &begin.cursors, env);
    let hardening = confine::reader(&config);
    // Its thread has this one's rights.
    if let Some(wanted) = &config.sessions {
        sources.follow_sessions(wanted, dir)?;
    }
    Ok((sources, hardening))
}
