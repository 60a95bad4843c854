//! The backing keys of a root file, and what they wrap, opened outside keyd.
//!
//! It exists for one purpose: the test of the claim that no plaintext key leaves keyd has to know the
//! keys that it searches memory, disks and channels for. It needs the root file, which in mode `dev`
//! lies on the disk; in no other mode is there a file that it could read.

use std::collections::BTreeMap;

use writ_keyd_client::arena::Arena;
use writ_keyd_client::descriptor::{Descriptor, peek};
use zeroize::Zeroizing;

use crate::domain::Domain;
use crate::root::Root;
use crate::{Error, blob, limits, seal};

/// The backing keys of one key: its sealed descriptor and its tokens, in the descriptor's order.
/// Tokens that do not open give nothing.
///
/// # Errors
/// The root file cannot be read.
pub fn backing_keys(
    root_file: &[u8],
    sealed_descriptor: &[u8],
    tokens: &[Vec<u8>],
) -> Result<Vec<Zeroizing<[u8; 32]>>, Error> {
    let arena = Arena::new(limits::ARENA_SLOTS).map_err(Error::io("mapping the key arena"))?;
    let domain = Domain::new(&Root::parse(root_file)?, arena)?;
    let Ok(descriptor @ Descriptor::Key(_)) = peek(sealed_descriptor) else {
        return Ok(Vec::new());
    };
    let digest = seal::digest(&descriptor);
    let Descriptor::Key(key) = descriptor else { return Ok(Vec::new()) };
    let open = |(id, token): (&[u8; 16], &Vec<u8>)| {
        domain.unwrap(&key, &digest, id, token).map(|slot| Zeroizing::new(*slot.expose()))
    };
    Ok(key.backing_keys.iter().zip(tokens).filter_map(open).collect())
}

/// What a symmetric ciphertext blob holds; `None` if it is not this backing key's, or was made with
/// another encryption context.
pub fn open_blob(
    backing_key: &[u8; 32],
    context: &BTreeMap<String, String>,
    bytes: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    blob::decrypt(&blob::header(bytes)?, backing_key, context, bytes)
}
