//! Bodies on their way in. Nothing is asked for before the call has its permit and its data key.

use std::time::Duration;

use aws_lc_rs::digest;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use subtle::ConstantTimeEq as _;
use writ_aws::ApiError;
use writ_aws::chunked::Seal;
use writ_aws::sigv4::PayloadMode;
use writ_keyd_client::protocol::{Answer, Chunks, Command, Reply};
use writ_model::Arn;
use writ_service::task;

use super::call::Call;
use super::fault::{access_denied, argument, internal, refused, s3, slow_down, unavailable};
use super::intake::Intake;
use super::sink::Written;
use super::streams::Guard;
use crate::limits::{BODY_MIN_BYTES, BODY_WINDOW, FRAME_BYTES, STREAM_CHECK};

/// Streams the body into `intake` under the KMS key `key`, has keyd check chunk signatures, and checks all claims at the end.
pub(crate) async fn receive(
    call: &Call,
    mut body: Incoming,
    mut intake: Intake,
    key: &Arn,
) -> Result<Written, ApiError> {
    let gateway = &call.gateway;
    let mut guard = gateway.guard(&call.caller, &[key]);
    let mut pace = Pace::begin(gateway.env.monotonic());
    loop {
        let wanted = usize::try_from(gateway.streams.frames_a_step()).unwrap_or(1) * FRAME_BYTES;
        let mut batch = Vec::new();
        let mut size = 0;
        let mut ended = false;
        while size < wanted {
            if !guard.holds() {
                return Err(access_denied());
            }
            let frame = match tokio::time::timeout(STREAM_CHECK, body.frame()).await {
                Err(_) => {
                    pace.check(gateway.env.monotonic(), 0)?;
                    continue;
                }
                Ok(None) => {
                    ended = true;
                    break;
                }
                Ok(Some(frame)) => frame.map_err(|_| vanished())?,
            };
            if let Ok(data) = frame.into_data() {
                pace.check(gateway.env.monotonic(), data.len() as u64)?;
                size += data.len();
                batch.push(data);
            }
        }
        let step = task::blocking(move || {
            let taken = batch.iter().try_for_each(|bytes| intake.take(bytes));
            (intake, taken)
        });
        let (back, taken) = step.await.ok_or_else(internal)?;
        intake = back;
        taken?;
        verify(call, &mut intake).await?;
        if ended {
            break;
        }
    }
    task::blocking(move || intake.finish()).await.ok_or_else(internal)?
}

/// Has keyd check the chunk signatures that have come in; it alone holds the signing key.
async fn verify(call: &Call, intake: &mut Intake) -> Result<(), ApiError> {
    let (seals, trailer) = intake.take_seals();
    if seals.is_empty() && trailer.is_none() {
        return Ok(());
    }
    let pair = |seal: Seal| (seal.signature, seal.sha256);
    let chunks = Command::Chunks(Chunks {
        handle: call.handle,
        chunks: seals.into_iter().map(pair).collect(),
        trailer: trailer.map(pair),
    });
    match call.gateway.keyd.call(&chunks).await {
        Ok(Answer::Carried(Reply::ChunksVerified)) => Ok(()),
        Ok(Answer::Carried(_)) => Err(internal()),
        Ok(Answer::Refused(refusal)) => Err(refused(&refusal)),
        Err(_) => Err(unavailable()),
    }
}

/// Reads a small body whole and checks it against the signed hash.
pub(crate) async fn small(
    call: &Call,
    mut body: Incoming,
    limit: usize,
) -> Result<Vec<u8>, ApiError> {
    let place = call.gateway.xml_bodies.take(call.caller.account).await;
    let _place = place.ok_or_else(slow_down)?;
    let mut out = Vec::new();
    let mut pace = Pace::begin(call.gateway.env.monotonic());
    loop {
        let frame = match tokio::time::timeout(STREAM_CHECK, body.frame()).await {
            Err(_) => {
                pace.check(call.gateway.env.monotonic(), 0)?;
                continue;
            }
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|_| vanished())?,
        };
        if let Ok(data) = frame.into_data() {
            pace.check(call.gateway.env.monotonic(), data.len() as u64)?;
            if out.len() + data.len() > limit {
                return Err(s3("MaxMessageLengthExceeded", "Your request was too big."));
            }
            out.extend_from_slice(&data);
        }
    }
    match PayloadMode::parse(&call.payload) {
        Ok(PayloadMode::Unsigned) => Ok(out),
        Ok(PayloadMode::Sha256(expected)) => {
            let found = digest::digest(&digest::SHA256, &out);
            if bool::from(found.as_ref().ct_eq(&expected)) {
                return Ok(out);
            }
            let text =
                "The provided 'x-amz-content-sha256' header does not match what was computed.";
            Err(s3("XAmzContentSHA256Mismatch", text))
        }
        _ => {
            let text = "This operation takes no body in aws-chunked framing";
            Err(argument("x-amz-content-sha256", &call.payload, text))
        }
    }
}

fn vanished() -> ApiError {
    s3("IncompleteBody", "The request body terminated unexpectedly")
}

/// Ends bodies that come too slowly.
struct Pace {
    window: Duration,
    bytes: u64,
}

impl Pace {
    fn begin(now: Duration) -> Pace {
        Pace { window: now, bytes: 0 }
    }

    fn check(&mut self, now: Duration, more: u64) -> Result<(), ApiError> {
        self.bytes += more;
        if self.bytes >= BODY_MIN_BYTES {
            *self = Pace::begin(now);
        } else if now.saturating_sub(self.window) > BODY_WINDOW {
            let text = "Your socket connection to the server was not read from or written to \
                        within the timeout period. Idle connections will be closed.";
            return Err(s3("RequestTimeout", text));
        }
        Ok(())
    }
}

impl super::Gateway {
    /// What ends a stream of this caller under these KMS keys.
    pub(crate) fn guard(&self, caller: &writ_keyd_client::caller::Caller, keys: &[&Arn]) -> Guard {
        let (state, env) = (std::sync::Arc::clone(&self.state), std::sync::Arc::clone(&self.env));
        Guard::new(state, env, caller.clone(), keys)
    }
}
