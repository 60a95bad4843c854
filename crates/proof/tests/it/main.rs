//! Foreign judges of this crate's formats: stock OpenSSH, and the Rust port of Go's tlog and note.

#[cfg(test)]
mod ssh_cert;
#[cfg(test)]
mod ssh_keygen;
#[cfg(test)]
mod tlog_tiles;
#[cfg(test)]
mod webauthn;
