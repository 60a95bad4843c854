//! Where verification reads from: a data directory, an account bundle, or anything else that holds a
//! ledger or a part of one.

use writ_model::AccountId;
use writ_proof::Hash;
use writ_proof::frame::Located;
use writ_proof::origin::LogName;
use writ_proof::tile::TileId;
use writ_proof::use_record::UseBatchView;

use super::finding::Finding;
use super::hosts::HostFiles;
use super::recordings::Recording;

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

/// A leaf of a log.
pub(crate) enum Node {
    /// Its leaf hash alone: the rest is not for this reader.
    Hash(Hash),
    /// Its bytes, with the record that it names unless that cannot be read.
    Leaf(Vec<u8>, Option<Vec<u8>>),
}

/// The leaves of a bundle.
pub(crate) struct Nodes {
    /// In order.
    pub(crate) nodes: Vec<Node>,
    /// Why records are absent.
    pub(crate) without_records: Option<Finding>,
}

/// What tells of commits and key uses.
pub(crate) enum Content<'a> {
    /// What may be shown of them to one account.
    Account(&'a dyn View),
    /// All of it.
    Ledger(&'a dyn WholeLedger),
}

/// A ledger to verify. Nothing that it gives is trusted. An error is a finding: of kind 20 where
/// something cannot be read, of another kind where it can be and is wrong.
pub(crate) trait Source {
    /// The signed genesis statement.
    fn genesis(&self) -> Result<Vec<u8>, Finding>;

    /// The logs that it has.
    fn logs(&self) -> Result<Vec<LogName>, Finding>;

    /// How many leaves of a log it holds.
    fn held(&self, log: LogName) -> Result<u64, Finding>;

    /// A note that lies beside a log.
    fn note(&self, log: LogName, which: Which) -> Result<Option<Vec<u8>>, Finding>;

    /// The leaves of a bundle of a log of `size` leaves, with their records.
    fn nodes(&self, log: LogName, bundle: u64, size: u64) -> Result<Nodes, Finding>;

    /// The hashes of a tile, at least as many as `id` says; nothing where there are no tiles, so
    /// that roots are made from leaves alone.
    fn tile(&self, log: LogName, id: &TileId) -> Result<Option<Vec<Hash>>, Finding>;

    /// The root of the first `size` leaves, by the shortest way that there is.
    fn root(&self, log: LogName, size: u64) -> Result<Hash, Finding>;

    /// What tells of commits and key uses.
    fn content(&self) -> Content<'_>;

    /// True while somebody writes it: then what is missing at its end may be under way.
    fn is_running(&self) -> bool;
}

/// A whole ledger.
pub(crate) trait WholeLedger {
    /// Shows the frames of a copy in order until `visit` answers false; false if there is no copy. A
    /// last frame that is not whole is passed over.
    fn frames(&self, copy: Copy, visit: &mut dyn FnMut(&Located) -> bool) -> Result<bool, Finding>;

    /// Where watch's host log lies.
    fn host_log(&self) -> HostFiles;

    /// The recording of an operators' session.
    fn recording(&self, session: &str) -> Result<Option<Recording>, Finding>;
}

/// One account's view of a ledger.
pub(crate) trait View {
    /// The account.
    fn account(&self) -> AccountId;

    /// Shows keyd's batches of use records in order until `visit` answers false.
    fn uses(&self, visit: &mut dyn FnMut(&UseBatchView) -> bool) -> Result<(), Finding>;
}
