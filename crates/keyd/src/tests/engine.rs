//! What keyd says of itself, when it takes a hello, a beat or chunks, and what a ticket commits to.

use writ_model::Revision;
use writ_model::limits::REVOCATION_FEED_AGE_MAX;
use writ_proof::fas::{
    self, ContextRule, Customer, Forward, Holder, ResourceRule, Root, SignedRequest,
};
use writ_proof::hash::{sha256, sha256_of};
use writ_proof::leaf::Source;

use super::callers::session_of_ann;
use super::fas::{data_key, gateway};
use super::use_records::{OWNER, digests, unique_id};
use super::*;

fn say_hello(site: &Site, role: Role, hello: Hello) -> Result<HelloReply, Refusal> {
    match site.engine.handle(role, Command::Hello(hello))? {
        Reply::Hello(reply) => Ok(reply),
        _ => panic!("not an answer to hello"),
    }
}

#[test]
fn hello_is_answered_in_this_protocol_and_with_a_good_key_alone() {
    let site = Site::new();
    let reply = say_hello(&site, Role::S3, hello(None)).unwrap();
    let told = (reply.protocol, reply.role, reply.boot, reply.x25519);
    assert_eq!(told, (PROTOCOL, Role::S3, site.engine.status().boot, None));
    let other = Hello { protocol: PROTOCOL + 1, x25519: None };
    assert_eq!(code(say_hello(&site, Role::S3, other)), "Forbidden");
    // A point of small order: the shared secret would be known to everybody.
    let nothing = say_hello(&site, Role::S3, hello(Some([0; 32])));
    assert_eq!(why(nothing), "the X25519 key is not acceptable");
}

#[test]
fn status_says_how_keyd_runs() {
    let site = Site::new();
    let status = |site: &Site| match site.engine.handle(Role::Trail, Command::Status) {
        Ok(Reply::Status(status)) => status,
        _ => panic!("no status"),
    };
    let before = status(&site);
    assert_eq!((before.mode.as_str(), before.loaded, before.catalogue), ("dev", true, 0));
    assert_eq!((before.unacknowledged, before.boot), (0, site.records()[0].boot));
    let names: Vec<_> = before.hardening.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["memfd_secret", "locked key memory"]);
    site.create_account(OWNER);
    site.engine.report_hardening([("seccomp".to_owned(), "on".to_owned())]);
    let after = status(&site);
    assert_eq!((after.unacknowledged, after.catalogue), (1, 1));
    assert_eq!(after.hardening.last().unwrap(), &("seccomp".to_owned(), "on".to_owned()));
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    assert!(!status(&again).loaded);
}

#[test]
fn feed_stands_still_goes_on_and_never_back() {
    let site = Site::new();
    let beat = |feed| code(site.engine.handle(Role::Front, Command::Beat(Beat { feed })));
    assert_eq!([beat(50), beat(50), beat(51), beat(50)], ["ok", "ok", "ok", "Forbidden"]);
    // It is current for as long as it may be old, and no longer.
    let hello = || site.engine.handle(Role::Trail, Command::Hello(hello(None))).unwrap();
    site.env.advance(REVOCATION_FEED_AGE_MAX);
    hello();
    assert!(site.engine.check_ready().is_ok());
    site.env.advance(Duration::from_millis(1));
    hello();
    assert!(site.engine.check_ready().is_err());
}

#[test]
fn load_of_part_of_the_catalogue_is_none() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    let load = |last| {
        let epoch = Uuid::from_bytes([1; 16]);
        let descriptors = vec![root.descriptor.clone().unwrap()];
        let load = Load { descriptors, ended: vec![], last, epoch, roster: vec![] };
        code(again.engine.handle(Role::Front, Command::Load(load)))
    };
    assert_eq!(load(false), "ok");
    assert!(again.engine.check_loaded().is_err());
    assert_eq!(load(true), "ok");
    assert!(again.engine.check_loaded().is_ok());
    assert_eq!(load(false), "ok");
    assert!(again.engine.check_loaded().is_ok(), "front alone starts anew");
}

#[test]
fn chunks_are_taken_up_to_the_limit_of_one_command() {
    let site = Site::new();
    let send = |count: usize| {
        let chunks = vec![([0; 32], [0; 32]); count];
        let chunks = Chunks { handle: nonce(1), chunks, trailer: None };
        why(site.engine.handle(Role::S3, Command::Chunks(chunks)))
    };
    let max = crate::limits::CHUNKS_PER_COMMAND_MAX;
    assert_eq!(send(max), "the upload's handle is unknown or old");
    for count in [max + 1, max + 2] {
        assert_eq!(send(count), "too many chunks in one command");
    }
}

#[test]
fn signature_that_is_spent_gets_no_further_handle() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let once = site.query(&root, "iam", "Action=CreateAccessKey&Version=2010-05-08");
    site.issue(copy(&once), None, true).unwrap();
    assert_eq!(code(site.authenticate(once)), "Repeated");
}

/// The ticket of a request, which must have one.
fn root_of(site: &Site, ticket: &Ticket) -> Root {
    let ticket = fas::Ticket::from_bytes(ticket.ticket.expose()).unwrap();
    let Ok(verified) = site.engine.fas.verify(&ticket) else { panic!("not keyd's ticket") };
    verified.root().clone()
}

#[test]
fn ticket_commits_to_the_customer_the_request_the_network_and_the_feed() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (session, caller) = session_of_ann(&site, &root);
    site.advance(Duration::from_secs(700));
    let mut request =
        site.s3(&session, "GET", "/b/k", &[("user-agent", "u"), ("referer", "https://r/")]);
    request.network = Network {
        source_ip: "192.0.2.9".to_owned(),
        tls: Some("TLSv1.3".to_owned()),
        vpce: Some("vpce-1".to_owned()),
    };
    let (digest, signature) = digests(&request);
    let (request_id, event_id) = (request.request_id, request.event_id);
    let ticket = site.ticket(request).unwrap();
    let found = root_of(&site, &ticket);
    let (now, feed) = (site.env.now(), *site.feed.lock().unwrap());
    let ends = caller.session.as_ref().unwrap().expires;
    let pair = fas::Pair { key: "aws:s3:arn".to_owned(), value: "arn:aws:s3:::b/k".to_owned() };
    let mut txn = [0; 16];
    txn.copy_from_slice(&sha256_of(&[b"writ-fas-txn-v1", &signature.0]).0[..16]);
    let expected = Root {
        kid: site.engine.fas.current().0,
        txn: Nonce(txn),
        jti: found.jti,
        iat: now,
        exp: ends,
        principal: Customer {
            arn: format!("arn:aws:sts::{OWNER}:assumed-role/one/s1").parse().unwrap(),
            unique_id: Some(unique_id("AROA", "one").parse().unwrap()),
            account: account(OWNER),
            access_key: session.credentials.access_key_id.parse().unwrap(),
            issuer: Some(format!("arn:aws:iam::{OWNER}:role/p/one").parse().unwrap()),
            mfa: Some(fas::Mfa { present: false, at: None }),
            source_identity: Some("sid".to_owned()),
        },
        req: SignedRequest {
            digest,
            signature,
            request_id,
            event_id,
            service: "s3".to_owned(),
            region: region(),
            operation: "s3:GetObject".to_owned(),
            resources: vec!["arn:aws:s3:::b/k".to_owned()],
        },
        net: fas::Network {
            source_ip: Some("192.0.2.9".to_owned()),
            vpce: Some("vpce-1".to_owned()),
            vpc: None,
            tls: Some("TLSv1.3".to_owned()),
        },
        ctx: sha256(&ticket.context),
        fwd: vec![Forward {
            audience: "kms".to_owned(),
            action: "kms:Decrypt".to_owned(),
            resource: ResourceRule::Any,
            context: ContextRule::Includes(pair),
            budget: 1,
        }],
        holder: Holder::Channel(Source::S3),
        via: vec!["s3.amazonaws.com".to_owned()],
        depth: 0,
        epoch: Revision(feed),
    };
    // It has no `Debug`, as it is part of a bearer's authority.
    assert!(found == expected);
    assert_ne!(found.jti, found.txn);
}

#[test]
fn ticket_goes_with_what_else_the_customer_said_up_to_its_limit() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (session, caller) = session_of_ann(&site, &root);
    let get = |referer: &str| {
        let headers = [("user-agent", "u"), ("referer", referer)];
        site.ticket(site.s3(&session, "GET", "/b/k", &headers))
    };
    let context = get(&"r".repeat(1000)).unwrap().context;
    let document: crate::fas::ContextDocument = cbor::from_slice(&context).unwrap();
    assert_eq!(document.caller, caller);
    assert_eq!(document.user_agent.as_deref(), Some("u"));
    assert_eq!(document.referer, Some("r".repeat(1000)));
    let signed = Timestamp::from_secs(site.env.now().secs());
    assert_eq!(document.until, signed.plus(Duration::from_secs(900)));

    let room = 1000 + crate::limits::FAS_CONTEXT_MAX_BYTES - context.len();
    assert!(get(&"r".repeat(room + 1)).is_none(), "and no ticket rather than a part of it");
    let full = get(&"r".repeat(room)).unwrap();
    let (s3, body) = (gateway(&site), json!({ "CiphertextBlob": "AAAA" }));
    let inner = site.inner(&full, "Decrypt", &body);
    // It is read, and what it is asked for names no key.
    assert_eq!(code(site.present(site.presented(&s3, &inner))), "InvalidCiphertextException");
}

#[test]
fn ticket_lives_five_minutes_and_not_after_its_signature() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let [first, second] = [(); 2].map(|()| site.s3(&root, "GET", "/b/k", &[]));
    let signed = Timestamp::from_secs(site.env.now().secs());
    let fresh = root_of(&site, &site.ticket(first).unwrap());
    assert_eq!(fresh.exp, site.env.now().plus(Duration::from_secs(300)));
    assert!(fresh.principal.unique_id.is_none() && fresh.principal.issuer.is_none());
    assert!(fresh.principal.mfa.is_none() && fresh.principal.source_identity.is_none());
    site.advance(Duration::from_secs(800));
    let late = root_of(&site, &site.ticket(second).unwrap());
    assert_eq!(late.exp, signed.plus(Duration::from_secs(900)));
}

#[test]
fn handle_weighs_what_it_keeps() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let (key, s3) = (site.create_key(&root, None), gateway(&site));
    let (place, member) = (size_of::<writ_aws::Value>(), 2 * size_of::<String>());
    let weight = |handle: Handle| {
        let admitted = site.engine.handles.lock().spend(&handle, site.env.now());
        admitted.unwrap().weight
    };
    let body = json!({ "KeyId": key.id, "Plaintext": "AAAA" });
    let direct = site.authenticate(site.kms(&root, "Encrypt", &body)).unwrap().handle;
    let input = 3 * place + 2 * member + "KeyId".len() + "Plaintext".len() + key.id.len() + 3;
    assert_eq!(weight(direct), input + 1024);
    let body = data_key(&key, "b/k");
    let inner = site.inner(&site.put(&root, "/b/k", &[]), "GenerateDataKey", &body);
    let context = inner.context.len();
    let through = site.present(site.presented(&s3, &inner)).unwrap().handle;
    let names = "KeyId".len() + "KeySpec".len() + "EncryptionContext".len() + "aws:s3:arn".len();
    let texts = key.id.len() + "AES_256".len() + "arn:aws:s3:::b/k".len();
    assert_eq!(weight(through), 5 * place + 4 * member + names + texts + context + 8192);
}
