//! The question that an operation asks before it looks at anything.

use std::collections::BTreeMap;

use writ_aws::ApiError;
use writ_model::Arn;
use writ_policy::{Access, Context, Permit, keys};
use writ_service::call::Call;

/// Asks for `iam:OPERATION`, with the condition keys that the operation has ("Actions, resources, and
/// condition keys for AWS Identity and Access Management").
pub(crate) struct Ask<'c> {
    call: &'c Call,
    context: Context,
    actions: Vec<String>,
}

impl<'c> Ask<'c> {
    /// The question of the call's own operation.
    pub(crate) fn of(call: &'c Call) -> Ask<'c> {
        Ask { call, context: call.context(), actions: vec![format!("iam:{}", call.operation.name)] }
    }

    /// The tags that the resource has.
    pub(crate) fn on_tags(mut self, tags: &BTreeMap<String, String>) -> Ask<'c> {
        insert_resource_tags(&mut self.context, tags);
        self
    }

    /// The tags that the request brings. Creating something with tags needs `tagging` as well.
    pub(crate) fn with_tags(
        mut self,
        tags: &BTreeMap<String, String>,
        tagging: Option<&str>,
    ) -> Ask<'c> {
        if tags.is_empty() {
            return self;
        }
        for (key, value) in tags {
            self.context.insert(&format!("{}{key}", keys::REQUEST_TAG), value.as_str());
        }
        self.actions.extend(tagging.map(str::to_owned));
        self.with_tag_keys(tags.keys().map(String::as_str))
    }

    /// The keys of the tags that the request names.
    pub(crate) fn with_tag_keys<'k>(mut self, tags: impl Iterator<Item = &'k str>) -> Ask<'c> {
        self.context.insert_many(keys::TAG_KEYS, tags);
        self
    }

    /// The managed policy that is attached or detached.
    pub(crate) fn with_policy(mut self, arn: &str) -> Ask<'c> {
        self.context.insert(keys::IAM_POLICY_ARN, arn);
        self
    }

    /// The boundary that is set, or that the user or role has.
    pub(crate) fn with_boundary(mut self, arn: Option<&str>) -> Ask<'c> {
        if let Some(arn) = arn {
            self.context.insert(keys::IAM_PERMISSIONS_BOUNDARY, arn);
        }
        self
    }

    /// Decides for one resource: an ARN, or `*`.
    pub(crate) fn permit(self, resource: &str) -> Result<Permit, ApiError> {
        self.permit_all(&[resource])
    }

    /// Decides for several; all must be allowed.
    pub(crate) fn permit_all(self, resources: &[&str]) -> Result<Permit, ApiError> {
        let owner = |resource: &str| resource.parse::<Arn>().ok().and_then(|arn| arn.account());
        let pairs =
            self.actions.iter().flat_map(|action| resources.iter().map(move |on| (action, on)));
        let accesses: Vec<Access<'_>> = pairs
            .map(|(action, resource)| {
                let access = Access::new(action, resource);
                // Without an owner in the ARN (AWS's own policies) the caller's account counts.
                owner(resource).map_or(access, |account| access.owned_by(account))
            })
            .collect();
        self.call.authorize(&self.context, &accesses)
    }
}

/// The tags of a resource, under both names that conditions use.
pub(crate) fn insert_resource_tags(context: &mut Context, tags: &BTreeMap<String, String>) {
    for (key, value) in tags {
        context.insert(&format!("{}{key}", keys::RESOURCE_TAG), value.as_str());
        context.insert(&format!("{}{key}", keys::IAM_RESOURCE_TAG), value.as_str());
    }
}
