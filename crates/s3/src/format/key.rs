//! A data key and what is derived from it.

use aws_lc_rs::hkdf;
use writ_keyd_client::arena::{Arena, Slot};
use zeroize::Zeroizing;

use crate::S3Error;

/// The key of one object. It lives as long as the request that released it, and is wiped then.
///
/// No `Debug`, no `Clone`, no serialisation: the only way out is to derive other keys.
pub struct DataKey(Slot);

impl DataKey {
    /// Moves the key into locked memory and wipes where it came from; none when the arena is full.
    pub fn take(arena: &Arena, bytes: &mut [u8; 32]) -> Option<DataKey> {
        arena.put(bytes).map(DataKey)
    }

    /// HKDF-SHA256 (RFC 5869) of the key to `N` bytes, wiped when dropped.
    pub(crate) fn derive<const N: usize>(
        &self,
        salt: &[u8],
        info: &[&[u8]],
    ) -> Result<Zeroizing<[u8; N]>, S3Error> {
        let mut out = Zeroizing::new([0u8; N]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(self.0.expose())
            .expand(info, Length(N))
            .and_then(|okm| okm.fill(out.as_mut_slice()))
            .map_err(|_| S3Error::Stopped { what: "key derivation" })?;
        Ok(out)
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
