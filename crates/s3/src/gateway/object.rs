//! What PutObject, CopyObject and the multipart operations share: headers, manifests, metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use writ_aws::ApiError;
use writ_aws::checksum::{Algorithm, Checksum};
use writ_aws::chunked::strip_aws_chunked;
use writ_model::{Arn, Env, Nonce};
use writ_proof::cbor;
use writ_service::task;

use super::call::Call;
use super::fault::{
    access_denied, internal, key_too_long, no_such_key, not_implemented, s3, storage,
};
use super::ledger::random;
use super::sink::Written;
use crate::S3Error;
use crate::format::{
    DataKey, FORMAT, Manifest, Metadata, ObjectIdentity, SealedManifest, SegmentHeader, SegmentRef,
    SseMode, Sums, seal_sums,
};
use crate::index::{Body, Bucket, Condition, Entry, Pin, Put, segment_file};
use crate::limits::{FRAME_LOG2, KEY_MAX_BYTES, USER_METADATA_MAX_BYTES};

/// Sets the member of a reply that holds a checksum of this algorithm.
macro_rules! set_checksum {
    ($out:expr, $algorithm:expr, $value:expr) => {{
        let value = Some($value);
        match $algorithm {
            "CRC32" => $out.checksum_crc32 = value,
            "CRC32C" => $out.checksum_crc32c = value,
            "CRC64NVME" => $out.checksum_crc64nvme = value,
            "SHA1" => $out.checksum_sha1 = value,
            "SHA256" => $out.checksum_sha256 = value,
            _ => {}
        }
    }};
}
pub(crate) use set_checksum;

/// An object that is being written: whose it is and under which key.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) key: String,
    pub(crate) object: Nonce,
    pub(crate) data_key: Arc<DataKey>,
    pub(crate) key_arn: Arn,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) context: Vec<(String, String)>,
    pub(crate) sse: SseMode,
    pub(crate) metadata: Metadata,
}

impl Draft {
    /// Identity for headers and manifests.
    pub(crate) fn identity(&self, call: &Call) -> ObjectIdentity {
        ObjectIdentity {
            region: call.gateway.region.clone(),
            bucket: self.bucket.id,
            bucket_arn: self.bucket.arn(),
            key: self.key.clone(),
            object: self.object,
        }
    }

    /// The header of a new segment.
    pub(crate) fn header(&self, call: &Call, upload: Option<Nonce>, part: u32) -> SegmentHeader {
        SegmentHeader {
            identity: self.identity(call),
            upload,
            part,
            key_arn: self.key_arn.clone(),
            wrapped: self.wrapped.clone(),
            context: self.context.clone(),
            frame_log2: FRAME_LOG2,
            salt: random(&*call.gateway.env),
        }
    }

    /// A manifest over `segments`.
    pub(crate) fn manifest(
        &self,
        call: &Call,
        segments: Vec<SegmentRef>,
        etag: String,
        sums: Vec<u8>,
    ) -> Manifest {
        Manifest {
            format: FORMAT,
            identity: self.identity(call),
            length: segments.iter().map(|s| s.length).sum(),
            segments,
            etag,
            sse: self.sse,
            metadata_digest: [0; 32],
            sums,
        }
    }

    /// The index's rows for this object.
    pub(crate) fn put(
        self,
        call: &Call,
        sealed: SealedManifest,
        manifest: &Manifest,
        condition: Condition,
    ) -> Put {
        Put {
            bucket: self.bucket.id,
            entry: Entry {
                key: self.key,
                object: self.object,
                size: manifest.length,
                etag: manifest.etag.clone(),
                mtime: call.gateway.env.now(),
            },
            body: Body {
                sealed,
                key_arn: self.key_arn,
                wrapped: self.wrapped,
                context: self.context,
            },
            condition,
        }
    }

    /// Seals a whole object: manifest, footer, file. Answers the rows and the file's name.
    pub(crate) async fn seal_whole(
        self,
        call: &Call,
        written: Written,
        condition: Condition,
    ) -> Result<(Put, String), ApiError> {
        let env = Arc::clone(&call.gateway.env);
        let etag = etag(self.sse, written.md5, &*env);
        let name = segment_file(self.object, 0);
        let segment = SegmentRef {
            segment: self.object,
            part: 0,
            length: written.length,
            header_digest: written.header_digest,
        };
        let manifest = self.manifest(call, vec![segment], etag, Vec::new());
        let (draft, file_name) = (self.clone(), name.clone());
        let work = move || -> Result<(SealedManifest, Manifest), S3Error> {
            let mut manifest = manifest;
            let sums = part_sums(&written.checksum, written.md5, draft.sse);
            manifest.sums =
                seal_sums(&draft.data_key, &sums_subject(draft.object, 0), &sums, &*env)?;
            let sealed = SealedManifest::seal(&draft.data_key, manifest.clone(), &draft.metadata)?;
            let mut footer = Vec::new();
            sealed.write_footer(&mut footer);
            let mut file = written.file;
            file.write(&footer)?;
            file.seal(&file_name)?;
            Ok((sealed, manifest))
        };
        let sealed = task::blocking(work).await.ok_or_else(internal)?;
        let (sealed, manifest) = sealed.map_err(|e| storage(&e))?;
        Ok((self.put(call, sealed, &manifest, condition), name))
    }
}

/// Checksums of one segment.
pub(crate) fn part_sums(checksum: &Checksum, md5: Option<[u8; 16]>, sse: SseMode) -> Sums {
    Sums {
        algorithm: checksum.algorithm().name().to_owned(),
        full_object: true,
        value: checksum.base64(),
        parts: Vec::new(),
        // Only AES256 tells a client the MD5; of an aws:kms object nobody keeps one.
        md5: md5.filter(|_| sse == SseMode::Aes256).map(|md5| md5.to_vec()),
    }
}

/// Whose checksums are sealed: object and part number.
pub(crate) fn sums_subject(object: Nonce, part: u32) -> Vec<u8> {
    cbor::to_vec(&(object, part))
}

/// An ETag: random under aws:kms, the MD5 under AES256, whose clients compare it.
pub(crate) fn etag(sse: SseMode, md5: Option<[u8; 16]>, env: &dyn Env) -> String {
    match (sse, md5) {
        (SseMode::Aes256, Some(md5)) => hex::encode(md5),
        (SseMode::Aes256 | SseMode::Kms, _) => env.nonce().to_string(),
    }
}

/// An ETag as it travels.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// The checksum that is stored when the client names none.
pub(crate) const DEFAULT_ALGORITHM: Algorithm = Algorithm::Crc64Nvme;

/// System metadata that is kept and sent back, by header name.
pub(crate) const SYSTEM_METADATA: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// The metadata of a new object.
pub(crate) fn metadata(
    call: &Call,
    user: Option<BTreeMap<String, String>>,
) -> Result<Metadata, ApiError> {
    let mut system = Vec::new();
    for name in SYSTEM_METADATA {
        let value = call.head.header(name).map(str::to_owned);
        let value = match name {
            "content-encoding" => value.as_deref().and_then(strip_aws_chunked),
            "content-type" => value.or_else(|| Some("binary/octet-stream".to_owned())),
            _ => value,
        };
        system.extend(value.map(|value| (name.to_owned(), value)));
    }
    let user: Vec<(String, String)> =
        user.unwrap_or_default().into_iter().map(|(k, v)| (k.to_ascii_lowercase(), v)).collect();
    let size: usize = user.iter().map(|(k, v)| k.len() + v.len()).sum();
    if size > USER_METADATA_MAX_BYTES {
        let text = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(s3("MetadataTooLarge", text));
    }
    Ok(Metadata { system, user })
}

/// Refuses what a write may ask for and we do not have, before it is taken for a plain write.
pub(crate) fn refuse_unsupported(call: &Call) -> Result<(), ApiError> {
    if call.key().len() > KEY_MAX_BYTES {
        return Err(key_too_long());
    }
    refuse_acl(call)?;
    for name in UNSUPPORTED {
        if call.amz(name).is_some() {
            return Err(not_implemented(name));
        }
    }
    match call.amz("x-amz-storage-class") {
        None | Some("STANDARD") => Ok(()),
        Some(_) => Err(s3("InvalidStorageClass", "The storage class you specified is not valid")),
    }
}

/// Buckets are owner-enforced: an access control list other than the two that mean the owner is
/// refused.
pub(crate) fn refuse_acl(call: &Call) -> Result<(), ApiError> {
    let granted = call.amz_all().iter().any(|(name, _)| name.starts_with("x-amz-grant-"));
    let acl = call.amz("x-amz-acl");
    let fits = acl.is_none_or(|v| matches!(v, "private" | "bucket-owner-full-control"));
    if granted || !fits {
        return Err(s3("AccessControlListNotSupported", "The bucket does not allow ACLs"));
    }
    Ok(())
}

const UNSUPPORTED: [&str; 8] = [
    "x-amz-object-lock-event-hold",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
    "x-amz-server-side-encryption-customer-key",
];

/// A stored object, before its manifest has been verified.
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) body: Body,
    pub(crate) manifest: Manifest,
    pub(crate) metadata: Metadata,
    /// Keeps the files while they are read.
    pub(crate) pin: Arc<Pin>,
}

/// Finds an object that the caller may read. Whether a missing key is said to be missing depends on
/// the right to list.
pub(crate) async fn find(
    call: &Call,
    bucket: &Arc<Bucket>,
    key: &str,
    version: Option<&str>,
) -> Result<Found, ApiError> {
    if version.is_some_and(|version| version != "null") {
        return Err(s3("NoSuchVersion", "The specified version does not exist."));
    }
    let (id, name) = (bucket.id, key.to_owned());
    let (found, pin) = call.read(move |index| index.pinned(id, &name)).await?;
    let Some((entry, body)) = found else {
        let listed = call.authorize("s3:ListBucket", bucket, None);
        return Err(if listed.is_ok() { no_such_key(key) } else { access_denied() });
    };
    let manifest = body.sealed.peek().map_err(|e| storage(&e))?;
    let metadata = body.sealed.metadata().map_err(|e| storage(&e))?;
    Ok(Found { entry, body, manifest, metadata, pin: Arc::new(pin) })
}

impl Found {
    /// The data key of this object, on the customer's ticket; the manifest verified under it.
    pub(crate) async fn open(
        &self,
        call: &Call,
        permit: &writ_policy::Permit,
        bucket: &Bucket,
    ) -> Result<(DataKey, Manifest), ApiError> {
        let arn = bucket.object_arn(&self.entry.key);
        let body = &self.body;
        let key = call.unwrap(permit, &body.key_arn, &body.wrapped, &body.context, &arn).await?;
        let name = self.entry.object.to_string();
        let manifest = body.sealed.open(&key, &name).map_err(|e| storage(&e))?;
        let own = (manifest.identity.object, manifest.identity.bucket, &manifest.identity.key);
        if own != (self.entry.object, bucket.id, &self.entry.key) {
            let what = "the row";
            return Err(storage(&S3Error::Damaged { what, name }));
        }
        Ok((key, manifest))
    }

    /// Bytes of footer behind the frames of a whole object.
    pub(crate) fn footer_bytes(&self) -> u64 {
        self.body.sealed.footer_bytes()
    }
}
