//! Signatures that a browser's authenticator makes, in OpenSSH's form (PROTOCOL.u2f, "webauthn").
//!
//! The challenge is the blob that `ssh-keygen -Y sign` would sign, so the signature commits to the
//! statement. Checked is what `ssh-keygen` checks (ssh-ecdsa-sk.c) and, beyond it, that the page was not
//! framed by another. Which origins may ask, and which flags a rule wants, the roster decides.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::SkFlags;
use crate::client_data::{ClientData, GET};
use crate::error::Error;
use crate::limits;
use crate::ssh::SshReader;

/// The algorithm's name in the signature; its key is an `sk-ecdsa-sha2-nistp256@openssh.com`.
pub(super) const ALGORITHM: &str = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com";

const WHAT: &str = "browser's signature";

/// What a browser adds to a signature, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAuthn {
    /// The page that asked for it: `https://console.example`.
    pub origin: String,
    /// The JSON that the browser made (WebAuthn level 2, section 5.8.1).
    pub client_data: Vec<u8>,
    /// The authenticator's extensions; empty if there are none.
    pub extensions: Vec<u8>,
}

impl WebAuthn {
    /// Reads what follows flags and counter.
    pub(super) fn read(reader: &mut SshReader<'_>) -> Result<WebAuthn, Error> {
        let origin = reader.text()?.to_owned();
        let (client_data, extensions) = (reader.string()?.to_vec(), reader.string()?.to_vec());
        Ok(WebAuthn { origin, client_data, extensions })
    }

    /// Fails unless the client data is of an assertion over exactly `blob`, asked for by the page of
    /// the origin itself.
    pub(super) fn check(&self, blob: &[u8], flags: SkFlags) -> Result<(), Error> {
        const ATTESTED: u8 = 0x40;
        const EXTENSIONS: u8 = 0x80;
        let bad = |why| Err(Error::malformed(WHAT, why));
        Error::limit("origin bytes", self.origin.len(), limits::ORIGIN_MAX_BYTES)?;
        if flags.flags & ATTESTED != 0 {
            return bad("it carries data of a registration");
        }
        if (flags.flags & EXTENSIONS == 0) != self.extensions.is_empty() {
            return bad("its flags and its extensions do not agree");
        }
        if self.origin.contains('"') {
            return bad("its origin holds a quote");
        }
        let challenge = URL_SAFE_NO_PAD.encode(blob);
        let preamble = format!(
            "{{\"type\":\"{GET}\",\"challenge\":\"{challenge}\",\"origin\":\"{}\"",
            self.origin
        );
        if !self.client_data.starts_with(preamble.as_bytes()) {
            return bad("its client data is not of this statement and origin");
        }
        let data = ClientData::read(&self.client_data)?;
        if !(data.kind == GET && data.answers(blob) && data.origin == self.origin) {
            return bad("its client data says two things");
        }
        Ok(())
    }
}
