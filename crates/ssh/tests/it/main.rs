//! Real peers of this crate: OpenSSH's client and server, asyncssh; and peers that do not keep to the
//! protocol.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, start the peers' programs and have no supervisor"
)]

mod attack;
mod openssh;
mod pair;
mod python;
mod raw;
mod sshd;
mod world;
