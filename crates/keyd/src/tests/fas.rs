//! Forward access sessions: s3 and front cheat with tickets.

use super::*;
use aws_lc_rs::agreement::{PrivateKey, X25519};
use writ_keyd_client::key_policy::{inner_path, managed_key_policy};
use writ_keyd_client::secret::SecretBytes;
use writ_proof::fas::{Caveat, Proof, ProvenRequest};
use writ_proof::hash::sha256;

use crate::channels::peer_keys;
use crate::crypto::Aead;

const OWNER: u64 = 111_122_223_333;

/// s3's side of its channel to keyd.
pub(super) struct Gateway {
    seal: Zeroizing<[u8; 32]>,
    proof: Zeroizing<[u8; 32]>,
}

pub(super) fn gateway(site: &Site) -> Gateway {
    let mut seed = [0u8; 32];
    site.env.fill(&mut seed);
    let private = PrivateKey::from_private_key(&X25519, &seed).unwrap();
    let public: [u8; 32] = private.compute_public_key().unwrap().as_ref().try_into().unwrap();
    let reply = site.engine.handle(Role::S3, Command::Hello(hello(Some(public))));
    let Ok(Reply::Hello(reply)) = reply else { panic!("no hello") };
    let (seal, proof) = peer_keys(&private, &public, &reply.x25519.unwrap());
    Gateway { seal, proof }
}

/// One account with a key whose use through s3 is delegated, and a gateway.
fn setup() -> (Site, Signing, StoredKey, Gateway) {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let key = site.create_key(&root, None);
    let gateway = gateway(&site);
    (site, root, key, gateway)
}

/// A request of s3 to KMS, before front passes it on.
pub(super) struct Inner {
    pub(super) ticket: writ_proof::fas::Ticket,
    pub(super) context: Vec<u8>,
    target: String,
    body: Vec<u8>,
    nonce: Nonce,
    time: Timestamp,
}

impl Site {
    pub(super) fn ticket(&self, request: Authenticate) -> Option<Ticket> {
        self.authenticate_as(Role::S3, request).unwrap().ticket
    }

    pub(super) fn put(&self, signer: &Signing, path: &str, headers: &[(&str, &str)]) -> Ticket {
        self.ticket(self.s3(signer, "PUT", path, headers)).unwrap()
    }

    fn get(&self, signer: &Signing, path: &str) -> Ticket {
        self.ticket(self.s3(signer, "GET", path, &[])).unwrap()
    }

    pub(super) fn inner(&self, ticket: &Ticket, operation: &str, body: &Json) -> Inner {
        Inner {
            ticket: writ_proof::fas::Ticket::from_bytes(ticket.ticket.expose()).unwrap(),
            context: ticket.context.clone(),
            target: format!("TrentService.{operation}"),
            body: body.to_string().into_bytes(),
            nonce: self.env.nonce(),
            time: self.env.now(),
        }
    }

    /// The command that an honest front makes of it.
    pub(super) fn presented(&self, gateway: &Gateway, inner: &Inner) -> Present {
        let path = inner_path(&inner.target);
        let request = ProvenRequest {
            method: "POST",
            path: &path,
            query: "",
            body: sha256(&inner.body),
            ticket: inner.ticket.digest(),
        };
        let proof = Proof::make(&gateway.proof, &request, inner.time, inner.nonce);
        Present {
            ticket: SecretBytes::new(inner.ticket.to_bytes()),
            context: inner.context.clone(),
            proof: proof.mac,
            proof_time: proof.time,
            proof_nonce: proof.nonce,
            holder: Role::S3,
            method: "POST".to_owned(),
            path,
            query: String::new(),
            target: inner.target.clone(),
            body: inner.body.clone(),
            request_id: Uuid::random(&*self.env),
            event_id: Uuid::random(&*self.env),
            region: region(),
        }
    }

    pub(super) fn present(&self, present: Present) -> Result<Authenticated, Refusal> {
        match self.engine.handle(Role::Front, Command::Present(Box::new(present)))? {
            Reply::Authenticated(answer) => Ok(*answer),
            _ => panic!("not an answer to present"),
        }
    }

    /// Presents and uses, as honest peers do.
    pub(super) fn through(
        &self,
        gateway: &Gateway,
        inner: &Inner,
        key: &StoredKey,
    ) -> Result<Used, Refusal> {
        let handle = self.present(self.presented(gateway, inner))?.handle;
        self.spend(handle, &[key], true)
    }
}

impl Gateway {
    fn open(&self, used: &Used) -> Option<Vec<u8>> {
        let (nonce, sealed) = used.sealed.as_ref()?.split_first_chunk::<12>()?;
        let key = Aead::new(&self.seal).unwrap();
        key.open(*nonce, &used.handle.0, sealed).map(|plain| plain.to_vec())
    }
}

/// The text of a refused ticket.
fn refused(why: &str) -> String {
    format!("The forward access session was refused: {why}.")
}

fn object(path: &str) -> Json {
    json!({ "aws:s3:arn": format!("arn:aws:s3:::{path}") })
}

pub(super) fn data_key(key: &StoredKey, path: &str) -> Json {
    json!({ "KeyId": key.id, "KeySpec": "AES_256", "EncryptionContext": object(path) })
}

#[test]
fn object_is_written_and_read_on_the_customers_behalf() {
    let (site, root, key, s3) = setup();
    let ticket = site.put(&root, "/b/k", &[]);
    let inner = site.inner(&ticket, "GenerateDataKey", &data_key(&key, "b/k"));
    let answer = site.present(site.presented(&s3, &inner)).unwrap();
    assert_eq!(answer.caller.arn.as_str(), format!("arn:aws:iam::{OWNER}:root"));
    assert_eq!(answer.forwarded.as_ref().unwrap().via, ["s3.amazonaws.com"]);
    assert_eq!(answer.forwarded.as_ref().unwrap().network.source_ip, "192.0.2.7");
    let made = site.spend(answer.handle, &[&key], true).unwrap();
    assert!(made.plaintext.is_none(), "front sees no data key");
    let plain = s3.open(&made).unwrap();
    assert_eq!(plain.len(), 32);
    let blob = made.ciphertext.clone().unwrap();

    let ticket = site.get(&root, "/b/k");
    let body = json!({ "CiphertextBlob": b64(&blob), "EncryptionContext": object("b/k") });
    let used = site.through(&s3, &site.inner(&ticket, "Decrypt", &body), &key).unwrap();
    assert_eq!(s3.open(&used).unwrap(), plain);
    let last = site.last_use();
    assert_eq!(last.via, ["s3.amazonaws.com"]);
    assert!(matches!(last.proof, writ_proof::use_record::UseProof::Ticket(_)));

    // Neither front nor another service can open what it relays.
    assert!(gateway(&site).open(&made).is_none());
}

#[test]
fn ticket_allows_nothing_but_its_own_use() {
    let (site, root, key, s3) = setup();
    let other = site.create_key(&root, None);
    let ticket = site.put(&root, "/b/k", &[]);
    let made = site.inner(&ticket, "GenerateDataKey", &data_key(&key, "b/k"));
    let blob = site.through(&s3, &made, &key).unwrap().ciphertext.unwrap();
    let open =
        |path: &str| json!({ "CiphertextBlob": b64(&blob), "EncryptionContext": object(path) });
    let more = json!({ "KeyId": key.id, "KeySpec": "AES_256",
        "EncryptionContext": { "aws:s3:arn": "arn:aws:s3:::b/k", "more": "1" } });
    let get = || site.get(&root, "/b/k");
    let put = || site.put(&root, "/b/k", &[]);
    let key_header = format!("arn:aws:kms:us-east-1:{OWNER}:key/{}", key.id);
    let named = || {
        site.put(
            &root,
            "/b/k",
            &[
                ("x-amz-server-side-encryption", "aws:kms"),
                ("x-amz-server-side-encryption-aws-kms-key-id", &key_header),
            ],
        )
    };
    let table: [(&str, Ticket, &str, Json, &str); 10] = [
        ("read with a read's ticket", get(), "Decrypt", open("b/k"), "ok"),
        ("another object's context", get(), "Decrypt", open("b/other"), "AccessDeniedException"),
        (
            "no context",
            get(),
            "Decrypt",
            json!({ "CiphertextBlob": b64(&blob) }),
            "AccessDeniedException",
        ),
        (
            "write with a read's ticket",
            get(),
            "GenerateDataKey",
            data_key(&key, "b/k"),
            "AccessDeniedException",
        ),
        (
            "encrypt with a write's ticket",
            put(),
            "Encrypt",
            json!({ "KeyId": key.id, "Plaintext": "AAAA", "EncryptionContext": object("b/k") }),
            "AccessDeniedException",
        ),
        ("read with a write's ticket", put(), "Decrypt", open("b/k"), "AccessDeniedException"),
        ("context that was not signed", put(), "GenerateDataKey", more, "AccessDeniedException"),
        ("the named key", named(), "GenerateDataKey", data_key(&key, "b/k"), "ok"),
        (
            "another key than the named",
            named(),
            "GenerateDataKey",
            data_key(&other, "b/k"),
            "AccessDeniedException",
        ),
        (
            "no use of a key",
            get(),
            "DescribeKey",
            json!({ "KeyId": key.id }),
            "AccessDeniedException",
        ),
    ];
    for (name, ticket, operation, body, expected) in table {
        let result = site.through(&s3, &site.inner(&ticket, operation, &body), &key);
        assert_eq!(code(result), expected, "{name}");
    }
}

#[test]
fn front_that_changes_what_s3_asked_is_refused() {
    type Cheat = fn(&Site, &mut Present);
    let (site, root, key, s3) = setup();
    const PROOF: &str = "the proof of possession does not hold";
    let cheats: [(&str, Cheat, &str); 13] = [
        ("as presented", |_, _| {}, "ok"),
        ("another body", |_, p| p.body.push(b' '), PROOF),
        (
            "another target",
            |_, p| p.target = "TrentService.GenerateDataKeyWithoutPlaintext".to_owned(),
            "the ticket is for another request",
        ),
        ("another path", |_, p| p.path = "/".to_owned(), PROOF),
        ("another method", |_, p| p.method = "GET".to_owned(), PROOF),
        ("another query", |_, p| p.query = "a".to_owned(), PROOF),
        ("another context document", |_, p| p.context.push(0), "the ticket is malformed"),
        (
            "another region",
            |_, p| p.region = "eu-west-1".parse().unwrap(),
            "the ticket is for another region",
        ),
        ("another holder", |_, p| p.holder = Role::Front, "the ticket belongs to another holder"),
        ("an own proof", |_, p| p.proof = [7; 32], PROOF),
        (
            "another time for the proof",
            |s, p| p.proof_time = Timestamp::from_secs(s.env.now().secs() - 1),
            PROOF,
        ),
        ("an old proof", |_, _| {}, "the proof's time is too far off"),
        (
            "half a ticket",
            |_, p| p.ticket = SecretBytes::new(p.ticket.expose()[1..].to_vec()),
            "the ticket is malformed",
        ),
    ];
    for (name, cheat, expected) in cheats {
        let ticket = site.put(&root, "/b/k", &[]);
        let mut inner = site.inner(&ticket, "GenerateDataKey", &data_key(&key, "b/k"));
        if name == "an old proof" {
            let skew = writ_proof::limits::TICKET_SKEW_MS + 1;
            inner.time = Timestamp::from_millis(inner.time.millis() - skew);
        }
        let mut present = site.presented(&s3, &inner);
        cheat(&site, &mut present);
        let before = site.records().len();
        let expected = if expected == "ok" { "ok".to_owned() } else { refused(expected) };
        assert_eq!(why(site.present(present)), expected, "{name}");
        assert_eq!(
            site.records().len(),
            before + usize::from(expected != "ok"),
            "{name}: recorded"
        );
    }
}

#[test]
fn target_of_any_length_does_not_stop_the_record_stream() {
    let (site, root, key, s3) = setup();
    let inner =
        site.inner(&site.put(&root, "/b/k", &[]), "GenerateDataKey", &data_key(&key, "b/k"));
    for target in ["x".repeat(1 << 20), "TrentService.Nonsense".to_owned()] {
        let mut present = site.presented(&s3, &inner);
        present.target = target;
        assert_eq!(code(site.present(present)), "AccessDeniedException");
        let expected = ("present:?".to_owned(), "AccessDeniedException".to_owned());
        assert_eq!(site.last_record(), expected);
    }
}

#[test]
fn caveats_only_take_away_and_cannot_be_cut_or_reordered() {
    let (site, root, key, s3) = setup();
    let fresh =
        || site.inner(&site.put(&root, "/b/k", &[]), "GenerateDataKey", &data_key(&key, "b/k"));
    let action = |action: &str| Caveat::Action(action.to_owned());
    let table = [
        ("the same action", vec![action("kms:GenerateDataKey")], "ok"),
        ("another action", vec![action("kms:Decrypt")], "the ticket does not allow the action"),
        (
            "a wider one after a narrow one",
            vec![action("kms:Decrypt"), action("kms:GenerateDataKey")],
            "the ticket does not allow the action",
        ),
        (
            "another audience",
            vec![Caveat::Audience("s3".to_owned())],
            "the ticket is for another service",
        ),
        ("a larger budget", vec![Caveat::Budget(100)], "ok"),
        ("no budget", vec![Caveat::Budget(0)], "the ticket's budget is used up"),
        ("a later end", vec![Caveat::Expires(Timestamp::from_millis(u64::MAX / 2))], "ok"),
        ("an end before now", vec![Caveat::Expires(NOON)], "the ticket has expired"),
        (
            "another resource",
            vec![Caveat::Resource("arn:aws:kms:us-east-1:1:key/x".to_owned())],
            "the ticket does not allow this resource",
        ),
        (
            "another request",
            vec![Caveat::RequestDigest(sha256(b"other"))],
            "the ticket is for another request",
        ),
    ];
    for (name, caveats, expected) in table {
        let mut inner = fresh();
        for caveat in &caveats {
            inner.ticket = inner.ticket.append(caveat).unwrap();
        }
        let expected = if expected == "ok" { "ok".to_owned() } else { refused(expected) };
        assert_eq!(why(site.through(&s3, &inner, &key)), expected, "{name}");
    }
    let mut inner = fresh();
    let narrow =
        inner.ticket.append(&action("kms:Decrypt")).unwrap().append(&Caveat::Budget(1)).unwrap();
    // Cutting and reordering by hand: the same tag under other caveats.
    let parts = Parts::of(&narrow.to_bytes());
    let [first, second] = &parts.caveats[..] else { panic!("two caveats") };
    let table = [
        ("both cut", vec![]),
        ("the last cut", vec![first.clone()]),
        ("the first cut", vec![second.clone()]),
        ("reordered", vec![second.clone(), first.clone()]),
        ("one twice", vec![first.clone(), second.clone(), second.clone()]),
    ];
    for (name, caveats) in table {
        let bytes = Parts { caveats, ..parts.clone() }.to_bytes();
        inner.ticket = writ_proof::fas::Ticket::from_bytes(&bytes).unwrap();
        inner.nonce = site.env.nonce();
        let changed = refused("the ticket was not made by this key module, or was changed");
        assert_eq!(why(site.through(&s3, &inner, &key)), changed, "{name}");
    }
}

/// A ticket taken apart.
#[derive(Clone)]
struct Parts {
    root: Vec<u8>,
    caveats: Vec<Vec<u8>>,
    tag: [u8; 32],
}

impl Parts {
    fn of(ticket: &[u8]) -> Parts {
        use cbor::Decode as _;
        let mut reader = cbor::Reader::new(ticket);
        assert_eq!((reader.array().unwrap(), reader.uint().unwrap()), (4, 1));
        Parts {
            root: Vec::decode(&mut reader).unwrap(),
            caveats: Vec::decode(&mut reader).unwrap(),
            tag: <[u8; 32]>::decode(&mut reader).unwrap(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        use cbor::Encode as _;
        let mut writer = cbor::Writer::default();
        writer.array(4);
        writer.uint(1);
        self.root.encode(&mut writer);
        self.caveats.encode(&mut writer);
        self.tag.encode(&mut writer);
        writer.into_bytes()
    }
}

#[test]
fn ticket_dies_with_time_replay_budget_and_signer() {
    let (site, root, key, s3) = setup();
    let (_, ann) = site.create_user(&root, "ann");
    let body = data_key(&key, "b/k");
    let fresh = |who: &Signing| site.inner(&site.put(who, "/b/k", &[]), "GenerateDataKey", &body);

    let inner = fresh(&root);
    assert_eq!(code(site.present(site.presented(&s3, &inner))), "ok");
    assert_eq!(
        code(site.present(site.presented(&s3, &inner))),
        "AccessDeniedException",
        "the same proof"
    );

    let mut inner = fresh(&root);
    assert_eq!(code(site.through(&s3, &inner, &key)), "ok");
    let longer =
        json!({ "KeyId": key.id, "NumberOfBytes": 64, "EncryptionContext": object("b/k") });
    let second = Inner { body: longer.to_string().into_bytes(), nonce: site.env.nonce(), ..inner };
    assert_eq!(code(site.through(&s3, &second, &key)), "AccessDeniedException", "over its budget");

    // The handle would live for a minute; the ticket does not.
    inner = fresh(&root);
    let end = site.env.now().plus(Duration::from_secs(10));
    inner.ticket = inner.ticket.append(&Caveat::Expires(end)).unwrap();
    let handle = site.present(site.presented(&s3, &inner)).unwrap().handle;
    site.advance(Duration::from_secs(11));
    assert_eq!(
        why(site.spend(handle, &[&key], true)),
        "the handle is unknown, spent or expired",
        "its handle died with it"
    );
    inner = fresh(&root);
    site.advance(Duration::from_secs(301));
    inner.time = site.env.now();
    assert_eq!(why(site.through(&s3, &inner, &key)), refused("the ticket has expired"));

    let (first, second) = (fresh(&ann), fresh(&ann));
    let handle = site.present(site.presented(&s3, &first)).unwrap().handle;
    let end = End::AccessKey(ann.credentials.access_key_id.parse().unwrap());
    site.engine.handle(Role::Front, Command::End(end)).unwrap();
    assert_eq!(
        code(site.spend(handle, &[&key], true)),
        "UnrecognizedClientException",
        "between the two"
    );
    assert_eq!(code(site.through(&s3, &second, &key)), "UnrecognizedClientException");

    let inner = fresh(&root);
    let again = Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone());
    again.load(vec![root.descriptor.clone().unwrap(), key.descriptor.clone()]);
    let after = gateway(&again);
    let result = again.present(again.presented(&after, &inner));
    assert_eq!(code(result), "ServiceUnavailable", "a ticket from before the restart");
}

#[test]
fn proof_is_remembered_for_as_long_as_its_time_is_good() {
    let (site, root, key, s3) = setup();
    let inner =
        site.inner(&site.put(&root, "/b/k", &[]), "GenerateDataKey", &data_key(&key, "b/k"));
    assert_eq!(code(site.present(site.presented(&s3, &inner))), "ok");
    site.advance(Duration::from_millis(writ_proof::limits::TICKET_SKEW_MS));
    // Whatever is over is forgotten now; the proof is not.
    site.engine.maintain().unwrap();
    let again = site.present(site.presented(&s3, &inner));
    assert_eq!(why(again), refused("the proof was used before"));
}

#[test]
fn one_signature_is_one_transaction_and_one_budget() {
    let (site, root, key, s3) = setup();
    let once = site.s3(&root, "PUT", "/b/k", &[]);
    let again = || Authenticate {
        method: once.method.clone(),
        path: once.path.clone(),
        query: once.query.clone(),
        headers: once.headers.clone(),
        payload: Payload::Declared("UNSIGNED-PAYLOAD".to_owned()),
        credential: once.credential.clone(),
        network: once.network.clone(),
        request_id: once.request_id,
        event_id: once.event_id,
        region: region(),
    };
    let first =
        site.inner(&site.ticket(again()).unwrap(), "GenerateDataKey", &data_key(&key, "b/k"));
    assert_eq!(code(site.through(&s3, &first, &key)), "ok");
    let longer =
        json!({ "KeyId": key.id, "NumberOfBytes": 64, "EncryptionContext": object("b/k") });
    let second = site.inner(&site.ticket(again()).unwrap(), "GenerateDataKey", &longer);
    assert_eq!(
        code(site.through(&s3, &second, &key)),
        "AccessDeniedException",
        "a new ticket, the same budget"
    );
    let repeat =
        site.inner(&site.ticket(again()).unwrap(), "GenerateDataKey", &data_key(&key, "b/k"));
    assert_eq!(code(site.through(&s3, &repeat, &key)), "ok", "the client's retry of the same use");
    for _ in 3..crate::limits::ADMISSIONS_PER_SIGNATURE {
        site.ticket(again()).unwrap();
    }
    let one_more = site.authenticate_as(Role::S3, again());
    assert_eq!(code(one_more), "Repeated");
}

#[test]
fn request_that_needs_no_other_service_gets_no_ticket() {
    let (site, root, _, _) = setup();
    for (method, path) in [("GET", "/b"), ("DELETE", "/b/k"), ("HEAD", "/b/k"), ("GET", "/")] {
        assert!(site.ticket(site.s3(&root, method, path, &[])).is_none(), "{method} {path}");
    }
    let front = site.authenticate(site.kms(&root, "ListKeys", &json!({}))).unwrap();
    assert!(front.ticket.is_none(), "front never gets one");
}

#[test]
fn managed_key_is_made_at_first_use_and_serves_its_service_alone() {
    let (site, root, _, s3) = setup();
    let ticket = site.put(&root, "/b/k", &[]);
    let create = site.inner(&ticket, "CreateKey", &json!({}));
    let handle = site.present(site.presented(&s3, &create)).unwrap().handle;
    let id = Uuid::random(&*site.env).to_string();
    let seal = Seal { handle, new_id: Some(id.clone()), ..Seal::default() };
    let sealed = site.engine.handle(Role::Front, Command::Seal(Box::new(seal)));
    let Ok(Reply::Sealed(sealed)) = sealed else { panic!("not sealed") };
    assert_eq!(sealed.descriptors.len(), 2, "the key and its alias");
    let policy = managed_key_policy("s3", account(OWNER), &region());
    let key =
        StoredKey { id, descriptor: sealed.descriptors[0].clone(), tokens: sealed.tokens, policy };

    let body = json!({ "KeyId": "alias/aws/s3", "KeySpec": "AES_256", "EncryptionContext": object("b/k") });
    let used = site.through(&s3, &site.inner(&ticket, "GenerateDataKey", &body), &key).unwrap();
    assert_eq!(used.basis, ["policy"], "no right of the caller's is needed");
    assert!(s3.open(&used).is_some());
    let direct = site.use_keys(site.kms(&root, "GenerateDataKey", &body), &[&key], true);
    assert_eq!(code(direct), "AccessDeniedException", "directly, by the account's own root");
    let other = site.create_account(444_455_556_666);
    let foreign = site.put(&other, "/b/k", &[]);
    let arn = format!("arn:aws:kms:us-east-1:{OWNER}:key/{}", key.id);
    let body = json!({ "KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": object("b/k") });
    let result = site.through(&s3, &site.inner(&foreign, "GenerateDataKey", &body), &key);
    assert_eq!(code(result), "AccessDeniedException", "another account through s3");
    let again = site.inner(&site.put(&root, "/b/k2", &[]), "CreateKey", &json!({}));
    let handle = site.present(site.presented(&s3, &again)).unwrap().handle;
    let seal =
        Seal { handle, new_id: Some(Uuid::random(&*site.env).to_string()), ..Seal::default() };
    assert_eq!(
        code(site.engine.handle(Role::Front, Command::Seal(Box::new(seal)))),
        "AlreadyExistsException"
    );
}

#[test]
fn front_learns_referer_and_user_agent_of_a_forwarded_request_as_keyd_has_them() {
    let (site, root, key, s3) = setup();
    let ticket = site.put(&root, "/b/k", &[("referer", "https://app.example/")]);
    let inner = site.inner(&ticket, "GenerateDataKey", &data_key(&key, "b/k"));
    let forwarded = site.present(site.presented(&s3, &inner)).unwrap().forwarded.unwrap();
    assert_eq!(forwarded.referer.as_deref(), Some("https://app.example/"));
    assert_eq!(forwarded.user_agent, None);
}

#[test]
fn policies_decide_on_the_customers_own_network_and_services() {
    let site = Site::new();
    let root = site.create_account(OWNER);
    let s3 = gateway(&site);
    let admin = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["kms:Put*","kms:GenerateDataKey"],"Resource":"*"}"#;
    let deny = |condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{admin},{{"Effect":"Deny","Principal":"*","Action":"kms:GenerateDataKey","Resource":"*","Condition":{condition}}}]}}"#
        )
    };
    let table = [
        (r#"{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, "ok"),
        (r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#, "AccessDeniedException"),
        (r#"{"Bool":{"aws:ViaAWSService":"true"}}"#, "AccessDeniedException"),
        (r#"{"Bool":{"aws:ViaAWSService":"false"}}"#, "ok"),
        (
            r#"{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}"#,
            "AccessDeniedException",
        ),
        (
            r#"{"ForAnyValue:StringEquals":{"aws:CalledVia":"s3.amazonaws.com"}}"#,
            "AccessDeniedException",
        ),
        (r#"{"StringEquals":{"aws:CalledViaFirst":"athena.amazonaws.com"}}"#, "ok"),
        (r#"{"StringEquals":{"aws:Referer":"https://app.example/"}}"#, "AccessDeniedException"),
        // An absent user agent is absent, not empty.
        (r#"{"Null":{"aws:UserAgent":"true"}}"#, "AccessDeniedException"),
        (r#"{"Bool":{"writ:CredentialDelegated":"false"}}"#, "AccessDeniedException"),
        (r#"{"StringNotEquals":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::b/k"}}"#, "ok"),
    ];
    for (condition, expected) in table {
        let key = site.create_key(&root, Some(&deny(condition)));
        let headers = [("x-amz-meta-n", condition), ("referer", "https://app.example/")];
        let ticket = site.put(&root, "/b/k", &headers);
        let inner = site.inner(&ticket, "GenerateDataKey", &data_key(&key, "b/k"));
        assert_eq!(code(site.through(&s3, &inner, &key)), expected, "{condition}");
    }
}

#[test]
fn upload_without_trailer_keeps_no_slot_after_its_last_chunk() {
    use writ_aws::sigv4::{ChunkChain, SigningKey, parse};
    let (site, root, _, _) = setup();
    for (literal, after) in [
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 0),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", 1),
    ] {
        let request = site.s3_with(&root, ("PUT", "/b/k"), &[], literal);
        let headers = &request.headers;
        let raw = RawRequest { method: "PUT", path: "/b/k", query: "", headers };
        let claim = parse(&raw).unwrap().unwrap();
        let (scope, secret) = (&claim.scope, root.credentials.secret.as_bytes());
        let key = SigningKey::derive(secret, &scope.date, scope.region.as_str(), &scope.service);
        let mut chain = ChunkChain::new(&claim);
        let before = site.engine.uploads.lock().len();
        let handle = site.authenticate_as(Role::S3, request).unwrap().handle;
        let mut send = |data: &[u8]| {
            let digest = sha256(data).0;
            let chunks = vec![(chain.sign_chunk(&key, &digest), digest)];
            let chunks = Chunks { handle, chunks, trailer: None };
            code(site.engine.handle(Role::S3, Command::Chunks(chunks)))
        };
        assert_eq!(send(b"data"), "ok", "{literal}");
        assert_eq!(site.engine.uploads.lock().len(), before + 1, "{literal}");
        assert_eq!(send(b""), "ok", "{literal}");
        assert_eq!(site.engine.uploads.lock().len(), before + after, "{literal}");
        if after == 1 {
            let digest = sha256(b"x-amz-checksum-crc32:AAAAAA==\n").0;
            let trailer = Some((chain.sign_trailer(&key, &digest), digest));
            let chunks = Chunks { handle, chunks: vec![], trailer };
            assert_eq!(code(site.engine.handle(Role::S3, Command::Chunks(chunks))), "ok");
            assert_eq!(site.engine.uploads.lock().len(), before, "after its trailer");
        }
    }
}

#[test]
fn budget_is_remembered_until_the_signature_is_over() {
    let (site, root, _, _) = setup();
    let ticket = site.put(&root, "/b/k", &[]);
    let document: crate::fas::ContextDocument = cbor::from_slice(&ticket.context).unwrap();
    let signed_at = Timestamp::from_secs(site.env.now().secs());
    assert_eq!(document.until, signed_at.plus(Duration::from_secs(15 * 60)));
}

#[test]
fn unspent_handle_keeps_no_slot_after_its_minute() {
    let (site, root, key, _) = setup();
    let body = json!({ "KeyId": key.id, "Plaintext": "AAAA" });
    site.authenticate(site.kms(&root, "Encrypt", &body)).unwrap();
    let unspent = |site: &Site| site.engine.handles.lock().len();
    assert_eq!(unspent(&site), 1);
    site.advance(Duration::from_secs(61));
    site.engine.maintain().unwrap();
    assert_eq!(unspent(&site), 0);
}
