//! What only front does: the listener, the link to the gateway, accounts, LookupEvents, the roster,
//! enrolment and the console.

pub mod accounts;
pub mod catalogue;
pub mod cloudtrail;
pub mod console;
pub mod enrol;
pub mod link;
pub mod listener;
pub mod roster;
pub mod statements;
