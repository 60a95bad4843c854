//! Authentication (RFC 4252) with public keys, and nothing else.

mod client;
mod server;

pub use client::{ClientAuth, ClientStep, UserKey};
pub use server::{Proof, ServerAuth, ServerStep};
