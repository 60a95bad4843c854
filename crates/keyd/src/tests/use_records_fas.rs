//! Use records of what a service asked for on a customer's behalf: whole, like those of direct uses.

use writ_keyd_client::key_policy::managed_key_policy;
use writ_keyd_client::secret::SecretBytes;
use writ_proof::Hash;
use writ_proof::hash::sha256;
use writ_proof::use_record::{self, Basis, TicketProof, UseProof};

use super::fas::{Gateway, Inner, data_key, gateway};
use super::use_records::*;
use super::*;

/// A customer's request to s3, as its own record and those of what follows name it.
struct Parent {
    event: Uuid,
    text: Hash,
    signature: Hash,
}

struct World {
    site: Site,
    root: Who,
    s3: Gateway,
}

impl World {
    fn new() -> World {
        let site = Site::new();
        let (root, s3) = (Who::root(&site, OWNER), gateway(&site));
        World { site, root, s3 }
    }

    /// What s3 sends on a customer's request, as front presents it.
    fn present(&self, method: &str, operation: &str, body: &Json) -> (Parent, Inner, Present) {
        let request = self.site.s3(&self.root.signing, method, "/b/k", &[]);
        let (text, signature) = digests(&request);
        let parent = Parent { event: request.event_id, text, signature };
        let ticket = self.site.ticket(request).unwrap();
        let inner = self.site.inner(&ticket, operation, body);
        let present = self.site.presented(&self.s3, &inner);
        (parent, inner, present)
    }

    /// A record with what the request, the ticket and the customer put into it.
    fn told(&self, part: use_record::Use, parent: &Parent, present: &Present) -> use_record::Use {
        use_record::Use {
            principal: Some(self.root.principal.clone()),
            proof: UseProof::Ticket(TicketProof {
                ticket: sha256(present.ticket.expose()),
                parent: parent.event,
                signature: parent.signature,
            }),
            request: Some(parent.text),
            request_id: present.request_id,
            event_id: present.event_id,
            via: vec!["s3.amazonaws.com".to_owned()],
            ..part
        }
    }

    fn handle(&self, present: Present) -> Handle {
        self.site.present(present).unwrap().handle
    }

    fn key(&self, policy: Option<&str>) -> Key {
        let stored = self.site.create_key(&self.root.signing, policy);
        let blob = self.site.encrypt(&self.root.signing, &stored, b"x");
        Key::of(stored, blob)
    }
}

#[test]
fn record_of_a_forwarded_use_tells_of_the_customer_the_ticket_and_the_service() {
    let world = World::new();
    let World { site, .. } = &world;
    let key = world.key(None);
    let object: &[(&str, &str)] = &[("aws:s3:arn", "arn:aws:s3:::b/k")];
    let (parent, _, present) =
        world.present("PUT", "GenerateDataKey", &data_key(&key.stored, "b/k"));
    let part = used("kms:GenerateDataKey", &key, object, Basis::Delegated);
    let expected = world.told(part, &parent, &present);
    let handle = world.handle(present);
    let before = site.records().len();
    let made = site.spend(handle, &[&key.stored], true).unwrap();
    check(site, before, std::slice::from_ref(&expected), "GenerateDataKey");
    check_answer(site, &made, &[expected], "GenerateDataKey");

    let context = json!({ "aws:s3:arn": "arn:aws:s3:::b/k" });
    let blob = made.ciphertext.unwrap();
    let body = json!({ "CiphertextBlob": b64(&blob), "EncryptionContext": context });
    let (parent, _, present) = world.present("GET", "Decrypt", &body);
    let part = used("kms:Decrypt", &key, object, Basis::Delegated);
    let expected = world.told(part, &parent, &present);
    let (handle, before) = (world.handle(present), site.records().len());
    let used = site.spend(handle, &[&key.stored], true).unwrap();
    check(site, before, std::slice::from_ref(&expected), "Decrypt");
    check_answer(site, &used, &[expected], "Decrypt");

    // Front's identity policies say no.
    let (parent, _, present) = world.present("GET", "Decrypt", &body);
    let part = refused_for("kms:Decrypt", "AccessDeniedException", &key, object);
    let expected = world.told(part, &parent, &present);
    let (handle, before) = (world.handle(present), site.records().len());
    assert_eq!(code(site.spend(handle, &[&key.stored], false)), "AccessDeniedException");
    check(site, before, &[expected], "refused");
}

#[test]
fn record_of_a_managed_key_tells_for_whom_it_was_made() {
    let world = World::new();
    let World { site, .. } = &world;
    let (parent, _, present) = world.present("PUT", "CreateKey", &json!({}));
    let id = Uuid::random(&*site.env).to_string();
    let unfilled = nothing("kms:CreateKey");
    let told = world.told(unfilled, &parent, &present);
    let handle = world.handle(present);
    let before = site.records().len();
    let seal = Seal { handle, new_id: Some(id.clone()), ..Seal::default() };
    let sealed = site.engine.handle(Role::Front, Command::Seal(Box::new(seal)));
    let Ok(Reply::Sealed(sealed)) = sealed else { panic!("not sealed") };
    let Ok(writ_keyd_client::descriptor::Descriptor::Key(new)) =
        writ_keyd_client::descriptor::peek(&sealed.descriptors[0])
    else {
        panic!("no key")
    };
    let policy = managed_key_policy("s3", account(OWNER), &region());
    let expected = use_record::Use {
        key: Some(format!("arn:aws:kms:us-east-1:{OWNER}:key/{id}").parse().unwrap()),
        backing_key: Some(new.backing_keys[0]),
        policy: Some(sha256(policy.as_bytes())),
        basis: Basis::Delegated,
        ..told
    };
    check(site, before, &[expected], "CreateKey");
}

#[test]
fn record_of_a_refused_ticket_names_it_and_the_request_and_nobody() {
    let world = World::new();
    let World { site, .. } = &world;
    let key = world.key(None);
    let put = || world.present("PUT", "GenerateDataKey", &data_key(&key.stored, "b/k"));
    let (_, _, mut junk) = put();
    junk.ticket = SecretBytes::new(vec![1, 2, 3]);
    let (_, _, mut unknown) = put();
    unknown.target = "TrentService.Nonsense".to_owned();
    let (_, _, other) = world.present("PUT", "Decrypt", &data_key(&key.stored, "b/k"));
    let table = [("GenerateDataKey", junk), ("?", unknown), ("Decrypt", other)];
    for (name, present) in table {
        let expected = use_record::Use {
            proof: UseProof::Ticket(TicketProof {
                ticket: sha256(present.ticket.expose()),
                parent: present.event_id,
                signature: Hash([0; 32]),
            }),
            request_id: present.request_id,
            event_id: present.event_id,
            ..refused(&format!("present:{name}"), "AccessDeniedException")
        };
        let before = site.records().len();
        assert_eq!(code(site.present(present)), "AccessDeniedException", "{name}");
        check(site, before, &[expected], name);
    }
}
