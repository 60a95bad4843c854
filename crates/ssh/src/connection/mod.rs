//! The connection layer (RFC 4254): channels, their windows and requests, global requests.
//!
//! [`Core`] is its state without I/O. [`Session`], [`IncomingEvents`] and [`Channel`] are how a proxy
//! uses it: whatever the peer asks for is an event, nothing is granted but by an answer, and an event
//! that is dropped is refused.

mod answers;
mod channel;
mod core;
mod request;
mod session;

pub use channel::{Channel, ChannelEvent, ChannelRequest, Stream};
pub use core::{Core, OpenFailure};
pub use request::{Pty, SessionRequest, Size};
pub use session::{ChannelOpen, GlobalRequest, Incoming, IncomingEvents, Session};

pub(crate) use core::Ended;
pub(crate) use session::Shared;
