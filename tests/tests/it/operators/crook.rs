//! Somebody who speaks to front without our client: statements that say what they like, signed by whom they like.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use writ_model::{Env as _, Nonce, SystemEnv, Ulid};
use writ_proof::access::{Approval, Decision, LedgerHead, Request};
use writ_proof::cbor;
use writ_proof::hash::sha256;
use writ_proof::sshsig::SshSig;
use writ_proof::statement::{Signed, Statement};

use super::access::Shift;

pub(crate) const CBOR: &str = "application/cbor";
pub(crate) const JSON: &str = "application/json";

impl Shift<'_> {
    /// A person's signature, by stock `ssh-keygen`.
    pub(crate) fn signature(&self, person: &str, namespace: &str, message: &[u8]) -> SshSig {
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", namespace, "-f"])
            .arg(self.key(person))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        let output = child.wait_with_output().unwrap();
        SshSig::from_armor(std::str::from_utf8(&output.stdout).unwrap()).unwrap()
    }

    pub(crate) fn signed<T: Statement>(&self, statement: &T, person: &str) -> Signed {
        let mut signed = Signed::new(statement).unwrap();
        let namespace = signed.namespace();
        let signature = self.signature(person, namespace.as_str(), signed.body());
        signed.add(&signature).unwrap();
        signed
    }

    pub(crate) fn send(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Value) {
        let http = self.site.http("sts");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = http.request(method, path, query, body);
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()));
        request.headers.extend(fields);
        let reply = http.exchange(&request).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    /// Sends what is no statement, with a person's proof in a namespace.
    pub(crate) fn call(
        &self,
        person: &str,
        namespace: &str,
        (method, target): (&str, &str),
        body: &Value,
    ) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let date = SystemEnv.now().basic();
        let digest = hex::encode(sha256(body.as_bytes()).0);
        let message = format!("{method} {target}\n{date}\n{digest}");
        let proof = self.signature(person, namespace, message.as_bytes());
        let proof = format!("SSHSIG {}", STANDARD.encode(proof.to_bytes()));
        let fields = [("x-writ-date", &*date), ("authorization", &proof), ("content-type", JSON)];
        self.send(method, target, &fields, body.as_bytes())
    }

    /// What a person gets who wants to decide.
    pub(crate) fn challenge(&self, person: &str, id: &str, decision: &str) -> (u16, Value) {
        let target = format!("/writ/v1/requests/{id}/challenge");
        self.call(person, "call@writ", ("POST", &target), &json!({ "decision": decision }))
    }

    pub(crate) fn file(&self, signed: &Signed) -> (u16, Value) {
        self.send("POST", "/writ/v1/requests", &[("content-type", CBOR)], &signed.to_bytes())
    }

    pub(crate) fn decide(&self, signed: &Signed) -> (u16, Value) {
        self.send("POST", "/writ/v1/approvals", &[("content-type", CBOR)], &signed.to_bytes())
    }

    /// The stored request, as it was signed.
    pub(crate) fn request(&self, id: &str) -> (Signed, Request) {
        let stored = self.stored("request", id).unwrap();
        let bytes = STANDARD.decode(stored["statement"].as_str().unwrap()).unwrap();
        let signed = Signed::from_bytes(&bytes).unwrap();
        let request = cbor::from_slice(signed.body()).unwrap();
        (signed, request)
    }

    /// The same request once more, under another id.
    pub(crate) fn clone_of(&self, id: &str) -> Request {
        let (_, request) = self.request(id);
        Request { id: Ulid::new(&SystemEnv), created: SystemEnv.now(), ..request }
    }

    /// A right decision of a person, with this challenge.
    pub(crate) fn approval(&self, person: &str, id: &str, challenge: &Value) -> Approval {
        let (signed, request) = self.request(id);
        let head = &challenge["ledger"];
        let nonce = hex::decode(challenge["nonce"].as_str().unwrap()).unwrap();
        Approval {
            v: Default::default(),
            site: request.site,
            request: request.id,
            request_digest: signed.digest(),
            requester: request.requester,
            approver: person.parse().unwrap(),
            decision: Decision::Approve,
            slot: "peers".parse().unwrap(),
            scope: request.scope,
            account: request.account,
            not_before: request.not_before,
            not_after: request.not_after,
            ticket: request.ticket,
            revision: request.revision,
            nonce: Nonce(nonce.try_into().unwrap()),
            ledger: LedgerHead {
                origin: head["origin"].as_str().unwrap().to_owned(),
                size: head["size"].as_u64().unwrap(),
                root: head["root"].as_str().unwrap().parse().unwrap(),
            },
            signed: SystemEnv.now(),
        }
    }

    /// A right decision of a person on a request, with a fresh nonce.
    pub(crate) fn right(&self, person: &str, id: &str) -> Approval {
        let (status, challenge) = self.challenge(person, id, "approve");
        assert_eq!(status, 200, "{challenge}");
        self.approval(person, id, &challenge)
    }
}

/// The refusal's word and its text.
#[track_caller]
pub(crate) fn assert_refused((status, told): (u16, Value), code: &str, why: &str) {
    let message = told["message"].as_str().unwrap_or_default();
    assert!(status >= 400 && told["error"] == code, "{status} {told}");
    assert!(message.contains(why), "{why}: {message}");
}
