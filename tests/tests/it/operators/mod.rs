//! The operating side: its people, and what the HR feed can and cannot do.

pub(crate) mod access;
pub(crate) mod console;
pub(crate) mod crook;
pub(crate) mod enrol;
pub(crate) mod gate;
pub(crate) mod people;
pub(crate) mod roster;
pub(crate) mod runbook;
