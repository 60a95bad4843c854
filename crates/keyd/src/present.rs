//! `present`: a service's request on a customer's behalf. First failure denies, in this order:
//! MAC and form, expiry, possession, holder and region, the use itself, replay, revocation.

use std::time::Duration;

use writ_aws::{Service, json, operation, validate};
use writ_keyd_client::key_policy::inner_path;
use writ_keyd_client::protocol::{
    Authenticated, Forwarded, Network, Present, Refusal, Reply, Role,
};
use writ_model::{Arn, Timestamp};
use writ_proof::cbor;
use writ_proof::fas::{self, Proof, ProvenRequest, Root, Ticket, VerifiedTicket};
use writ_proof::hash::sha256;
use writ_proof::limits::TICKET_SKEW_MS;
use writ_proof::use_record::{TicketProof, UseProof, UseResult};

use crate::budget::{NotCounted, Spend};
use crate::delegation::OBJECT_ARN;
use crate::engine::Engine;
use crate::fas::ContextDocument;
use crate::handles::{Admitted, Forward, Presented};
use crate::kms;
use crate::operations::{self, Part, part};
use crate::refuse::{self, unavailable};
use crate::{limits, narrate, request};

impl Engine {
    pub(crate) fn present(&self, present: &Present) -> Result<Reply, Refusal> {
        self.check_ready()?;
        let answer = self.check_presented(present);
        answer.map(|answer| Reply::Authenticated(Box::new(answer))).inspect_err(|refusal| {
            // The target is the peer's own text: only a name that keyd has goes into a record.
            let name = present.target.strip_prefix("TrentService.").unwrap_or_default();
            let known = operations::name(Service::Kms, name).unwrap_or("?");
            let mut record = narrate::own(&format!("present:{known}"), None);
            record.result = UseResult::Denied(refuse::code(refusal));
            record.request_id = present.request_id;
            record.event_id = present.event_id;
            record.proof = UseProof::Ticket(TicketProof {
                ticket: sha256(present.ticket.expose()),
                parent: present.event_id,
                signature: writ_proof::Hash::ZERO,
            });
            self.record(record);
        })
    }

    fn check_presented(&self, present: &Present) -> Result<Authenticated, Refusal> {
        let now = self.env.now();
        let ticket = Ticket::from_bytes(present.ticket.expose())
            .map_err(|_| say(fas::Refusal::Format))
            .and_then(|ticket| self.fas.verify(&ticket).map_err(say))?;
        if now >= ticket.expires() {
            return Err(say(fas::Refusal::Expired));
        }
        self.check_possession(present, &ticket, now)?;
        let admitted = self.understand(present, &ticket)?;
        let forward = admitted.forwarded.as_ref();
        let forward = forward.ok_or_else(|| refuse::internal("a ticket without its use"))?;
        let spent = self.budgets.lock().spent(&forward.spend);
        forward.allows(&present.region, spent, now).map_err(say)?;
        // Kept through the last millisecond in which the proof's time is good.
        let until = present.proof_time.plus(Duration::from_millis(TICKET_SKEW_MS));
        let (jti, nonce) = (ticket.root().jti, present.proof_nonce);
        let first = self.budgets.lock().first_time((jti, nonce), admitted.caller.account, until);
        first.map_err(|why| match why {
            NotCounted::Full => unavailable("too many proofs are remembered"),
            NotCounted::Repeated => denied("the proof was used before"),
        })?;
        if !self.catalogue.read().is_live(&admitted.caller, now) {
            return Err(refuse::ended(Service::Kms));
        }
        let mut answer = Authenticated {
            caller: admitted.caller.clone(),
            handle: self.env.nonce(),
            service: "kms".to_owned(),
            operation: admitted.operation.to_owned(),
            request_digest: admitted.request_digest,
            signature_digest: admitted.signature_digest,
            presigned: false,
            ticket: None,
            forwarded: admitted.forwarded.as_ref().map(|forward| forward.told.clone()),
        };
        let handle = self.handles.lock().issue(admitted, &*self.env);
        answer.handle = handle.ok_or_else(|| unavailable("too many requests are unanswered"))?;
        Ok(answer)
    }

    /// The request came from the holder: its channel key made the proof, over exactly this request.
    fn check_possession(
        &self,
        present: &Present,
        ticket: &VerifiedTicket,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if present.holder != Role::S3 {
            return Err(say(fas::Refusal::Holder));
        }
        let request = ProvenRequest {
            method: &present.method,
            path: &present.path,
            query: &present.query,
            body: sha256(&present.body),
            ticket: ticket.digest(),
        };
        let proof =
            Proof { time: present.proof_time, nonce: present.proof_nonce, mac: present.proof };
        let channels = self.channels.lock();
        let keys = channels.get(present.holder);
        let keys = keys.ok_or_else(|| unavailable("the holder has not said hello"))?;
        proof.verify(&keys.proof, &request, now).map_err(say)?;
        // The target is in the path, so that the proof covers it.
        if present.path != inner_path(&present.target) || present.method != "POST" {
            return Err(say(fas::Refusal::Request));
        }
        Ok(())
    }

    /// What the inner request asks for, and for whom.
    fn understand(&self, present: &Present, ticket: &VerifiedTicket) -> Result<Admitted, Refusal> {
        let root = ticket.root();
        if sha256(&present.context) != root.ctx
            || present.context.len() > limits::FAS_CONTEXT_MAX_BYTES
        {
            return Err(say(fas::Refusal::Format));
        }
        let document: ContextDocument =
            cbor::from_slice(&present.context).map_err(|_| say(fas::Refusal::Format))?;
        let name = present.target.strip_prefix("TrentService.").unwrap_or_default();
        let operation = operation(Service::Kms, name);
        let operation = operation
            .filter(|o| part(Service::Kms, o.name) == Some(Part::Use) || o.name == "CreateKey");
        let operation = operation.ok_or_else(|| say(fas::Refusal::Action))?;
        let input = json::decode(operation, &present.body).map_err(refuse::api)?;
        validate::check(operation, &input).map_err(refuse::api)?;
        let weight = request::weight(&input) + present.context.len() + 8192;
        let account = document.caller.account;
        let (wanted, action, resource) = if operation.name == "CreateKey" {
            let region = present.region.as_str();
            let alias = Arn::build("kms", region, Some(account), "alias/aws/s3");
            (None, "kms:CreateKey", alias)
        } else {
            let wanted = kms::wanted(operation.name, &input).and_then(|all| all.into_iter().next());
            let wanted = wanted.ok_or_else(|| say(fas::Refusal::Action))?;
            let key = self.named_key(&wanted.key, account, &present.region);
            let key = key.ok_or_else(|| crate::using::not_found(&wanted.key))?;
            let action = wanted.action;
            (Some(wanted), action, key)
        };
        let context = wanted.as_ref().map(|w| w.context.clone()).unwrap_or_default();
        let digest = match &wanted {
            Some(wanted) => kms::use_digest(resource.as_str(), wanted, &present.body),
            None => sha256(&present.body).0,
        };
        let spend = Spend {
            transaction: root.txn,
            row: format!("{action} {}", context.get(OBJECT_ARN).map_or("", String::as_str)),
            digest,
            account,
            until: document.until,
        };
        let presented =
            Presented { action: action.to_owned(), resource, context, body: sha256(&present.body) };
        let told = told(root, ticket, &document);
        let network = told.network.clone();
        let forward =
            Forward { told, holder: present.holder, ticket: ticket.clone(), presented, spend };
        let admitted = Admitted {
            caller: document.caller,
            service: Service::Kms,
            operation: operation.name,
            input,
            region: present.region.clone(),
            network,
            user_agent: document.user_agent,
            referer: document.referer,
            request_id: present.request_id,
            event_id: present.event_id,
            request_digest: root.req.digest.0,
            signature_digest: root.req.signature.0,
            window: None,
            forwarded: Some(forward),
            weight,
        };
        Ok(admitted)
    }
}

fn told(root: &Root, ticket: &VerifiedTicket, document: &ContextDocument) -> Forwarded {
    Forwarded {
        transaction: root.txn,
        ticket_id: root.jti,
        via: root.via.clone(),
        parent_event: root.req.event_id,
        parent_request: root.req.request_id,
        ticket_digest: ticket.digest().0,
        request_digest: root.req.digest.0,
        signature_digest: root.req.signature.0,
        network: Network {
            source_ip: root.net.source_ip.clone().unwrap_or_default(),
            tls: root.net.tls.clone(),
            vpce: root.net.vpce.clone(),
        },
        user_agent: document.user_agent.clone(),
        referer: document.referer.clone(),
    }
}

/// How a ticket's refusal is told: retryable where signing again helps, else a plain denial.
pub(crate) fn say(refusal: fas::Refusal) -> Refusal {
    match refusal {
        fas::Refusal::UnknownKey => unavailable(refusal.to_string()),
        _ => denied(&refusal.to_string()),
    }
}

fn denied(why: &str) -> Refusal {
    refuse::client(
        "AccessDeniedException",
        format!("The forward access session was refused: {why}."),
    )
}
