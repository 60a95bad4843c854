//! What only front does: the listener, the link to the gateway, accounts, persons, the roster,
//! LookupEvents.

pub mod accounts;
pub mod catalogue;
pub mod cloudtrail;
pub mod link;
pub mod listener;
pub mod people;
pub mod roster;
mod roster_port;
pub mod statements;
