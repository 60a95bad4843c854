//! What the supervisor says to the processes that it started, and what they answer.
//!
//! Every child inherits one control channel. The supervisor is the only one who can hand over new
//! ends of other channels, so a process cannot be given a peer by anybody else.

use writ_proof::{cbor_enum, cbor_map};

use crate::protocol::Role;

/// From the supervisor to a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// A peer was restarted; the descriptor that comes along is the new end of the channel to it.
    Peer(Role),
    /// Finish what runs, then end. The child has five seconds.
    Stop,
}
cbor_enum!(Control { 0: Peer(_), 1: Stop });

/// From a child to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The child serves. Named facts: addresses that it listens on, what the machine refused.
    Ready(Vec<Fact>),
    /// The child cannot go on; the text says why and what to do.
    Failed(String),
}
cbor_enum!(Notice { 0: Ready(_), 1: Failed(_) });

/// One named fact, for `ready.json` and `writ status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// For example `listen` or `memfd_secret`.
    pub name: String,
    /// Its value.
    pub value: String,
}
cbor_map!(Fact { 1: name, 2: value });
