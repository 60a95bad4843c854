//! `GetObject` and `HeadObject`:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>

use std::ops::Range;
use std::sync::Arc;

use writ_aws::ApiError;
use writ_aws::generated::s3::{GetObjectRequest, HeadObjectRequest};
use writ_aws::rest_xml::HttpReply;
use writ_policy::Permit;

use crate::format::{Manifest, SseMode, Sums, open_sums};
use crate::gateway::call::{Call, Outcome};
use crate::gateway::download::{Download, Source};
use crate::gateway::fault::{argument, not_implemented, precondition, s3, slow_down, storage};
use crate::gateway::object::{Found, find, quoted, sums_subject};
use crate::index::Bucket;
use crate::wire::conditions::{ReadConditions, Verdict};
use crate::wire::range::{Wanted, wanted};

/// What both operations ask for.
struct Ask {
    conditions: ReadConditions,
    range: Option<String>,
    part: Option<i64>,
    version: Option<String>,
    checksums: bool,
}

/// What will leave.
struct Plan {
    range: Range<u64>,
    /// True for 206.
    partial: bool,
    /// The one part that was asked for, by its place.
    part: Option<usize>,
}

pub(super) async fn get(call: &Call) -> Result<Outcome, ApiError> {
    let input: GetObjectRequest = call.input(&[])?;
    let ask = Ask {
        conditions: ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        },
        range: input.range,
        part: input.part_number,
        version: input.version_id,
        checksums: input.checksum_mode.as_deref() == Some("ENABLED"),
    };
    let (bucket, permit, found, plan) = prepare(call, &ask).await?;
    let admission = call.gateway.streams.admit(call.caller.account).await.ok_or_else(slow_down)?;
    let (key, manifest) = found.open(call, &permit, &bucket).await?;
    let sums = match ask.checksums {
        true => Some(sums(&found, &key, &manifest)?),
        false => None,
    };
    let length = plan.range.end - plan.range.start;
    let source = Source::new(&call.gateway.blobs, key, &manifest, &plan.range, &found);
    let guard = call.gateway.guard(&call.caller, &[&found.body.key_arn]);
    let download = Download::new(source, length, &call.gateway.streams, admission, guard);
    let mut outcome = described(call, &bucket, &found, &plan, sums.as_ref());
    for (name, over) in OVERRIDES {
        if let Some(value) = call.query(over) {
            outcome.reply.headers.retain(|(n, _)| n != name);
            outcome = outcome.header(name, value);
        }
    }
    outcome.stream = Some(download);
    Ok(outcome
        .noting("bytesTransferredOut", length)
        .noting("range", format!("{}-{}", plan.range.start, plan.range.end))
        .noting("manifestSha256", hex::encode(found.body.sealed.digest())))
}

pub(super) async fn head(call: &Call) -> Result<Outcome, ApiError> {
    let input: HeadObjectRequest = call.input(&[])?;
    let ask = Ask {
        conditions: ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        },
        range: input.range,
        part: input.part_number,
        version: input.version_id,
        checksums: input.checksum_mode.as_deref() == Some("ENABLED"),
    };
    let (bucket, permit, found, plan) = prepare(call, &ask).await?;
    let sums = match ask.checksums {
        // Checksums lie under the data key, so asking for them is a use of the customer's key.
        true => {
            let (key, manifest) = found.open(call, &permit, &bucket).await?;
            Some(sums(&found, &key, &manifest)?)
        }
        false => None,
    };
    Ok(described(call, &bucket, &found, &plan, sums.as_ref()))
}

/// Response headers that a signed request may override.
const OVERRIDES: [(&str, &str); 6] = [
    ("cache-control", "response-cache-control"),
    ("content-disposition", "response-content-disposition"),
    ("content-encoding", "response-content-encoding"),
    ("content-language", "response-content-language"),
    ("content-type", "response-content-type"),
    ("expires", "response-expires"),
];

async fn prepare(call: &Call, ask: &Ask) -> Result<(Arc<Bucket>, Permit, Found, Plan), ApiError> {
    let bucket = call.bucket()?;
    let permit = call.authorize("s3:GetObject", &bucket, Some(call.key()))?;
    if call.amz("x-amz-server-side-encryption-customer-algorithm").is_some() {
        return Err(not_implemented("SSE-C"));
    }
    let found = find(call, &bucket, call.key(), ask.version.as_deref()).await?;
    let entry = &found.entry;
    match ask.conditions.decide(&entry.etag, entry.mtime) {
        Verdict::Proceed => {}
        Verdict::Fail(condition) => return Err(precondition(condition)),
        Verdict::NotModified => {
            return Err(s3("NotModified", "Not Modified")
                .with("ETag", quoted(&entry.etag))
                .with("Last-Modified", entry.mtime.http()));
        }
    }
    let plan = plan(ask, &found.manifest)?;
    Ok((bucket, permit, found, plan))
}

fn plan(ask: &Ask, manifest: &Manifest) -> Result<Plan, ApiError> {
    let length = manifest.length;
    let unsatisfiable = || {
        s3("InvalidRange", "The requested range is not satisfiable")
            .with("ActualObjectSize", length.to_string())
    };
    let Some(number) = ask.part else {
        return match wanted(ask.range.as_deref(), length) {
            Wanted::Whole => Ok(Plan { range: 0..length, partial: false, part: None }),
            Wanted::Part(range) => Ok(Plan { range, partial: true, part: None }),
            Wanted::Unsatisfiable => Err(unsatisfiable()),
        };
    };
    if ask.range.is_some() {
        let text = "Cannot specify both Range header and partNumber query parameter";
        return Err(s3("InvalidRequest", text));
    }
    let place = usize::try_from(number - 1).ok().filter(|at| *at < manifest.segments.len());
    let Some(place) = place else {
        if number < 1 {
            let text = "Part number must be an integer between 1 and 10000, inclusive";
            return Err(argument("partNumber", &number.to_string(), text));
        }
        return Err(unsatisfiable());
    };
    let before: u64 = manifest.segments.iter().take(place).map(|s| s.length).sum();
    let own = manifest.segments.get(place).map_or(0, |s| s.length);
    Ok(Plan { range: before..before + own, partial: own > 0, part: Some(place) })
}

/// The object's checksums. Their place in the manifest is covered by its tag.
fn sums(
    found: &Found,
    key: &crate::format::DataKey,
    manifest: &Manifest,
) -> Result<Sums, ApiError> {
    let subject = sums_subject(found.entry.object, 0);
    open_sums(key, &subject, &manifest.sums).map_err(|e| storage(&e))
}

/// The head of the reply.
fn described(
    call: &Call,
    bucket: &Bucket,
    found: &Found,
    plan: &Plan,
    sums: Option<&Sums>,
) -> Outcome {
    let Found { entry, body, manifest, metadata, .. } = found;
    let mut headers = vec![
        ("accept-ranges".to_owned(), "bytes".to_owned()),
        ("last-modified".to_owned(), entry.mtime.http()),
        ("etag".to_owned(), quoted(&entry.etag)),
        ("content-length".to_owned(), (plan.range.end - plan.range.start).to_string()),
        ("x-amz-server-side-encryption".to_owned(), manifest.sse.name().to_owned()),
    ];
    if manifest.sse == SseMode::Kms {
        let name = "x-amz-server-side-encryption-aws-kms-key-id".to_owned();
        headers.push((name, body.key_arn.to_string()));
    }
    headers.extend(metadata.system.iter().cloned());
    let user = metadata.user.iter().map(|(k, v)| (format!("x-amz-meta-{k}"), v.clone()));
    headers.extend(user);
    if plan.partial {
        let Range { start, end } = plan.range;
        let text = format!("bytes {start}-{}/{}", end.saturating_sub(1), entry.size);
        headers.push(("content-range".to_owned(), text));
    }
    let multipart = manifest.segments.iter().any(|s| s.part > 0);
    if plan.part.is_some() && multipart {
        headers.push(("x-amz-mp-parts-count".to_owned(), manifest.segments.len().to_string()));
    }
    if let Some(sums) = sums {
        headers.extend(checksum_headers(sums, plan, entry.size, manifest, multipart));
    }
    let status = if plan.partial { 206 } else { 200 };
    Outcome::reply(HttpReply { status, headers, body: Vec::new() })
        .touching(bucket, Some(call.key()))
        .noting("SSEApplied", manifest.sse.name())
}

/// A checksum is told for the whole object or for exactly one part.
fn checksum_headers(
    sums: &Sums,
    plan: &Plan,
    size: u64,
    manifest: &Manifest,
    multipart: bool,
) -> Vec<(String, String)> {
    let whole = plan.range == (0..size);
    let value = match plan.part.filter(|_| multipart) {
        Some(place) => {
            let number = manifest.segments.get(place).map_or(0, |s| s.part);
            sums.parts.iter().find(|(part, _)| *part == number).map(|(_, value)| value)
        }
        None => whole.then_some(&sums.value),
    };
    let kind = if sums.full_object { "FULL_OBJECT" } else { "COMPOSITE" };
    let name = format!("x-amz-checksum-{}", sums.algorithm.to_ascii_lowercase());
    value.map_or_else(Vec::new, |value| {
        vec![(name, value.clone()), ("x-amz-checksum-type".to_owned(), kind.to_owned())]
    })
}
