//! Sealing of descriptors: `writ_keyd_client::descriptor` says the format.

use writ_keyd_client::descriptor::{Descriptor, HEADER_BYTES, MAGIC, TAG_BYTES};
use writ_proof::cbor;
use writ_proof::hash::{hmac_sha256, sha256};

use crate::crypto::{equal, take};
use crate::domain::Domain;
use crate::limits;

/// A descriptor whose tag was right, with the digest of its canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// What it says.
    pub(crate) descriptor: Descriptor,
    /// SHA-256 of its CBOR.
    pub(crate) digest: [u8; 32],
}

/// SHA-256 of a descriptor's canonical bytes: what the catalogue and key tokens know it by.
pub(crate) fn digest(descriptor: &Descriptor) -> [u8; 32] {
    sha256(&cbor::to_vec(descriptor)).0
}

/// Seals a descriptor under the active domain key.
pub(crate) fn seal(domain: &Domain, descriptor: &Descriptor) -> Option<Vec<u8>> {
    let body = cbor::to_vec(descriptor);
    let (id, key) = domain.active().filter(|_| body.len() <= limits::DESCRIPTOR_MAX_BYTES)?;
    let mut sealed = Vec::with_capacity(HEADER_BYTES + body.len() + TAG_BYTES);
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&id.to_be_bytes());
    sealed.extend_from_slice(&u32::try_from(body.len()).ok()?.to_be_bytes());
    sealed.extend_from_slice(&body);
    let tag = hmac_sha256(key.descriptors.expose(), &[&sealed]).0;
    sealed.extend_from_slice(&tag);
    Some(sealed)
}

/// Opens a sealed descriptor; `None` if any byte of it is not keyd's.
pub(crate) fn open(domain: &Domain, sealed: &[u8]) -> Option<Opened> {
    if sealed.len() > limits::DESCRIPTOR_MAX_BYTES + HEADER_BYTES + TAG_BYTES {
        return None;
    }
    let (content, tag) = sealed.split_at_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
    let mut input = content;
    let magic = take::<4>(&mut input)?;
    let id = u32::from_be_bytes(take::<4>(&mut input)?);
    let length = u32::from_be_bytes(take::<4>(&mut input)?);
    let whole = usize::try_from(length).ok()? == input.len();
    let expected = hmac_sha256(domain.key(id)?.descriptors.expose(), &[content]).0;
    if magic != *MAGIC || !whole || !equal(&expected, tag) {
        return None;
    }
    let descriptor = cbor::from_slice(input).ok()?;
    Some(Opened { descriptor, digest: sha256(input).0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tests::{domain, key};
    use writ_keyd_client::descriptor::peek;

    #[test]
    fn sealed_descriptor_opens_and_can_be_peeked_at() {
        let domain = domain();
        let descriptor = Descriptor::Key(Box::new(key()));
        let sealed = seal(&domain, &descriptor).unwrap();
        assert_eq!(peek(&sealed).unwrap(), descriptor);
        let opened = open(&domain, &sealed).unwrap();
        assert_eq!(opened.digest, digest(&descriptor));
        assert_eq!(opened.descriptor, descriptor);
    }

    #[test]
    fn sealed_descriptor_with_a_flipped_bit_or_of_another_domain_is_refused() {
        let domain1 = domain();
        let sealed = seal(&domain1, &Descriptor::Key(Box::new(key()))).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut wrong = sealed.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&domain1, &wrong).is_none(), "bit {bit}");
        }
        (0..sealed.len()).for_each(|cut| assert!(open(&domain1, &sealed[..cut]).is_none()));
        assert!(open(&domain(), &sealed).is_none());
    }
}
