//! The console: what a browser gets from this installation.
//!
//! So far one page, enrolment: a person opens a one-time link, makes a passkey, and proves an SSH key.
//! What comes of it is a change of the roster that nobody has signed yet. The console gives no rights:
//! the roster takes the change only under the signatures that its rules want. It keeps no state and no
//! secret; [`port::Desk`] does what has to be remembered and recorded.
//!
//! Implemented are registration of WebAuthn level 2, section 7.1, for ES256 alone ([`webauthn`]), and
//! the proof of enrolled persons in the field `authorization` ([`caller`]).
//!
//! INVARIANT: no page has a script or a style within itself, and none is shown within another page.

mod assets;
pub mod caller;
mod challenge;
mod enrol;
mod face;
mod html;
pub mod limits;
pub mod port;
mod routes;
pub mod webauthn;

pub use challenge::{NAMESPACE, possession};
pub use face::Face;
pub use routes::Console;
