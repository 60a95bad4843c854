//! Who may hold a connection at a listener, when more come than can be held.
//!
//! Anybody can connect, so a connection is a stranger's until it has shown the key of an enrolled host. Strangers have
//! seats of their own: when those are taken, one of the address that has most of them gives way, the oldest. What agents
//! hold no stranger takes, and neither takes the descriptors that watch itself needs.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::limits::{AGENTS_MAX, DESCRIPTORS_RESERVED, KEY_CONNECTIONS_MAX, STRANGERS_MAX};

/// How many connections there may be at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    agents: usize,
    strangers: usize,
}

impl Room {
    /// What this process has room for.
    pub(crate) fn of_process() -> Room {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let room = Room::within(limit);
        let Room { agents, strangers } = room;
        if agents < AGENTS_MAX {
            tracing::warn!(
                limit,
                agents,
                strangers,
                "the limit of open files leaves room for fewer agents: raise its hard limit"
            );
        }
        room
    }

    /// For strangers alone, of whom so many may shake hands at one time.
    pub(crate) fn of_strangers(strangers: usize) -> Room {
        Room { agents: 0, strangers }
    }

    /// What is left of so many descriptors.
    fn within(descriptors: usize) -> Room {
        let left = descriptors.saturating_sub(DESCRIPTORS_RESERVED);
        let strangers = STRANGERS_MAX.min(left / 2).max(1);
        Room { agents: AGENTS_MAX.min(left.saturating_sub(strangers)).max(1), strangers }
    }
}

/// All seats.
#[derive(Clone)]
pub(crate) struct Seats(Arc<Mutex<Taken>>);

struct Taken {
    room: Room,
    next: u64,
    /// By their numbers: the oldest comes first.
    strangers: BTreeMap<u64, Stranger>,
    /// With the keys that they have shown.
    agents: BTreeMap<u64, [u8; 32]>,
}

struct Stranger {
    from: IpAddr,
    task: Option<AbortHandle>,
}

/// The seat of one connection; it is free again when this is dropped.
pub(crate) struct Seat {
    seats: Seats,
    number: u64,
}

impl Seats {
    pub(crate) fn new(room: Room) -> Seats {
        let (strangers, agents) = Default::default();
        Seats(Arc::new(Mutex::new(Taken { room, next: 0, strangers, agents })))
    }

    /// True unless somebody who was told to leave is still there.
    pub(crate) fn is_open(&self) -> bool {
        let taken = self.lock();
        taken.strangers.len() <= taken.room.strangers
    }

    /// A seat for a stranger; [`Seats::serve`] makes room for it.
    pub(crate) fn take(&self, from: IpAddr) -> Seat {
        let mut taken = self.lock();
        taken.next += 1;
        let number = taken.next;
        taken.strangers.insert(number, Stranger { from: network(from), task: None });
        Seat { seats: self.clone(), number }
    }

    /// Names the task of a seat; a stranger gives way if there are too many.
    pub(crate) fn serve(&self, number: u64, task: AbortHandle) {
        let mut taken = self.lock();
        if let Some(stranger) = taken.strangers.get_mut(&number) {
            stranger.task = Some(task);
        }
        taken.make_room();
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Its holder has shown the key of an enrolled host: no stranger has it give way any more, while that key has not too
    /// many seats. One key is not to take everybody's.
    pub(super) fn shows(&self, key: [u8; 32]) {
        let mut taken = self.seats.lock();
        let others = taken.agents.values().filter(|other| **other == key).count();
        if others < KEY_CONNECTIONS_MAX {
            taken.promote(self.number, key);
        }
    }

    /// Its holder has said which host it is, and that holds; an earlier connection of that host ends.
    pub(super) fn greets(&self, key: [u8; 32]) {
        self.seats.lock().promote(self.number, key);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.strangers.remove(&self.number);
        taken.agents.remove(&self.number);
    }
}

impl Taken {
    /// Gives a stranger an agent's seat if one is free.
    fn promote(&mut self, number: u64, key: [u8; 32]) {
        if self.agents.contains_key(&number) {
            return;
        }
        if self.agents.len() >= self.room.agents {
            let agents = self.room.agents;
            tracing::warn!(
                agents,
                "there are more agents than connections may be: raise the limit of open files"
            );
            return;
        }
        self.strangers.remove(&number);
        self.agents.insert(number, key);
    }

    fn make_room(&mut self) {
        if self.strangers.len() <= self.room.strangers {
            return;
        }
        // How many each network has, and the oldest of them.
        let mut networks: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, stranger) in &self.strangers {
            networks.entry(stranger.from).or_insert((0, *number)).0 += 1;
        }
        let most = networks.values().max_by_key(|(count, oldest)| (*count, Reverse(*oldest)));
        let stranger = most.and_then(|(_, oldest)| self.strangers.get(oldest));
        if let Some(task) = stranger.and_then(|stranger| stranger.task.as_ref()) {
            task.abort();
        }
    }
}

/// Whom an address stands for: of version 6, whoever has one has the whole /64 (RFC 4291 section 2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
#[path = "../tests/seats.rs"]
mod tests;
