//! The operating side: its people, and what the HR feed can and cannot do.

pub(crate) mod access;
mod alarms;
mod asking;
pub(crate) mod console;
pub(crate) mod crook;
pub(crate) mod customer;
pub(crate) mod enrol;
mod first_session;
pub(crate) mod gate;
mod krl;
pub(crate) mod people;
pub(crate) mod playback;
pub(crate) mod roster;
pub(crate) mod runbook;
mod security_key;
