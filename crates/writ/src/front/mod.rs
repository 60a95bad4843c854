//! What only front does: the listeners, the links to the gateway and to the bastion, accounts, access, persons, the roster,
//! enrolment and the console, LookupEvents.

pub mod access;
pub mod accounts;
pub mod alarms;
pub mod catalogue;
pub mod clerk;
pub mod cloudtrail;
pub mod console;
pub mod customer;
pub mod enrol;
pub mod hr;
pub mod lender;
pub mod link;
pub mod listener;
pub mod people;
pub mod platform;
pub mod roster;
pub mod runs;
pub mod statements;
