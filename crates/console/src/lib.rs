//! The console: what a browser gets from this installation.
//!
//! Enrolment: a person opens a one-time link, makes a passkey, and proves an SSH key. What comes of it is a
//! change of the roster that nobody has signed yet. Everything else is for people who have signed in with
//! a passkey: what waits for them, requests, grants, tickets, groups, people. Their cookie lets them read.
//! The console gives no rights: what changes something is a statement that a key of the roster has signed,
//! and the roster's rules and those of access judge it. It keeps no state; [`port::Desk`] and [`port::Books`]
//! do what has to be remembered and recorded.
//!
//! Implemented are registration of WebAuthn level 2, section 7.1, for ES256 alone ([`webauthn`]), and
//! the proof of enrolled persons in the field `authorization` ([`caller`]). Signatures of browsers are
//! SSHSIG, for statements as for signing in, and `writ_proof` judges both.
//!
//! INVARIANT: no page has a script or a style within itself, and none is shown within another page.
//! INVARIANT: a cookie alone changes nothing but its own session.

mod ask;
mod assets;
mod call;
pub mod caller;
mod challenge;
mod customer;
mod decide;
mod enrol;
mod face;
mod html;
pub mod limits;
mod pages;
mod playback;
pub mod port;
mod routes;
pub mod session;
pub mod sign_in;
mod signing;
pub mod view;
pub mod webauthn;
pub mod words;

pub use challenge::{NAMESPACE, possession};
pub use face::Face;
pub use routes::Console;
