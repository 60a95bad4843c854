//! The key module: the one process that holds secrets, checks the caller's proof itself and uses keys.
//!
//! It listens nowhere, opens no file after its start and speaks only the closed command set of
//! `writ_keyd_client::protocol` with peers whose role is their channel's. It is not told "allowed":
//! it verifies the customer's signature over the raw request (`Engine::handle` with
//! `Authenticate`), or a forward access ticket that it made itself, derives from those bytes what is
//! asked, and evaluates the policy that is sealed to the key. No command returns a key.
//!
//! What a hostile front can still do: withhold or delay; decide identity policies wrongly within
//! the account of a customer who signed the very operation (recorded as `delegated`, and a key policy
//! can refuse it with `writ:Delegated`); assert a wrong source address; repeat a live request within
//! its window, which the records show.

mod admissions;
mod allow;
mod assume;
mod authenticate;
#[doc(hidden)]
pub mod bench;
mod blob;
mod budget;
mod catalogue;
mod channels;
mod checkpoint;
mod chunks;
mod credential;
mod crypto;
mod customers;
mod delegation;
mod domain;
mod engine;
mod error;
mod facts;
mod fas;
mod handles;
mod head;
mod issue;
mod kms;
mod limits;
mod locked;
mod mint;
mod narrate;
pub mod offline;
mod operations;
mod policies;
mod present;
mod records;
mod refuse;
mod request;
pub mod root;
mod roster;
mod run_order;
mod sandbox;
mod seal;
mod sealing;
mod server;
mod session;
mod shared;
mod table;
mod unconfirmed;
mod using;

pub use blob::{BLOB_HEADER_BYTES, BLOB_MAGIC};
pub use error::Error;
pub use server::{KeydConfig, run};

#[cfg(test)]
mod tests;
