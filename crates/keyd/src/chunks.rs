//! Chunk signatures of aws-chunked uploads. The seed is the signature that was authenticated.

use std::collections::HashMap;
use std::sync::Arc;

use writ_aws::sigv4::{ChunkChain, ProtocolFamily, SigError};
use writ_keyd_client::protocol::{Chunks, Handle, Refusal, Reply};
use writ_model::Timestamp;

use crate::admissions::Opened;
use crate::authenticate::Signed;
use crate::engine::Engine;
use crate::limits;
use crate::refuse::{self, forbidden, unavailable};

struct Upload {
    chain: ChunkChain,
    opened: Arc<Opened>,
    until: Timestamp,
}

/// The uploads whose chunks are still to come.
#[derive(Default)]
pub(crate) struct Uploads(HashMap<Handle, Upload>);

impl Uploads {
    /// Forgets uploads that have stopped.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.0.retain(|_, upload| now <= upload.until);
    }
}

impl Engine {
    /// The handle of an S3 request; further commands verify its chunks, if it has signed ones.
    pub(crate) fn begin_upload(&self, signed: &Signed<'_>) -> Result<Handle, Refusal> {
        let handle = self.env.nonce();
        if !signed.has_signed_chunks() {
            return Ok(handle);
        }
        let now = self.env.now();
        let mut uploads = self.uploads();
        if uploads.0.len() >= limits::HANDLES_MAX {
            uploads.sweep(now);
        }
        if uploads.0.len() >= limits::HANDLES_MAX {
            return Err(unavailable("too many uploads are unfinished"));
        }
        let upload = Upload {
            chain: ChunkChain::new(&signed.claim),
            opened: Arc::clone(&signed.opened),
            until: now.plus(limits::CHUNKS_LIFETIME),
        };
        uploads.0.insert(handle, upload);
        Ok(handle)
    }

    pub(crate) fn chunks(&self, chunks: &Chunks) -> Result<Reply, Refusal> {
        if chunks.chunks.len() > limits::CHUNKS_PER_COMMAND_MAX {
            return Err(forbidden("too many chunks in one command"));
        }
        let now = self.env.now();
        let mut uploads = self.uploads();
        let upload = uploads.0.get_mut(&chunks.handle).filter(|upload| now <= upload.until);
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
        upload.until = now.plus(limits::CHUNKS_LIFETIME);
        if chunks.trailer.is_some() {
            uploads.0.remove(&chunks.handle);
        }
        Ok(Reply::ChunksVerified)
    }
}
