//! Requests signed by the botocore that is installed, if any, verify.

use serde_json::Value;
use writ_aws::sigv4::{
    Payload, ProtocolFamily, RawRequest, SigningKey, check_signed_headers, parse,
    s3_payload_literal, verify,
};

const COUNT: usize = 400;

#[test]
#[expect(clippy::disallowed_methods, reason = "botocore runs in its own interpreter")]
fn requests_signed_by_botocore_verify() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sign_with_botocore.py");
    let run = std::process::Command::new("python3").arg(script).arg(COUNT.to_string()).output();
    let output = match run {
        Ok(output) if output.status.code() != Some(77) => output,
        _ => return println!("skipped: python3 with botocore is not there"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let requests: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(requests.len(), COUNT);
    for request in &requests {
        check(request);
    }
    println!("botocore: {COUNT} requests verified");
}

fn check(request: &Value) {
    let text = |name: &str| request[name].as_str().unwrap();
    let headers: Vec<(String, Vec<u8>)> = request["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
    let raw = RawRequest {
        method: text("method"),
        path: text("path"),
        query: text("query"),
        headers: &headers,
    };
    let s3 = request["s3"] == true;
    let family = if s3 { ProtocolFamily::S3 } else { ProtocolFamily::Query };
    let claim = parse(&raw).unwrap().unwrap();
    let covered = check_signed_headers(&raw, &claim, family);
    assert_eq!(covered, Ok(()), "{request}");
    assert_eq!(claim.session_token.is_some(), request["token"] == true);
    let scope = &claim.scope;
    let (region, service) = (scope.region.as_str(), &scope.service);
    let key = SigningKey::derive(b"secret", &scope.date, region, service);
    let body = text("body").as_bytes();
    let verified = if s3 {
        let literal = s3_payload_literal(&raw, &claim).unwrap();
        verify(&key, &raw, &claim, Payload::Declared(&literal))
    } else {
        verify(&key, &raw, &claim, Payload::Body(body))
    };
    assert!(verified.is_ok(), "{request}");
}
