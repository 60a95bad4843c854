//! What only front does: the listener, the link to the gateway, accounts, LookupEvents.

pub mod accounts;
pub mod catalogue;
pub mod cloudtrail;
pub mod link;
pub mod listener;
