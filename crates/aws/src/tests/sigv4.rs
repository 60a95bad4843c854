//! Tables: what is parsed, what is refused, and how each protocol says so.

use std::time::Duration;

use expect_test::{Expect, expect};
use writ_model::Timestamp;

use super::client::{Credentials, Signer};
use super::*;

const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 \
     Credential=AKIDEXAMPLE/20150830/us-east-1/kms/aws4_request, \
     SignedHeaders=host;x-amz-date, \
     Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

const QUERY: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
     &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fs3%2Faws4_request\
     &X-Amz-Date=20150830T123600Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
     &X-Amz-Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

fn fields(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    list.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect()
}

fn parse_with(query: &str, headers: &[(&str, &str)]) -> Result<Option<Claim>, SigError> {
    let headers = fields(headers);
    parse(&RawRequest { method: "GET", path: "/", query, headers: &headers })
}

fn parse_header(authorization: &str) -> Result<Option<Claim>, SigError> {
    let date = ("X-Amz-Date", "20150830T123600Z");
    parse_with("", &[("Host", "h"), date, ("Authorization", authorization)])
}

fn message(error: &SigError, family: ProtocolFamily) -> String {
    let fault = error.to_aws(family);
    format!("{} {} {}", fault.status, fault.code, fault.message)
}

#[test]
fn claim_of_a_header_has_all_parts() {
    let claim = parse_header(AUTHORIZATION).unwrap().unwrap();
    assert_eq!(claim.access_key_id, "AKIDEXAMPLE");
    assert_eq!(claim.scope.to_string(), "20150830/us-east-1/kms/aws4_request");
    assert_eq!(claim.signed_at.basic(), "20150830T123600Z");
    assert_eq!(claim.signed_headers, ["host", "x-amz-date"]);
    assert_eq!((claim.form, claim.session_token), (Form::Header, None));
    assert_eq!(claim.signature[0], 0x5f);
    let tight = AUTHORIZATION.replace(", ", ",");
    assert!(parse_header(&tight).unwrap().is_some(), "spaces after commas may be missing");
}

#[test]
fn claim_of_a_presigned_url_has_all_parts() {
    let token = format!("{QUERY}&X-Amz-Security-Token=a%2Fb&prefix=x");
    let claim = parse_with(&token, &[("host", "h")]).unwrap().unwrap();
    assert_eq!(claim.form, Form::Presigned { expires: Duration::from_secs(900) });
    assert_eq!(claim.session_token.as_deref(), Some("a/b"));
    assert_eq!(claim.date_source, DateSource::Query);
    let debug = format!("{claim:?}");
    assert!(!debug.contains("a/b") && !debug.contains("5fa0"), "{debug}");
}

#[test]
fn unsigned_request_has_no_claim() {
    assert_eq!(parse_with("Action=ListUsers&Version=1", &[("host", "h")]), Ok(None));
    assert_eq!(parse_with("", &[("x-amz-security-token", "t")]), Ok(None));
}

/// The header, with one thing changed, and the answers in the query protocol and in S3.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn header_that_is_wrong_is_refused_with_awss_words() {
    let check = |from: &str, to: &str, expected: Expect| {
        let changed = AUTHORIZATION.replace(from, to);
        assert_ne!(changed, AUTHORIZATION, "{from}");
        let error = parse_header(&changed).unwrap_err();
        let query = message(&error, ProtocolFamily::Query);
        let s3 = message(&error, ProtocolFamily::S3);
        expected.assert_eq(&format!("{query}\n{s3}"));
    };
    check(
        "AWS4-HMAC-SHA256",
        "AWS4-ECDSA-P256-SHA256",
        expect![[r#"
        400 IncompleteSignature Signing algorithm AWS4-ECDSA-P256-SHA256 (SigV4a) is not supported. Sign the request with AWS4-HMAC-SHA256.
        501 NotImplemented AWS4-ECDSA-P256-SHA256 (SigV4a) is not implemented. Please use AWS4-HMAC-SHA256."#]],
    );
    check(
        "AWS4-HMAC-SHA256",
        "AWS",
        expect![[r#"
        400 IncompleteSignature Only signature version 4 is supported.
        400 InvalidRequest The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."#]],
    );
    check(
        "AWS4-HMAC-SHA256",
        "Bearer",
        expect![[r#"
        400 IncompleteSignature `Bearer` is not a signing algorithm that we know.
        400 InvalidArgument Unsupported Authorization Type"#]],
    );
    check(
        "SignedHeaders=host;x-amz-date, ",
        "",
        expect![[r#"
        400 IncompleteSignature Authorization header requires 'SignedHeaders' parameter. (Hashed with SHA-256 and encoded with Base64) Authorization=3IhoYVPANxrzprcV5rWXF0StyKHlxVQfWwKKJ/aiXgE=
        400 AuthorizationHeaderMalformed The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature."#]],
    );
    check(
        "Credential=",
        "Credential",
        expect![[r#"
        400 IncompleteSignature Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): 'JYmTMKQbaKu5dirQWFk72w5apUu0mwbEhlj8p30iAkM='.
        400 AuthorizationHeaderMalformed The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature."#]],
    );
    check(
        "Credential=",
        "Credentials=",
        expect![[r#"
        400 IncompleteSignature The authorization header has an unknown part `Credentials`.
        400 AuthorizationHeaderMalformed The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature."#]],
    );
    check(
        "SignedHeaders=host;x-amz-date",
        "Signature=00",
        expect![[r#"
        400 IncompleteSignature The authorization header has `Signature` more than once.
        400 AuthorizationHeaderMalformed The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature."#]],
    );
    check(
        "/kms",
        "",
        expect![[r#"
        400 IncompleteSignature Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE/20150830/us-east-1/aws4_request'
        400 AuthorizationHeaderMalformed The authorization header is malformed; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"."#]],
    );
    check(
        "AKIDEXAMPLE",
        "AKID/EXAMPLE",
        expect![[r#"
        400 IncompleteSignature Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKID/EXAMPLE/20150830/us-east-1/kms/aws4_request'
        400 AuthorizationHeaderMalformed The authorization header is malformed; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"."#]],
    );
    check(
        "20150830/",
        "20150831/",
        expect![[r#"
        403 SignatureDoesNotMatch Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150831' != '20150830', from '20150830T123600Z'.
        400 AuthorizationHeaderMalformed The authorization header is malformed; Invalid credential date "20150831". This date is not the same as X-Amz-Date: "20150830"."#]],
    );
    check(
        "aws4_request",
        "aws5_request",
        expect![[r#"
        403 SignatureDoesNotMatch Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.
        400 AuthorizationHeaderMalformed The authorization header is malformed; incorrect terminal "aws5_request". This endpoint uses "aws4_request"."#]],
    );
    check(
        "host;x-amz-date",
        "x-amz-date;host",
        expect![[r#"
        400 IncompleteSignature Signed headers `x-amz-date;host` are not a sorted list of lower-case names.
        400 AuthorizationHeaderMalformed The authorization header is malformed; the SignedHeaders are mal-formed."#]],
    );
    check(
        "host;x-amz-date",
        "host;host",
        expect![[r#"
        400 IncompleteSignature Signed headers `host;host` are not a sorted list of lower-case names.
        400 AuthorizationHeaderMalformed The authorization header is malformed; the SignedHeaders are mal-formed."#]],
    );
    check(
        "host;x-amz-date",
        "Host;x-amz-date",
        expect![[r#"
        400 IncompleteSignature Signed headers `Host;x-amz-date` are not a sorted list of lower-case names.
        400 AuthorizationHeaderMalformed The authorization header is malformed; the SignedHeaders are mal-formed."#]],
    );
    check(
        "host;x-amz-date",
        "host;x-amz-date;x-gone",
        expect![[r#"
        403 SignatureDoesNotMatch Signed header `x-gone` is not in the request.
        403 SignatureDoesNotMatch The request signature we calculated does not match the signature you provided. Check your key and signing method."#]],
    );
    check(
        "5fa0",
        "5FA0",
        expect![[r#"
        403 SignatureDoesNotMatch The signature is not 64 lower-case hexadecimal digits.
        403 SignatureDoesNotMatch The request signature we calculated does not match the signature you provided. Check your key and signing method."#]],
    );
    check(
        "5fa0",
        "5fa",
        expect![[r#"
        403 SignatureDoesNotMatch The signature is not 64 lower-case hexadecimal digits.
        403 SignatureDoesNotMatch The request signature we calculated does not match the signature you provided. Check your key and signing method."#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn presigned_url_that_is_wrong_is_refused_with_awss_words() {
    let check = |from: &str, to: &str, expected: Expect| {
        let changed = QUERY.replace(from, to);
        assert_ne!(changed, QUERY, "{from}");
        let error = parse_with(&changed, &[("host", "h")]).unwrap_err();
        let query = message(&error, ProtocolFamily::Query);
        let s3 = message(&error, ProtocolFamily::S3);
        expected.assert_eq(&format!("{query}\n{s3}"));
    };
    check(
        "&X-Amz-Expires=900",
        "",
        expect![[r#"
        400 IncompleteSignature AWS query-string parameters must include 'X-Amz-Expires'. Re-examine the query-string parameters.
        400 AuthorizationQueryParametersError Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."#]],
    );
    check(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&",
        "",
        expect![[r#"
        400 IncompleteSignature AWS query-string parameters must include 'X-Amz-Algorithm'. Re-examine the query-string parameters.
        400 AuthorizationQueryParametersError Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."#]],
    );
    check(
        "AWS4-HMAC-SHA256",
        "AWS4-ECDSA-P256-SHA256",
        expect![[r#"
        400 IncompleteSignature Signing algorithm AWS4-ECDSA-P256-SHA256 (SigV4a) is not supported. Sign the request with AWS4-HMAC-SHA256.
        501 NotImplemented AWS4-ECDSA-P256-SHA256 (SigV4a) is not implemented. Please use AWS4-HMAC-SHA256."#]],
    );
    check(
        "AWS4-HMAC-SHA256",
        "MD5",
        expect![[r#"
        400 IncompleteSignature `MD5` is not a signing algorithm that we know.
        400 AuthorizationQueryParametersError X-Amz-Algorithm only supports "AWS4-HMAC-SHA256""#]],
    );
    check(
        "=900",
        "=0",
        expect![[r#"
        400 IncompleteSignature X-Amz-Expires `0` is not from 1 to 604800.
        400 AuthorizationQueryParametersError X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"#]],
    );
    check(
        "=900",
        "=604801",
        expect![[r#"
        400 IncompleteSignature X-Amz-Expires `604801` is not from 1 to 604800.
        400 AuthorizationQueryParametersError X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"#]],
    );
    check(
        "=900",
        "=-1",
        expect![[r#"
        400 IncompleteSignature X-Amz-Expires `-1` is not from 1 to 604800.
        400 AuthorizationQueryParametersError X-Amz-Expires must be non-negative"#]],
    );
    check(
        "=900",
        "=1e3",
        expect![[r#"
        400 IncompleteSignature X-Amz-Expires `1e3` is not a number.
        400 AuthorizationQueryParametersError X-Amz-Expires should be a number"#]],
    );
    check(
        "=900",
        "=900&x-amz-expires=900",
        expect![[r#"
        400 IncompleteSignature Query parameter `x-amz-expires` is there more than once.
        400 AuthorizationQueryParametersError x-amz-expires must be given once, as UTF-8 text."#]],
    );
    check(
        "20150830T123600Z",
        "2015-08-30",
        expect![[r#"
        400 IncompleteSignature Date must be in ISO-8601 'basic format'. Got '2015-08-30'. See http://en.wikipedia.org/wiki/ISO_8601
        400 AuthorizationQueryParametersError X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'""#]],
    );
    check(
        "%2Fs3",
        "%2F",
        expect![[r#"
        400 IncompleteSignature Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE/20150830/us-east-1//aws4_request'
        400 AuthorizationQueryParametersError Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request"."#]],
    );
    check(
        "=900",
        "=%zz",
        expect![[r#"
        400 MalformedQueryString The query string is malformed.
        400 InvalidURI Couldn't parse the specified URI."#]],
    );
}

#[test]
fn two_forms_or_two_headers_are_refused() {
    let date = ("x-amz-date", "20150830T123600Z");
    let auth = ("authorization", AUTHORIZATION);
    let host = ("host", "h");
    let both = parse_with(QUERY, &[host, date, auth]);
    assert_eq!(both, Err(SigError::MixedForms));
    let partly = parse_with("X-Amz-Security-Token=t", &[host, date, auth]);
    assert_eq!(partly, Err(SigError::MixedForms));
    let tokens = parse_with(
        &format!("{QUERY}&X-Amz-Security-Token=t"),
        &[host, ("x-amz-security-token", "t")],
    );
    assert_eq!(tokens, Err(SigError::MixedForms));
    for twice in [date, auth] {
        let refused = parse_with("", &[host, date, auth, twice]);
        let name = twice.0.to_owned();
        assert_eq!(refused, Err(SigError::DuplicateHeader { name }));
    }
    let old = parse_with("AWSAccessKeyId=A&Signature=b&Expires=1", &[host]);
    assert_eq!(old, Err(SigError::SignatureVersionUnsupported));
    let undated = parse_with("", &[host, ("x-amz-dates", ""), auth]).unwrap_err();
    let text = message(&undated, ProtocolFamily::Query);
    assert!(text.starts_with("400 IncompleteSignature Authorization header requires existence"));
}

#[test]
fn date_header_stands_in_for_x_amz_date() {
    let auth = AUTHORIZATION.replace("host;x-amz-date", "date;host");
    let check = |date: &str| {
        parse_with("", &[("host", "h"), ("Date", date), ("authorization", &auth)]).map(|c| {
            let claim = c.unwrap();
            (claim.signed_at.basic(), claim.date_source)
        })
    };
    let right = Ok(("20150830T123600Z".to_owned(), DateSource::Date));
    assert_eq!(check("Sun, 30 Aug 2015 12:36:00 GMT"), right);
    assert_eq!(check("20150830T123600Z"), right);
    for bad in ["Sun, 30 Aug 2015 12:36:00 CET", "Sun, 31 Feb 2015 12:36:00 GMT", "30 Aug 2015", ""]
    {
        assert!(matches!(check(bad), Err(SigError::DateMalformed { .. })), "{bad}");
    }
}

/// One signed text must not be readable as two requests.
#[test]
fn line_that_no_http_parser_gives_is_refused() {
    let check = |method, path, query, name: &str| {
        let headers = fields(&[(name, "v")]);
        parse(&RawRequest { method, path, query, headers: &headers })
    };
    assert_eq!(check("GET", "/é b", "é b", "host"), Ok(None));
    for method in ["", "GET\n/b", "G T", "G:T"] {
        assert_eq!(check(method, "/", "", "host"), Err(SigError::MalformedHead), "{method:?}");
    }
    for name in ["", "host:", "a b", "a\nb", "é"] {
        assert_eq!(check("GET", "/", "", name), Err(SigError::MalformedHead), "{name:?}");
    }
    for path in ["", "b", "*", "/b\nx", "/b?x", "/b#x", "/\u{7f}"] {
        assert_eq!(check("GET", path, "", "host"), Err(SigError::MalformedPath), "{path:?}");
    }
    for query in ["a\nb", "a#b", "a=%4", "\0"] {
        assert_eq!(check("GET", "/", query, "host"), Err(SigError::MalformedQuery), "{query:?}");
    }
}

#[test]
fn head_over_its_limits_is_refused() {
    let many: Vec<_> = (0..=100).map(|n| (format!("h{n}"), Vec::new())).collect();
    let request = |headers| parse(&RawRequest { method: "GET", path: "/", query: "", headers });
    assert_eq!(request(&many[..100]), Ok(None));
    assert_eq!(request(&many), Err(SigError::HeadTooLarge));
    let big = [("h".to_owned(), vec![b'a'; 64 * 1024])];
    assert_eq!(request(&big), Err(SigError::HeadTooLarge));
}

#[test]
fn window_is_closed_on_both_sides() {
    let header = parse_header(AUTHORIZATION).unwrap().unwrap();
    let url = parse_with(QUERY, &[("host", "h")]).unwrap().unwrap();
    let at = header.signed_at.secs();
    let five = ProtocolFamily::Json.window();
    let fifteen = ProtocolFamily::S3.window();
    let check = |claim: &Claim, now: u64, window| {
        check_window(claim, Timestamp::from_secs(now), window)
            .map_err(|e| message(&e, ProtocolFamily::Query))
    };
    assert_eq!((five.as_secs(), fifteen.as_secs()), (300, 900));
    for now in [at - 300, at, at + 300] {
        assert_eq!(check(&header, now, five), Ok(()));
    }
    let early = "403 SignatureDoesNotMatch Signature not yet current: 20150830T123600Z is still \
                 later than 20150830T123559Z (20150830T123059Z + 5 min.)";
    assert_eq!(check(&header, at - 301, five), Err(early.to_owned()));
    let late = "403 SignatureDoesNotMatch Signature expired: 20150830T123600Z is now earlier \
                than 20150830T123601Z (20150830T124101Z - 5 min.)";
    assert_eq!(check(&header, at + 301, five), Err(late.to_owned()));
    assert_eq!(check(&header, at + 900, fifteen), Ok(()));
    assert_eq!(check(&url, at - 900, fifteen), Ok(()));
    assert!(check(&url, at - 901, fifteen).is_err());
    assert_eq!(check(&url, at + 900, fifteen), Ok(()));
    let over = check_window(&url, Timestamp::from_secs(at + 901), fifteen).unwrap_err();
    expect![[r#"
        AuthFault {
            code: "AccessDenied",
            message: "Request has expired",
            status: 403,
            details: [
                (
                    "X-Amz-Expires",
                    "900",
                ),
                (
                    "Expires",
                    "2015-08-30T12:51:00Z",
                ),
                (
                    "ServerTime",
                    "2015-08-30T12:51:01Z",
                ),
            ],
        }"#]]
    .assert_eq(&format!("{:#?}", over.to_aws(ProtocolFamily::S3)));
    let skewed = check_window(&header, Timestamp::from_secs(at + 901), fifteen).unwrap_err();
    expect![[r#"
        AuthFault {
            code: "RequestTimeTooSkewed",
            message: "The difference between the request time and the current time is too large.",
            status: 403,
            details: [
                (
                    "RequestTime",
                    "20150830T123600Z",
                ),
                (
                    "ServerTime",
                    "2015-08-30T12:51:01Z",
                ),
                (
                    "MaxAllowedSkewMilliseconds",
                    "900000",
                ),
            ],
        }"#]]
    .assert_eq(&format!("{:#?}", skewed.to_aws(ProtocolFamily::S3)));
}

#[test]
fn scope_must_be_ours() {
    let claim = parse_header(AUTHORIZATION).unwrap().unwrap();
    let region = "us-east-1".parse().unwrap();
    assert_eq!(check_scope(&claim, "kms", &region), Ok(()));
    let service = check_scope(&claim, "sts", &region).unwrap_err();
    expect!["403 SignatureDoesNotMatch Credential should be scoped to correct service: 'sts'."]
        .assert_eq(&message(&service, ProtocolFamily::Query));
    let place = check_scope(&claim, "kms", &"eu-west-1".parse().unwrap()).unwrap_err();
    expect![[r#"
        AuthFault {
            code: "AuthorizationHeaderMalformed",
            message: "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            status: 400,
            details: [
                (
                    "Region",
                    "eu-west-1",
                ),
            ],
        }"#]].assert_eq(&format!("{:#?}", place.to_aws(ProtocolFamily::S3)));
}

/// Headers beside host and x-amz-date, which are signed; the family; who is named as unsigned.
#[test]
fn headers_that_must_be_signed_are_found() {
    let table: &[(&str, &str, ProtocolFamily, Result<(), SigError>)] = &[
        ("accept", "a", ProtocolFamily::Json, Ok(())),
        ("x-amz-security-token", "t", ProtocolFamily::Json, Ok(())),
        ("x-amzn-trace-id", "t", ProtocolFamily::Json, Ok(())),
        ("X-Amz-Target", "T", ProtocolFamily::Json, Err(not_signed("x-amz-target"))),
        ("x-amz-copy-source", "/b/k", ProtocolFamily::S3, Err(not_signed("x-amz-copy-source"))),
    ];
    for (name, value, family, expected) in table {
        let headers = fields(&[
            ("host", "h"),
            ("x-amz-date", "20150830T123600Z"),
            ("authorization", AUTHORIZATION),
            (name, value),
        ]);
        let request = RawRequest { method: "GET", path: "/", query: "", headers: &headers };
        let claim = parse(&request).unwrap().unwrap();
        assert_eq!(&check_signed_headers(&request, &claim, *family), expected, "{name}");
    }
    let text = message(&not_signed("x-amz-target"), ProtocolFamily::S3);
    expect!["403 AccessDenied There were headers present in the request which were not signed"]
        .assert_eq(&text);
}

fn not_signed(name: &str) -> SigError {
    SigError::HeadersNotSigned { names: vec![name.to_owned()] }
}

/// Signs with our client, so that only the check in question can refuse.
fn signed(service: &str, headers: &[(&str, &str)], payload: Payload<'_>) -> Signed {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let region = "us-east-1".parse().unwrap();
    let signer = Signer { credentials: &credentials, region: &region, service };
    let headers = fields(headers);
    let request = RawRequest { method: "POST", path: "/", query: "", headers: &headers };
    let now = Timestamp::parse_basic("20150830T123600Z").unwrap();
    let made = signer.sign_request(&request, payload, now).unwrap();
    Signed { key: signer.key(now), headers: made.headers, claim: made.claim }
}

struct Signed {
    key: SigningKey,
    headers: Vec<(String, Vec<u8>)>,
    claim: Claim,
}

impl Signed {
    fn request(&self) -> RawRequest<'_> {
        RawRequest { method: "POST", path: "/", query: "", headers: &self.headers }
    }
}

#[test]
fn body_of_json_and_query_must_be_signed() {
    for literal in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
        let made = signed("kms", &[("host", "h")], Payload::Declared(literal));
        let refused = check_signed_headers(&made.request(), &made.claim, ProtocolFamily::Json);
        assert_eq!(refused, Err(SigError::PayloadUnsigned), "{literal}");
        let body = verify(&made.key, &made.request(), &made.claim, Payload::Body(b""));
        assert!(matches!(body, Err(SigError::ContentSha256Mismatch { .. })), "{literal}");
        let s3 = check_signed_headers(&made.request(), &made.claim, ProtocolFamily::S3);
        assert_eq!(s3, Ok(()));
    }
    let hash = hex::encode(sha256(b"body"));
    let made = signed("kms", &[("host", "h")], Payload::Declared(&hash));
    let right = verify(&made.key, &made.request(), &made.claim, Payload::Body(b"body"));
    assert!(right.is_ok());
    assert_eq!(right.unwrap().signature_digest, sha256(&made.claim.signature));
}

#[test]
fn mismatch_says_what_was_computed() {
    let mut made = signed("kms", &[("host", "h")], Payload::Body(b"{}"));
    made.claim.signature[0] ^= 1;
    let refused = verify(&made.key, &made.request(), &made.claim, Payload::Body(b"{}"));
    let error = refused.unwrap_err();
    expect![[r#"
        400 InvalidSignatureException The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.

        The Canonical String for this request should have been
        'POST
        /

        host:h
        x-amz-date:20150830T123600Z

        host;x-amz-date
        44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'

        The String-to-Sign should have been
        'AWS4-HMAC-SHA256
        20150830T123600Z
        20150830/us-east-1/kms/aws4_request
        2c263c75a783077e98b5a82a231f40bde2c85d4e2999d247c32e343c3fa0b74d'
    "#]].assert_eq(&message(&error, ProtocolFamily::Json));
    let s3 = error.to_aws(ProtocolFamily::S3);
    let names: Vec<_> = s3.details.iter().map(|(name, _)| *name).collect();
    expect![[r#"403 SignatureDoesNotMatch ["AWSAccessKeyId", "StringToSign", "SignatureProvided", "StringToSignBytes", "CanonicalRequest", "CanonicalRequestBytes"]"#]].assert_eq(&format!("{} {} {names:?}", s3.status, s3.code));
    assert!(!format!("{error:?}").contains("x-amz-date"), "the canonical request is not logged");
}

/// The three codes of each cause that the caller finds out.
#[test]
fn errors_of_the_caller_have_awss_codes() {
    let check = |error: SigError, expected: Expect| {
        use ProtocolFamily::{Json, Query, S3};
        let all: Vec<_> = [Query, Json, S3].map(|family| message(&error, family)).into();
        expected.assert_eq(&all.join("\n"));
    };
    check(
        SigError::MissingAuthentication,
        expect![[r#"
        403 MissingAuthenticationToken Request is missing Authentication Token
        400 MissingAuthenticationTokenException Request is missing Authentication Token
        403 AccessDenied Access Denied"#]],
    );
    check(
        SigError::UnknownAccessKey { access_key_id: "AKID".to_owned() },
        expect![[r#"
        403 InvalidClientTokenId The security token included in the request is invalid.
        400 UnrecognizedClientException The security token included in the request is invalid.
        403 InvalidAccessKeyId The AWS Access Key Id you provided does not exist in our records."#]],
    );
    check(
        SigError::TokenInvalid,
        expect![[r#"
        403 InvalidClientTokenId The security token included in the request is invalid.
        400 UnrecognizedClientException The security token included in the request is invalid.
        400 InvalidToken The provided token is malformed or otherwise invalid."#]],
    );
    check(
        SigError::TokenExpired,
        expect![[r#"
        403 ExpiredToken The security token included in the request is expired
        400 ExpiredTokenException The security token included in the request is expired
        400 ExpiredToken The provided token has expired."#]],
    );
    check(
        SigError::ContentSha256Missing,
        expect![[r#"
        400 IncompleteSignature The header x-amz-content-sha256 is missing.
        400 IncompleteSignatureException The header x-amz-content-sha256 is missing.
        400 InvalidRequest Missing required header for this request: x-amz-content-sha256"#]],
    );
    check(
        SigError::HostNotSigned,
        expect![[r#"
        403 SignatureDoesNotMatch 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.
        400 InvalidSignatureException 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.
        403 AccessDenied There were headers present in the request which were not signed"#]],
    );
}

#[test]
fn s3_payload_literal_comes_from_one_place() {
    let literal = |query: &str, headers: &[(&str, &str)]| {
        let headers = fields(headers);
        let request = RawRequest { method: "GET", path: "/", query, headers: &headers };
        let claim = parse(&request).unwrap().unwrap();
        s3_payload_literal(&request, &claim)
    };
    let host = ("host", "h");
    assert_eq!(literal(QUERY, &[host]).as_deref(), Ok(UNSIGNED_PAYLOAD));
    let hash = hex::encode(sha256(b""));
    let header = ("x-amz-content-sha256", hash.as_str());
    assert_eq!(literal(QUERY, &[host, header]), Ok(hash.clone()));
    let in_query = format!("{QUERY}&X-Amz-Content-Sha256={hash}");
    assert_eq!(literal(&in_query, &[host]), Ok(hash.clone()));
    assert!(matches!(literal(&in_query, &[host, header]), Err(SigError::QueryDuplicate { .. })));
    let bad = ("x-amz-content-sha256", "abc");
    assert!(matches!(literal(QUERY, &[host, bad]), Err(SigError::ContentSha256Malformed { .. })));
    let (date, auth) = (("x-amz-date", "20150830T123600Z"), ("authorization", AUTHORIZATION));
    assert_eq!(literal("", &[host, date, auth]), Err(SigError::ContentSha256Missing));
}

#[test]
fn s3_path_is_taken_as_documented_or_as_sent() {
    let key = SigningKey::derive(b"secret", "20150830", "us-east-1", "s3");
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let region = "us-east-1".parse().unwrap();
    let signer = Signer { credentials: &credentials, region: &region, service: "s3" };
    let headers = fields(&[("host", "h")]);
    let now = Timestamp::parse_basic("20150830T123600Z").unwrap();
    let payload = Payload::Declared(UNSIGNED_PAYLOAD);
    fn request<'a>(path: &'a str, headers: &'a [(String, Vec<u8>)]) -> RawRequest<'a> {
        RawRequest { method: "GET", path, query: "", headers }
    }
    // What was signed, what stands on the request line, whether it is one object.
    let table = [
        ("/b/a%3Ab", "/b/a:b", true),
        ("/b/a%3Ab", "/b/a%3ab", true),
        ("/b/a%2Bb", "/b/a+b", true),
        ("/b/a//b", "/b/a//b", true),
        ("/b/a/../b", "/b/a/../b", true),
        ("/b/a//b", "/b/a/b", false),
        ("/b/a/../b", "/b/b", false),
        ("/b/a%20b", "/b/a+b", false),
        ("/b/%2541", "/b/%41", false),
    ];
    for (signed, sent, same) in table {
        let made = signer.sign_request(&request(signed, &headers), payload, now).unwrap();
        let verified = verify(&key, &request(sent, &made.headers), &made.claim, payload);
        assert_eq!(verified.is_ok(), same, "{signed} sent as {sent}");
    }
    let made = signer.sign_request(&request("/b/a", &headers), payload, now).unwrap();
    let broken = verify(&key, &request("/b/%zz", &made.headers), &made.claim, payload);
    assert_eq!(broken, Err(SigError::MalformedPath));
}
