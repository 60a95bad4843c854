//! Tables that all accounts share: bounded, with a part for each, and refusing when full.
//!
//! Nothing is forgotten before its time to make room. No account fills a table alone, so whoever signs
//! much refuses only itself.

use std::collections::HashMap;
use std::hash::Hash;

use writ_model::{AccountId, Timestamp};

/// Of a table's room, one account may take one part in so many.
const ACCOUNT_PARTS: usize = 2;

/// There is no room, for this account or at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What a table may hold.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Entries.
    pub(crate) count: usize,
    /// Bytes of them together; `usize::MAX` where entries have one size.
    pub(crate) bytes: usize,
}

impl Room {
    /// For so many entries of one size.
    pub(crate) fn of(count: usize) -> Room {
        Room { count, bytes: usize::MAX }
    }
}

struct Entry<V> {
    account: AccountId,
    until: Timestamp,
    bytes: usize,
    value: V,
}

#[derive(Clone, Copy, Default)]
struct Taken {
    count: usize,
    bytes: usize,
}

/// See the module.
pub(crate) struct Shared<K, V> {
    room: Room,
    entries: HashMap<K, Entry<V>>,
    all: Taken,
    shares: HashMap<AccountId, Taken>,
}

impl<K: Eq + Hash, V> Shared<K, V> {
    /// An empty table with room for so much.
    pub(crate) fn new(room: Room) -> Shared<K, V> {
        let (all, shares) = (Taken::default(), HashMap::new());
        Shared { room, entries: HashMap::new(), all, shares }
    }

    /// Keeps an entry of `account` until the time; `bytes` is what it takes beside its place.
    pub(crate) fn insert(
        &mut self,
        key: K,
        account: AccountId,
        until: Timestamp,
        bytes: usize,
        value: V,
    ) -> Result<(), Full> {
        self.remove(&key);
        let share = self.shares.get(&account).copied().unwrap_or_default();
        let (count, room) = (self.room.count, self.room.bytes);
        if !self.all.has_room(bytes, count, room)
            || !share.has_room(bytes, count / ACCOUNT_PARTS, room / ACCOUNT_PARTS)
        {
            return Err(Full);
        }
        self.all.add(bytes);
        self.shares.entry(account).or_default().add(bytes);
        self.entries.insert(key, Entry { account, until, bytes, value });
        Ok(())
    }

    /// The entry, also when its time is over and nothing has swept it yet.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// The entry, if its time is not over.
    pub(crate) fn live_mut(&mut self, key: &K, now: Timestamp) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|entry| now <= entry.until).map(|entry| &mut entry.value)
    }

    /// All entries, also those whose time is over and that nothing has swept yet.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|entry| &entry.value)
    }

    /// Keeps an entry for longer.
    pub(crate) fn extend(&mut self, key: &K, until: Timestamp) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.until = until.max(entry.until);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes an entry out, with its end.
    pub(crate) fn remove(&mut self, key: &K) -> Option<(Timestamp, V)> {
        let entry = self.entries.remove(key)?;
        give_back(&mut self.all, &mut self.shares, &entry);
        Some((entry.until, entry.value))
    }

    /// Forgets what is over.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let (all, shares) = (&mut self.all, &mut self.shares);
        self.entries.retain(|_, entry| {
            let live = now <= entry.until;
            if !live {
                give_back(all, shares, entry);
            }
            live
        });
    }
}

fn give_back<V>(all: &mut Taken, shares: &mut HashMap<AccountId, Taken>, entry: &Entry<V>) {
    all.remove(entry.bytes);
    if let Some(share) = shares.get_mut(&entry.account) {
        share.remove(entry.bytes);
        if share.count == 0 {
            shares.remove(&entry.account);
        }
    }
}

impl Taken {
    fn has_room(self, bytes: usize, count_max: usize, bytes_max: usize) -> bool {
        self.count < count_max && self.bytes.saturating_add(bytes) <= bytes_max
    }

    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.count -= 1;
        self.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u64) -> AccountId {
        AccountId::from_number(n).unwrap()
    }

    #[test]
    fn account_fills_its_own_part_and_no_others() {
        let mut table = Shared::new(Room { count: 4, bytes: 100 });
        let (until, later) = (Timestamp::from_secs(10), Timestamp::from_secs(11));
        table.insert(1, account(1), until, 1, ()).unwrap();
        table.insert(2, account(1), later, 1, ()).unwrap();
        assert_eq!(table.insert(3, account(1), until, 1, ()), Err(Full), "its part");
        table.insert(3, account(2), until, 1, ()).unwrap();
        table.insert(4, account(3), until, 1, ()).unwrap();
        assert_eq!(table.insert(5, account(4), until, 1, ()), Err(Full), "the whole");
        table.sweep(later);
        table.insert(3, account(1), later, 1, ()).unwrap();
        assert_eq!(table.insert(4, account(1), later, 1, ()), Err(Full));
        table.remove(&3).unwrap();
        assert_eq!(table.insert(4, account(1), later, 50, ()), Err(Full), "its bytes");
        table.insert(4, account(1), later, 49, ()).unwrap();
        table.extend(&4, Timestamp::from_secs(20));
        assert!(table.live_mut(&4, Timestamp::from_secs(20)).is_some());
        assert!(table.live_mut(&2, Timestamp::from_secs(20)).is_none(), "over");
    }
}
