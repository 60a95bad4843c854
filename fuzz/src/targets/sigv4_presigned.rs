//! The claim of a presigned URL. The input is the query string.

use std::time::Duration;

use writ_aws::sigv4::{
    Payload, ProtocolFamily, RawRequest, SigningKey, UNSIGNED_PAYLOAD, check_signed_headers,
    check_window, encode, parse, verify,
};

pub(crate) fn run(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    if let Ok(pairs) = encode::query_pairs(query) {
        // Decoding is what the rest of the program reads; it must not invent pairs.
        assert!(pairs.len() <= 1 + query.matches('&').count());
    }
    let headers = [("host".to_owned(), b"127.0.0.1:9000".to_vec())];
    let request =
        RawRequest { method: "GET", path: "/photos/2026/cat.jpg", query, headers: &headers };
    let claim = match parse(&request) {
        Ok(Some(claim)) => claim,
        Ok(None) => return,
        Err(error) => return drop(error.to_aws(ProtocolFamily::S3)),
    };
    for age in [0, 60, 700_000] {
        let now = claim.signed_at.plus(Duration::from_secs(age));
        if let Err(error) = check_window(&claim, now, ProtocolFamily::S3.window()) {
            error.to_aws(ProtocolFamily::S3);
        }
    }
    if let Err(error) = check_signed_headers(&request, &claim, ProtocolFamily::S3) {
        error.to_aws(ProtocolFamily::S3);
    }
    let key = SigningKey::derive(&[0x5a; 40], "20260101", claim.scope.region.as_str(), "fuzz");
    let result = verify(&key, &request, &claim, Payload::Declared(UNSIGNED_PAYLOAD));
    assert!(result.is_err(), "a signature verifies under a key that did not make it");
}
