//! Reading the claim that a request makes about its signature. Strict and total.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::limits::PRESIGNED_LIFETIME_MAX;
use writ_model::{Region, Timestamp};

use super::encode::query_pairs;
use super::{
    ALGORITHM, ALGORITHM_V4A, Claim, DateSource, Form, RawRequest, Scope, SigError, TERMINATOR,
    hex32, sha256,
};
use crate::limits::{
    ACCESS_KEY_ID_MAX_CHARS, HEAD_MAX_BYTES, HEADERS_MAX, SERVICE_NAME_MAX_CHARS,
    SIGNED_HEADERS_MAX,
};

/// Reads the claim of `request`; `None` when it is not signed at all.
///
/// A signature in the header and one in the query together, parts given twice, unknown parts and
/// parts of a wrong form are errors. So is anything that only looks like a signature: a request
/// that carries any of the query parameters of a presigned URL is never taken for unsigned.
pub fn parse(request: &RawRequest<'_>) -> Result<Option<Claim>, SigError> {
    check_size(request)?;
    check_line(request)?;
    let query = QueryAuth::collect(request)?;
    let header = request.single_header("authorization")?;
    match (header, query.is_present()) {
        (Some(_), true) => Err(SigError::MixedForms),
        (Some(value), false) => parse_header(request, value).map(Some),
        (None, true) => parse_query(request, query).map(Some),
        (None, false) => Ok(None),
    }
}

fn check_size(request: &RawRequest<'_>) -> Result<(), SigError> {
    let fields: usize = request.headers.iter().map(|(n, v)| n.len() + v.len()).sum();
    let line = request.method.len() + request.path.len() + request.query.len();
    if fields + line > HEAD_MAX_BYTES || request.headers.len() > HEADERS_MAX {
        return Err(SigError::HeadTooLarge);
    }
    Ok(())
}

/// Refuses what an HTTP parser would never hand over. The canonical request is made of lines, so
/// a line feed in a method or path would let one signed text be read in two ways, and the bytes
/// here may come from a process that is not trusted to have parsed them.
fn check_line(request: &RawRequest<'_>) -> Result<(), SigError> {
    let token = |text: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !text.is_empty() && text.bytes().all(fits)
    };
    if !token(request.method) || request.headers.iter().any(|(name, _)| !token(name)) {
        return Err(SigError::MalformedHead);
    }
    let path_fits = request.path.starts_with('/')
        && !request.path.bytes().any(|b| b.is_ascii_control() || b == b'?' || b == b'#');
    if !path_fits {
        return Err(SigError::MalformedPath);
    }
    if request.query.bytes().any(|b| b.is_ascii_control() || b == b'#') {
        return Err(SigError::MalformedQuery);
    }
    Ok(())
}

/// The parameters of a presigned URL, each at most once.
#[derive(Default)]
struct QueryAuth {
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    signature: Option<String>,
    signed_headers: Option<String>,
    token: Option<String>,
}

impl QueryAuth {
    fn collect(request: &RawRequest<'_>) -> Result<QueryAuth, SigError> {
        let mut found = QueryAuth::default();
        let (mut old_key, mut old_signature) = (false, false);
        for (name, value) in query_pairs(request.query)? {
            old_key |= name.as_ref() == b"AWSAccessKeyId";
            old_signature |= name.as_ref() == b"Signature";
            let lower = name.to_ascii_lowercase();
            let slot = match lower.as_slice() {
                b"x-amz-algorithm" => &mut found.algorithm,
                b"x-amz-credential" => &mut found.credential,
                b"x-amz-date" => &mut found.date,
                b"x-amz-expires" => &mut found.expires,
                b"x-amz-security-token" => &mut found.token,
                b"x-amz-signature" => &mut found.signature,
                b"x-amz-signedheaders" => &mut found.signed_headers,
                _ => continue,
            };
            let name = String::from_utf8_lossy(&name).into_owned();
            let text = String::from_utf8(value.into_owned())
                .map_err(|_| SigError::QueryNotText { name: name.clone() })?;
            if slot.replace(text).is_some() {
                return Err(SigError::QueryDuplicate { name });
            }
        }
        if old_key && old_signature {
            return Err(SigError::SignatureVersionUnsupported);
        }
        Ok(found)
    }

    fn is_present(&self) -> bool {
        let QueryAuth { algorithm, credential, date, expires, signature, signed_headers, token } =
            self;
        [algorithm, credential, date, expires, signature, signed_headers, token]
            .iter()
            .any(|part| part.is_some())
    }
}

fn parse_query(request: &RawRequest<'_>, parts: QueryAuth) -> Result<Claim, SigError> {
    match parts.algorithm.as_deref() {
        Some(ALGORITHM) | None => {}
        Some(ALGORITHM_V4A) => return Err(SigError::Sigv4aUnsupported),
        Some(other) => {
            let form = FORM_QUERY;
            return Err(SigError::UnsupportedAlgorithm { form, given: cut(other) });
        }
    }
    let named = [
        ("X-Amz-Algorithm", parts.algorithm.is_some()),
        ("X-Amz-Credential", parts.credential.is_some()),
        ("X-Amz-Signature", parts.signature.is_some()),
        ("X-Amz-Date", parts.date.is_some()),
        ("X-Amz-SignedHeaders", parts.signed_headers.is_some()),
        ("X-Amz-Expires", parts.expires.is_some()),
    ];
    let missing: Vec<_> = named.iter().filter(|(_, there)| !there).map(|(n, _)| *n).collect();
    let (Some(credential), Some(date), Some(expires), Some(signature), Some(names)) =
        (parts.credential, parts.date, parts.expires, parts.signature, parts.signed_headers)
    else {
        return Err(SigError::QueryIncomplete { missing });
    };
    if !missing.is_empty() {
        return Err(SigError::QueryIncomplete { missing });
    }

    let form = Form::Presigned { expires: parse_expires(&expires)? };
    let signed_at = Timestamp::parse_basic(&date)
        .map_err(|_| SigError::DateMalformed { form, given: cut(&date) })?;
    let (access_key_id, scope) = parse_credential(&credential, form)?;
    check_day(&scope, signed_at, form)?;
    let in_header = request.single_header("x-amz-security-token")?;
    let token_in_query = parts.token.is_some();
    if token_in_query && in_header.is_some() {
        return Err(SigError::MixedForms);
    }
    Ok(Claim {
        access_key_id,
        scope,
        signed_at,
        date_source: DateSource::Query,
        signed_headers: parse_signed_headers(request, &names, form)?,
        signature: hex32(&signature).ok_or(SigError::SignatureMalformed)?,
        form,
        session_token: parts.token.or_else(|| in_header.map(str::to_owned)),
        token_in_query,
    })
}

/// Stands for "in the query" where only the place matters.
const FORM_QUERY: Form = Form::Presigned { expires: Duration::ZERO };

fn parse_expires(text: &str) -> Result<Duration, SigError> {
    let given = || cut(text);
    if text.starts_with('-') && text.len() > 1 && digits(text.get(1..).unwrap_or_default()) {
        return Err(SigError::ExpiresOutOfRange { given: given() });
    }
    if !digits(text) {
        return Err(SigError::ExpiresMalformed { given: given() });
    }
    match text.parse::<u64>() {
        Ok(seconds) if (1..=PRESIGNED_LIFETIME_MAX.as_secs()).contains(&seconds) => {
            Ok(Duration::from_secs(seconds))
        }
        _ => Err(SigError::ExpiresOutOfRange { given: given() }),
    }
}

fn parse_header(request: &RawRequest<'_>, value: &str) -> Result<Claim, SigError> {
    let (algorithm, rest) = value.split_once(' ').unwrap_or((value, ""));
    match algorithm {
        ALGORITHM => {}
        ALGORITHM_V4A => return Err(SigError::Sigv4aUnsupported),
        "AWS" => return Err(SigError::SignatureVersionUnsupported),
        other => {
            return Err(SigError::UnsupportedAlgorithm { form: Form::Header, given: cut(other) });
        }
    }
    let parts = HeaderAuth::split(rest, value)?;
    let date = header_date(request)?;
    let (Some(credential), Some(signature), Some(names), Some((signed_at, date_source))) =
        (parts.credential, parts.signature, parts.signed_headers, date)
    else {
        let missing = [
            ("Credential", parts.credential.is_none()),
            ("Signature", parts.signature.is_none()),
            ("SignedHeaders", parts.signed_headers.is_none()),
        ];
        let missing: Vec<_> = missing.iter().filter(|(_, gone)| *gone).map(|(n, _)| *n).collect();
        if missing.is_empty() {
            return Err(SigError::DateMissing { header_sha256: sha256_base64(value) });
        }
        let (date_missing, header_sha256) = (date.is_none(), sha256_base64(value));
        return Err(SigError::HeaderIncomplete { missing, date_missing, header_sha256 });
    };
    let (access_key_id, scope) = parse_credential(credential, Form::Header)?;
    check_day(&scope, signed_at, Form::Header)?;
    Ok(Claim {
        access_key_id,
        scope,
        signed_at,
        date_source,
        signed_headers: parse_signed_headers(request, names, Form::Header)?,
        signature: hex32(signature).ok_or(SigError::SignatureMalformed)?,
        form: Form::Header,
        session_token: request.single_header("x-amz-security-token")?.map(str::to_owned),
        token_in_query: false,
    })
}

/// The parts of an `Authorization` header behind the algorithm.
#[derive(Default)]
struct HeaderAuth<'a> {
    credential: Option<&'a str>,
    signature: Option<&'a str>,
    signed_headers: Option<&'a str>,
}

impl<'a> HeaderAuth<'a> {
    fn split(rest: &'a str, whole: &str) -> Result<HeaderAuth<'a>, SigError> {
        let mut found = HeaderAuth::default();
        if rest.trim_ascii().is_empty() {
            return Ok(found);
        }
        for piece in rest.split(',').map(str::trim_ascii) {
            let Some((name, value)) = piece.split_once('=') else {
                return Err(SigError::HeaderPieceMalformed { header_sha256: sha256_base64(whole) });
            };
            let slot = match name {
                "Credential" => &mut found.credential,
                "Signature" => &mut found.signature,
                "SignedHeaders" => &mut found.signed_headers,
                _ => return Err(SigError::HeaderPieceUnknown { name: cut(name) }),
            };
            if slot.replace(value).is_some() {
                return Err(SigError::HeaderPieceDuplicate { name: name.to_owned() });
            }
        }
        Ok(found)
    }
}

fn header_date(request: &RawRequest<'_>) -> Result<Option<(Timestamp, DateSource)>, SigError> {
    let error = |text: &str| SigError::DateMalformed { form: Form::Header, given: cut(text) };
    if let Some(text) = request.single_header("x-amz-date")? {
        let at = Timestamp::parse_basic(text).map_err(|_| error(text))?;
        return Ok(Some((at, DateSource::AmzDate)));
    }
    let Some(text) = request.single_header("date")? else { return Ok(None) };
    let at = Timestamp::parse_basic(text).ok().or_else(|| http_date(text));
    Ok(Some((at.ok_or_else(|| error(text))?, DateSource::Date)))
}

/// Reads `Sun, 30 Aug 2015 12:36:00 GMT` (RFC 9110 section 5.6.7, the fixed-length form). The
/// name of the day says nothing that the rest does not, and is not compared.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (day_name, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (time, zone) = (parts.next()?, parts.next()?);
    if !DAYS.contains(&day_name) || zone != "GMT" || parts.next().is_some() || day.len() != 2 {
        return None;
    }
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    let time: String = time.split(':').collect();
    Timestamp::parse_basic(&format!("{year}{month:02}{day}T{time}Z")).ok()
}

fn parse_credential(text: &str, form: Form) -> Result<(String, Scope), SigError> {
    let error = || SigError::CredentialMalformed { form, given: cut(text) };
    let parts: Vec<&str> = text.splitn(6, '/').collect();
    let [key, date, region, service, terminator] = parts.as_slice() else {
        return Err(error());
    };
    let key_fits = (1..=ACCESS_KEY_ID_MAX_CHARS).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let service_fits = (1..=SERVICE_NAME_MAX_CHARS).contains(&service.len())
        && service.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !key_fits || !service_fits || date.len() != 8 || !digits(date) {
        return Err(error());
    }
    let region: Region = region.parse().map_err(|_| error())?;
    if *terminator != TERMINATOR {
        return Err(SigError::ScopeTerminatorWrong { form, given: cut(terminator) });
    }
    let scope = Scope { date: (*date).to_owned(), region, service: (*service).to_owned() };
    Ok(((*key).to_owned(), scope))
}

fn check_day(scope: &Scope, signed_at: Timestamp, form: Form) -> Result<(), SigError> {
    let basic = signed_at.basic();
    if basic.get(..8) == Some(scope.date.as_str()) {
        return Ok(());
    }
    Err(SigError::ScopeDateWrong { form, given: scope.date.clone(), signed_at })
}

/// The list must be as it stands in the canonical request: lower case, sorted, each name once;
/// and the request must have a field of each name.
fn parse_signed_headers(
    request: &RawRequest<'_>,
    text: &str,
    form: Form,
) -> Result<Vec<String>, SigError> {
    let token = |b: u8| (b.is_ascii_graphic() && !b.is_ascii_uppercase()) && b != b':';
    let names: Vec<&str> = text.splitn(SIGNED_HEADERS_MAX + 1, ';').collect();
    let ordered = names.windows(2).all(|pair| pair.first() < pair.last());
    let well_formed = names.iter().all(|n| !n.is_empty() && n.bytes().all(token));
    if names.len() > SIGNED_HEADERS_MAX || !ordered || !well_formed {
        return Err(SigError::SignedHeadersMalformed { form, given: cut(text) });
    }
    let present = |name: &&str| request.header_values(name).next().is_some();
    match names.iter().find(|name| !present(name)) {
        Some(name) => Err(SigError::SignedHeaderAbsent { name: (*name).to_owned() }),
        None => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// At most 128 characters of what came, for an error.
fn cut(text: &str) -> String {
    text.chars().take(128).collect()
}

/// How AWS names a header in an error without echoing it.
fn sha256_base64(text: &str) -> String {
    STANDARD.encode(sha256(text.as_bytes()))
}
