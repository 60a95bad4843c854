//! ListEntitiesForPolicy: who has a managed policy attached, or as a boundary.

use writ_aws::generated::iam::{
    ListEntitiesForPolicyRequest, ListEntitiesForPolicyResponse, PolicyGroup, PolicyRole,
    PolicyUser,
};
use writ_aws::{ApiError, Output};
use writ_model::Arn;
use writ_service::call::{Call, Outcome};
use writ_store::state::{Group, Role, User};

use crate::entity::Entity;
use crate::page::Cut;
use crate::policy::{Named, parse_arn};

/// One of the three lists; pages run through them one after the other.
enum Found {
    Group(PolicyGroup),
    Role(PolicyRole),
    User(PolicyUser),
}

pub(crate) fn list_entities_for_policy(
    call: &Call,
    request: &ListEntitiesForPolicyRequest,
) -> Result<Outcome, ApiError> {
    Named::of(call, &request.policy_arn)?.open()?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let filter = Filter { arn: parse_arn(&request.policy_arn)?, request };
    let groups = filter.all::<Group>(call, |group, id| {
        let (group_name, group_id) = (Some(group), Some(id));
        Found::Group(PolicyGroup { group_name, group_id })
    });
    let roles = filter.all::<Role>(call, |role, id| {
        Found::Role(PolicyRole { role_name: Some(role), role_id: Some(id) })
    });
    let users = filter.all::<User>(call, |user, id| {
        Found::User(PolicyUser { user_name: Some(user), user_id: Some(id) })
    });
    let page = cut.page(groups.chain(roles).chain(users));
    let (mut policy_groups, mut policy_roles, mut policy_users) = (vec![], vec![], vec![]);
    for found in page.items {
        match found {
            Found::Group(group) => policy_groups.push(group),
            Found::Role(role) => policy_roles.push(role),
            Found::User(user) => policy_users.push(user),
        }
    }
    let reply = ListEntitiesForPolicyResponse {
        policy_groups: Some(policy_groups),
        policy_users: Some(policy_users),
        policy_roles: Some(policy_roles),
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}

struct Filter<'r> {
    arn: Arn,
    request: &'r ListEntitiesForPolicyRequest,
}

impl Filter<'_> {
    /// Those of one kind, by name; the kind's noun leads the keys and keeps the lists apart.
    fn all<'a, T: Entity>(
        &'a self,
        call: &'a Call,
        show: impl Fn(String, String) -> Found + 'a,
    ) -> impl Iterator<Item = (String, Found)> + 'a {
        let wanted = self.request.entity_filter.as_deref().is_none_or(|kind| kind == T::TITLE);
        let all = wanted.then(|| call.snapshot.list::<T>(call.account(), None));
        let all = all.into_iter().flatten().filter(|entity| self.matches(&*entity.value));
        all.map(move |entity| {
            let key = format!("{}/{}", T::NOUN, entity.name().to_ascii_lowercase());
            (key, show(entity.name().to_owned(), entity.unique_id().to_string()))
        })
    }

    fn matches<T: Entity>(&self, entity: &T) -> bool {
        let attached = entity.attached().contains(&self.arn);
        let bounded = entity.boundary() == Some(&self.arn);
        let used = match self.request.policy_usage_filter.as_deref() {
            Some("PermissionsPolicy") => attached,
            Some(_) => bounded,
            None => attached || bounded,
        };
        let prefix = self.request.path_prefix.as_deref().unwrap_or("/");
        used && entity.path().starts_with(prefix)
    }
}
