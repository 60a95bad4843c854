//! The channel protocol of the key module, and its client.
//!
//! keyd listens nowhere. The supervisor makes one `SOCK_SEQPACKET` socketpair ([`channel`]) for each peer and hands
//! over the ends by inheritance, so **a peer's role is what its descriptor says**, never a field of a
//! message. This crate defines the messages ([`protocol`]), the facts that keyd vouches for
//! ([`caller`]) and the sealed descriptors ([`descriptor`]). It decides nothing.

pub mod arena;
pub mod caller;
pub mod channel;
pub mod client;
pub mod control;
pub mod descriptor;
pub mod facts;
pub mod key_policy;
pub mod limits;
pub mod operator;
pub mod protocol;
pub mod secret;
