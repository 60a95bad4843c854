//! Whether an entry of the catalogue may be used: who has signed it.

use std::collections::BTreeSet;

use writ_model::{PersonId, Timestamp};

use super::{ENTRY, Entry};
use crate::error::Error;
use crate::hash::Hash;
use crate::roster::{RequestKind, Roster};
use crate::statement::{Namespace, Signed};

/// An entry that its owner and the security organisation have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    entry: Entry,
    digest: Hash,
    signers: BTreeSet<PersonId>,
}

impl Published {
    /// Checks an entry against the roster, as of `at`: the people who sign statements of its kind (the security
    /// organisation, by the roster's rule) have signed it, and an owner of its group who is not the only one of them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(signed: &Signed, roster: &Roster, at: Timestamp) -> Result<Published, Error> {
        let refused = |why: String| Err(Error::Refused { what: ENTRY, why });
        let (entry, signers) = signed.verify::<Entry>()?;
        if entry.site != *roster.site() {
            return refused("it is of another installation".to_owned());
        }
        entry.check()?;
        let counted = roster.permits(Namespace::Catalogue, &signers, at)?;
        let Some(group) = roster.group(&entry.group) else {
            return refused(format!("there is no group `{}`", entry.group));
        };
        let gives = |kind| group.rights.as_ref().is_some_and(|r| r.kinds.0.contains(&kind));
        if !gives(RequestKind::Runbook) {
            return refused(format!("the group `{}` does not give `runbook`", entry.group));
        }
        let mut people = BTreeSet::new();
        for signer in &signers {
            people.insert(roster.signer(signer, false)?.clone());
        }
        let owners: BTreeSet<_> = people.iter().filter(|p| group.owners.0.contains(p)).collect();
        let second = |owner: &&PersonId| counted.iter().any(|person| person != owner);
        if !owners.iter().any(second) {
            let names: Vec<&str> = group.owners.0.iter().map(PersonId::as_str).collect();
            return refused(format!(
                "an owner of `{}` ({}) signs it, and somebody else of those who sign the catalogue",
                entry.group,
                names.join(", ")
            ));
        }
        let digest = entry.digest();
        Ok(Published { entry, digest, signers: people })
    }

    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What names it.
    pub fn digest(&self) -> Hash {
        self.digest
    }

    /// Who has signed it.
    pub fn signers(&self) -> &BTreeSet<PersonId> {
        &self.signers
    }
}
