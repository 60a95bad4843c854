//! What policies get to see: the principal and the condition keys of an admitted request.

use writ_keyd_client::caller::{Caller, CallerKind};
use writ_keyd_client::descriptor::KeyDescriptor;
use writ_keyd_client::facts::{Facts, kms_via_service};
use writ_model::{Arn, Timestamp};
use writ_policy::{Context, Principal};

use crate::blob::EncryptionContext;
use crate::handles::Admitted;

/// The caller as the policy engine knows it.
pub(crate) fn principal(caller: &Caller) -> Principal {
    let role = caller.session.as_ref().and_then(|session| session.role.as_ref());
    match (caller.kind, role) {
        (CallerKind::AssumedRole, Some(role)) => Principal::role_session(
            role.arn.clone(),
            caller.account,
            &role.unique_id,
            &role.session_name,
        ),
        (CallerKind::Root, _) => Principal::root(caller.account),
        _ => Principal::user(caller.arn.clone(), caller.account, &caller.unique_id),
    }
}

/// The keys that every request has: principal, session, network, time, the services behind it.
pub(crate) fn context(admitted: &Admitted, now: Timestamp) -> Context {
    let via = admitted.forwarded.as_ref().map(|forward| forward.told.via.as_slice());
    let facts = Facts {
        caller: &admitted.caller,
        principal_tags: &[],
        now,
        region: &admitted.region,
        network: &admitted.network,
        user_agent: admitted.user_agent.as_deref(),
        referer: admitted.referer.as_deref(),
        via: via.unwrap_or_default(),
    };
    let mut context = Context::new();
    facts.each(|key, values| {
        context.insert_many(key, values.iter().copied());
    });
    if let Some(service) = kms_via_service(facts.via, &admitted.region) {
        context.insert("kms:ViaService", service);
    }
    context
}

/// Condition keys of the key itself, and of the name that the request gives it.
pub(crate) fn of_key(
    context: &mut Context,
    key: &KeyDescriptor,
    admitted: &Admitted,
    named: Option<&str>,
) {
    context
        .insert("aws:ResourceAccount", key.account.to_string())
        .insert("kms:CallerAccount", admitted.caller.account.to_string())
        .insert("kms:KeyOrigin", key.origin.as_str())
        .insert("kms:KeySpec", key.spec.as_str())
        .insert("kms:KeyUsage", key.usage.as_str())
        .insert("kms:MultiRegion", if key.multi_region == 0 { "false" } else { "true" });
    if let Some(alias) = named.and_then(|name| name.find("alias/").and_then(|at| name.get(at..))) {
        context.insert("kms:RequestAlias", alias);
    }
}

/// Condition keys of a cryptographic operation: algorithm and encryption context.
pub(crate) fn of_encryption_context(facts: &mut Context, context: &EncryptionContext) {
    facts.insert("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
    if context.is_empty() {
        return;
    }
    for (key, value) in context {
        facts.insert(&format!("kms:EncryptionContext:{key}"), value.as_str());
    }
    facts.insert_many("kms:EncryptionContextKeys", context.keys().map(String::as_str));
}

/// `arn:aws:sts::A:assumed-role/ROLE/SESSION`.
pub(crate) fn session_arn(account: writ_model::AccountId, role: &str, session: &str) -> Arn {
    Arn::build("sts", "", Some(account), &format!("assumed-role/{role}/{session}"))
}
