//! Chunk signatures of aws-chunked uploads. The seed is the signature that was authenticated.

use std::sync::Arc;

use writ_aws::sigv4::{ChunkChain, ProtocolFamily, SigError};
use writ_keyd_client::protocol::{Chunks, Handle, Refusal, Reply};
use writ_proof::hash::sha256;

use crate::admissions::Opened;
use crate::authenticate::Signed;
use crate::engine::Engine;
use crate::limits;
use crate::refuse::{self, forbidden, unavailable};
use crate::shared::Full;

/// An upload whose chunks are still to come.
pub(crate) struct Upload {
    chain: ChunkChain,
    opened: Arc<Opened>,
    /// A signed trailer follows the last chunk.
    trailer: bool,
}

impl Engine {
    /// The handle of an S3 request; further commands verify its chunks, if it has signed ones.
    pub(crate) fn begin_upload(&self, signed: &Signed<'_>) -> Result<Handle, Refusal> {
        let handle = self.env.nonce();
        let Some(mode) = signed.signed_chunks() else { return Ok(handle) };
        let upload = Upload {
            chain: ChunkChain::new(&signed.claim),
            opened: Arc::clone(&signed.opened),
            trailer: mode.has_trailer(),
        };
        let until = self.env.now().plus(limits::CHUNKS_LIFETIME);
        let kept = self.uploads.lock().insert(handle, signed.caller.account, until, 0, upload);
        kept.map_err(|Full| unavailable("too many uploads are unfinished"))?;
        Ok(handle)
    }

    pub(crate) fn chunks(&self, chunks: &Chunks) -> Result<Reply, Refusal> {
        if chunks.chunks.len() > limits::CHUNKS_PER_COMMAND_MAX {
            return Err(forbidden("too many chunks in one command"));
        }
        let now = self.env.now();
        let mut uploads = self.uploads.lock();
        let upload = uploads.live_mut(&chunks.handle, now);
        let upload = upload.ok_or_else(|| forbidden("the upload's handle is unknown or old"))?;
        let mut verify = || {
            let key = &upload.opened.key;
            for (signature, sha256) in &chunks.chunks {
                upload.chain.verify_chunk(key, signature, sha256)?;
            }
            if let Some((signature, sha256)) = &chunks.trailer {
                upload.chain.verify_trailer(key, signature, sha256)?;
            }
            Ok(())
        };
        verify().map_err(|error: SigError| {
            let fault = error.to_aws(ProtocolFamily::S3);
            refuse::aws(fault.code, fault.message, fault.status)
        })?;
        // The last chunk is empty (Amazon S3 API Reference, "Signature Calculations: Transferring
        // Payload in Multiple Chunks"); nothing is left to verify after it, or after the trailer.
        let nothing = sha256(&[]).0;
        let ended = !upload.trailer && chunks.chunks.iter().any(|(_, data)| *data == nothing);
        if ended || chunks.trailer.is_some() {
            uploads.remove(&chunks.handle);
        } else {
            uploads.extend(&chunks.handle, now.plus(limits::CHUNKS_LIFETIME));
        }
        Ok(Reply::ChunksVerified)
    }
}
