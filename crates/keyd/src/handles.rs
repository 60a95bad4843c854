//! Handles: one-time rights to exactly what was signed.

use writ_aws::{Service, Value};
use writ_keyd_client::caller::Caller;
use writ_keyd_client::protocol::{Forwarded, Handle, Network, Role};
use writ_model::{Arn, Env, Region, Timestamp, Uuid};
use writ_proof::fas::{Holder, Refusal, TicketUse, VerifiedTicket};
use writ_proof::hash::Hash;
use writ_proof::leaf::Source;
use zeroize::Zeroize as _;

use crate::admissions::Window;
use crate::blob::EncryptionContext;
use crate::budget::Spend;
use crate::limits;
use crate::shared::{Room, Shared};

/// A request whose signature (or ticket) was right, kept until its handle is spent.
pub(crate) struct Admitted {
    /// Who signed.
    pub(crate) caller: Caller,
    /// The service that was asked.
    pub(crate) service: Service,
    /// The operation, as the signed bytes name it.
    pub(crate) operation: &'static str,
    /// The signed parameters.
    pub(crate) input: Value,
    /// Of the listener.
    pub(crate) region: Region,
    /// Observed by the listener.
    pub(crate) network: Network,
    /// As sent.
    pub(crate) user_agent: Option<String>,
    /// As sent.
    pub(crate) referer: Option<String>,
    /// Of the reply.
    pub(crate) request_id: Uuid,
    /// Of the ledger.
    pub(crate) event_id: Uuid,
    /// SHA-256 of the string to sign.
    pub(crate) request_digest: [u8; 32],
    /// SHA-256 of the signature.
    pub(crate) signature_digest: [u8; 32],
    /// The signature's window; `None` for a request through a service.
    pub(crate) window: Option<Window>,
    /// For a request through a service.
    pub(crate) forwarded: Option<Forward>,
    /// Bytes that this takes, roughly.
    pub(crate) weight: usize,
}

/// A signed input may be a plaintext.
impl Drop for Admitted {
    fn drop(&mut self) {
        wipe(&mut self.input);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::Text(text) => text.zeroize(),
        Value::Blob(bytes) => bytes.zeroize(),
        Value::List(values) => values.iter_mut().for_each(wipe),
        Value::Map(members) => members.values_mut().for_each(wipe),
        _ => {}
    }
}

/// The chain behind a forwarded request.
pub(crate) struct Forward {
    /// As the peer gets to know it.
    pub(crate) told: Forwarded,
    /// The service that presented the ticket; results are sealed to it.
    pub(crate) holder: Role,
    /// The ticket, which must still allow the use when the handle is spent.
    pub(crate) ticket: VerifiedTicket,
    /// What was presented.
    pub(crate) presented: Presented,
    /// What the budget counts this use under.
    pub(crate) spend: Spend,
}

/// The use that a ticket was presented for.
pub(crate) struct Presented {
    /// For example `kms:Decrypt`.
    pub(crate) action: String,
    /// The key's ARN.
    pub(crate) resource: Arn,
    /// The encryption context.
    pub(crate) context: EncryptionContext,
    /// SHA-256 of the inner request's body.
    pub(crate) body: Hash,
}

impl Forward {
    /// Whether root and caveats allow the use now, with so many uses before it.
    pub(crate) fn allows(
        &self,
        region: &Region,
        spent: u32,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let wanted = TicketUse {
            holder: &Holder::Channel(Source::S3),
            audience: "kms",
            region,
            action: &self.presented.action,
            resource: self.presented.resource.as_str(),
            context: &self.presented.context,
            request: self.presented.body,
            spent,
        };
        self.ticket.allows(&wanted, now)
    }
}

/// All unspent handles.
pub(crate) struct Handles(Shared<Handle, Admitted>);

impl Default for Handles {
    fn default() -> Handles {
        let room = Room { count: limits::HANDLES_MAX, bytes: limits::HANDLES_MAX_BYTES };
        Handles(Shared::new(room))
    }
}

impl Handles {
    /// Keeps `admitted`; `None` when the table, or its account's part of it, is full.
    pub(crate) fn issue(&mut self, admitted: Admitted, env: &dyn Env) -> Option<Handle> {
        let mut expires = env.now().plus(limits::HANDLE_LIFETIME);
        if let Some(forward) = &admitted.forwarded {
            expires = expires.min(forward.ticket.expires());
        }
        let (handle, account, weight) = (env.nonce(), admitted.caller.account, admitted.weight);
        self.0.insert(handle, account, expires, weight, admitted).ok().map(|()| handle)
    }

    /// Takes out what `handle` stands for, once, if it is still in time.
    pub(crate) fn spend(&mut self, handle: &Handle, now: Timestamp) -> Option<Admitted> {
        let (expires, admitted) = self.0.remove(handle)?;
        (now <= expires).then_some(admitted)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets what nobody spent.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.0.sweep(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_text_and_blob_of_a_spent_input_is_wiped() {
        let secret = || vec![Value::Text("secret".to_owned()), Value::Blob(vec![1, 2, 3])];
        let nested = BTreeMap::from([("n".to_owned(), Value::List(secret()))]);
        let mut all = secret();
        all.extend([Value::Map(nested), Value::Int(7)]);
        let mut input = Value::List(all);
        wipe(&mut input);
        let empty = || vec![Value::Text(String::new()), Value::Blob(vec![])];
        let nested = BTreeMap::from([("n".to_owned(), Value::List(empty()))]);
        let mut left = empty();
        left.extend([Value::Map(nested), Value::Int(7)]);
        assert_eq!(input, Value::List(left));
    }
}
