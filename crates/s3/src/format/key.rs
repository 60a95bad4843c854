//! A data key and what is derived from it.

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::S3Error;

/// The key of one object. It lives as long as the request that released it, and is wiped then.
///
/// No `Debug`, no `Clone`, no serialisation: the only way out is [`DataKey::derive`].
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// Takes the key and wipes where it came from.
    pub fn take(bytes: &mut [u8; 32]) -> DataKey {
        let key = DataKey(Zeroizing::new(*bytes));
        zeroize::Zeroize::zeroize(bytes);
        key
    }

    /// HKDF-SHA256 (RFC 5869) of the key to `N` bytes, wiped when dropped.
    pub(crate) fn derive<const N: usize>(
        &self,
        salt: &[u8],
        info: &[&[u8]],
    ) -> Result<Zeroizing<[u8; N]>, S3Error> {
        let mut out = Zeroizing::new([0u8; N]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(self.0.as_slice())
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
