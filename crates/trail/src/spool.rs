//! The supervisor's events: it spools them to a file, which is drained here.
//!
//! The supervisor appends `length u32 (big-endian) | record` and fsyncs; a record is a JSON object with an
//! `eventID`. It never waits for the ledger. Each record goes into the operator log. How far the file is
//! drained is in `NAME.at` beside it; a record that is drained twice is appended once, by its id.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::Value;
use writ_model::Uuid;
use writ_proof::append::{AppendItem, AppendReply, AppendRequest};
use writ_proof::leaf::{Kind, Source};
use writ_proof::origin::LogName;

use crate::disk;
use crate::error::TrailError;
use crate::limits::{SPOOL_EVERY, SPOOL_RECORD_MAX_BYTES};
use crate::writer::prepare;
use crate::writer::queue::{Append, Job, Queue};
use crate::writer::shared::Shared;

/// Records that are appended at once.
const AT_ONCE: usize = 256;

/// Starts draining, if there is a spool.
pub(crate) fn start(
    path: Option<PathBuf>,
    queue: &Arc<Queue>,
    shared: &Arc<Shared>,
) -> Result<(), TrailError> {
    let Some(path) = path else { return Ok(()) };
    let (queue, shared) = (Arc::clone(queue), Arc::clone(shared));
    crate::writer::spawn("spool", move || {
        while !shared.is_stopping() {
            if let Err(error) = drain(&path, &queue) {
                tracing::error!(%error, "the supervisor's events are not drained");
            }
            shared.pause(SPOOL_EVERY);
        }
    })
}

/// Appends what is new in the spool.
pub(crate) fn drain(path: &Path, queue: &Queue) -> Result<(), TrailError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(TrailError::io("open", path)(error)),
    };
    let mark = mark_path(path);
    let mut at = match disk::read_if_there(&mark)? {
        Some(bytes) => String::from_utf8_lossy(&bytes).trim().parse().unwrap_or(0),
        None => 0u64,
    };
    loop {
        let (items, end) = read(&file, at, path)?;
        if end == at {
            return Ok(());
        }
        if !items.is_empty() {
            append(queue, items)?;
        }
        at = end;
        disk::replace(&mark, at.to_string().as_bytes())?;
    }
}

fn mark_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".at");
    path.with_file_name(name)
}

/// The whole records from `at` on, and the offset after them. An incomplete last one stays for later.
fn read(file: &File, at: u64, path: &Path) -> Result<(Vec<AppendItem>, u64), TrailError> {
    let length = file.metadata().map_err(TrailError::io("examine", path))?.len();
    let mut items = Vec::new();
    let mut end = at;
    while items.len() < AT_ONCE && end + 4 <= length {
        let mut head = [0; 4];
        file.read_exact_at(&mut head, end).map_err(TrailError::io("read", path))?;
        let size = u32::from_be_bytes(head);
        let bytes = usize::try_from(size).unwrap_or(usize::MAX);
        let damaged = |why: &str| TrailError::Damaged {
            path: path.to_owned(),
            offset: end,
            why: why.to_owned(),
        };
        if bytes > SPOOL_RECORD_MAX_BYTES {
            return Err(damaged("a spooled record is too large"));
        }
        if end + 4 + u64::from(size) > length {
            break;
        }
        let mut record = vec![0; bytes];
        file.read_exact_at(&mut record, end + 4).map_err(TrailError::io("read", path))?;
        let id = event_id(&record).ok_or_else(|| damaged("a spooled record has no eventID"))?;
        items.push(AppendItem {
            event_id: id,
            kind: Kind::Boot,
            logs: vec![LogName::Operator],
            record,
            commit: None,
            use_position: None,
        });
        end += 4 + u64::from(size);
    }
    Ok((items, end))
}

fn event_id(record: &[u8]) -> Option<Uuid> {
    let value: Value = serde_json::from_slice(record).ok()?;
    value.get("eventID")?.as_str()?.parse().ok()
}

fn append(queue: &Queue, items: Vec<AppendItem>) -> Result<(), TrailError> {
    let request = AppendRequest { items, statements: Vec::new() };
    let items = prepare::request(request, Source::Supervisor).map_err(TrailError::Refused)?;
    let (done, outcome) = mpsc::channel();
    let answer = Box::new(move |reply| {
        // Nobody waits any more after the patience below.
        done.send(reply).ok();
    });
    let job = Job::Append(Append { items, statements: Vec::new(), answer });
    queue.put(job).map_err(|_| TrailError::Busy)?;
    match outcome.recv_timeout(Duration::from_secs(10)) {
        Ok(AppendReply::Done(_)) => Ok(()),
        Ok(AppendReply::Refused(why)) => Err(TrailError::Unavailable(format!("{why:?}"))),
        Err(_) => Err(TrailError::Unavailable("the sequencer does not answer".to_owned())),
    }
}
