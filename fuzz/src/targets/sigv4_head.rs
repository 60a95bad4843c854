//! The claim of a request that is signed in its head, and all checks of it.

use writ_aws::sigv4::{
    Payload, ProtocolFamily, RawRequest, SigningKey, check_scope, check_signed_headers,
    check_window, parse, s3_payload_literal, verify,
};

use crate::input::Head;

pub(crate) fn run(input: &[u8]) {
    let Some(head) = Head::read(input) else { return };
    let Head { method, path, query, headers, body } = &head;
    let request = RawRequest { method, path, query, headers };
    let claim = match parse(&request) {
        Ok(Some(claim)) => claim,
        Ok(None) => return,
        Err(error) => {
            error.to_aws(ProtocolFamily::Query);
            error.to_aws(ProtocolFamily::S3);
            return;
        }
    };
    for family in [ProtocolFamily::Json, ProtocolFamily::Query, ProtocolFamily::S3] {
        let checks = [
            check_window(&claim, claim.signed_at, family.window()),
            check_scope(&claim, "iam", &claim.scope.region),
            check_signed_headers(&request, &claim, family),
        ];
        for error in checks.into_iter().filter_map(Result::err) {
            error.to_aws(family);
        }
    }
    // The wrong secret: nothing may verify under it, whatever the request is.
    let wrong = [0x5a; 40];
    let key = SigningKey::derive(&wrong, "20260101", claim.scope.region.as_str(), "fuzz");
    let literal = s3_payload_literal(&request, &claim);
    let declared = literal.as_deref().map_or("UNSIGNED-PAYLOAD", |literal| literal);
    for payload in [Payload::Body(body), Payload::Declared(declared)] {
        match verify(&key, &request, &claim, payload) {
            Ok(_) => panic!("a signature verifies under a key that did not make it"),
            Err(error) => drop(error.to_aws(ProtocolFamily::Json)),
        }
    }
}
