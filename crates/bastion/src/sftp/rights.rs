//! What an operator may do to which files.

use std::collections::BTreeMap;

pub use writ_proof::access::FileRight as Right;

use super::path::Glob;
use crate::limits;

/// Rights, each with the paths that it is good for. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(BTreeMap<Right, Vec<Glob>>);

impl Rights {
    /// Adds paths to a right; the union of grants is made so. False, and nothing is added, above
    /// [`limits::SFTP_MAX_GLOBS`].
    #[must_use]
    pub fn add(&mut self, right: Right, globs: impl IntoIterator<Item = Glob>) -> bool {
        let mut all = self.0.get(&right).cloned().unwrap_or_default();
        all.extend(globs);
        let fits = all.len() <= limits::SFTP_MAX_GLOBS;
        if fits {
            self.0.insert(right, all);
        }
        fits
    }

    /// True if a normalised path is within a right.
    pub fn allow(&self, right: Right, path: &[u8]) -> bool {
        self.0.get(&right).is_some_and(|globs| globs.iter().any(|glob| glob.holds(path)))
    }

    /// True if a normalised path is within any right.
    pub fn any(&self, path: &[u8]) -> bool {
        Right::ALL.into_iter().any(|right| self.allow(right, path))
    }
}

/// How much may be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of one file, in each direction.
    pub file_max_bytes: u64,
    /// Bytes of all files, both directions together.
    pub session_max_bytes: u64,
    /// Files that are opened.
    pub files: u64,
}
