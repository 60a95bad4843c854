//! Requests for access, decisions on them, grants and tickets: what may be filed, what each decision makes, and
//! what ends.
//!
//! Everything here is decided purely, from a snapshot, the roster, HR's word and the time; whoever commits
//! it is elsewhere. What people signed is judged by [`writ_proof::access`], from the bytes as they were signed and
//! anew at each decision: nobody counts who does not count at that moment.
//!
//! INVARIANT: there is no grant without its quorum, and what has ended stays ended. Access at an instant is the
//! union of the grants that are live at it ([`live`]); nothing says "until" of a person.

pub mod decision;
pub mod ends;
pub mod limits;
pub mod nonce;
pub mod pages;
pub mod pseudonym;
pub mod request;
pub mod runbook;
pub mod settle;
pub mod ticket;
pub mod world;

pub use decision::{Decided, decide};
pub use ends::{Ends, GrantState, live, state};
pub use nonce::{Challenge, Nonces};
pub use pseudonym::pseudonym;
pub use request::{Filed, file};
pub use settle::{Settled, settle};
pub use world::{Customers, Hr, Refusal, World};
