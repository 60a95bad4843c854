//! Reading a ledger's directory without changing it: for `writ verify` and `writ export`.

use std::path::{Path, PathBuf};

use writ_proof::leaf::Leaf;
use writ_proof::origin::{LogName, Origin};
use writ_proof::roster::Genesis;
use writ_proof::statement::Signed;

use crate::disk;
use crate::error::TrailError;
use crate::logs::LogFiles;
use crate::wal::{Placed, Replay, replay};

/// A ledger, read only. It may be in use: then its newest part may be missing here.
#[derive(Debug, Clone)]
pub struct Reader {
    dir: PathBuf,
    genesis: Signed,
    site: writ_proof::origin::SiteId,
}

/// A leaf with its record.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its index in its log.
    pub seq: u64,
    /// The leaf's bytes, as the tree holds them.
    pub bytes: Vec<u8>,
    /// The leaf.
    pub leaf: Leaf,
    /// The record that it names.
    pub record: Vec<u8>,
}

impl Reader {
    /// Opens the ledger in `dir`, such as `DIR/trail`.
    ///
    /// # Errors
    /// When there is no ledger. The genesis statement is not checked here, only read.
    pub fn open(dir: &Path) -> Result<Reader, TrailError> {
        let foreign = || TrailError::Foreign {
            path: dir.to_owned(),
            why: "it has no genesis statement".to_owned(),
        };
        let bytes = disk::read_if_there(&dir.join("genesis"))?.ok_or_else(foreign)?;
        let genesis = Signed::from_bytes(&bytes)?;
        let (statement, _) = genesis.verify::<Genesis>()?;
        Ok(Reader { dir: dir.to_owned(), genesis, site: statement.site })
    }

    /// The genesis statement that lies in the directory.
    pub fn genesis(&self) -> &Signed {
        &self.genesis
    }

    /// The files of a log.
    pub fn log(&self, log: LogName) -> LogFiles {
        LogFiles::new(&self.dir, &self.origin(log))
    }

    /// The name of a log.
    pub fn origin(&self, log: LogName) -> Origin {
        Origin::new(self.site.clone(), log)
    }

    /// The logs that have files.
    pub fn logs(&self) -> Result<Vec<LogName>, TrailError> {
        let mut logs = Vec::new();
        for log in [LogName::Checkpoint, LogName::Operator, LogName::Host] {
            if self.log(log).dir().is_dir() {
                logs.push(log);
            }
        }
        let base = self.dir.join("logs").join("writ").join(self.site.as_str()).join("account");
        let entries = match std::fs::read_dir(&base) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(logs),
            Err(error) => return Err(TrailError::io("list", &base)(error)),
        };
        let mut accounts = Vec::new();
        for entry in entries {
            let name = entry.map_err(TrailError::io("list", &base))?.file_name();
            if let Some(Ok(account)) = name.to_str().map(str::parse) {
                accounts.push(LogName::Account(account));
            }
        }
        accounts.sort();
        logs.extend(accounts);
        Ok(logs)
    }

    /// How many leaves the files of a log hold.
    pub fn size(&self, log: LogName) -> Result<u64, TrailError> {
        let path = self.log(log).dir().join("records.idx");
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len() / 8),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(TrailError::io("examine", &path)(error)),
        }
    }

    /// The newest signed checkpoint of a log, with its cosignatures so far.
    pub fn checkpoint(&self, log: LogName) -> Result<Option<Vec<u8>>, TrailError> {
        Ok(disk::read_if_there(&self.log(log).dir().join("checkpoint"))?)
    }

    /// The newest checkpoint of a log that a witness has cosigned.
    pub fn cosigned(&self, log: LogName) -> Result<Option<Vec<u8>>, TrailError> {
        Ok(disk::read_if_there(&self.log(log).dir().join("cosigned"))?)
    }

    /// The leaves of a log of `size` leaves, in order, with their records.
    pub fn lines(
        &self,
        log: LogName,
        size: u64,
    ) -> impl Iterator<Item = Result<Line, TrailError>> + use<> {
        let files = self.log(log);
        let bundles = size.div_ceil(writ_proof::tile::TILE_WIDTH);
        (0..bundles).flat_map(move |index| bundle(&files, index, size))
    }

    /// Checks the write-ahead log and shows each frame to `visit`.
    ///
    /// # Errors
    /// As [`replay`].
    pub fn frames(
        &self,
        visit: &mut dyn FnMut(&Placed) -> Result<(), TrailError>,
    ) -> Result<Replay, TrailError> {
        replay(&self.dir.join("wal"), visit)
    }
}

fn bundle(files: &LogFiles, index: u64, size: u64) -> Vec<Result<Line, TrailError>> {
    let entries = match files.entries(index, size) {
        Ok(entries) => entries,
        Err(error) => return vec![Err(error)],
    };
    let line = |(bytes, seq): (Vec<u8>, u64)| {
        let leaf = Leaf::from_bytes(&bytes)?;
        let record = files.record(seq)?;
        Ok(Line { seq, bytes, leaf, record })
    };
    entries.into_iter().zip(index * writ_proof::tile::TILE_WIDTH..).map(line).collect()
}
