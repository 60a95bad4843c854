//! The condition keys of a verified request, in one place.
//!
//! front, s3 and keyd each decide by policies. A key that one of them left out or filled in otherwise
//! would make them disagree on the same request, so all of them list it from here.

use writ_model::{Region, Timestamp};

use crate::caller::{Caller, CallerKind, Session};
use crate::protocol::Network;

/// What is known of a request: who made it, and how it came. What is not known stays absent.
pub struct Facts<'a> {
    /// Who signed.
    pub caller: &'a Caller,
    /// Tags of the user or role itself; session tags come on top of them. keyd does not know them.
    pub principal_tags: &'a [(String, String)],
    /// The time of the decision.
    pub now: Timestamp,
    /// The region that answers.
    pub region: &'a Region,
    /// What the listener saw; for a forwarded request the customer's own network.
    pub network: &'a Network,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The client's `Referer`.
    pub referer: Option<&'a str>,
    /// The service principals through which the request came, first to last.
    pub via: &'a [String],
}

impl Facts<'_> {
    /// Gives each key with its values to `put`; a later one replaces an earlier one of its name
    /// (AWS, "Global condition context keys").
    pub fn each(&self, mut put: impl FnMut(&str, &[&str])) {
        self.of_caller(&mut put);
        put("aws:CurrentTime", &[&self.now.iso()]);
        put("aws:EpochTime", &[&self.now.secs().to_string()]);
        put("aws:RequestedRegion", &[self.region.as_str()]);
        put("aws:SecureTransport", &[text(self.network.tls.is_some())]);
        put("aws:SourceIp", &[&self.network.source_ip]);
        if let Some(vpce) = &self.network.vpce {
            put("aws:SourceVpce", &[vpce]);
        }
        if let Some(agent) = self.user_agent {
            put("aws:UserAgent", &[agent]);
        }
        if let Some(referer) = self.referer {
            put("aws:referer", &[referer]);
        }
        put("aws:ViaAWSService", &[text(!self.via.is_empty())]);
        if let (Some(first), Some(last)) = (self.via.first(), self.via.last()) {
            let via: Vec<&str> = self.via.iter().map(String::as_str).collect();
            put("aws:CalledVia", &via);
            put("aws:CalledViaFirst", &[first]);
            put("aws:CalledViaLast", &[last]);
        }
    }

    fn of_caller(&self, put: &mut impl FnMut(&str, &[&str])) {
        let caller = self.caller;
        let role = caller.session.as_ref().and_then(|session| session.role.as_ref());
        let (kind, arn) = match (caller.kind, role) {
            (CallerKind::AssumedRole, Some(role)) => ("AssumedRole", &role.arn),
            (CallerKind::AssumedRole, None) => ("AssumedRole", &caller.arn),
            (CallerKind::Root, _) => ("Account", &caller.arn),
            (CallerKind::User, _) => ("User", &caller.arn),
        };
        put("aws:PrincipalArn", &[arn.as_str()]);
        put("aws:PrincipalAccount", &[&caller.account.to_string()]);
        put("aws:PrincipalType", &[kind]);
        put("aws:PrincipalIsAWSService", &["false"]);
        put("aws:userid", &[&caller.unique_id]);
        put("writ:CredentialDelegated", &[text(caller.delegated)]);
        if let Some(name) = &caller.user_name {
            put("aws:username", &[name]);
        }
        for (key, value) in self.principal_tags {
            put(&format!("aws:PrincipalTag/{key}"), &[value]);
        }
        if let Some(session) = &caller.session {
            self.of_session(session, put);
        }
    }

    fn of_session(&self, session: &Session, put: &mut impl FnMut(&str, &[&str])) {
        put("aws:TokenIssueTime", &[&session.issued.iso()]);
        put("aws:MultiFactorAuthPresent", &[text(session.mfa_at.is_some())]);
        if let Some(at) = session.mfa_at {
            put("aws:MultiFactorAuthAge", &[&self.now.since(at).as_secs().to_string()]);
        }
        if let Some(identity) = &session.source_identity {
            put("aws:SourceIdentity", &[identity]);
        }
        for (key, value) in &session.tags {
            put(&format!("aws:PrincipalTag/{key}"), &[value]);
        }
    }
}

/// `kms:ViaService`: the service that called last, as KMS names it (`s3.us-east-1.amazonaws.com`).
pub fn kms_via_service(via: &[String], region: &Region) -> Option<String> {
    let last = via.last()?;
    let service = last.strip_suffix(".amazonaws.com").unwrap_or(last);
    Some(format!("{service}.{region}.amazonaws.com"))
}

fn text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
