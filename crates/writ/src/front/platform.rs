//! The platform's own acts, as records tell them: what all have in common stands here, once.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use writ_keyd_client::protocol::{Network, UsePosition};
use writ_model::{AccountId, Env as _, Region, SystemEnv, Uuid};
use writ_proof::append::AppendItem;
use writ_proof::origin::SiteId;
use writ_service::http::{Refused, Request};
use writ_store::{OutboxRecord, RecordKind};
use writ_trail::client::TrailClient;
use writ_trail::record::{Call, Category, Identity, Record};

/// The service principal in records of what the platform itself does.
pub(super) const PRINCIPAL: &str = "writ.internal";

/// Who acts when the platform does something by itself, and where.
#[derive(Clone)]
pub struct Platform {
    /// The installation.
    pub site: SiteId,
    /// Its home region.
    pub region: Region,
    /// Where an act comes from that nobody has asked for.
    network: Network,
}

impl Platform {
    /// The platform of an installation.
    pub fn new(site: SiteId, region: Region) -> Platform {
        let network = Network { source_ip: PRINCIPAL.to_owned(), tls: None, vpce: None };
        Platform { site, region, network }
    }

    /// An act in the platform's own account that nobody has asked for. What differs is set over it:
    /// `Call { read_only: true, ..platform.call(SOURCE, "ReadPersons") }`.
    pub(super) fn call<'a>(&'a self, source: &'a str, name: &'a str) -> Call<'a> {
        let env = SystemEnv;
        Call {
            site: &self.site,
            identity: Identity::Service { principal: PRINCIPAL, account: AccountId::PLATFORM },
            time: env.now(),
            event_source: source,
            event_name: name,
            region: &self.region,
            network: &self.network,
            user_agent: Some(PRINCIPAL),
            host: None,
            error: None,
            request_parameters: None,
            response_elements: None,
            additional: Map::new(),
            request_id: Uuid::random(&env),
            event_id: Uuid::random(&env),
            read_only: false,
            resources: Vec::new(),
            api_version: None,
            category: Category::Management,
            forwarded: None,
            use_position: None,
        }
    }

    /// The same of what somebody asked for: it shows where the request came from.
    pub(super) fn asked<'a>(
        &'a self,
        request: &'a Request,
        source: &'a str,
        name: &'a str,
    ) -> Call<'a> {
        Call {
            network: &request.network,
            user_agent: request.header("user-agent"),
            host: request.header("host"),
            ..self.call(source, name)
        }
    }

    /// The record of something that the platform did for an account by itself.
    pub(super) fn record(
        &self,
        account: AccountId,
        (source, name): (&str, &str),
        shown: &[(&str, String)],
        request_id: Uuid,
        position: Option<UsePosition>,
    ) -> Result<OutboxRecord> {
        outbox(&Call {
            identity: Identity::Service { principal: PRINCIPAL, account },
            request_parameters: parameters(shown),
            request_id,
            use_position: position,
            ..self.call(source, name)
        })
    }
}

/// Parameters as a record shows them.
pub(super) fn parameters(shown: &[(&str, String)]) -> Option<Map<String, Value>> {
    let shown = shown.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into()));
    Some(shown.collect())
}

/// The record of `call` as a commit carries it.
pub(super) fn outbox(call: &Call<'_>) -> Result<OutboxRecord> {
    let record = record(call)?;
    Ok(OutboxRecord {
        event_id: record.event_id,
        kind: RecordKind::Event,
        logs: vec![record.log],
        use_position: record.use_position,
        record: record.json,
    })
}

/// The record of `call` as it is appended without a commit: of a read, or of a refusal.
pub(super) fn item(call: &Call<'_>) -> Result<AppendItem> {
    Ok(record(call)?.into_item(None))
}

/// Tells the ledger of what no commit carries: a read, a refusal, somebody who signs in.
///
/// # Errors
/// The ledger does not take it; the refusal says to try again.
pub(super) async fn tell(trail: &TrailClient, call: &Call<'_>) -> Result<(), Refused> {
    let told = match item(call) {
        Ok(item) => trail.append(vec![item]).await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    told.map(|_| ()).map_err(|error| {
        let (event, error) = (call.event_name, format!("{error:#}"));
        tracing::warn!(event, error, "the ledger did not take an event");
        Refused::new(503, "Unavailable", "the ledger does not answer; send it again")
    })
}

/// Nothing of the platform touches what another account owns, so there is one.
fn record(call: &Call<'_>) -> Result<Record> {
    let records = call.records(&SystemEnv)?;
    records.into_iter().next().context("the platform's act has no record")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(call: &Call<'_>) -> Value {
        serde_json::from_slice(&outbox(call).unwrap().record).unwrap()
    }

    #[test]
    fn act_shows_who_asked_or_that_nobody_did() {
        let platform = Platform::new("site".parse().unwrap(), "us-east-1".parse().unwrap());
        let own = json(&platform.call("people.writ.internal", "PassTime"));
        assert_eq!(own["sourceIPAddress"], PRINCIPAL);
        assert_eq!(own["userAgent"], PRINCIPAL);
        assert!(own.get("tlsDetails").is_none());

        let network = Network {
            source_ip: "192.0.2.7".to_owned(),
            tls: Some("TLSv1.3".to_owned()),
            vpce: None,
        };
        let request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            headers: vec![("host".to_owned(), b"writ.example".to_vec())],
            body: Vec::new(),
            network,
        };
        let asked = json(&platform.asked(&request, "people.writ.internal", "OpenEnrolment"));
        assert_eq!(asked["sourceIPAddress"], "192.0.2.7");
        assert!(asked.get("userAgent").is_none());
        assert_eq!(asked["tlsDetails"]["tlsVersion"], "TLSv1.3");
        assert_eq!(asked["tlsDetails"]["clientProvidedHostHeader"], "writ.example");
        // Who acted in the roster's name is the platform in both.
        assert_eq!(asked["userIdentity"], own["userIdentity"]);
    }
}
