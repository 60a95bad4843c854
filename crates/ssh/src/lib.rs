//! SSH's transport, authentication and connection layers, both sides, for the recording bastion:
//! server to stock OpenSSH clients, client to a stock `sshd`.
//!
//! It is small and exact: `curve25519-sha256` and `mlkem768x25519-sha256`, Ed25519 host keys of ours,
//! AES-GCM and ChaCha20-Poly1305, public keys as the one method of authentication, no compression. It
//! decides nothing: every channel, request and byte is an event for its user, who answers; what is
//! dropped is refused, and a window is given back only for bytes that the user has accepted. It is no
//! shell, no SFTP and no policy.
//!
//! The protocol's state is without I/O ([`Transport`], [`auth`], [`connection::Core`]): pure functions
//! over bytes, which fuzz targets drive. [`accept`] and [`connect`] run it over a stream, [`Driver`]
//! carries a connection until it ends. [`admit`] is for a managed host that is no `sshd`, as the tour
//! has one: it takes certificates, and the gate's [`accept`] never does.
//!
//! Implements RFC 4250 to 4254, 8308, 8731, draft-ietf-sshm-mlkem-hybrid-kex, and of OpenSSH's PROTOCOL
//! strict key exchange, `aes*-gcm@openssh.com` and `chacha20-poly1305@openssh.com`.
//!
//! Invariant: nothing of a key binds before its signature held ([`auth::Proof`]).

pub mod auth;
mod cipher;
mod client;
mod config;
pub mod connection;
mod driver;
mod error;
mod host;
mod kex;
pub mod limits;
mod login;
mod negotiate;
mod server;
mod transport;
mod wire;

use std::pin::Pin;

pub use auth::{Certified, Judge, Proof, UserKey};
pub use cipher::Cipher;
pub use client::{Connected, HostVerifier, KnownKey, SoftUserKey, connect};
pub use config::{Config, Rekey};
pub use connection::{
    Channel, ChannelEvent, ChannelOpen, ChannelRequest, GlobalRequest, Incoming, IncomingEvents,
    OpenFailure, Pty, Session, SessionRequest, Size, Stream,
};
pub use driver::Driver;
pub use error::{Error, Reason};
pub use host::{Admitted, admit};
pub use kex::Kex;
pub use negotiate::{Algorithms, Role};
pub use server::{Accepted, Authenticator, Decision, HostKey, SoftHostKey, accept};
pub use transport::{Arrived, Transport};

/// An answer that may take a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
