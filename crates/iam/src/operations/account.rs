//! GetAccountSummary and ListAccountAliases.

use std::collections::BTreeMap;

use writ_aws::generated::iam::{
    GetAccountSummaryRequest, GetAccountSummaryResponse, ListAccountAliasesRequest,
    ListAccountAliasesResponse,
};
use writ_aws::{ApiError, Output};
use writ_policy::limits as policy_limits;
use writ_service::call::{Call, Outcome};
use writ_store::AccountState;
use writ_store::state::{Group, ManagedPolicy, Role, User};

use crate::access::Ask;
use crate::limits;
use crate::page::Cut;

pub(crate) fn get_account_summary(
    call: &Call,
    _request: &GetAccountSummaryRequest,
) -> Result<Outcome, ApiError> {
    Ask::of(call).permit("*")?;
    let empty = AccountState::default();
    let state = call.snapshot.state(call.account()).map_or(&empty, |state| state);
    let versions: usize =
        state.list::<ManagedPolicy>(None).map(|policy| policy.versions.len()).sum();
    let root_keys = state.access_keys_of(None).count();
    let counts = [
        ("AccessKeysPerUserQuota", limits::ACCESS_KEYS_MAX),
        ("AccountAccessKeysPresent", root_keys.min(1)),
        ("AccountMFAEnabled", 0),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", 0),
        ("AssumeRolePolicySizeQuota", policy_limits::TRUST_POLICY_MAX_CHARS),
        ("AttachedPoliciesPerGroupQuota", limits::ATTACHED_POLICIES_MAX),
        ("AttachedPoliciesPerRoleQuota", limits::ATTACHED_POLICIES_MAX),
        ("AttachedPoliciesPerUserQuota", limits::ATTACHED_POLICIES_MAX),
        ("GlobalEndpointTokenVersion", 2),
        ("GroupPolicySizeQuota", policy_limits::GROUP_INLINE_MAX_CHARS),
        ("Groups", state.count::<Group>()),
        ("GroupsPerUserQuota", limits::GROUPS_PER_USER_MAX),
        ("GroupsQuota", limits::GROUPS_MAX),
        ("InstanceProfiles", 0),
        ("InstanceProfilesQuota", 0),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("Policies", state.count::<ManagedPolicy>()),
        ("PoliciesQuota", limits::POLICIES_MAX),
        ("PolicySizeQuota", policy_limits::MANAGED_POLICY_MAX_CHARS),
        ("PolicyVersionsInUse", versions),
        ("PolicyVersionsInUseQuota", limits::POLICY_VERSIONS_IN_USE_MAX),
        ("Providers", 0),
        ("RolePolicySizeQuota", policy_limits::ROLE_INLINE_MAX_CHARS),
        ("Roles", state.count::<Role>()),
        ("RolesQuota", limits::ROLES_MAX),
        ("ServerCertificates", 0),
        ("ServerCertificatesQuota", 0),
        ("SigningCertificatesPerUserQuota", 0),
        ("UserPolicySizeQuota", policy_limits::USER_INLINE_MAX_CHARS),
        ("Users", state.count::<User>()),
        ("UsersQuota", limits::USERS_MAX),
        ("VersionsPerPolicyQuota", limits::POLICY_VERSIONS_MAX),
    ];
    let number =
        |(key, count): (&str, usize)| (key.to_owned(), i64::try_from(count).unwrap_or(i64::MAX));
    let summary: BTreeMap<String, i64> = counts.into_iter().map(number).collect();
    let reply = GetAccountSummaryResponse { summary_map: Some(summary) };
    Ok(Outcome::reply(reply.into_value()))
}

pub(crate) fn list_account_aliases(
    call: &Call,
    request: &ListAccountAliasesRequest,
) -> Result<Outcome, ApiError> {
    Ask::of(call).permit("*")?;
    let cut = Cut::new(request.marker.as_deref(), request.max_items)?;
    let account = call.snapshot.account(call.account());
    let alias = account.and_then(|account| account.alias.clone());
    let page = cut.page(alias.into_iter().map(|alias| (alias.clone(), alias)));
    let reply = ListAccountAliasesResponse {
        account_aliases: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    };
    Ok(Outcome::reply(reply.into_value()))
}
