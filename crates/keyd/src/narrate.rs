//! What keyd's own records say.

use writ_keyd_client::protocol::{Refusal, Role};
use writ_model::{Arn, Uuid};
use writ_proof::hash::Hash;
use writ_proof::use_record::{Basis, TicketProof, Use, UsePrincipal, UseProof, UseResult};

use crate::handles::Admitted;
use crate::refuse;

/// The record of an admitted request, as far as it is known before any key is looked at.
pub(crate) fn of(admitted: &Admitted) -> Use {
    let caller = &admitted.caller;
    let unique_id = caller.unique_id.split(':').next().and_then(|id| id.parse().ok());
    let proof = match &admitted.forwarded {
        Some(forward) => UseProof::Ticket(TicketProof {
            ticket: Hash(forward.told.ticket_digest),
            parent: forward.told.parent_event,
            signature: Hash(forward.told.signature_digest),
        }),
        None => UseProof::Signature(Hash(admitted.signature_digest)),
    };
    let op = format!("{}:{}", admitted.service.signing_name(), admitted.operation);
    Use {
        principal: Some(UsePrincipal {
            arn: caller.arn.clone(),
            unique_id: unique_id.filter(|_| caller.unique_id.starts_with('A')),
            account: caller.account,
        }),
        proof,
        request: Some(Hash(admitted.request_digest)),
        request_id: admitted.request_id,
        event_id: admitted.event_id,
        via: admitted.forwarded.as_ref().map(|f| f.told.via.clone()).unwrap_or_default(),
        ..own(&op, None)
    }
}

/// An admitted request that was refused.
pub(crate) fn denied(admitted: &Admitted, refusal: &Refusal) -> Use {
    refused(of(admitted), refusal)
}

/// Something that was refused.
pub(crate) fn refused(record: Use, refusal: &Refusal) -> Use {
    Use { result: UseResult::Denied(refuse::code(refusal)), ..record }
}

/// A command that the peer's role may not send.
pub(crate) fn forbidden(role: Role, command: &str) -> Use {
    Use {
        result: UseResult::Denied("Forbidden".to_owned()),
        ..own(&format!("{}:{command}", role.name()), None)
    }
}

/// keyd's own work, on nobody's signature: an account's first credential, a due deletion.
pub(crate) fn own(op: &str, key: Option<Arn>) -> Use {
    Use {
        op: op.to_owned(),
        key,
        backing_key: None,
        principal: None,
        proof: UseProof::None,
        request: None,
        context: None,
        policy: None,
        grant: None,
        basis: Basis::None,
        result: UseResult::Ok,
        request_id: Uuid::from_bytes([0; 16]),
        event_id: Uuid::from_bytes([0; 16]),
        via: Vec::new(),
        run: None,
    }
}
