//! Requests signed by the crate `aws-sigv4` verify, and no byte of them can be changed.

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest,
    SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use writ_aws::sigv4::client::{Credentials, Signer};
use writ_aws::sigv4::{
    Claim, Payload, ProtocolFamily, RawRequest, SigError, SigningKey, check_scope,
    check_signed_headers, check_window, parse, s3_payload_literal, verify,
};
use writ_model::Timestamp;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "FwoGZXIvYXdzE/+=";
const NOW: u64 = 1_440_938_160;

#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    fn raw(&self) -> RawRequest<'_> {
        RawRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct How {
    s3: bool,
    presigned: bool,
    token: bool,
    token_signed: bool,
}

impl How {
    fn service(self) -> &'static str {
        if self.s3 { "s3" } else { "kms" }
    }

    fn family(self) -> ProtocolFamily {
        if self.s3 { ProtocolFamily::S3 } else { ProtocolFamily::Json }
    }
}

/// Signs in place, with Amazon's code.
fn sign_with_aws(request: &mut Request, how: How) {
    let token = how.token.then(|| TOKEN.to_owned());
    let identity =
        aws_credential_types::Credentials::new("AKIDEXAMPLE", SECRET, token, None, "test").into();
    let mut settings = SigningSettings::default();
    if how.s3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    if how.presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(900));
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    }
    if !how.token_signed {
        settings.session_token_mode = SessionTokenMode::Exclude;
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(how.service())
        .time(UNIX_EPOCH + Duration::from_secs(NOW))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = match request.query.as_str() {
        "" => format!("http://host.example{}", request.path),
        query => format!("http://host.example{}?{query}", request.path),
    };
    let fields: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(n, v)| (n.clone(), String::from_utf8(v.clone()).unwrap()))
        .collect();
    let fields = fields.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let body = if how.s3 && how.presigned {
        SignableBody::UnsignedPayload
    } else {
        SignableBody::Bytes(&request.body)
    };
    let signable = SignableRequest::new(&request.method, uri, fields, body).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    for (name, value) in instructions.headers() {
        request.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    }
    for (name, value) in instructions.params() {
        if !request.query.is_empty() {
            request.query.push('&');
        }
        let value = writ_aws::sigv4::encode::encode(value.as_bytes());
        request.query.push_str(&format!("{name}={value}"));
    }
}

/// The whole check, as keyd makes it.
fn check(request: &Request, how: How) -> Result<Claim, SigError> {
    let raw = request.raw();
    let claim = parse(&raw)?.ok_or(SigError::MissingAuthentication)?;
    check_window(&claim, Timestamp::from_secs(NOW + 60), how.family().window())?;
    check_scope(&claim, how.service(), &"us-east-1".parse().unwrap())?;
    check_signed_headers(&raw, &claim, how.family())?;
    if claim.access_key_id != "AKIDEXAMPLE" {
        return Err(SigError::UnknownAccessKey { access_key_id: claim.access_key_id });
    }
    // A token outside the signature proves nothing: keyd opens it and compares.
    if claim.session_token.as_deref().is_some_and(|token| token != TOKEN) {
        return Err(SigError::TokenInvalid);
    }
    let scope = &claim.scope;
    let (region, service) = (scope.region.as_str(), &scope.service);
    let key = SigningKey::derive(SECRET.as_bytes(), &scope.date, region, service);
    if how.s3 {
        let literal = s3_payload_literal(&raw, &claim)?;
        let declared = Payload::Declared(&literal);
        verify(&key, &raw, &claim, declared)?;
        // What s3 does while it reads the body.
        let whole = Payload::Body(&request.body);
        if literal != "UNSIGNED-PAYLOAD" {
            verify(&key, &raw, &claim, whole)?;
        }
    } else {
        verify(&key, &raw, &claim, Payload::Body(&request.body))?;
    }
    Ok(claim)
}

fn requests() -> impl Strategy<Value = Request> {
    let segment = prop_oneof!["[a-zA-Z0-9._~-]{1,8}", "%[2-7][0-9A-F]", Just(String::new())];
    let path = prop::collection::vec(segment, 0..4).prop_map(|s| format!("/{}", s.join("/")));
    let word = "[a-zA-Z0-9._~ +/=%&é-]{0,8}";
    let query = prop::collection::vec((word, word), 0..4).prop_map(|pairs| {
        let encode = |t: &str| writ_aws::sigv4::encode::encode(t.as_bytes());
        let pairs: Vec<_> =
            pairs.iter().map(|(n, v)| format!("q{}={}", encode(n), encode(v))).collect();
        pairs.join("&")
    });
    let value = "[!-~]{1,5}( {0,3}[!-~]{1,5}){0,2}";
    let headers = prop::collection::vec(("(x-amz-meta-|my-)[a-z]{1,4}", value), 0..4);
    let body = prop::collection::vec(any::<u8>(), 0..64);
    let method = prop_oneof![Just("GET"), Just("PUT"), Just("POST")];
    (method, path, query, headers, body).prop_map(|(method, path, query, headers, body)| {
        let mut fields = vec![("host".to_owned(), b"host.example".to_vec())];
        for (name, value) in headers {
            if fields.iter().all(|(n, _)| *n != name) {
                fields.push((name, value.into_bytes()));
            }
        }
        Request { method: method.to_owned(), path, query, headers: fields, body }
    })
}

fn hows() -> impl Strategy<Value = How> {
    any::<(bool, bool, bool, bool)>().prop_map(|(s3, presigned, token, token_signed)| How {
        s3,
        presigned,
        token,
        token_signed,
    })
}

/// A piece of a signed request whose every byte must matter.
fn pieces(request: &mut Request, how: How) -> Vec<(String, &mut Vec<u8>)> {
    let mut found: Vec<(String, &mut Vec<u8>)> = Vec::new();
    for (name, value) in &mut request.headers {
        let late_token = name == "x-amz-security-token" && !how.token_signed;
        if !late_token {
            found.push((name.clone(), value));
        }
    }
    if !(how.s3 && how.presigned) {
        found.push(("body".to_owned(), &mut request.body));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn request_signed_by_aws_verifies(request in requests(), how in hows()) {
        let mut request = request;
        sign_with_aws(&mut request, how);
        let claim = check(&request, how);
        prop_assert!(claim.is_ok(), "{:?}: {:?}", request, claim);
        prop_assert_eq!(claim.unwrap().session_token.is_some(), how.token);
    }

    #[test]
    fn header_or_body_with_any_byte_changed_is_refused(
        request in requests(),
        how in hows(),
        which in any::<prop::sample::Index>(),
        spot in any::<prop::sample::Index>(),
        byte in b'!'..=b'~',
    ) {
        let mut signed = request;
        sign_with_aws(&mut signed, how);
        let mut changed = signed.clone();
        let mut all = pieces(&mut changed, how);
        let at = which.index(all.len());
        let (name, value) = &mut all[at];
        let name = name.clone();
        if value.is_empty() {
            value.push(byte);
        } else {
            let at = spot.index(value.len());
            // White space that signing trims or collapses may come and go.
            prop_assume!(value[at] != byte && value[at] != b' ');
            value[at] = byte;
        }
        let refused = check(&changed, how);
        prop_assert!(refused.is_err(), "{} in {:?}", name, changed);
    }

    #[test]
    fn request_line_with_any_byte_changed_is_refused(
        request in requests(),
        how in hows(),
        part in 0..3,
        spot in any::<prop::sample::Index>(),
        byte in b'!'..=b'~',
    ) {
        let mut signed = request;
        sign_with_aws(&mut signed, how);
        let mut changed = signed.clone();
        let piece = match part {
            0 => &mut changed.method,
            1 => &mut changed.path,
            _ => &mut changed.query,
        };
        let at = spot.index(piece.len().max(1));
        prop_assume!(at < piece.len() && piece.as_bytes()[at] != byte);
        piece.replace_range(at..=at, std::str::from_utf8(&[byte]).unwrap());
        if let Ok(claim) = check(&changed, how) {
            // Not a hole: what was changed is the same request, spelt another way.
            prop_assert!(same_meaning(&signed, &changed, how), "{:?}\n{:?}", changed, claim);
        }
    }

    #[test]
    fn any_request_is_parsed_or_refused(
        path in "\\PC{0,12}",
        query in "(X-Amz-(Algorithm|Credential|Date|Expires|Signature|SignedHeaders)=[^&]{0,9}&){0,7}",
        authorization in "(AWS4-HMAC-SHA256)? ?((Credential|Signature|SignedHeaders)=[!-~]{0,20},){0,4}",
        value in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let headers = [
            ("Authorization".to_owned(), authorization.into_bytes()),
            ("host".to_owned(), value),
        ];
        for headers in [&headers[..], &headers[1..]] {
            let raw = RawRequest { method: "GET", path: &path, query: &query, headers };
            if let Ok(Some(claim)) = parse(&raw) {
                let key = SigningKey::derive(b"other", "20150830", "us-east-1", "kms");
                prop_assert!(verify(&key, &raw, &claim, Payload::Body(b"")).is_err());
            }
        }
    }

    #[test]
    fn own_signer_agrees(request in requests(), presigned in any::<bool>(), s3 in any::<bool>()) {
        let how = How { s3, presigned, token: false, token_signed: true };
        let mut request = request;
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET);
        let region = "us-east-1".parse().unwrap();
        let signer =
            Signer { credentials: &credentials, region: &region, service: how.service() };
        let now = Timestamp::from_secs(NOW);
        let payload =
            if s3 { Payload::Declared("UNSIGNED-PAYLOAD") } else { Payload::Body(&request.body) };
        if presigned {
            let expires = Duration::from_secs(900);
            request.query = signer.presign(&request.raw(), payload, now, expires).unwrap();
        } else {
            request.headers = signer.sign_request(&request.raw(), payload, now).unwrap().headers;
        }
        prop_assert!(check(&request, how).is_ok(), "{:?}", request);
    }
}

/// Whether two request lines that differ in one byte mean the same under the rules by which the
/// receiver must read them: query as decoded pairs in any order, S3's path decoded once, other
/// paths with their segments normalised.
fn same_meaning(a: &Request, b: &Request, how: How) -> bool {
    use writ_aws::sigv4::encode::{decode, query_pairs};
    let pairs = |r: &Request| {
        let mut all: Vec<_> = query_pairs(&r.query)
            .unwrap()
            .into_iter()
            .map(|(n, v)| (n.into_owned(), v.into_owned()))
            .collect();
        // The names of a presigned URL's own parameters are read in any case.
        all.retain(|(n, _)| !n.eq_ignore_ascii_case(b"x-amz-signature"));
        all.sort();
        all
    };
    let path = |r: &Request| -> Vec<u8> {
        if how.s3 {
            return decode(&r.path).unwrap().into_owned();
        }
        let mut kept = Vec::new();
        for segment in r.path.split('/').filter(|s| !matches!(*s, "" | ".")) {
            if segment == ".." {
                kept.pop();
            } else {
                kept.push(segment);
            }
        }
        let open = matches!(r.path.rsplit('/').next(), Some("" | "." | ".."));
        format!("{}{open}", kept.join("/")).into_bytes()
    };
    a.method == b.method && pairs(a) == pairs(b) && path(a) == path(b)
}
