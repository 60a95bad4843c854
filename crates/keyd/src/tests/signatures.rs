//! Signatures at their edges: scopes, payloads, presigned URLs, and credentials in each other's place.

use writ_aws::sigv4::parse;
use writ_aws::{Protocol, Service};
use writ_proof::fas;

use super::callers::session_of_ann;
use super::use_records::OWNER;
use super::*;

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";

impl Site {
    /// A presigned S3 request, good for so many seconds.
    fn presigned(&self, signer: &Signing, method: &str, seconds: u64) -> Authenticate {
        let (path, headers, region) = ("/b/k", host("s3.test"), region());
        let raw = RawRequest { method, path, query: "", headers: &headers };
        let by = Signer { credentials: &signer.credentials, region: &region, service: "s3" };
        let payload = Covered::Declared("UNSIGNED-PAYLOAD");
        let lasting = Duration::from_secs(seconds);
        let query = by.presign(&raw, payload, self.env.now(), lasting).unwrap();
        let payload = Payload::Declared("UNSIGNED-PAYLOAD".to_owned());
        Authenticate { query, ..self.whole(signer, method, path, headers, payload) }
    }

    fn root_of(&self, ticket: &Ticket) -> fas::Root {
        let ticket = fas::Ticket::from_bytes(ticket.ticket.expose()).unwrap();
        let Ok(verified) = self.engine.fas.verify(&ticket) else { panic!("not keyd's") };
        verified.root().clone()
    }
}

#[test]
fn presigned_url_is_used_again_until_its_end_and_over_a_restart() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let url = site.presigned(&root, "GET", 600);
    let header = site.s3(&root, "GET", "/b/k", &[]);
    let signed = Timestamp::from_secs(site.env.now().secs());
    let roots = [(); 2].map(|()| {
        let answer = site.authenticate_as(Role::S3, copy(&url)).unwrap();
        assert!(answer.presigned);
        site.root_of(&answer.ticket.unwrap())
    });
    assert!(roots[0].txn != roots[1].txn, "each use is its own transaction");
    let of_header = [(); 2].map(|()| {
        let answer = site.authenticate_as(Role::S3, copy(&header)).unwrap();
        assert!(!answer.presigned);
        site.root_of(&answer.ticket.unwrap())
    });
    assert!(of_header[0].txn == of_header[1].txn, "a repeat is the same");
    site.advance(Duration::from_secs(400));
    let ticket = site.authenticate_as(Role::S3, copy(&url)).unwrap().ticket.unwrap();
    let document: crate::fas::ContextDocument = cbor::from_slice(&ticket.context).unwrap();
    let end = signed.plus(Duration::from_secs(600));
    assert_eq!((site.root_of(&ticket).exp, document.until), (end, end), "with the URL");

    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    again.load(vec![root.descriptor.clone().unwrap()]);
    again.advance(Duration::from_secs(100));
    assert_eq!(code(again.authenticate_as(Role::S3, copy(&url))), "ok");
    assert_eq!(code(again.authenticate_as(Role::S3, header)), "ServiceUnavailable");
    again.advance(Duration::from_secs(101));
    assert_eq!(code(again.authenticate_as(Role::S3, url)), "AccessDenied", "after its end");
}

#[test]
fn presigned_request_to_front_gets_no_handle() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (headers, region) = (host("front.test"), region());
    let query = "Action=GetSessionToken&Version=2011-06-15";
    let raw = RawRequest { method: "GET", path: "/", query, headers: &headers };
    let by = Signer { credentials: &root.credentials, region: &region, service: "sts" };
    let lasting = Duration::from_secs(60);
    let query = by.presign(&raw, Covered::Body(b""), site.env.now(), lasting).unwrap();
    let whole = site.whole(&root, "GET", "/", headers.clone(), Payload::Body(vec![]));
    let answer = site.authenticate(Authenticate { query, ..whole }).unwrap();
    assert_eq!((answer.presigned, answer.operation.as_str()), (true, "GetSessionToken"));
    let (handle, subject, delegated, principal_tags) = (answer.handle, None, true, vec![]);
    let issue = IssueCredential { handle, subject, delegated, principal_tags };
    let issued = site.engine.handle(Role::Front, Command::IssueCredential(Box::new(issue)));
    assert_eq!(why(issued), "the handle is unknown, spent or expired");
}

#[test]
fn scope_is_of_the_service_and_region_that_were_asked() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let elsewhere: Region = "eu-west-1".parse().unwrap();
    let in_region = |request: Authenticate| {
        site.authenticate(Authenticate { region: elsewhere.clone(), ..request })
    };
    assert_eq!(code(in_region(site.query(&root, "sts", WHO))), "ok", "global");
    let users = "Action=ListUsers&Version=2010-05-08";
    assert_eq!(code(in_region(site.query(&root, "iam", users))), "ok", "global");
    let keys = site.kms(&root, "ListKeys", &json!({}));
    assert!(why(in_region(keys)).contains("'eu-west-1'"), "of one region");
    assert!(why(site.authenticate(site.s3(&root, "GET", "/b/k", &[]))).contains("'kms'"));
    let sts = site.query(&root, "sts", WHO);
    let to_s3 = why(site.authenticate_as(Role::S3, sts));
    assert!(to_s3.ends_with("belongs to \"s3\"."), "{to_s3}");
}

#[test]
fn payload_is_declared_as_it_was_signed_and_of_its_services_form() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let form = "the payload is not of the service's form";
    let mut body = site.s3(&root, "PUT", "/b/k", &[]);
    body.payload = Payload::Body(b"x".to_vec());
    assert_eq!(why(site.authenticate_as(Role::S3, body)), form);
    let mut declared = site.query(&root, "sts", WHO);
    declared.payload = Payload::Declared("UNSIGNED-PAYLOAD".to_owned());
    assert_eq!(why(site.authenticate(declared)), form);
    let mut other = site.s3(&root, "PUT", "/b/k", &[]);
    other.payload = Payload::Declared("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned());
    let refused = "the declared payload is not the one in the request";
    assert_eq!(why(site.authenticate_as(Role::S3, other)), refused);
}

#[test]
fn wrapped_credential_is_no_session_token_and_a_token_no_credential() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (session, _) = session_of_ann(&site, &root);
    let with = |signer: &Signing, token: Option<String>, wrapped: Option<Vec<u8>>| {
        let credentials = Credentials {
            access_key_id: signer.credentials.access_key_id.clone(),
            secret: signer.credentials.secret.clone(),
            session_token: token.map(Zeroizing::new),
        };
        let signing = Signing { credentials, wrapped, descriptor: None };
        code(site.authenticate(site.query(&signing, "sts", WHO)))
    };
    let wrapped = root.wrapped.clone().unwrap();
    let token = session.credentials.session_token.as_ref().unwrap().to_string();
    let bytes = STANDARD.decode(&token).unwrap();
    let invalid = "InvalidClientTokenId";
    assert_eq!(with(&root, None, Some(wrapped.clone())), "ok");
    assert_eq!(with(&root, Some(b64(&wrapped)), None), invalid);
    assert_eq!(with(&session, Some(token), None), "ok");
    assert_eq!(with(&session, None, Some(bytes)), invalid);
    assert_eq!(with(&session, None, Some(wrapped)), invalid, "another's");
}

#[test]
fn signature_is_good_for_the_window_of_its_protocol() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let signed = Timestamp::from_secs(site.env.now().secs());
    let end = |request: &Authenticate, protocol| {
        let Authenticate { method, path, query, headers, .. } = request;
        let claim = parse(&RawRequest { method, path, query, headers }).unwrap().unwrap();
        crate::authenticate::signature_end(&claim, protocol).since(signed).as_secs()
    };
    let (header, url) = (site.s3(&root, "GET", "/b/k", &[]), site.presigned(&root, "GET", 77));
    for (service, seconds) in
        [(Service::S3, 900), (Service::Kms, 300), (Service::Iam, 300), (Service::Sts, 300)]
    {
        assert_eq!(end(&header, service.protocol()), seconds);
        assert_eq!(end(&url, service.protocol()), 77);
    }
    assert_eq!(end(&header, Protocol::RestXml), 900);
}
