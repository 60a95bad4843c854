//! `writ recover`: mends a damaged write-ahead log from itself and from watch's copy.
//!
//! watch holds the same frames, chained and acknowledged only after its own fsync. The new log is every
//! intact frame of both copies that the hash chain joins from the first frame on; each is checked as a
//! verifier would. What was acknowledged and is in neither copy is named, and given up only when the
//! operator says so. The damaged log is kept beside the new one, and the ledger records the recovery.
//!
//! A crash at any point leaves the old log, or a complete `wal.recovering` that the next run puts in
//! place; `writ up` refuses to start in between.

mod loss;
mod pieces;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use writ_model::{Env as _, SystemEnv, failpoint};
use writ_proof::replay::Replay;
use writ_proof::roster::Roster;
use writ_proof::statement::Signed;
use writ_trail::reader::Reader;
use writ_trail::wal::{segment_path, segments};

use crate::up::data::DataDir;
use crate::up::genesis::LINK_FOLDER;
use crate::up::spool::Spool;
use loss::Loss;
use pieces::{Piece, Pieces};

/// The new log, complete, until it takes the old one's place.
pub const COMPLETE: &str = "trail/wal.recovering";
/// The new log while it is written.
const PARTIAL: &str = "trail/wal.recovering.tmp";
/// A segment of the new log is closed at this many bytes.
const SEGMENT_BYTES: u64 = 256 << 20;

/// What `writ recover` takes.
#[derive(clap::Args)]
pub struct RecoverArgs {
    /// The data directory of a stopped `writ up`.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    data: PathBuf,
    /// Go on although acknowledged records are in neither copy; without it they are only named.
    #[arg(long)]
    accept_loss: bool,
}

/// Mends the log.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run(args: &RecoverArgs) -> Result<()> {
    let dir = DataDir::open_existing(&args.data)?;
    let wal = dir.join("trail/wal");
    let again = format!("Start again with `writ up --data {}`.", args.data.display());
    if dir.join(COMPLETE).try_exists()? {
        if !wal.try_exists()? || segments(&wal)?.is_empty() {
            put_in_place(&dir)?;
            println!("finished the recovery that was cut off. {again}");
            return Ok(());
        }
        // The old log is there still: whatever was prepared is only a copy.
        fs::remove_dir_all(dir.join(COMPLETE))?;
    }
    let (log, mirror) = (Pieces::scan(&wal)?, Pieces::scan(&dir.join("watch/mirror"))?);
    let (chain, left) = pieces::join(&log, &mirror)?;
    if log.damages.is_empty() && left.is_empty() && chain.len() == log.frames.len() {
        bail!("the log reads whole, and watch has no more: there is nothing to recover");
    }
    if chain.is_empty() {
        bail!(
            "neither the log nor watch's copy has its first frame: restore the ledger from a backup"
        );
    }
    log.damages.iter().for_each(|damage| println!("damaged: {damage}"));
    mirror.damages.iter().for_each(|damage| println!("watch's copy: {damage}"));

    let reader = Reader::open(&dir.join("trail"))?;
    let replay = check(&chain, reader.genesis())?;
    let loss = Loss::of(&replay, &left, &reader)?;
    decide(&replay, &loss, &reader, args.accept_loss)?;

    write(&dir, &chain)?;
    let kept = dir.join(&format!("trail/wal.damaged-{}", SystemEnv.now().basic()));
    record(&dir, &chain, &loss, &kept)?;
    if wal.try_exists()? {
        fs::rename(&wal, &kept)
            .with_context(|| format!("cannot move `{}` aside", wal.display()))?;
    }
    failpoint::hit("recover.between");
    put_in_place(&dir)?;
    println!(
        "the log has {} frames again, up to position {}; lost: {}. The damaged one is kept in `{}`.\n{again}",
        chain.len(),
        replay.end().next_seq,
        loss.summary(),
        kept.display()
    );
    Ok(())
}

/// Checks the frames and the roster in them as a verifier does: trail and watch must not refuse them
/// when they start.
fn check(chain: &[Piece], genesis: &Signed) -> Result<Replay> {
    const CHANGED: &str = "a frame is whole, but its content does not hold: the log was changed, not \
                           damaged; restore the ledger from a backup";
    let (statement, mut roster) = Roster::begin(genesis, None)?;
    let mut replay = Replay::new();
    for piece in chain {
        let located = piece.located(&piece.read()?)?;
        replay.accept(&located, &statement.keyd.use_records).context(CHANGED)?;
        let after = roster.after(&located.frame.batch, genesis.digest()).context(CHANGED)?;
        roster = after.unwrap_or(roster);
    }
    Ok(replay)
}

/// Names what is lost, and fails unless that may be.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn decide(replay: &Replay, loss: &Loss, reader: &Reader, accepted: bool) -> Result<()> {
    if !loss.is_nothing() {
        println!("in neither copy, although it was acknowledged:");
        loss.lines().iter().for_each(|line| println!("  {line}"));
    }
    let beyond = loss::beyond_signed(replay, reader)?;
    if !beyond.is_empty() {
        bail!(
            "the log would end before checkpoints that keyd has signed ({}), and never start again: \
             restore the ledger from a backup. Nothing was changed",
            beyond.join("; ")
        );
    }
    if !loss.is_nothing() && !accepted {
        bail!(
            "what is named above would be lost for good. Nothing was changed: look for another copy of \
             the log first, or give it up with --accept-loss"
        );
    }
    Ok(())
}

/// Writes the new log beside the old one, whole and durable.
fn write(dir: &DataDir, chain: &[Piece]) -> Result<()> {
    let partial = dir.join(PARTIAL);
    if partial.try_exists()? {
        fs::remove_dir_all(&partial).context("cannot remove what an earlier attempt left")?;
    }
    fs::DirBuilder::new().mode(0o700).create(&partial)?;
    let mut number = 0;
    let (mut file, mut length) = (create(&partial, number)?, 0);
    for piece in chain {
        if length >= SEGMENT_BYTES {
            file.sync_all()?;
            number += 1;
            (file, length) = (create(&partial, number)?, 0);
        }
        let bytes = piece.read()?;
        file.write_all(&bytes)?;
        length += bytes.len() as u64;
    }
    file.sync_all()?;
    File::open(&partial)?.sync_all()?;
    fs::rename(&partial, dir.join(COMPLETE))?;
    Ok(File::open(dir.join("trail"))?.sync_all()?)
}

fn create(folder: &Path, number: u64) -> Result<File> {
    let path = segment_path(folder, number);
    let options = File::options().write(true).create_new(true).mode(0o600).open(&path);
    options.with_context(|| format!("cannot create `{}`", path.display()))
}

/// Tells the ledger, through the supervisor's spool, before anything is exchanged.
fn record(dir: &DataDir, chain: &[Piece], loss: &Loss, kept: &Path) -> Result<()> {
    let folder = dir.join(LINK_FOLDER);
    if !loss.is_nothing() {
        // What trail had taken from the spool may be in the lost part: it takes all of it again, each
        // record once.
        let mark = folder.join(format!("{}.at", crate::up::spool::FILE));
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let facts = [
        ("process", "trail".to_owned()),
        ("frames", chain.len().to_string()),
        ("nextPosition", chain.last().map_or(0, |piece| piece.next_seq).to_string()),
        ("lost", loss.summary()),
        ("damagedLog", kept.display().to_string()),
    ];
    Spool::open(&folder)?.record(&SystemEnv, "LedgerRecovered", &facts)
}

/// The last step: the complete new log takes its place.
fn put_in_place(dir: &DataDir) -> Result<()> {
    fs::rename(dir.join(COMPLETE), dir.join("trail/wal"))
        .context("cannot put the new log in its place; run `writ recover` again")?;
    Ok(File::open(dir.join("trail"))?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::ledger::{genesis, statement};
    use crate::verify::tests::{addition_at, ledger::Ledger};

    /// What `check` says of a log with these statements after genesis.
    fn checked(statements: &[Signed]) -> Result<Replay> {
        let mut ledger = Ledger::default();
        ledger.frame(vec![statement(1, &genesis())], vec![]);
        for (n, signed) in (2..).zip(statements) {
            ledger.frame(vec![statement(n, signed)], vec![]);
        }
        ledger.heads(|_| {});
        let temp = tempfile::tempdir()?;
        ledger.write(temp.path());
        let log = Pieces::scan(&temp.path().join("trail/wal"))?;
        let (chain, _) = pieces::join(&log, &Pieces::scan(&temp.path().join("watch/mirror"))?)?;
        check(&chain, &genesis())
    }

    #[test]
    fn log_with_a_roster_statement_that_does_not_follow_is_not_recovered() {
        let good = addition_at(1, 30, &[21, 22]);
        assert!(checked(std::slice::from_ref(&good)).is_ok());
        let fork = addition_at(1, 31, &[21, 22]);
        for (name, statements) in [
            ("of too few", vec![addition_at(1, 30, &[21])]),
            ("a fork", vec![good, fork]),
            ("one is missing", vec![addition_at(2, 30, &[21, 22])]),
        ] {
            let error = checked(&statements).map(|_| ()).unwrap_err();
            assert!(error.to_string().contains("the log was changed"), "{name}: {error:#}");
        }
    }
}
