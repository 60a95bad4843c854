//! A request that a service makes on a customer's behalf, with a forward-access ticket.
//!
//! It runs through the same path as a direct one: keyd verifies ticket, proof and request
//! (`Present`), policy is decided **as the customer**, and what a key use yields comes back sealed to
//! the service's own channel, so this process relays it unread.

use writ_aws::{ApiError, Service, json};
use writ_keyd_client::protocol::{Command, Handle, Network, Present};
use writ_model::Uuid;

use crate::http::Reply;
use crate::pipeline::{Admitted, Pipeline, admission};
use crate::record::Refused;

/// The answer to a forwarded request.
pub struct ForwardedReply {
    /// As for a direct caller, but without any plaintext.
    pub reply: Reply,
    /// What the use yielded, sealed to the holder's channel, with the handle that opens it.
    pub sealed: Option<(Handle, Vec<u8>)>,
}

impl Pipeline {
    /// Answers a forwarded JSON request; `present` holds it whole. Its record is in the ledger when
    /// this returns. Only KMS is called in this way so far.
    pub async fn forward(&self, present: Present) -> ForwardedReply {
        let service = Service::Kms;
        let (request_id, event_id) = (present.request_id, present.event_id);
        let region = present.region.clone();
        let name = present.target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = present.body.clone();
        let plain = |reply| ForwardedReply { reply, sealed: None };
        let operation = writ_aws::operation(service, &name);
        let answer = self.keyd.call(&Command::Present(Box::new(present))).await;
        let authenticated = match admission(service, answer) {
            Ok(authenticated) => authenticated,
            Err(unproven) => {
                let network = unknown_network();
                let refused = Refused {
                    site: &self.site,
                    caller: unproven.caller.as_ref(),
                    access_key_id: None,
                    event_source: service.event_source(),
                    event_name: operation.map_or("Unknown", |operation| operation.name),
                    operation,
                    region: &region,
                    network: &network,
                    user_agent: None,
                    host: None,
                    error: &unproven.error,
                    request_id,
                    event_id,
                    forwarded: None,
                };
                return plain(self.refuse(Some(service), refused).await);
            }
        };
        let Some(operation) = operation.filter(|op| op.name == authenticated.operation) else {
            let error = ApiError::not_implemented(service, &name);
            return plain(crate::protocol::encode_error(Some(service), &error, request_id));
        };
        let admitted = Admitted {
            operation,
            authenticated,
            request_id,
            event_id,
            region,
            network: unknown_network(),
            user_agent: None,
            referer: None,
            host: None,
            input: json::decode(operation, &body),
        };
        match self.finish(admitted).await {
            Ok(outcome) => ForwardedReply {
                reply: crate::protocol::encode(operation, &outcome.reply, request_id),
                sealed: outcome.sealed,
            },
            Err(error) => plain(crate::protocol::encode_error(Some(service), &error, request_id)),
        }
    }
}

/// The network of a forwarded request is the customer's and comes from the ticket; before a ticket is
/// verified none is known.
fn unknown_network() -> Network {
    Network { source_ip: "AWS Internal".to_owned(), tls: None, vpce: None }
}

/// Identifiers for a forwarded request.
pub fn new_ids(pipeline: &Pipeline) -> (Uuid, Uuid) {
    (Uuid::random(&*pipeline.env), Uuid::random(&*pipeline.env))
}
