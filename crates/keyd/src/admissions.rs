//! What authentication remembers: signing keys, and how often each signature was admitted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use writ_aws::sigv4::SigningKey;
use writ_model::{AccessKeyId, AccountId, Timestamp};

use crate::credential::Holder;
use crate::limits;
use crate::shared::{Full, Room, Shared};

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

    /// Forgets keys of days whose signatures are over: before yesterday, or after tomorrow.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let day = Duration::from_secs(24 * 3600);
        let date = |at: Timestamp| at.basic().chars().take(8).collect::<String>();
        let yesterday = Timestamp::from_secs(now.secs().saturating_sub(day.as_secs()));
        let days = [date(yesterday), date(now), date(now.plus(day))];
        self.0.retain(|name, _| days.contains(&name.date));
    }

    /// Forgets the keys of an access key that has ended.
    pub(crate) fn forget(&mut self, access_key_id: &AccessKeyId) {
        self.0.retain(|name, _| name.access_key_id != access_key_id.as_str());
    }
}

/// How often each signature was admitted, while its window lasts.
pub(crate) struct Admissions(Shared<[u8; 32], u32>);

/// Why a signature is not admitted again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// This one was admitted too often.
    Repeats,
    /// The table is full: refuse, never forget.
    Full,
}

/// A signature, whose account it is of, and when its window ends.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) signature: [u8; 32],
    pub(crate) account: AccountId,
    pub(crate) until: Timestamp,
}

impl Default for Admissions {
    fn default() -> Admissions {
        Admissions(Shared::new(Room::of(limits::SIGNATURES_MAX)))
    }
}

impl Admissions {
    /// Counts an admission of the signature; at most `max` are.
    pub(crate) fn admit(&mut self, window: &Window, max: u32) -> Result<(), TooMany> {
        let Window { signature, account, until } = window;
        match self.0.get_mut(signature) {
            Some(count) if *count >= max => Err(TooMany::Repeats),
            Some(count) => {
                *count += 1;
                Ok(())
            }
            None => {
                let kept = self.0.insert(*signature, *account, *until, 0, 1);
                kept.map_err(|Full| TooMany::Full)
            }
        }
    }

    /// How often the signature was admitted.
    pub(crate) fn count(&mut self, signature: &[u8; 32]) -> u32 {
        self.0.get_mut(signature).map_or(0, |count| *count)
    }

    /// What the signature was admitted for came to nothing: it may come again.
    pub(crate) fn take_back(&mut self, signature: &[u8; 32]) {
        if let Some(count) = self.0.get_mut(signature) {
            *count = count.saturating_sub(1);
        }
    }

    /// Forgets signatures whose window is over: they are refused by their date.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.0.sweep(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_admitted_up_to_the_limit_and_not_once_more() {
        let mut admissions = Admissions::default();
        let max = limits::ADMISSIONS_PER_SIGNATURE;
        let of = |n: u8| Window {
            signature: [n; 32],
            account: AccountId::from_number(1).unwrap(),
            until: Timestamp::from_secs(10),
        };
        for _ in 0..max {
            admissions.admit(&of(1), max).unwrap();
        }
        assert_eq!(admissions.admit(&of(1), max), Err(TooMany::Repeats));
        admissions.admit(&of(2), max).unwrap();
        admissions.sweep(Timestamp::from_secs(10));
        assert_eq!(admissions.admit(&of(1), max), Err(TooMany::Repeats), "still in its window");
        admissions.sweep(Timestamp::from_secs(11));
        admissions.admit(&of(1), max).unwrap();
    }

    #[test]
    fn signing_key_goes_with_its_day_and_with_its_access_key() {
        let now = Timestamp::from_secs(1_790_000_000);
        let account = AccountId::from_number(1).unwrap();
        let ids =
            [1, 2].map(|n| AccessKeyId::long_term(account, &writ_model::env::TestEnv::new(now, n)));
        let mut cache = SigningKeyCache::default();
        let date = |days: u64| {
            let at = Timestamp::from_secs(now.secs() - days * 86_400);
            at.basic()[..8].to_owned()
        };
        let name = |id: &AccessKeyId, days: u64| SigningKeyName {
            access_key_id: id.to_string(),
            date: date(days),
            region: "us-east-1".to_owned(),
            service: "kms".to_owned(),
            credential: [0; 32],
        };
        for (id, days) in [(&ids[0], 0), (&ids[0], 1), (&ids[0], 2), (&ids[1], 0)] {
            let key = SigningKey::derive(&[0; 40], &date(days), "us-east-1", "kms");
            let owner =
                crate::credential::Owner { account, user: None, created: now, delegated: false };
            cache.put(name(id, days), Arc::new(Opened { key, holder: Holder::LongTerm(owner) }));
        }
        cache.sweep(now);
        assert!(cache.get(&name(&ids[0], 2)).is_none(), "before yesterday");
        assert!(cache.get(&name(&ids[0], 1)).is_some());
        cache.forget(&ids[0]);
        assert!(cache.get(&name(&ids[0], 0)).is_none(), "ended");
        assert!(cache.get(&name(&ids[1], 0)).is_some());
    }
}
