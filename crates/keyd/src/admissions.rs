//! What authentication remembers: signing keys, and how often each signature was admitted.

use std::collections::HashMap;
use std::sync::Arc;

use writ_aws::sigv4::SigningKey;
use writ_model::Timestamp;

use crate::credential::Holder;
use crate::limits;

/// What a signing key was derived for. The digest of the wrapped credential is part of it, so that a
/// key is never used for another credential of the same name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SigningKeyName {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) credential: [u8; 32],
}

/// A credential that was opened, reduced to what a verification needs.
pub(crate) struct Opened {
    /// The signing key of one day, region and service.
    pub(crate) key: SigningKey,
    /// Whose credential it is.
    pub(crate) holder: Holder,
}

/// Signing keys of the credentials that are in use.
#[derive(Default)]
pub(crate) struct SigningKeyCache(HashMap<SigningKeyName, Arc<Opened>>);

impl SigningKeyCache {
    pub(crate) fn get(&self, name: &SigningKeyName) -> Option<Arc<Opened>> {
        self.0.get(name).cloned()
    }

    /// Keeps a key. When there are too many, all go: deriving one again costs microseconds.
    pub(crate) fn put(&mut self, name: SigningKeyName, opened: Arc<Opened>) {
        if self.0.len() >= limits::SIGNING_KEYS_MAX {
            self.0.clear();
        }
        self.0.insert(name, opened);
    }
}

/// How often each signature was admitted, while its window lasts.
#[derive(Default)]
pub(crate) struct Admissions {
    counts: HashMap<[u8; 32], (u32, Timestamp)>,
}

/// Why a signature is not admitted again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// This one was admitted too often.
    Repeats,
    /// The table is full: refuse, never forget.
    Full,
}

impl Admissions {
    /// Counts an admission of the signature whose window ends at `until`; at most `max` are.
    pub(crate) fn admit(
        &mut self,
        signature: [u8; 32],
        until: Timestamp,
        max: u32,
    ) -> Result<(), TooMany> {
        let room = self.counts.len() < limits::SIGNATURES_MAX;
        match self.counts.get_mut(&signature) {
            Some((count, _)) if *count >= max => Err(TooMany::Repeats),
            Some((count, _)) => {
                *count += 1;
                Ok(())
            }
            None if !room => Err(TooMany::Full),
            None => {
                self.counts.insert(signature, (1, until));
                Ok(())
            }
        }
    }

    /// How often the signature was admitted.
    pub(crate) fn count(&self, signature: &[u8; 32]) -> u32 {
        self.counts.get(signature).map_or(0, |(count, _)| *count)
    }

    /// What the signature was admitted for came to nothing: it may come again.
    pub(crate) fn take_back(&mut self, signature: &[u8; 32]) {
        if let Some((count, _)) = self.counts.get_mut(signature) {
            *count = count.saturating_sub(1);
        }
    }

    /// Forgets signatures whose window is over: they are refused by their date.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.counts.retain(|_, (_, until)| now <= *until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_admitted_up_to_the_limit_and_not_once_more() {
        let mut admissions = Admissions::default();
        let (until, max) = (Timestamp::from_secs(10), limits::ADMISSIONS_PER_SIGNATURE);
        for _ in 0..max {
            admissions.admit([1; 32], until, max).unwrap();
        }
        assert_eq!(admissions.admit([1; 32], until, max), Err(TooMany::Repeats));
        admissions.admit([2; 32], until, max).unwrap();
        admissions.sweep(Timestamp::from_secs(10));
        assert_eq!(admissions.admit([1; 32], until, max), Err(TooMany::Repeats), "still in its window");
        admissions.sweep(Timestamp::from_secs(11));
        admissions.admit([1; 32], until, max).unwrap();
    }
}
