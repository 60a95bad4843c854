//! Verification of a signature over bodies of 400 and 6,144 bytes, with and without a cached key,
//! beside the least that any verifier must do: hash the body and as many bytes as the canonical
//! request has, and one HMAC.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use aws_lc_rs::{digest, hmac};
use writ_aws::sigv4::client::{Credentials, Signer};
use writ_aws::sigv4::{
    Payload, ProtocolFamily, RawRequest, SigningKey, check_signed_headers, parse, verify,
};
use writ_model::Timestamp;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn main() {
    divan::main();
}

fn signed(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let headers = vec![
        header("host", "kms.us-east-1.amazonaws.com"),
        header("content-type", "application/x-amz-json-1.1"),
        header("x-amz-target", "TrentService.Encrypt"),
        header("user-agent", "aws-cli/1.45.11 md/Botocore#1.44.5 ua/2.1 os/linux"),
        header("accept-encoding", "identity"),
        header("content-length", &body.len().to_string()),
    ];
    let request = RawRequest { method: "POST", path: "/", query: "", headers: &headers };
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", SECRET);
    let region = "us-east-1".parse().unwrap();
    let signer = Signer { credentials: &credentials, region: &region, service: "kms" };
    let now = Timestamp::from_secs(1_440_938_160);
    signer.sign_request(&request, Payload::Body(body), now).unwrap().headers
}

fn run(bencher: divan::Bencher<'_, '_>, size: usize, cached: bool) {
    let body = vec![b'x'; size];
    let headers = signed(&body);
    let request = RawRequest { method: "POST", path: "/", query: "", headers: &headers };
    let key = SigningKey::derive(SECRET.as_bytes(), "20150830", "us-east-1", "kms");
    bencher.bench(|| {
        let claim = parse(divan::black_box(&request)).unwrap().unwrap();
        check_signed_headers(&request, &claim, ProtocolFamily::Json).unwrap();
        let payload = Payload::Body(&body);
        if cached {
            verify(&key, &request, &claim, payload).unwrap()
        } else {
            let scope = &claim.scope;
            let (region, service) = (scope.region.as_str(), &scope.service);
            let key = SigningKey::derive(SECRET.as_bytes(), &scope.date, region, service);
            verify(&key, &request, &claim, payload).unwrap()
        }
    });
}

#[divan::bench(args = [400, 6144])]
fn verify_cached_key(bencher: divan::Bencher<'_, '_>, size: usize) {
    run(bencher, size, true);
}

#[divan::bench(args = [400, 6144])]
fn verify_derived_key(bencher: divan::Bencher<'_, '_>, size: usize) {
    run(bencher, size, false);
}

#[divan::bench(args = [400, 6144])]
fn hashing_alone(bencher: divan::Bencher<'_, '_>, size: usize) {
    let body = vec![b'x'; size];
    let (canonical, text) = ([b'c'; 450], [b't'; 150]);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    bencher.bench(|| {
        let body = digest::digest(&digest::SHA256, divan::black_box(&body));
        let canonical = digest::digest(&digest::SHA256, divan::black_box(&canonical));
        (body, canonical, hmac::sign(&key, divan::black_box(&text)))
    });
}
