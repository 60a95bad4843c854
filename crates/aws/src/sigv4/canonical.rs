//! The canonical request and the string to sign.

use super::encode::{decode, encode_into, query_pairs};
use super::{ALGORITHM, Claim, Form, Payload, RawRequest, SigError, sha256};

/// How a service canonicalises the path of its requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathStyle {
    /// Normalise (RFC 3986 section 5.2.4, and repeated slashes are one), then encode the path as
    /// it stands on the request line, so that a `%` becomes `%25`: "encoded twice".
    Standard,
    /// Decode once and encode once; never normalise, since `a//b` and `a/b` are two objects.
    S3,
    /// The path as it stands on the request line. S3's clients sign it so; it differs from the
    /// documented form where they encode more or less than they should.
    S3AsSent,
}

impl PathStyle {
    /// The rule of the service with this signing name.
    pub fn of_service(service: &str) -> PathStyle {
        match service {
            "s3" | "s3-outposts" | "s3-object-lambda" | "s3express" => PathStyle::S3,
            _ => PathStyle::Standard,
        }
    }
}

/// When a session token in the query string was added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenPlace {
    /// After signing: the canonical query is without it.
    AfterSigning,
    /// Before signing: the canonical query has it.
    BeforeSigning,
}

/// What is signed, and what it was made from.
#[derive(Clone, PartialEq, Eq)]
pub struct StringToSign {
    /// The string to sign.
    pub text: String,
    /// The canonical request, for error replies; bytes that are not UTF-8 are replaced in it (the
    /// digest in `text` is of the true bytes). It can hold a session token: never log it.
    pub canonical_request: String,
    /// SHA-256 of the bytes of `text`: how records name what was signed.
    pub digest: [u8; 32],
}

/// The string that `claim` says was signed over `request`, under the path rule of the scope's
/// service and with the whole query signed.
pub fn string_to_sign(
    request: &RawRequest<'_>,
    claim: &Claim,
    payload: Payload<'_>,
) -> Result<StringToSign, SigError> {
    let style = PathStyle::of_service(&claim.scope.service);
    string_to_sign_as(request, claim, payload, style, TokenPlace::BeforeSigning)
}

/// [`string_to_sign`] with the two choices that the request alone does not settle.
pub fn string_to_sign_as(
    request: &RawRequest<'_>,
    claim: &Claim,
    payload: Payload<'_>,
    style: PathStyle,
    token: TokenPlace,
) -> Result<StringToSign, SigError> {
    let hash = payload_hash(request, payload)?;
    let room = 256 + request.path.len() + request.query.len() + 64 * claim.signed_headers.len();
    let mut out = Vec::with_capacity(room);
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    canonical_path(&mut out, request.path, style)?;
    out.push(b'\n');
    canonical_query(&mut out, request.query, claim.form, token)?;
    out.push(b'\n');
    for name in &claim.signed_headers {
        canonical_header(&mut out, request, name)?;
    }
    out.push(b'\n');
    for (at, name) in claim.signed_headers.iter().enumerate() {
        if at > 0 {
            out.push(b';');
        }
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b'\n');
    out.extend_from_slice(hash.as_bytes());

    let date = claim.signed_at.basic();
    let digest = hex::encode(sha256(&out));
    let text = format!("{ALGORITHM}\n{date}\n{}\n{digest}", claim.scope);
    let digest = sha256(text.as_bytes());
    let canonical_request = match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    Ok(StringToSign { text, canonical_request, digest })
}

/// The last line of the canonical request.
///
/// A body that we hash must agree with what `x-amz-content-sha256` says of it, when it is there.
fn payload_hash(request: &RawRequest<'_>, payload: Payload<'_>) -> Result<String, SigError> {
    match payload {
        Payload::Declared(literal) => Ok(literal.to_owned()),
        Payload::Body(body) => {
            let computed = hex::encode(sha256(body));
            match request.single_header("x-amz-content-sha256")? {
                Some(declared) if declared != computed => Err(SigError::ContentSha256Mismatch {
                    declared: declared.chars().take(128).collect(),
                    computed,
                }),
                _ => Ok(computed),
            }
        }
    }
}

fn canonical_path(out: &mut Vec<u8>, path: &str, style: PathStyle) -> Result<(), SigError> {
    match style {
        PathStyle::S3AsSent => out.extend_from_slice(path.as_bytes()),
        PathStyle::S3 => {
            let decoded = decode(path).ok_or(SigError::MalformedPath)?;
            if decoded.is_empty() {
                out.push(b'/');
            }
            encode_into(out, &decoded, true);
        }
        PathStyle::Standard => {
            let mut kept: Vec<&str> = Vec::new();
            for segment in path.split('/') {
                match segment {
                    "" | "." => {}
                    ".." => {
                        kept.pop();
                    }
                    other => kept.push(other),
                }
            }
            for segment in &kept {
                out.push(b'/');
                encode_into(out, segment.as_bytes(), false);
            }
            let ends_open = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
            if kept.is_empty() || ends_open {
                out.push(b'/');
            }
        }
    }
    Ok(())
}

/// Whether [`PathStyle::S3`] leaves `path` as it is.
pub(super) fn is_canonical_s3_path(path: &str) -> bool {
    let mut out = Vec::with_capacity(path.len() + 16);
    canonical_path(&mut out, path, PathStyle::S3).is_ok() && out == path.as_bytes()
}

fn canonical_query(
    out: &mut Vec<u8>,
    query: &str,
    form: Form,
    token: TokenPlace,
) -> Result<(), SigError> {
    if query.is_empty() {
        return Ok(());
    }
    let mut pairs = Vec::new();
    for (name, value) in query_pairs(query)? {
        let presigned = matches!(form, Form::Presigned { .. });
        let is = |other: &[u8]| presigned && name.eq_ignore_ascii_case(other);
        let late_token = token == TokenPlace::AfterSigning && is(b"X-Amz-Security-Token");
        if is(b"X-Amz-Signature") || late_token {
            continue;
        }
        let (mut encoded_name, mut encoded_value) = (Vec::new(), Vec::new());
        encode_into(&mut encoded_name, &name, false);
        encode_into(&mut encoded_value, &value, false);
        pairs.push((encoded_name, encoded_value));
    }
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
    Ok(())
}

/// `name:value,value\n`: values trimmed, runs of white space one space, repeated fields joined.
fn canonical_header(
    out: &mut Vec<u8>,
    request: &RawRequest<'_>,
    name: &str,
) -> Result<(), SigError> {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut found = false;
    for (key, value) in request.headers {
        if !key.eq_ignore_ascii_case(name) {
            continue;
        }
        if found {
            out.push(b',');
        }
        found = true;
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for (at, word) in words.enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(word);
        }
    }
    out.push(b'\n');
    if found { Ok(()) } else { Err(SigError::SignedHeaderAbsent { name: name.to_owned() }) }
}
