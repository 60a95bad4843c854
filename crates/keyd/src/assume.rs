//! AssumeRole: the role's sealed trust policy decides, here; front's word counts only where the
//! policy delegates to the account, or where the caller is of another account.

use std::collections::BTreeMap;
use std::time::Duration;

use writ_aws::generated::sts::AssumeRoleRequest;
use writ_keyd_client::caller::{Caller, CallerKind, Session, SessionRole};
use writ_keyd_client::descriptor::{Descriptor, RoleDescriptor};
use writ_keyd_client::protocol::{Credential, IssueCredential, Refusal};
use writ_model::{AccessKeyId, Arn};
use writ_policy::{Context, PolicyKind};
use writ_proof::use_record::Basis;

use crate::allow::Word;
use crate::engine::Engine;
use crate::handles::Admitted;
use crate::issue::{delegated, duration, input, mfa_refused};
use crate::policies::{Question, decide};
use crate::refuse::{self, access_denied, forbidden};
use crate::{facts, limits, narrate};

/// The tags and identity of the new session, after what it inherits.
struct Carried {
    tags: BTreeMap<String, String>,
    transitive: Vec<String>,
    source_identity: Option<String>,
}

impl Engine {
    pub(crate) fn assume_role(
        &self,
        admitted: &Admitted,
        issue: &IssueCredential,
    ) -> Result<Credential, Refusal> {
        let request: AssumeRoleRequest = input(&admitted.input)?;
        let caller = &admitted.caller;
        let denied =
            || refuse::query_denied(caller.arn.as_str(), "sts:AssumeRole", &request.role_arn);
        if caller.kind == CallerKind::Root {
            return Err(access_denied("Roles may not be assumed by root accounts."));
        }
        if request.serial_number.is_some() || request.token_code.is_some() {
            return Err(mfa_refused());
        }
        let sealed = issue.subject.as_ref().ok_or_else(denied)?;
        let Descriptor::Role(role) = self.subject(sealed)?.descriptor else {
            return Err(forbidden("the subject is not a role"));
        };
        let arn = Arn::iam(role.account, &format!("role{}{}", role.path, role.name));
        if role.deleted || arn.as_str() != request.role_arn {
            return Err(forbidden("the descriptor is not that of the role in the request"));
        }
        let carried = carried(&request, caller)?;
        let word = Word::new(issue.delegated, &issue.principal_tags, &[]);
        let basis = self.trusts(admitted, &request, &role, &arn, &carried, &word);
        let basis = basis.ok_or_else(denied)?;
        let crossing = caller.account != role.account;
        let rests_on_front = basis == Basis::Delegated || crossing;
        let packed = packed_size(&request, &carried)?;
        let seconds = seconds(&request, &role, caller)?;
        let session =
            self.new_session(admitted, &request, &role, arn, carried, seconds, rests_on_front)?;
        self.session(session, packed, delegated(narrate::of(admitted), rests_on_front))
    }

    /// Asks the trust policy for every action that the request needs; the weakest basis counts.
    fn trusts(
        &self,
        admitted: &Admitted,
        request: &AssumeRoleRequest,
        role: &RoleDescriptor,
        arn: &Arn,
        carried: &Carried,
        word: &Word,
    ) -> Option<Basis> {
        let policy = self.policies.load(&role.trust_policy, PolicyKind::Trust, &role.principals);
        let principal = facts::principal(&admitted.caller);
        let mut context = facts::context(admitted, self.env.now());
        of_request(&mut context, request, role, carried);
        let mut actions = vec!["sts:AssumeRole"];
        if !carried.tags.is_empty() || !carried.transitive.is_empty() {
            actions.push("sts:TagSession");
        }
        if carried.source_identity.is_some() {
            actions.push("sts:SetSourceIdentity");
        }
        let mut weakest = Basis::Policy;
        for action in actions {
            let question = Question {
                policy: &policy,
                principal: &principal,
                action,
                resource: arn.as_str(),
                same_account: admitted.caller.account == role.account,
                front_allows: word.allows,
                told: &word.tags,
            };
            if decide(&question, &mut context)? == Basis::Delegated {
                weakest = Basis::Delegated;
            }
        }
        Some(weakest)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a session, each used once")]
    fn new_session(
        &self,
        admitted: &Admitted,
        request: &AssumeRoleRequest,
        role: &RoleDescriptor,
        arn: Arn,
        carried: Carried,
        seconds: u64,
        rests_on_front: bool,
    ) -> Result<Caller, Refusal> {
        let now = self.env.now();
        let mut policy_arns = Vec::new();
        for described in request.policy_arns.iter().flatten() {
            let text = described.arn.as_deref().unwrap_or_default();
            policy_arns.push(text.parse().map_err(|_| invalid("PolicyArns must hold ARNs"))?);
        }
        let name = request.role_session_name.clone();
        let old = admitted.caller.session.as_ref();
        let session = Session {
            role: Some(SessionRole {
                arn,
                unique_id: role.unique_id.clone(),
                name: role.name.clone(),
                session_name: name.clone(),
            }),
            issued: now,
            expires: now.plus(Duration::from_secs(seconds)),
            mfa_at: None,
            source_identity: carried.source_identity,
            tags: carried.tags.into_iter().collect(),
            transitive_tag_keys: carried.transitive,
            policy: request.policy.clone(),
            policy_arns,
            chained: old.is_some_and(|session| session.role.is_some()),
        };
        Ok(Caller {
            kind: CallerKind::AssumedRole,
            account: role.account,
            arn: facts::session_arn(role.account, &role.name, &name),
            unique_id: format!("{}:{name}", role.unique_id),
            user_name: None,
            access_key_id: AccessKeyId::session(role.account, &*self.env),
            session: Some(session),
            delegated: rests_on_front || admitted.caller.delegated,
        })
    }
}

fn of_request(
    context: &mut Context,
    request: &AssumeRoleRequest,
    role: &RoleDescriptor,
    carried: &Carried,
) {
    context
        .insert("aws:ResourceAccount", role.account.to_string())
        .insert("sts:RoleSessionName", request.role_session_name.as_str());
    if let Some(id) = &request.external_id {
        context.insert("sts:ExternalId", id.as_str());
    }
    if let Some(seconds) = request.duration_seconds {
        context.insert("sts:DurationSeconds", seconds.to_string());
    }
    if let Some(identity) = &carried.source_identity {
        context.insert("sts:SourceIdentity", identity.as_str());
    }
    context.insert_many("sts:TransitiveTagKeys", carried.transitive.iter().map(String::as_str));
    context.insert_many("aws:TagKeys", carried.tags.keys().map(String::as_str));
    for (key, value) in &carried.tags {
        context.insert(&format!("aws:RequestTag/{key}"), value.as_str());
    }
}

/// What the session gets from the request and, in a chain, from the session before it.
fn carried(request: &AssumeRoleRequest, caller: &Caller) -> Result<Carried, Refusal> {
    let old = caller.session.as_ref();
    let mut tags = BTreeMap::new();
    for tag in request.tags.iter().flatten() {
        let repeated = tags.keys().any(|key: &String| key.eq_ignore_ascii_case(&tag.key));
        if repeated {
            return Err(invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.insert(tag.key.clone(), tag.value.clone());
    }
    let mut transitive: Vec<String> = request.transitive_tag_keys.clone().unwrap_or_default();
    if transitive.iter().any(|key| !tags.contains_key(key)) {
        return Err(invalid(
            "The specified transitive tag key must be included in the requested tags.",
        ));
    }
    let inherits = |key: &String| old.is_some_and(|s| s.transitive_tag_keys.contains(key));
    let before = old.iter().flat_map(|session| &session.tags);
    for (key, value) in before.filter(|(key, _)| inherits(key)) {
        if tags.keys().any(|asked| asked.eq_ignore_ascii_case(key)) {
            return Err(invalid(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
            ));
        }
        tags.insert(key.clone(), value.clone());
        transitive.push(key.clone());
    }
    if tags.len() > limits::SESSION_TAGS_MAX {
        return Err(invalid("The number of session tags exceeds the maximum of 50."));
    }
    transitive.sort_unstable();
    transitive.dedup();
    let before = old.and_then(|session| session.source_identity.clone());
    let source_identity = match (&request.source_identity, before) {
        (Some(asked), Some(before)) if *asked != before => {
            let why = "The source identity of the calling session cannot be changed.";
            return Err(access_denied(why));
        }
        (asked, before) => before.or_else(|| asked.clone()),
    };
    Ok(Carried { tags, transitive, source_identity })
}

/// Per cent of the room for policies and tags that a session takes; absent when it takes none.
fn packed_size(request: &AssumeRoleRequest, carried: &Carried) -> Result<Option<u64>, Refusal> {
    let arns = request.policy_arns.iter().flatten();
    let arns: usize = arns.map(|p| p.arn.as_ref().map_or(0, String::len)).sum();
    let policy = request.policy.as_ref().map_or(0, String::len);
    if request.policy_arns.iter().flatten().count() > limits::SESSION_POLICY_ARNS_MAX {
        return Err(invalid("The number of managed session policies exceeds the maximum of 10."));
    }
    let plain = writ_policy::limits::SESSION_POLICY_MAX_CHARS;
    if policy + arns > plain {
        return Err(too_large(100 * (policy + arns) / plain));
    }
    let tags: usize = carried.tags.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    let bytes = policy + arns + tags;
    let percent = (100 * bytes).div_ceil(limits::PACKED_POLICY_MAX_BYTES);
    if percent > 100 {
        return Err(too_large(percent));
    }
    Ok((bytes > 0).then_some(percent as u64))
}

fn seconds(
    request: &AssumeRoleRequest,
    role: &RoleDescriptor,
    caller: &Caller,
) -> Result<u64, Refusal> {
    let chained = caller.session.as_ref().is_some_and(|session| session.role.is_some());
    let asked = duration(request.duration_seconds);
    let seconds = asked.unwrap_or(limits::SESSION_DEFAULT.as_secs());
    if chained && seconds > limits::CHAINED_SESSION_MAX.as_secs() {
        return Err(too_long("the 1 hour session limit for roles assumed by role chaining"));
    }
    if seconds > role.max_session_secs {
        return Err(too_long("the MaxSessionDuration set for this role"));
    }
    Ok(seconds)
}

fn too_long(limit: &str) -> Refusal {
    let message = format!("The requested DurationSeconds exceeds {limit}.");
    refuse::aws("ValidationError", message, 400)
}

fn too_large(percent: usize) -> Refusal {
    let message = format!(
        "Packed size of session policies and tags consumes {percent}% of the allotted space."
    );
    refuse::aws("PackedPolicyTooLarge", message, 400)
}

fn invalid(message: &str) -> Refusal {
    refuse::aws("InvalidParameterValue", message, 400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{code, why};
    use writ_aws::{Input as _, Value};

    /// A request with a policy and policies of these lengths, and tags.
    fn request(policy: usize, arns: &[usize]) -> AssumeRoleRequest {
        let text = |length: usize| Value::Text("x".repeat(length));
        let arn = |length: &usize| Value::Map([("arn".to_owned(), text(*length))].into());
        let mut members = BTreeMap::from([
            ("RoleArn".to_owned(), text(20)),
            ("RoleSessionName".to_owned(), text(4)),
        ]);
        if policy > 0 {
            members.insert("Policy".to_owned(), text(policy));
        }
        if !arns.is_empty() {
            members.insert("PolicyArns".to_owned(), Value::List(arns.iter().map(arn).collect()));
        }
        AssumeRoleRequest::from_value(Value::Map(members)).unwrap()
    }

    fn tagged(tags: &[(usize, usize)]) -> Carried {
        let pair = |(at, (key, value)): (usize, &(usize, usize))| {
            let name = char::from(b'a' + u8::try_from(at).unwrap()).to_string();
            (name.repeat(*key), "v".repeat(*value))
        };
        let tags = tags.iter().enumerate().map(pair).collect();
        Carried { tags, transitive: vec![], source_identity: None }
    }

    #[test]
    fn packed_size_is_what_policies_and_tags_take_of_their_room() {
        let plain = writ_policy::limits::SESSION_POLICY_MAX_CHARS;
        let room = limits::PACKED_POLICY_MAX_BYTES;
        assert_eq!((plain, room), (2048, 4096));
        type Row<'a> = (usize, &'a [usize], &'a [(usize, usize)], Result<Option<u64>, &'a str>);
        let too_large = |percent: u64| {
            format!(
                "Packed size of session policies and tags consumes {percent}% of the allotted space."
            )
        };
        let (slightly, twice, tags) = (too_large(100), too_large(200), too_large(101));
        // 100 bytes are 2.4 per cent.
        let table: [Row<'_>; 12] = [
            (0, &[], &[], Ok(None)),
            (1, &[], &[], Ok(Some(1))),
            (41, &[], &[], Ok(Some(2))),
            (100, &[], &[], Ok(Some(3))),
            (0, &[100], &[], Ok(Some(3))),
            (60, &[20, 20], &[], Ok(Some(3))),
            (50, &[20], &[(10, 18)], Ok(Some(3))),
            (0, &[], &[(8, 10), (20, 19)], Ok(Some(2))),
            (plain, &[], &[], Ok(Some(50))),
            (plain - 10, &[20], &[], Err(&slightly)),
            (plain, &[plain], &[], Err(&twice)),
            (plain, &[], &[(128, room - plain - 130)], Ok(Some(100))),
        ];
        for (policy, arns, pairs, expected) in table {
            let found = packed_size(&request(policy, arns), &tagged(pairs));
            match expected {
                Ok(percent) => assert_eq!(found, Ok(percent), "{policy} {arns:?} {pairs:?}"),
                Err(text) => assert_eq!(why(found), text, "{policy} {arns:?} {pairs:?}"),
            }
        }
        let over = [(128, room - plain - 129)];
        assert_eq!(why(packed_size(&request(plain, &[]), &tagged(&over))), tags);
        let max = limits::SESSION_POLICY_ARNS_MAX;
        assert_eq!(code(packed_size(&request(0, &vec![20; max]), &tagged(&[]))), "ok");
        for count in [max + 1, max + 2] {
            let many = packed_size(&request(0, &vec![20; count]), &tagged(&[]));
            assert_eq!(code(many), "InvalidParameterValue", "{count}");
        }
    }
}
