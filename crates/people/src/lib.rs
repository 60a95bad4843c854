//! Persons of the operating side: the HR feed, joiners, movers, leavers, and who may act now.
//!
//! HR data removes and restricts, at once. Alone it adds nothing: it enables a person whose gates are
//! passed, and what an enabled person may do is the roster's word ([`Roster`]). What is decided is
//! decided here, purely, from stored persons, a delivery and the time; whoever watches the file and
//! commits the steps is elsewhere.
//!
//! INVARIANT: nobody acts who is not enabled at that very moment, and `left` is final in its epoch.

pub mod decide;
pub mod delivery;
pub mod feed;
pub mod gates;
pub mod limits;
pub mod machine;
pub mod ports;

pub use decide::{Denied, decide, is_present, may_act};
pub use delivery::{Counts, Delivery, Plan};
pub use feed::{Feed, Format, Problem, Refused, Row};
pub use gates::{Gate, Settings};
pub use machine::{Event, Step};
pub use ports::{EndError, Ending, Endings, Membership, PortFuture, Roster};
