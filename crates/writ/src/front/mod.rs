//! What only front does: the listeners, the link to the gateway, accounts, access, persons, the roster,
//! enrolment and the console, LookupEvents.

pub mod access;
pub mod accounts;
pub mod catalogue;
pub mod clerk;
pub mod cloudtrail;
pub mod console;
pub mod customer;
pub mod enrol;
pub mod hr;
pub mod link;
pub mod listener;
pub mod people;
pub mod platform;
pub mod roster;
pub mod runs;
pub mod statements;
