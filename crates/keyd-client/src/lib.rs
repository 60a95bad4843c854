//! The channel protocol of the key module, and its client.
//!
//! keyd listens nowhere. The supervisor makes one `SOCK_SEQPACKET` socketpair for each peer and hands
//! over the ends by inheritance, so **a peer's role is what its descriptor says**, never a field of a
//! message. This crate defines the messages ([`protocol`]), the facts that keyd vouches for
//! ([`caller`]) and the sealed descriptors ([`descriptor`]). It decides nothing.

pub mod caller;
pub mod descriptor;
pub mod protocol;
pub mod secret;
