//! The roster as the operator log tells it.

use super::Roster;
use crate::error::Error;
use crate::frame::Batch;
use crate::hash::Hash;
use crate::leaf::{Kind, Leaf};
use crate::origin::LogName;
use crate::statement::{Namespace, Signed};

impl Roster {
    /// The roster after the statements of a batch, if it has any. The first leaf of the operator log must
    /// be the statement with the digest `genesis`.
    pub fn after(&self, batch: &Batch, genesis: Hash) -> Result<Option<Roster>, Error> {
        let mut changed: Option<Roster> = None;
        for entry in &batch.entries {
            let Some(bytes) = entry.leaves.first() else { continue };
            let leaf = Leaf::from_bytes(bytes)?;
            if leaf.log == LogName::Operator && leaf.seq == 0 {
                if leaf.kind != Kind::Statement || leaf.rec != genesis {
                    let (expected, found) = (genesis, leaf.rec);
                    let what = "leaf 0 of the operator log";
                    return Err(Error::Mismatch { what, expected, found });
                }
                continue;
            }
            if leaf.kind != Kind::Statement {
                continue;
            }
            let signed = Signed::from_bytes(&entry.record)?;
            if signed.namespace() == Namespace::Roster {
                changed.get_or_insert_with(|| self.clone()).apply(&signed)?;
            }
        }
        Ok(changed)
    }
}
