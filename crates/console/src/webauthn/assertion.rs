//! What a browser's authenticator signed, as the SSHSIG that `ssh-keygen -Y verify` takes (PROTOCOL.u2f,
//! "webauthn"). Nothing is judged here: `writ_proof::sshsig` does that, and the roster says whose key it is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use writ_proof::client_data::ClientData;
use writ_proof::hash::sha256;
use writ_proof::limits::CREDENTIAL_ID_MAX_BYTES;
use writ_proof::ssh::put_string;
use writ_proof::sshsig::{SshPublicKey, SshSig};

/// An authenticator's reply to `navigator.credentials.get`, as a page posts it: each part in base64url.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Posted {
    credential_id: String,
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
}

/// The same in bytes. Nobody has checked anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// By which the authenticator knows its key.
    pub credential_id: Vec<u8>,
    client_data: Vec<u8>,
    authenticator_data: Vec<u8>,
    /// In DER (WebAuthn level 2, section 6.5.6).
    signature: Vec<u8>,
}

/// Why a reply is no assertion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the passkey's answer cannot be used: {0}")]
pub struct AssertionError(&'static str);

impl Assertion {
    /// Reads what a page posted.
    ///
    /// # Errors
    /// A part is no base64url, or too long.
    pub fn read(posted: &Posted) -> Result<Assertion, AssertionError> {
        let bytes = |text: &str| {
            URL_SAFE_NO_PAD.decode(text).map_err(|_| AssertionError("a part is not base64url"))
        };
        let credential_id = bytes(&posted.credential_id)?;
        if credential_id.is_empty() || credential_id.len() > CREDENTIAL_ID_MAX_BYTES {
            return Err(AssertionError("its credential id is empty or too long"));
        }
        Ok(Assertion {
            credential_id,
            client_data: bytes(&posted.client_data)?,
            authenticator_data: bytes(&posted.authenticator_data)?,
            signature: bytes(&posted.signature)?,
        })
    }

    /// The signature of `key` in `namespace`, unchecked.
    ///
    /// # Errors
    /// It is not of the form of a passkey's signature, or made for another site than the key.
    pub fn signature(&self, key: &SshPublicKey, namespace: &str) -> Result<SshSig, AssertionError> {
        let SshPublicKey::SkEcdsa { application, .. } = key else {
            return Err(AssertionError("its key is no passkey"));
        };
        let cut = || AssertionError("its data is cut");
        let (site, rest) = self.authenticator_data.split_first_chunk::<32>().ok_or_else(cut)?;
        if *site != sha256(application.as_bytes()).0 {
            return Err(AssertionError("it is of another site"));
        }
        let (head, extensions) = rest.split_first_chunk::<5>().ok_or_else(cut)?;
        let data = ClientData::read(&self.client_data)
            .map_err(|_| AssertionError("its client data cannot be read"))?;
        let [r, s] = integers(&self.signature).ok_or(AssertionError("its signature is not DER"))?;
        let (mut both, mut inner, mut bytes) = (Vec::new(), Vec::new(), b"SSHSIG".to_vec());
        // The integers of DER and of SSH have one form.
        put_string(&mut both, r);
        put_string(&mut both, s);
        put_string(&mut inner, b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com");
        put_string(&mut inner, &both);
        inner.extend_from_slice(head);
        put_string(&mut inner, data.origin.as_bytes());
        put_string(&mut inner, &self.client_data);
        put_string(&mut inner, extensions);
        bytes.extend_from_slice(&1u32.to_be_bytes());
        put_string(&mut bytes, &key.to_blob());
        put_string(&mut bytes, namespace.as_bytes());
        put_string(&mut bytes, b"");
        put_string(&mut bytes, b"sha512");
        put_string(&mut bytes, &inner);
        SshSig::from_bytes(&bytes).map_err(|_| AssertionError("it is too large"))
    }
}

/// The contents of the two integers of an ECDSA signature in DER (RFC 3279, section 2.2.3), all of it.
fn integers(der: &[u8]) -> Option<[&[u8]; 2]> {
    let mut rest = der;
    let mut whole = tagged(&mut rest, 0x30)?;
    let (r, s) = (tagged(&mut whole, 0x02)?, tagged(&mut whole, 0x02)?);
    (rest.is_empty() && whole.is_empty()).then_some([r, s])
}

/// The content of a value of this tag; P-256's are all shorter than 128 bytes.
fn tagged<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let ([found, length], rest) = bytes.split_first_chunk::<2>()?;
    let (content, rest) = rest.split_at_checked(usize::from(*length))?;
    *bytes = rest;
    (*found == tag && *length < 128 && !content.is_empty()).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_of_another_form_than_two_integers_is_refused() {
        let good = [0x30, 7, 2, 2, 0, 0x81, 2, 1, 5];
        assert_eq!(integers(&good), Some([&[0, 0x81][..], &[5][..]]));
        let bad: [&[u8]; 6] = [
            &[],
            &[0x30, 7, 2, 2, 0, 0x81, 2, 1],
            &[0x30, 7, 2, 2, 0, 0x81, 2, 1, 5, 0],
            &[0x31, 7, 2, 2, 0, 0x81, 2, 1, 5],
            &[0x30, 8, 2, 2, 0, 0x81, 2, 1, 5, 9],
            &[0x30, 5, 2, 0, 2, 1, 5],
        ];
        for der in bad {
            assert_eq!(integers(der), None, "{der:?}");
        }
    }
}
