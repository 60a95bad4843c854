//! Verified plaintext on its way out, a step at a time.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use writ_aws::ApiError;
use writ_model::Arn;
use writ_service::task;

use super::fault::{internal, storage};
use super::object::Found;
use super::reply::ReplyBody;
use super::streams::{Admission, Guard, Streams};
use crate::S3Error;
use crate::blob::Blobs;
use crate::format::{DataKey, Manifest, RangeCursor, SegmentReader};
use crate::index::Pin;
use crate::limits::{BODY_WINDOW, STREAM_CHECK};

/// A range of an object, opened in order.
pub(crate) struct Source {
    blobs: Arc<Blobs>,
    key: DataKey,
    /// Segments and ranges within them, last one first.
    rest: Vec<(crate::format::SegmentRef, Range<u64>)>,
    footer: u64,
    current: Option<(File, RangeCursor)>,
    /// Segments are opened one after the other; none goes away before the last is read.
    _pin: Arc<Pin>,
    key_arn: Arn,
}

impl Source {
    /// The bytes `range` of the object `found`, whose manifest has been verified.
    pub(crate) fn new(
        blobs: &Arc<Blobs>,
        key: DataKey,
        manifest: &Manifest,
        range: &Range<u64>,
        found: &Found,
    ) -> Source {
        let mut rest = Vec::new();
        let mut at = 0;
        for segment in &manifest.segments {
            let end = at + segment.length;
            let part = range.start.max(at)..range.end.min(end);
            if part.start < part.end || (segment.length == 0 && manifest.segments.len() == 1) {
                rest.push((segment.clone(), part.start - at..part.end.max(at) - at));
            }
            at = end;
        }
        rest.reverse();
        Source {
            blobs: Arc::clone(blobs),
            key,
            rest,
            footer: found.footer_bytes(),
            current: None,
            _pin: Arc::clone(&found.pin),
            key_arn: found.body.key_arn.clone(),
        }
    }

    /// The KMS key that its data key came from.
    pub(crate) fn key_arn(&self) -> &Arn {
        &self.key_arn
    }

    /// The next bytes, at most `frames` frames; none at the end. Blocks.
    pub(crate) fn next(&mut self, frames: u64) -> Result<Option<Vec<u8>>, S3Error> {
        loop {
            if let Some((file, cursor)) = &mut self.current {
                if let Some(bytes) = cursor.next(file, frames)? {
                    return Ok(Some(bytes));
                }
                self.current = None;
            }
            let Some((segment, range)) = self.rest.pop() else { return Ok(None) };
            let file = self.blobs.segment(segment.segment, segment.part)?;
            let name = crate::index::segment_file(segment.segment, segment.part);
            let footer = if segment.part == 0 { self.footer } else { 0 };
            let reader = SegmentReader::open(
                &file,
                &name,
                &self.key,
                &segment.header_digest,
                segment.length,
                footer,
            )?;
            self.current = Some((file, reader.range(range)));
        }
    }
}

/// A download whose first bytes have been verified, so that its head may be sent.
pub(crate) struct Download {
    source: Source,
    first: Option<Vec<u8>>,
    length: u64,
    streams: Arc<Streams>,
    admission: Admission,
    guard: Guard,
}

impl Download {
    /// Prepares `length` bytes from `source`.
    pub(crate) fn new(
        source: Source,
        length: u64,
        streams: &Arc<Streams>,
        admission: Admission,
        guard: Guard,
    ) -> Download {
        Download { source, first: None, length, streams: Arc::clone(streams), admission, guard }
    }

    /// Opens the first step. A failure here is still an answer, not a broken connection.
    pub(crate) async fn open(mut self) -> Result<Download, ApiError> {
        let frames = self.streams.frames_a_step();
        let step = task::blocking(move || {
            let first = self.source.next(frames);
            (self, first)
        });
        let (mut download, first) = step.await.ok_or_else(internal)?;
        download.first = first.map_err(|e| storage(&e))?;
        Ok(download)
    }

    /// The body. It breaks off when a frame does not open or the stream is ended.
    pub(crate) fn into_body(self) -> ReplyBody {
        let (pieces, receiver) = mpsc::channel(1);
        let left = self.length;
        task::spawn("download", self.run(pieces));
        ReplyBody::Stream { pieces: receiver, left }
    }

    async fn run(self, pieces: mpsc::Sender<io::Result<Bytes>>) {
        let Download { mut source, mut first, streams, admission, mut guard, .. } = self;
        loop {
            let piece = match first.take() {
                Some(bytes) => Ok(Some(bytes)),
                None => {
                    let frames = streams.frames_a_step();
                    let step = task::blocking(move || {
                        let next = source.next(frames);
                        (source, next)
                    });
                    let Some((back, next)) = step.await else { return };
                    source = back;
                    next
                }
            };
            match piece {
                Ok(Some(bytes)) => {
                    if !send(&pieces, Bytes::from(bytes), &mut guard, BODY_WINDOW).await {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "a download broke off; `writ s3 fsck` names the file");
                    pieces.send(Err(io::ErrorKind::InvalidData.into())).await.ok();
                    break;
                }
            }
        }
        drop(admission);
    }
}

/// Sends a piece while the stream may go on, and its reader takes it within `window`; false if it is
/// over. Dropping the sender before the last byte resets the connection.
async fn send(
    pieces: &mpsc::Sender<io::Result<Bytes>>,
    bytes: Bytes,
    guard: &mut Guard,
    window: Duration,
) -> bool {
    let place = async {
        loop {
            if !guard.holds() {
                tracing::info!("a download was ended: its caller's access is over");
                return None;
            }
            if let Ok(place) = tokio::time::timeout(STREAM_CHECK, pieces.reserve()).await {
                return place.ok();
            }
        }
    };
    match tokio::time::timeout(window, place).await {
        Ok(Some(place)) => {
            place.send(Ok(bytes));
            true
        }
        Ok(None) => false,
        Err(_) => {
            tracing::info!("a download was ended: its reader takes nothing");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use writ_keyd_client::caller::{Caller, CallerKind, Session};
    use writ_model::{AccessKeyId, AccountId, Env as _, SystemEnv, Uuid};
    use writ_store::Snapshot;

    use super::super::ports::State;
    use super::*;

    struct Current(Arc<Snapshot>);

    impl State for Current {
        fn lease(&self) -> Option<Arc<Snapshot>> {
            Some(Arc::clone(&self.0))
        }
    }

    fn guard() -> Guard {
        let account = AccountId::from_number(1).unwrap();
        let session = Session {
            role: None,
            issued: SystemEnv.now(),
            expires: SystemEnv.now().plus(Duration::from_secs(3600)),
            mfa_at: None,
            source_identity: None,
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            policy: None,
            policy_arns: Vec::new(),
            chained: false,
        };
        let caller = Caller {
            kind: CallerKind::Root,
            account,
            arn: Arn::root(account),
            unique_id: account.to_string(),
            user_name: None,
            access_key_id: AccessKeyId::long_term(account, &SystemEnv),
            session: Some(session),
            delegated: false,
        };
        let state = Current(Arc::new(Snapshot::empty(Uuid::random(&SystemEnv))));
        Guard::new(Arc::new(state), Arc::new(SystemEnv), caller, &[])
    }

    #[tokio::test]
    async fn reader_that_takes_nothing_is_cut() {
        let (pieces, mut reader) = mpsc::channel(1);
        let window = Duration::from_millis(300);
        let piece = || Bytes::from_static(b"piece");
        let mut guard = guard();
        assert!(send(&pieces, piece(), &mut guard, window).await);
        let cut = send(&pieces, piece(), &mut guard, window);
        assert!(!tokio::time::timeout(Duration::from_secs(5), cut).await.unwrap());
        assert!(reader.recv().await.is_some());
        assert!(send(&pieces, piece(), &mut guard, window).await);
    }
}
