//! The decisions of the shared authorizer, with S3's own condition keys.

use writ_keyd_client::facts::Facts;
use writ_policy::{Access, Authorizer as _, Denied, Permit};
use writ_service::authorize::{SnapshotAuthorizer, context, principal_tags};
use writ_store::Node;

use super::ports::{Asker, Decide, State};

/// Decides from the snapshot's policies.
#[derive(Debug, Clone, Copy, Default)]
pub struct SnapshotPolicies;

impl Decide for SnapshotPolicies {
    fn decide(&self, asker: &Asker<'_>, accesses: &[Access<'_>]) -> Result<Permit, Denied> {
        let tags = principal_tags(asker.caller, asker.snapshot);
        let mut context = context(&Facts {
            caller: asker.caller,
            principal_tags: &tags,
            now: asker.now,
            region: asker.region,
            network: asker.network,
            user_agent: asker.user_agent,
            referer: asker.referer,
            via: &[],
        });
        for (key, value) in asker.keys {
            context.insert(key, value.as_str());
        }
        let call = writ_policy::Call {
            principal: None,
            context: &context,
            session: None,
            vpce: None,
            accesses,
        };
        SnapshotAuthorizer::new(asker.caller, asker.snapshot).authorize(&call)
    }
}

impl State for Node {
    fn lease(&self) -> Option<std::sync::Arc<writ_store::Snapshot>> {
        Node::lease(self).ok()
    }
}
