//! Authentication (RFC 4252) with public keys, or on a host with certificates, and nothing else.

mod client;
mod host;
mod server;

pub use client::{ClientAuth, ClientStep, UserKey};
pub use host::{Certified, HostAuth, HostStep, Judge};
pub use server::{Proof, ServerAuth, ServerStep};
