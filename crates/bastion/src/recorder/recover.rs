//! Closing what an earlier run left open.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use writ_model::{Env, Ulid, failpoint};
use writ_proof::Hash;
use writ_proof::hash::Hasher;
use writ_proof::recording::{Mark, State, Verifier};

use super::session::{closed_name, open_name};
use crate::error::Error;
use crate::limits::READ_CHUNK_BYTES;

/// A recording that had no final name at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The session.
    pub session: Ulid,
    /// Its end: the mark `truncated`, or the end that it already had.
    pub mark: Mark,
}

/// Verifies every open recording, puts aside what does not verify at its end, appends the mark and
/// renames it. A file without a whole header never held anything that was acknowledged: it is renamed to `.torn`.
pub(super) fn recover(dir: &Path, env: &dyn Env) -> Result<Vec<Recovered>, Error> {
    let name = dir.display().to_string();
    let entries = std::fs::read_dir(dir).map_err(Error::io("list", &name))?;
    let mut recovered = Vec::new();
    for entry in entries {
        let file = entry.map_err(Error::io("list", &name))?.file_name();
        let Some(session) = file.to_str().and_then(|name| name.strip_suffix(".rec.open")) else {
            continue;
        };
        let session: Ulid = session.parse().map_err(|error: writ_model::ParseError| Error::Io {
            what: "close",
            name: format!("{session}.rec.open"),
            why: format!("{error}: move it away"),
        })?;
        recovered.extend(close(dir, session, env)?);
    }
    recovered.sort_by_key(|one| one.session);
    Ok(recovered)
}

fn close(dir: &Path, session: Ulid, env: &dyn Env) -> Result<Option<Recovered>, Error> {
    let name = open_name(session);
    let path = dir.join(&name);
    let torn_path = dir.join(format!("{session}.torn"));
    let mut file = File::options().read(true).write(true).open(&path);
    let file = file.as_mut().map_err(|error| Error::Io {
        what: "open",
        name: name.clone(),
        why: error.to_string(),
    })?;
    let verifier = verify(file, &name)?;
    let good = verifier.good_bytes();
    let Some(header) = verifier.header() else {
        std::fs::rename(&path, &torn_path).map_err(Error::io("rename", &name))?;
        return Ok(None);
    };
    if header.session != session {
        return Err(Error::Io {
            what: "close",
            name,
            why: format!("it is a recording of session `{}`: move it away", header.session),
        });
    }
    let (torn, digest) = put_aside(file, good, &torn_path, &name)?;
    let mark = match verifier.chain() {
        Some(chain) => {
            let mut bytes = Vec::new();
            let mark = chain.clone().truncated(&mut bytes, env.now(), torn, digest);
            file.seek(SeekFrom::Start(good)).map_err(Error::io("append to", &name))?;
            file.write_all(&bytes).map_err(Error::io("append to", &name))?;
            mark
        }
        None => ended(file, &name)?,
    };
    file.sync_all().map_err(Error::io("fsync", &name))?;
    let closed = closed_name(session);
    std::fs::rename(&path, dir.join(&closed)).map_err(Error::io("rename", &name))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("fsync", &closed))?;
    Ok(Some(Recovered { session, mark }))
}

/// Reads up to the first byte that does not verify.
fn verify(file: &mut File, name: &str) -> Result<Verifier, Error> {
    let mut verifier = Verifier::new();
    let mut chunk = vec![0; READ_CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(Error::io("read", name))?;
        let piece = chunk.get(..read).unwrap_or_default();
        if read == 0 || verifier.push(piece, &mut |_, _| Ok(())).is_err() {
            return Ok(verifier);
        }
    }
}

/// Moves what lies after `good` into a file beside the recording. Answers its length and digest; those of
/// an earlier start that came no further than this count as well.
fn put_aside(
    file: &mut File,
    good: u64,
    torn_path: &Path,
    name: &str,
) -> Result<(u64, Hash), Error> {
    let aside = || Error::io("put aside the tail of", name);
    let length = file.metadata().map_err(Error::io("examine", name))?.len();
    if length > good {
        file.seek(SeekFrom::Start(good)).map_err(Error::io("read", name))?;
        let mut torn = File::create(torn_path).map_err(aside())?;
        std::io::copy(file, &mut torn).map_err(aside())?;
        torn.sync_all().map_err(aside())?;
        let folder = torn_path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(aside())?;
        failpoint::hit("bastion.before_cut");
        file.set_len(good).map_err(Error::io("cut", name))?;
        failpoint::hit("bastion.after_cut");
    }
    let mut hasher = Hasher::new();
    let mut torn = match File::open(torn_path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((0, hasher.finish()));
        }
        torn => torn.map_err(aside())?,
    };
    let mut chunk = vec![0; READ_CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        let read = torn.read(&mut chunk).map_err(aside())?;
        let Some(piece) = chunk.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok((bytes, hasher.finish()));
        };
        hasher.update(piece);
        bytes += read as u64;
    }
}

/// The end of a recording that has one: only its renaming was lost.
fn ended(file: &mut File, name: &str) -> Result<Mark, Error> {
    let mut verifier = Verifier::new();
    file.seek(SeekFrom::Start(0)).map_err(Error::io("read", name))?;
    let mut chunk = vec![0; READ_CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).map_err(Error::io("read", name))?;
        if read == 0 {
            break;
        }
        verifier.push(chunk.get(..read).unwrap_or_default(), &mut |_, _| Ok(()))?;
    }
    debug_assert_ne!(verifier.state(), State::Open);
    Ok(verifier.finish()?.last)
}
