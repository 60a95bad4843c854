//! What policies get to see: the principal and the condition keys of an admitted request.

use writ_aws::Value;
use writ_keyd_client::caller::{Caller, CallerKind};
use writ_keyd_client::descriptor::KeyDescriptor;
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
    let mut context = Context::new();
    of_caller(&mut context, &admitted.caller, now);
    context
        .insert("writ:CredentialDelegated", text(admitted.credential_delegated))
        .insert("aws:CurrentTime", now.iso())
        .insert("aws:EpochTime", now.secs().to_string())
        .insert("aws:RequestedRegion", admitted.region.as_str())
        .insert("aws:SecureTransport", text(admitted.network.tls.is_some()))
        .insert("aws:SourceIp", admitted.network.source_ip.as_str())
        .insert("aws:UserAgent", admitted.user_agent.as_str());
    if let Some(referer) = &admitted.referer {
        context.insert("aws:Referer", referer.as_str());
    }
    if let Some(vpce) = &admitted.network.vpce {
        context.insert("aws:SourceVpce", vpce.as_str());
    }
    match &admitted.forwarded {
        None => {
            context.insert("aws:ViaAWSService", "false");
        }
        Some(forward) => {
            let via = &forward.told.via;
            context.insert("aws:ViaAWSService", "true");
            context.insert_many("aws:CalledVia", via.iter().map(String::as_str));
            if let (Some(first), Some(last)) = (via.first(), via.last()) {
                context.insert("aws:CalledViaFirst", first.as_str());
                context.insert("aws:CalledViaLast", last.as_str());
                let service = last.strip_suffix(".amazonaws.com").unwrap_or(last);
                let regional = format!("{service}.{}.amazonaws.com", admitted.region);
                context.insert("kms:ViaService", regional);
            }
        }
    }
    context
}

fn of_caller(context: &mut Context, caller: &Caller, now: Timestamp) {
    let principal = principal(caller);
    context
        .insert("aws:PrincipalAccount", caller.account.to_string())
        .insert("aws:PrincipalIsAWSService", "false")
        .insert("aws:PrincipalType", principal.principal_type())
        .insert("aws:userid", caller.unique_id.as_str());
    if let Some(arn) = principal.principal_arn() {
        context.insert("aws:PrincipalArn", arn.as_str());
    }
    if let Some(name) = &caller.user_name {
        context.insert("aws:username", name.as_str());
    }
    let Some(session) = &caller.session else { return };
    context
        .insert("aws:TokenIssueTime", session.issued.iso())
        .insert("aws:MultiFactorAuthPresent", text(session.mfa_at.is_some()));
    if let Some(at) = session.mfa_at {
        context.insert("aws:MultiFactorAuthAge", now.since(at).as_secs().to_string());
    }
    if let Some(identity) = &session.source_identity {
        context.insert("aws:SourceIdentity", identity.as_str());
    }
    for (key, value) in &session.tags {
        context.insert(&format!("aws:PrincipalTag/{key}"), value.as_str());
    }
}

/// Condition keys of the key itself.
pub(crate) fn of_key(context: &mut Context, key: &KeyDescriptor, admitted: &Admitted) {
    context
        .insert("aws:ResourceAccount", key.account.to_string())
        .insert("kms:CallerAccount", admitted.caller.account.to_string())
        .insert("kms:KeyOrigin", key.origin.as_str())
        .insert("kms:KeySpec", key.spec.as_str())
        .insert("kms:KeyUsage", key.usage.as_str())
        .insert("kms:EncryptionAlgorithm", key.spec.as_str())
        .insert("kms:MultiRegion", if key.multi_region == 0 { "false" } else { "true" });
    let named = admitted.input.member("KeyId").and_then(Value::text);
    if let Some(alias) = named.and_then(|name| name.find("alias/").and_then(|at| name.get(at..))) {
        context.insert("kms:RequestAlias", alias);
    }
}

/// Condition keys of the encryption context.
pub(crate) fn of_encryption_context(facts: &mut Context, context: &EncryptionContext) {
    for (key, value) in context {
        facts.insert(&format!("kms:EncryptionContext:{key}"), value.as_str());
    }
    facts.insert_many("kms:EncryptionContextKeys", context.keys().map(String::as_str));
}

/// The ARN that messages name: the session's, not the role's.
pub(crate) fn display(caller: &Caller) -> &str {
    caller.arn.as_str()
}

/// `arn:aws:sts::A:assumed-role/ROLE/SESSION`.
pub(crate) fn session_arn(account: writ_model::AccountId, role: &str, session: &str) -> Arn {
    Arn::build("sts", "", Some(account), &format!("assumed-role/{role}/{session}"))
}

fn text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
