//! Connections that have not logged in. They take no session's place, no address has more than a part of the seats,
//! and where there is no seat an old one gives way to the new one.
//!
//! OpenSSH turns the new ones away instead (`MaxStartups`, `PerSourceMaxStartups`): whoever is silent for the whole
//! of the login's time then keeps everybody else out.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::{LOBBY_MAX, LOBBY_SOURCE_MAX};

/// The seats.
#[derive(Default)]
pub(crate) struct Lobby(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    next: u64,
    /// By their numbers: the oldest first.
    taken: BTreeMap<u64, Guest>,
}

struct Guest {
    source: IpAddr,
    give_way: oneshot::Sender<()>,
}

/// A seat, until it is dropped.
pub(crate) struct Seat {
    lobby: Arc<Lobby>,
    number: u64,
}

impl Lobby {
    /// A seat for a connection from this address, and what sends when it must give way to another one.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> (Seat, oneshot::Receiver<()>) {
        let (give_way, asked) = oneshot::channel();
        let source = network(address);
        let mut seats = self.lock();
        if let Some(guest) = seats.gives_way(source).and_then(|old| seats.taken.remove(&old)) {
            // It may be leaving at this moment.
            guest.give_way.send(()).ok();
        }
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, Guest { source, give_way });
        (Seat { lobby: Arc::clone(self), number }, asked)
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    /// Who must give way to one more from `source`: the oldest from there, if there are too many of them; else, if
    /// there is no seat, the oldest from where the most are.
    fn gives_way(&self, source: IpAddr) -> Option<u64> {
        let mut by_source: BTreeMap<IpAddr, (usize, Reverse<u64>)> = BTreeMap::new();
        for (number, guest) in &self.taken {
            by_source.entry(guest.source).or_insert((0, Reverse(*number))).0 += 1;
        }
        let crowd = match by_source.get(&source) {
            Some(own) if own.0 >= LOBBY_SOURCE_MAX => Some(own),
            _ if self.taken.len() >= LOBBY_MAX => by_source.values().max(),
            _ => None,
        };
        crowd.map(|(_, Reverse(oldest))| *oldest)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lobby.lock().taken.remove(&self.number);
    }
}

/// The address, or of IPv6 the network of 64 bits: who has one address there has them all (RFC 4291 section 2.5.1).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
#[path = "tests/lobby.rs"]
mod tests;
