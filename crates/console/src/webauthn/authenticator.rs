//! The authenticator's part of a registration (WebAuthn level 2, sections 6.1 and 6.5.1; RFC 9053).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use ciborium::Value;
use writ_proof::hash::Hash;
use writ_proof::limits::CREDENTIAL_ID_MAX_BYTES;

use super::RegistrationError;
use super::cbor::item;

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const ATTESTED: u8 = 0x40;
const EXTENSIONS: u8 = 0x80;
const RESERVED: u8 = 0x22;

/// Members of an EC2 key in the order of CTAP2: key type EC2, algorithm ES256, curve P-256.
const EC2_ES256_P256: [(i64, i64); 3] = [(1, 2), (3, -7), (-1, 1)];

/// What is taken from it.
pub(super) struct Attested {
    pub(super) credential_id: Vec<u8>,
    pub(super) point: [u8; 65],
}

/// Reads the data of a new credential for the site whose hashed name is `rp_id`.
pub(super) fn read(data: &[u8], rp_id: &Hash) -> Result<Attested, RegistrationError> {
    let bad = RegistrationError::Authenticator;
    let cut = || bad("it is cut");
    let (site, rest) = data.split_first_chunk::<32>().ok_or_else(cut)?;
    let (&flags, rest) = rest.split_first().ok_or_else(cut)?;
    // Four bytes are the counter: it may be 0 for good, and decides nothing. Sixteen are the model,
    // which says nothing without an attestation.
    let (_counter, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    if *site != rp_id.0 {
        return Err(bad("it is of another site"));
    }
    check_flags(flags)?;
    let (_model, rest) = rest.split_first_chunk::<16>().ok_or_else(cut)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length > CREDENTIAL_ID_MAX_BYTES {
        return Err(bad("its credential id is empty or too long"));
    }
    let (credential_id, mut rest) = rest.split_at_checked(length).ok_or_else(cut)?;
    let point = point(&item(&mut rest)?)?;
    if flags & EXTENSIONS != 0 {
        let extensions = item(&mut rest)?;
        if !extensions.as_map().is_some_and(|map| map.iter().all(|(name, _)| name.is_text())) {
            return Err(bad("its extensions are no map of names"));
        }
    }
    if !rest.is_empty() {
        return Err(bad("bytes follow it"));
    }
    Ok(Attested { credential_id: credential_id.to_vec(), point })
}

fn check_flags(flags: u8) -> Result<(), RegistrationError> {
    let bad = |why| Err(RegistrationError::Authenticator(why));
    let has = |flag| flags & flag != 0;
    if !has(PRESENT) {
        return bad("nobody touched the authenticator");
    }
    if !has(VERIFIED) {
        return bad("it did not verify its user: set a PIN or a fingerprint on it, and try again");
    }
    if has(BACKUP_ELIGIBLE) || has(BACKED_UP) {
        return bad("its passkeys can be copied: use a security key, which keeps them");
    }
    if !has(ATTESTED) {
        return bad("it made no passkey");
    }
    if has(RESERVED) {
        return bad("it has flags that nobody knows");
    }
    Ok(())
}

/// The uncompressed point of an ES256 key, which lies on the curve.
fn point(key: &Value) -> Result<[u8; 65], RegistrationError> {
    let bad = |why| RegistrationError::Authenticator(why);
    let wrong = || bad("its key is no ES256 key of P-256");
    let members = key.as_map().ok_or_else(wrong)?;
    let [kind @ .., (x_name, x), (y_name, y)] = members.as_slice() else { return Err(wrong()) };
    let number = |value: &Value| value.as_integer().and_then(|n| i64::try_from(n).ok());
    let pairs: Vec<_> = kind.iter().map(|(n, v)| (number(n), number(v))).collect();
    let fits = pairs.iter().copied().eq(EC2_ES256_P256.map(|(n, v)| (Some(n), Some(v))));
    if !fits || (number(x_name), number(y_name)) != (Some(-2), Some(-3)) {
        return Err(wrong());
    }
    let (x, y) = (x.as_bytes().ok_or_else(wrong)?, y.as_bytes().ok_or_else(wrong)?);
    if x.len() != 32 {
        return Err(wrong());
    }
    let point: [u8; 65] = [&[4], x.as_slice(), y].concat().try_into().map_err(|_| wrong())?;
    match ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point) {
        Ok(_) => Ok(point),
        Err(_) => Err(bad("its key is no point of P-256")),
    }
}
