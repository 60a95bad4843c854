//! What an SSH client signs to log in with a public key (RFC 4252 section 7), and signatures of keys
//! over bytes, as logins and host keys make them.
//!
//! The signed bytes name the session, so that a signature is worth something in one connection only:
//! whoever holds them and the signature can check, apart from the server that took them, that this
//! key's holder asked for this login in this session. Certificates as user keys are not read.

use crate::error::Error;
use crate::limits;
use crate::ssh::{SshReader, put_string};
use crate::sshsig::{Browser, SkFlags, SshPublicKey, check_signature};

const WHAT: &str = "SSH login request";
/// `SSH_MSG_USERAUTH_REQUEST` (RFC 4252 section 6).
const USERAUTH_REQUEST: u8 = 50;
const SERVICE: &[u8] = b"ssh-connection";
const METHOD: &[u8] = b"publickey";

/// Identifies an SSH connection for its whole life: the first exchange hash (RFC 4253 section 7.2),
/// SHA-256 with every key exchange that we take.
pub type SessionId = [u8; 32];

/// A request to log in with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAuth {
    /// The connection in which it was made.
    pub session_id: SessionId,
    /// The login name.
    pub user: String,
    /// The key.
    pub key: SshPublicKey,
}

/// A request whose signature holds. There is no other way to one than [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedUserAuth {
    request: UserAuth,
    hardware: Option<SkFlags>,
}

impl UserAuth {
    /// The bytes that the client signs.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_string(&mut bytes, &self.session_id);
        bytes.push(USERAUTH_REQUEST);
        put_string(&mut bytes, self.user.as_bytes());
        put_string(&mut bytes, SERVICE);
        put_string(&mut bytes, METHOD);
        bytes.push(1);
        put_string(&mut bytes, self.key.algorithm().as_bytes());
        put_string(&mut bytes, &self.key.to_blob());
        bytes
    }

    /// Reads them, strictly: what is read encodes to the same bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<UserAuth, Error> {
        Error::limit("SSH login request bytes", bytes.len(), limits::SSH_AUTH_MAX_BYTES)?;
        let mut reader = SshReader::new(bytes);
        let session_id = reader
            .string()?
            .try_into()
            .map_err(|_| Error::malformed(WHAT, "its session id has another length"))?;
        if reader.byte()? != USERAUTH_REQUEST {
            return Err(Error::malformed(WHAT, "it is another message"));
        }
        let user = reader.text()?;
        Error::limit("login name bytes", user.len(), limits::SSH_USER_MAX_BYTES)?;
        if reader.string()? != SERVICE || reader.string()? != METHOD {
            return Err(Error::malformed(WHAT, "it is for another service or method"));
        }
        if reader.byte()? != 1 {
            return Err(Error::malformed(WHAT, "it says that no signature follows"));
        }
        let algorithm = reader.text()?;
        let key = SshPublicKey::from_blob(reader.string()?)?;
        if algorithm != key.algorithm() {
            return Err(Error::malformed(WHAT, "its key is of another algorithm"));
        }
        reader.finish()?;
        Ok(UserAuth { session_id, user: user.to_owned(), key })
    }
}

impl VerifiedUserAuth {
    /// What was signed.
    pub fn request(&self) -> &UserAuth {
        &self.request
    }

    /// What the key's token says; absent for a software key. Whether touch or PIN are needed is the
    /// caller's to decide.
    pub fn hardware(&self) -> Option<SkFlags> {
        self.hardware
    }
}

/// Reads the signed bytes, and checks the signature blob over them by the key that they name. Whose the
/// key is, and whether the session is the one that is meant, is the caller's to decide.
pub fn verify(signed: &[u8], signature: &[u8]) -> Result<VerifiedUserAuth, Error> {
    let request = UserAuth::from_bytes(signed)?;
    let hardware = verify_signature(&request.key, signed, signature)?;
    Ok(VerifiedUserAuth { request, hardware })
}

/// Checks a signature blob of `key` over `message`: of a login, or of a host's key over an exchange hash
/// (RFC 4253 section 8). The answer is what the token says.
pub fn verify_signature(
    key: &SshPublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<Option<SkFlags>, Error> {
    Error::limit("SSH signature bytes", signature.len(), limits::SSH_SIGNATURE_MAX_BYTES)?;
    check_signature(key, message, signature, Browser::Refused).map(|(hardware, _)| hardware)
}

#[cfg(test)]
#[path = "tests/ssh_auth.rs"]
mod tests;
