//! Requests, grants and tickets as programs read them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use writ_access::decision::{decisions, missing, said_before, waits_for};
use writ_access::{World, state};
use writ_model::{AccountId, PersonId, Timestamp, Ulid};
use writ_proof::access::{Approval, Scope};
use writ_proof::cbor;
use writ_proof::statement::Signed;
use writ_store::Entry;
use writ_store::state::{
    AccessApproval, AccessGrant, AccessRequest, GrantEnd, RequestState, Ticket,
};

use super::tell;

/// A request.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownRequest {
    /// Its id.
    pub id: Ulid,
    /// What has become of it.
    pub state: RequestState,
    /// When that became so.
    pub since: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it was filed.
    pub filed: Timestamp,
    /// It waits before this time only.
    pub pending_until: Timestamp,
    /// SHA-256 of the signed statement.
    pub digest: String,
    /// The code that people compare.
    pub code: String,
    /// Who asks.
    pub requester: PersonId,
    /// As whose member.
    pub group: String,
    /// The kind of reason.
    pub basis: String,
    /// The reason.
    pub reason: String,
    /// `SYSTEM/ID`.
    pub ticket: String,
    /// The customer for whom it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Whose data it can lead to: `nobody`, `everybody`, or accounts.
    pub touches: String,
    /// What is asked for.
    pub scope: ShownScope,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Who has decided.
    pub decisions: Vec<ShownDecision>,
    /// Who has still to agree, in words.
    pub missing: Vec<String>,
    /// The slots that the reader may fill.
    pub waits_for_you: Vec<String>,
    /// The signed statement in base64; of a single request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

/// What is asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ShownScope {
    /// `ssh`, `runbook` or `playback`.
    pub kind: String,
    /// The session whose recording it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Ulid>,
    /// The hosts.
    pub hosts: Vec<String>,
    /// The login role.
    pub login: String,
    /// A shell.
    pub interactive: bool,
    /// Commands.
    pub commands: Vec<String>,
    /// Rules for files.
    pub files: Vec<String>,
    /// The runbook, as `NAME/VERSION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    /// What it is told, as `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
}

impl ShownScope {
    /// In a word: the login role, or the runbook.
    pub fn what(&self) -> &str {
        self.runbook.as_deref().unwrap_or(&self.login)
    }
}

impl ShownScope {
    /// In short: `ROLE@HOST,HOST`, or whose recording.
    pub fn place(&self) -> String {
        let hosts = self.hosts.join(",");
        match &self.session {
            Some(session) => format!("recording {session} of {hosts}"),
            None => format!("{}@{hosts}", self.what()),
        }
    }
}

/// A decision.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownDecision {
    /// Who.
    pub approver: PersonId,
    /// `approve` or `deny`.
    pub decision: String,
    /// In which slot.
    pub slot: String,
    /// When front took it.
    pub at: Timestamp,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// The signed statement in base64; of a single request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

/// A grant.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownGrant {
    /// The request's id.
    pub id: Ulid,
    /// `scheduled`, `live` or `ended`.
    pub state: String,
    /// SHA-256 of the signed request.
    pub digest: String,
    /// Who may use it.
    pub person: PersonId,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// When it was made.
    pub granted: Timestamp,
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<GrantEnd>,
    /// The hosts.
    pub hosts: Vec<String>,
    /// The login role, or the runbook.
    pub login: String,
    /// `SYSTEM/ID`.
    pub ticket: String,
}

/// One page of a listing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed<T> {
    /// Its entries, the newest first.
    pub items: Vec<T>,
    /// Give it as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A request as `reader` sees it; `whole` with what people signed. `None` if what is stored cannot be read.
pub(super) fn request(
    entry: &std::sync::Arc<Entry<AccessRequest>>,
    reader: &PersonId,
    whole: bool,
    world: &World<'_>,
) -> Option<ShownRequest> {
    let asked = entry.derived.as_ref()?;
    let signed = Signed::from_bytes(entry.statement.as_slice()).ok()?;
    let pending = entry.state == RequestState::Pending;
    let missing = if pending { missing(entry, world) } else { Vec::new() };
    let waits = if pending { waits_for(entry, reader, world) } else { Vec::new() };
    Some(ShownRequest {
        id: entry.id,
        state: entry.state,
        since: entry.since,
        why: entry.why.clone(),
        filed: entry.filed,
        pending_until: entry.pending_until,
        digest: entry.digest.clone(),
        code: signed.code(),
        requester: entry.requester.clone(),
        group: asked.group.to_string(),
        basis: asked.basis.as_str().to_owned(),
        reason: asked.reason.clone(),
        ticket: format!("{}/{}", asked.ticket.system, asked.ticket.id),
        account: asked.account,
        touches: tell::touches(&asked.touches(world.roster)),
        scope: scope(&asked.scope),
        not_before: asked.not_before,
        not_after: asked.not_after,
        decisions: decisions(world.snapshot, entry.id)
            .filter_map(|held| decision(held, whole))
            .collect(),
        missing: missing.iter().map(ToString::to_string).collect(),
        waits_for_you: waits.iter().map(ToString::to_string).collect(),
        statement: whole.then(|| STANDARD.encode(entry.statement.as_slice())),
    })
}

fn scope(scope: &Scope) -> ShownScope {
    let shown = ShownScope {
        kind: scope.kind().as_str().to_owned(),
        hosts: scope.hosts().iter().map(ToString::to_string).collect(),
        ..ShownScope::default()
    };
    match scope {
        Scope::Playback(scope) => ShownScope { session: Some(scope.session), ..shown },
        Scope::Runbook(run) => ShownScope {
            runbook: Some(format!("{}/{}", run.runbook, run.version)),
            settings: run.settings.0.iter().map(|s| format!("{}={}", s.name, s.value)).collect(),
            ..shown
        },
        Scope::Ssh(ssh) => ShownScope {
            login: ssh.login.clone(),
            interactive: ssh.interactive,
            commands: ssh.commands.0.clone(),
            files: ssh.files.0.iter().map(ToString::to_string).collect(),
            ..shown
        },
    }
}

fn decision(held: &AccessApproval, whole: bool) -> Option<ShownDecision> {
    let signed = Signed::from_bytes(held.statement.as_slice()).ok()?;
    let said: Approval = cbor::from_slice(signed.body()).ok()?;
    Some(ShownDecision {
        approver: held.approver.clone(),
        decision: held.decision.clone(),
        slot: said.slot.to_string(),
        at: held.at,
        not_before: said.not_before,
        not_after: said.not_after,
        statement: whole.then(|| STANDARD.encode(held.statement.as_slice())),
    })
}

/// What a person has said of a pending request already, as far as it counts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Before {
    /// `approve` or `deny`.
    pub decision: String,
    /// In which slot.
    pub slot: String,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// Who has still to agree, in words.
    pub missing: Vec<String>,
}

/// What `person` has said of it.
pub(super) fn before(
    entry: &std::sync::Arc<Entry<AccessRequest>>,
    person: &PersonId,
    world: &World<'_>,
) -> Option<Before> {
    let said = said_before(entry, person, world)?;
    Some(Before {
        decision: said.decision.as_str().to_owned(),
        slot: said.slot.to_string(),
        not_before: said.not_before,
        not_after: said.not_after,
        missing: missing(entry, world).iter().map(ToString::to_string).collect(),
    })
}

/// A grant.
pub(super) fn grant(stored: &AccessGrant, world: &World<'_>) -> ShownGrant {
    let asked = writ_access::ends::asked(world.snapshot, stored.request);
    let scope = asked.as_ref().map(|asked| scope(&asked.scope));
    let ticket = asked.map(|asked| format!("{}/{}", asked.ticket.system, asked.ticket.id));
    let scope = scope.unwrap_or_default();
    let (login, hosts) = (scope.what().to_owned(), scope.hosts);
    ShownGrant {
        id: stored.request,
        state: state(stored, world.now).as_str().to_owned(),
        digest: stored.digest.clone(),
        person: stored.person.clone(),
        not_before: stored.not_before,
        not_after: stored.not_after,
        granted: stored.granted,
        end: stored.end.clone(),
        hosts,
        login,
        ticket: ticket.unwrap_or_default(),
    }
}

/// A ticket, as stored.
pub(super) fn ticket(stored: &Entry<Ticket>) -> Ticket {
    stored.value.as_ref().clone()
}
