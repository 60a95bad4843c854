//! Where verification reads from: a data directory, or anything else that holds a ledger.

use writ_proof::Hash;
use writ_proof::frame::Located;
use writ_proof::origin::LogName;
use writ_proof::tile::TileId;

use super::finding::Finding;

/// Which of the notes that lie beside a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The newest that a witness has cosigned.
    Cosigned,
    /// The newest that keyd has signed.
    Newest,
}

/// Which copy of the write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copy {
    /// The ledger's own.
    Ledger,
    /// watch's.
    Mirror,
}

/// A ledger to verify. Nothing that it gives is trusted. An error is a finding: of kind 20 where
/// something cannot be read, of another kind where it can be and is wrong.
pub(crate) trait Source {
    /// The signed genesis statement.
    fn genesis(&self) -> Result<Vec<u8>, Finding>;

    /// The logs that have files.
    fn logs(&self) -> Result<Vec<LogName>, Finding>;

    /// How many records the files of a log hold.
    fn held(&self, log: LogName) -> Result<u64, Finding>;

    /// A note that lies beside a log.
    fn note(&self, log: LogName, which: Which) -> Result<Option<Vec<u8>>, Finding>;

    /// The leaves of a bundle of a log of `size` leaves.
    fn leaves(&self, log: LogName, bundle: u64, size: u64) -> Result<Vec<Vec<u8>>, Finding>;

    /// The records of the leaves from `first` on, `count` of them.
    fn records(&self, log: LogName, first: u64, count: usize) -> Result<Vec<Vec<u8>>, Finding>;

    /// The hashes of a tile, at least as many as `id` says.
    fn tile(&self, log: LogName, id: &TileId) -> Result<Vec<Hash>, Finding>;

    /// Shows the frames of a copy in order until `visit` answers false; false if there is no copy. A
    /// last frame that is not whole is passed over.
    fn frames(&self, copy: Copy, visit: &mut dyn FnMut(&Located) -> bool) -> Result<bool, Finding>;

    /// True while somebody writes it: then what is missing at its end may be under way.
    fn is_running(&self) -> bool;
}
