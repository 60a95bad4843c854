//! What the ledger is told of sessions: `bastion.writ.internal` in the operator log, and in the logs of the
//! customers whose data a session can lead to.

use std::sync::Arc;

use serde_json::{Map, Value};
use writ_keyd_client::protocol::{Network, UsePosition};
use writ_model::{AccountId, Env, Region, Uuid};
use writ_proof::append::AppendItem;
use writ_proof::origin::SiteId;
use writ_trail::record::{Call, Category, Identity};

use crate::limits::APPEND_TOGETHER;
use crate::ports::Ledger;

/// The source of the bastion's events.
pub const SOURCE: &str = "bastion.writ.internal";
/// The service principal in records of what the platform itself does.
const PRINCIPAL: &str = "writ.internal";

/// What an event shows, by name.
pub(crate) type Shown = Vec<(&'static str, String)>;

/// An event on its way.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) shown: Shown,
    /// The code and the text of a refusal.
    pub(crate) refused: Option<(&'static str, String)>,
    /// The customer whose log it belongs to; of the operator log without one.
    pub(crate) account: Option<AccountId>,
    /// Its id, where it was named before.
    pub(crate) id: Option<Uuid>,
    /// keyd's record that it tells of.
    pub(crate) position: Option<UsePosition>,
}

impl Event {
    pub(crate) fn new(name: &'static str, shown: Shown) -> Event {
        Event { name, shown, refused: None, account: None, id: None, position: None }
    }
}

/// Makes events and has them appended.
pub(crate) struct Teller {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) site: SiteId,
    pub(crate) region: Region,
    pub(crate) env: Arc<dyn Env>,
}

impl Teller {
    /// Appends events that came of `source`, an address; completes when all are durable.
    ///
    /// # Errors
    /// They may not be.
    pub(crate) async fn tell(&self, source: &str, events: Vec<Event>) -> Result<(), String> {
        let items = events.into_iter().map(|event| self.item(source, event));
        let mut items = items.collect::<Result<Vec<_>, _>>()?;
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(APPEND_TOGETHER));
            self.ledger.append(std::mem::replace(&mut items, rest)).await?;
        }
        Ok(())
    }

    fn item(&self, source: &str, event: Event) -> Result<AppendItem, String> {
        let network = Network { source_ip: source.to_owned(), tls: None, vpce: None };
        let account = event.account.unwrap_or(AccountId::PLATFORM);
        let shown = event.shown.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        let shown: Map<String, Value> = shown.collect();
        let call = Call {
            site: &self.site,
            identity: Identity::Service { principal: PRINCIPAL, account },
            time: self.env.now(),
            event_source: SOURCE,
            event_name: event.name,
            region: &self.region,
            network: &network,
            user_agent: None,
            host: None,
            error: event.refused.as_ref().map(|(code, text)| (*code, text.as_str())),
            request_parameters: Some(shown),
            response_elements: None,
            additional: Map::new(),
            request_id: Uuid::random(&*self.env),
            event_id: event.id.unwrap_or_else(|| Uuid::random(&*self.env)),
            read_only: false,
            resources: Vec::new(),
            api_version: None,
            category: Category::Management,
            forwarded: None,
            use_position: event.position,
        };
        let records = call.records(&*self.env).map_err(|error| error.to_string())?;
        let record = records.into_iter().next().ok_or("the event has no record")?;
        Ok(record.into_item(None))
    }
}
