//! Foreign judges of this crate's formats: stock OpenSSH.

#[cfg(test)]
mod ssh_keygen;
