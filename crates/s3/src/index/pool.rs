//! Connections for readers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

/// A fixed number of connections, taken in turn.
pub(super) struct Pool {
    connections: Vec<Mutex<Connection>>,
    /// Serves when there is no other: INVARIANT: a pool has at least one connection.
    first: Mutex<Connection>,
    turn: AtomicUsize,
}

impl Pool {
    pub(super) fn new(first: Connection, more: Vec<Connection>) -> Pool {
        let connections = more.into_iter().map(Mutex::new).collect();
        Pool { connections, first: Mutex::new(first), turn: AtomicUsize::new(0) }
    }

    /// Runs `work` on a connection; waits while another reader has it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % (self.connections.len() + 1);
        let connection = self.connections.get(turn).unwrap_or(&self.first);
        work(&connection.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
