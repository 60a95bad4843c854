//! The socketpair between s3 and front: KMS calls on a customer's behalf, with their ticket.
//!
//! One frame is one JSON 1.1 request of KMS. front presents ticket and proof to keyd, decides as the
//! customer, and relays the result, whose secret keyd has sealed to s3's own channel. Frames are
//! pipelined by id, not HTTP.

use writ_keyd_client::client::Client;
use writ_keyd_client::protocol::{Handle, Present, Role};
use writ_keyd_client::secret::SecretBytes;
use writ_model::{Nonce, Region, Timestamp, Uuid};
use writ_proof::cbor_map;

/// A KMS request on a customer's behalf. It holds a ticket: never logged.
pub struct KmsRequest {
    /// `POST`.
    pub method: String,
    /// What `writ_keyd_client::key_policy::inner_path` makes of the target.
    pub path: String,
    /// Empty.
    pub query: String,
    /// `TrentService.Decrypt` and the like.
    pub target: String,
    /// The JSON body.
    pub body: Vec<u8>,
    /// The forward-access ticket.
    pub ticket: SecretBytes,
    /// The context document that the ticket commits to.
    pub context: Vec<u8>,
    /// MAC under the channel's proof key.
    pub proof: [u8; 32],
    /// When the proof was made.
    pub proof_time: Timestamp,
    /// Makes the proof unique.
    pub proof_nonce: Nonce,
    /// The region of the KMS that is called.
    pub region: Region,
}
cbor_map!(KmsRequest {
    1: method,
    2: path,
    3: query,
    4: target,
    5: body,
    6: ticket,
    7: context,
    8: proof,
    9: proof_time,
    10: proof_nonce,
    11: region,
});

impl KmsRequest {
    /// What front asks keyd for it. The holder is s3, because the frame came over s3's socketpair.
    pub fn into_present(self, request_id: Uuid, event_id: Uuid) -> Present {
        Present {
            ticket: self.ticket,
            context: self.context,
            proof: self.proof,
            proof_time: self.proof_time,
            proof_nonce: self.proof_nonce,
            holder: Role::S3,
            method: self.method,
            path: self.path,
            query: self.query,
            target: self.target,
            body: self.body,
            request_id,
            event_id,
            region: self.region,
        }
    }
}

/// KMS's answer. Its body never has a plaintext.
pub struct KmsReply {
    /// HTTP status.
    pub status: u16,
    /// The JSON body, of a success or an error.
    pub body: Vec<u8>,
    /// What the use yielded, sealed to s3's channel to keyd.
    pub sealed: Option<SealedKey>,
}
cbor_map!(KmsReply { 1: status, 2: body, 3: opt sealed });

/// A data key that only s3 can open.
pub struct SealedKey {
    /// keyd's handle of the use: the associated data.
    pub handle: Handle,
    /// `nonce 12 | ciphertext | tag 16`.
    pub sealed: Vec<u8>,
}
cbor_map!(SealedKey { 1: handle, 2: sealed });

/// s3's side of the socketpair; front serves [`KmsRequest`] with [`KmsReply`].
pub type KmsClient = Client<KmsRequest, KmsReply>;
