//! Has keyd sign how far each recording is, puts that into the ledger, and tells of each session's end.
//!
//! What a session owes the ledger stands in a file beside its recording, from before its start is told until its
//! end is durable there. So a start finds what an earlier run could not tell.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use writ_keyd_client::protocol::{Command, Reply};
use writ_model::{AccountId, PersonId, Ulid, Uuid};
use writ_proof::cbor;
use writ_proof::recording::{Mark, Verifier};

use crate::error::Error;
use crate::limits::{MARKS_MAX, OWED_FILE_MAX_BYTES, READ_CHUNK_BYTES, TELL_AGAIN};
use crate::ports::{Keyd, NotDone};
use crate::recorder::Marks;
use crate::shelf::{self, SignedEnd};
use crate::teller::{Event, Shown, Teller};

/// What the ledger has to be told at a session's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owed {
    pub(crate) session: Ulid,
    pub(crate) request: Ulid,
    /// SHA-256 of the signed request, in hexadecimal.
    pub(crate) grant: String,
    pub(crate) person: PersonId,
    /// What customers see of the person.
    pub(crate) pseudonym: String,
    pub(crate) login: String,
    pub(crate) host: String,
    /// Where the person came from.
    pub(crate) source: String,
    /// Names the event of the end.
    pub(crate) event: Uuid,
    /// The customers that are told, each with the name of its event.
    pub(crate) accounts: Vec<(AccountId, Uuid)>,
}

impl Owed {
    /// What every event of the session shows.
    pub(crate) fn shown(&self) -> Shown {
        vec![
            ("sessionId", self.session.to_string()),
            ("accessRequestId", self.request.to_string()),
            ("accessRequestDigest", self.grant.clone()),
            ("person", self.person.to_string()),
            ("login", self.login.clone()),
            ("hostName", self.host.clone()),
        ]
    }

    /// What its customers see.
    pub(crate) fn shown_to_customers(&self) -> Shown {
        vec![
            ("operator", self.pseudonym.clone()),
            ("sessionId", self.session.to_string()),
            ("accessRequestId", self.request.to_string()),
            ("accessRequestDigest", self.grant.clone()),
            ("login", self.login.clone()),
            ("hostName", self.host.clone()),
        ]
    }
}

/// A session that runs.
struct Running {
    owed: Owed,
    dead: watch::Sender<Option<String>>,
}

/// See the module.
pub(crate) struct Notary {
    keyd: Arc<dyn Keyd>,
    teller: Arc<Teller>,
    dir: PathBuf,
    running: Mutex<HashMap<String, Arc<Running>>>,
    later: Mutex<JoinSet<()>>,
}

/// The recorder's end: hands marks over without waiting.
pub(crate) struct Inbox(mpsc::Sender<Mark>);

impl Marks for Inbox {
    fn take(&mut self, mark: Mark) -> Result<(), String> {
        // What an earlier run left is told from the files of what it owed.
        if matches!(mark, Mark::Truncated(_)) {
            return Ok(());
        }
        self.0.try_send(mark).map_err(|_| "too many marks wait for the ledger".to_owned())
    }
}

impl Notary {
    pub(crate) fn new(
        keyd: Arc<dyn Keyd>,
        teller: Arc<Teller>,
        dir: PathBuf,
    ) -> (Notary, Inbox, mpsc::Receiver<Mark>) {
        let (sender, receiver) = mpsc::channel(MARKS_MAX);
        let (running, later) = (Mutex::default(), Mutex::default());
        (Notary { keyd, teller, dir, running, later }, Inbox(sender), receiver)
    }

    /// Notes durably what a session owes, and whom to kill if its marks cannot be kept.
    pub(crate) fn begin(
        &self,
        owed: Owed,
        dead: watch::Sender<Option<String>>,
    ) -> Result<(), Error> {
        let name = file_name(&owed.session.to_string());
        let text = serde_json::to_vec(&owed).map_err(|error| Error::Marks(error.to_string()))?;
        let write = || -> std::io::Result<()> {
            let path = self.dir.join(&name);
            let mut file = File::options().create_new(true).write(true).open(&path)?;
            file.write_all(&text)?;
            file.sync_all()?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|error| {
            // A part of it would be told of at the next start, as of a session that never began.
            std::fs::remove_file(self.dir.join(&name)).ok();
            Error::io("write", &name)(error)
        })?;
        let running = Arc::new(Running { owed, dead });
        self.lock().insert(running.owed.session.to_string(), running);
        Ok(())
    }

    /// A session that never began owes nothing.
    pub(crate) fn forget(&self, session: Ulid) {
        self.done(&session.to_string());
    }

    /// Tells an event that must be told, for as long as it takes.
    pub(crate) fn tell_later(&self, source: String, event: Event) {
        let teller = Arc::clone(&self.teller);
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        while later.try_join_next().is_some() {}
        later.spawn(async move {
            while let Err(why) = teller.tell(&source, vec![event.clone()]).await {
                tracing::error!(why, "what became of a session is not in the ledger yet");
                tokio::time::sleep(TELL_AGAIN).await;
            }
        });
    }

    /// Keeps marks for as long as the recorder hands any over.
    pub(crate) async fn run(self: Arc<Self>, mut marks: mpsc::Receiver<Mark>) {
        let mut tasks = JoinSet::new();
        while let Some(mark) = marks.recv().await {
            while tasks.try_join_next().is_some() {}
            let running = self.lock().get(&mark.at().session.to_string()).cloned();
            let Some(running) = running else { continue };
            let notary = Arc::clone(&self);
            tasks.spawn(async move { notary.keep(&running, &mark).await });
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Tells what an earlier run owed. Every recording has an end by now.
    ///
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub(crate) fn recover(self: &Arc<Self>) -> Result<Vec<String>, Error> {
        let dir = self.dir.display().to_string();
        let mut sessions = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(Error::io("list", &dir))? {
            let name = entry.map_err(Error::io("list", &dir))?.file_name();
            let session = name.to_str().and_then(|name| name.strip_suffix(".owed"));
            sessions.extend(session.map(str::to_owned));
        }
        sessions.sort();
        Ok(sessions)
    }

    /// Tells the end of one session of an earlier run.
    pub(crate) async fn settle(&self, session: &str) {
        match self.owed(session) {
            Ok(Some((owed, mark))) => {
                let (dead, _) = watch::channel(None);
                self.keep(&Running { owed, dead }, &mark).await;
            }
            Ok(None) => self.done(session),
            Err(error) => {
                tracing::error!(%error, session, "the end of a session cannot be told");
            }
        }
    }

    fn owed(&self, session: &str) -> Result<Option<(Owed, Mark)>, Error> {
        let name = file_name(session);
        let file = File::open(self.dir.join(&name)).map_err(Error::io("open", &name))?;
        let mut text = Vec::new();
        file.take(OWED_FILE_MAX_BYTES).read_to_end(&mut text).map_err(Error::io("read", &name))?;
        let Ok(owed) = serde_json::from_slice::<Owed>(&text) else {
            // Cut off by a crash: the session has not begun.
            return Ok(None);
        };
        let mark = last_mark(&self.dir.join(format!("{session}.rec")))?;
        Ok(mark.map(|mark| (owed, mark)))
    }

    /// Has a mark signed and appended; of an end for as long as it takes.
    async fn keep(&self, running: &Running, mark: &Mark) {
        let session = running.owed.session.to_string();
        let (name, end) = match mark {
            Mark::Checkpoint(_) => ("CheckpointRecording", false),
            Mark::End(_) | Mark::Truncated(_) => ("EndSession", true),
        };
        loop {
            match self.tell(running, name, mark, end).await {
                Ok(()) if end => return self.done(&session),
                Ok(()) => return,
                Err(why) if end => {
                    tracing::error!(why, session, "the end of a session is not in the ledger yet");
                    tokio::time::sleep(TELL_AGAIN).await;
                }
                Err(why) => {
                    tracing::error!(why, session, "recording.failed");
                    let why = format!("its recording cannot be marked in the ledger: {why}");
                    running.dead.send_if_modified(|dead| dead.replace(why).is_none());
                    return;
                }
            }
        }
    }

    async fn tell(
        &self,
        running: &Running,
        name: &'static str,
        mark: &Mark,
        end: bool,
    ) -> Result<(), String> {
        let owed = &running.owed;
        let mut shown = owed.shown();
        shown.extend(of_mark(mark));
        match self.keyd.ask(Command::SignRecording(Box::new(mark.clone()))).await {
            Ok(Reply::Signature(signature)) => {
                shown.push(("signature", hex(&signature)));
                if end {
                    self.keep_end(mark, signature);
                }
            }
            // keyd has started anew since and does not know the session: the end is told unsigned.
            Err(NotDone::Refused(why)) if end => shown.push(("unsigned", why)),
            Ok(_) => return Err("the key module answers something else".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let id = end.then_some(owed.event);
        let mut events = vec![Event { id, ..Event::new(name, shown) }];
        if end {
            events.extend(owed.accounts.iter().map(|(account, id)| {
                let mut shown = owed.shown_to_customers();
                shown.extend(of_mark(mark).into_iter().filter(|(name, _)| *name != "mark"));
                let event = Event::new("OperatorSessionEnded", shown);
                Event { account: Some(*account), id: Some(*id), ..event }
            }));
        }
        self.teller.tell(&owed.source, events).await
    }

    /// For readers, who cannot read the operator log. `writ verify` reads that, and needs no file.
    fn keep_end(&self, mark: &Mark, signature: [u8; 64]) {
        let end = SignedEnd { mark: mark.clone(), signature };
        if let Err(error) = shelf::keep_end(&self.dir, &end) {
            tracing::warn!(%error, "the signed end is in the ledger and not beside its recording");
        }
    }

    fn done(&self, session: &str) {
        self.lock().remove(session);
        let name = file_name(session);
        match std::fs::remove_file(self.dir.join(&name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, name, "what was told cannot be crossed out; it is told again");
            }
            _ => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event tells of a mark.
fn of_mark(mark: &Mark) -> Shown {
    let at = mark.at();
    let mut shown = vec![
        ("frames", at.seq.to_string()),
        ("recordingHead", at.head.to_string()),
        ("bytesToHost", at.totals.to_host.to_string()),
        ("bytesFromHost", at.totals.from_host.saturating_add(at.totals.errors).to_string()),
        ("mark", hex(&cbor::to_vec(mark))),
    ];
    match mark {
        Mark::Checkpoint(_) => {}
        Mark::End(end) => shown.push(("reason", end.reason.clone())),
        Mark::Truncated(cut) => {
            shown.push(("reason", "truncated".to_owned()));
            shown.push(("tornBytes", cut.torn_bytes.to_string()));
        }
    }
    shown
}

/// The last mark of a recording; `None` if it is not there.
fn last_mark(path: &Path) -> Result<Option<Mark>, Error> {
    let name = path.display().to_string();
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::io("open", &name))?,
    };
    let mut verifier = Verifier::new();
    let mut chunk = vec![0; READ_CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(Error::io("read", &name))?;
        if read == 0 {
            return Ok(Some(verifier.finish()?.last));
        }
        verifier.push(chunk.get(..read).unwrap_or_default(), &mut |_, _| Ok(()))?;
    }
}

fn file_name(session: &str) -> String {
    format!("{session}.owed")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a text does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}
