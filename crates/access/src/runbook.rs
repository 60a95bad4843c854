//! The catalogue of runbooks: what is published, and what may be asked for.

use writ_model::{AccountId, PersonId, Timestamp};
use writ_proof::access::Request;
use writ_proof::roster::Roster;
use writ_proof::runbook::{Answer, Ended, Entry, Outcome, Published};
use writ_proof::statement::{Namespace, Signed};
use writ_store::Snapshot;
use writ_store::state::{Run, RunEnd, Runbook, Withdrawn};

use crate::limits;
use crate::request::id_at;
use crate::world::{Refusal, World, refused};

/// Judges a signed entry that is sent in. `None` if it is stored already: its reply was lost, and it was sent again.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn publish(signed: &Signed, world: &World<'_>) -> Result<(Runbook, bool), Refusal> {
    if signed.namespace() != Namespace::Catalogue {
        return Err(Refusal::Malformed(format!(
            "a statement of kind `{}` is no entry of the catalogue: `writ runbook make` makes them",
            signed.namespace()
        )));
    }
    let published = Published::verify(signed, world.roster, world.now)
        .map_err(|error| Refusal::Refused(error.to_string()))?;
    for signer in published.signers() {
        world
            .hr
            .may_act(signer, None)
            .or_else(|why| refused(format!("`{signer}` may not sign now: {why}")))?;
    }
    let (entry, name) = (published.entry(), published.entry().name.as_str());
    let runbook = Runbook {
        name: name.to_owned(),
        version: entry.version,
        digest: published.digest().to_string(),
        statement: signed.to_bytes().into(),
        published: world.now,
        withdrawn: None,
    };
    if let Some(known) = find(world.snapshot, name, entry.version) {
        if known.digest == runbook.digest && known.withdrawn.is_none() {
            // The same entry, which others may have signed by now: those who did before may have left.
            let again = known.statement == runbook.statement;
            return Ok((Runbook { published: known.published, ..runbook }, again));
        }
        return Err(Refusal::Taken(format!(
            "version {} of `{name}` is another one: an entry never changes, make a new version",
            entry.version
        )));
    }
    let newest = versions(world.snapshot, name).map(|known| known.version).max().unwrap_or(0);
    if entry.version != newest + 1 {
        return refused(format!("the next version of `{name}` is {}", newest + 1));
    }
    let all = world.snapshot.list::<Runbook>(AccountId::PLATFORM, None).count();
    if all >= limits::RUNBOOKS_MAX {
        let most = limits::RUNBOOKS_MAX;
        return Err(Refusal::TooMany(format!("the catalogue holds {most} entries, its most")));
    }
    Ok((runbook, false))
}

/// A version as it is once withdrawn. Any enrolled person may: it takes away, and gives nothing.
///
/// # Errors
/// There is none that is in force.
pub fn withdraw(
    world: &World<'_>,
    name: &str,
    version: u64,
    by: &PersonId,
) -> Result<Runbook, Refusal> {
    let known = find(world.snapshot, name, version);
    let known = known.ok_or_else(|| unknown(name, version))?;
    if known.withdrawn.is_some() {
        return Err(Refusal::Over(format!("version {version} of `{name}` is withdrawn already")));
    }
    let withdrawn = Some(Withdrawn { by: by.clone(), at: world.now });
    Ok(Runbook { withdrawn, ..known.clone() })
}

/// The version of this name and number.
pub fn find<'s>(snapshot: &'s Snapshot, name: &str, version: u64) -> Option<&'s Runbook> {
    let id = Runbook::id_of(name, version);
    snapshot.get::<Runbook>(AccountId::PLATFORM, &id).map(|entry| &*entry.value)
}

/// All versions of a runbook, in order.
pub fn versions<'s>(snapshot: &'s Snapshot, name: &str) -> impl Iterator<Item = &'s Runbook> {
    let first = Runbook::id_of(name, 0);
    let from = snapshot.list::<Runbook>(AccountId::PLATFORM, Some(&first));
    let all: Vec<&Runbook> =
        from.map(|entry| &*entry.value).take_while(|known| known.name == name).collect();
    all.into_iter()
}

/// The entry that a request for a runbook names, if it may be used: signed by who must, and not withdrawn.
///
/// # Errors
/// Why not.
pub fn entry_of(
    request: &Request,
    snapshot: &Snapshot,
    roster: &Roster,
    now: Timestamp,
) -> Result<Option<Published>, Refusal> {
    let Some(scope) = request.scope.runbook() else { return Ok(None) };
    let name = scope.runbook.as_str();
    let known = find(snapshot, name, scope.version);
    let known = known.ok_or_else(|| unknown(name, scope.version))?;
    if let Some(withdrawn) = &known.withdrawn {
        return refused(format!(
            "version {} of `{name}` was withdrawn by {}: `writ runbook list` shows what is in force",
            scope.version, withdrawn.by
        ));
    }
    let judged = Signed::from_bytes(known.statement.as_slice())
        .and_then(|signed| Published::verify(&signed, roster, now))
        .and_then(|published| {
            published.entry().check_scope(scope, &request.group).map(|()| published)
        });
    judged.map(Some).map_err(|error| Refusal::Refused(error.to_string()))
}

/// The runs that can have anything before them still, in the order in which they were ordered.
pub fn runs(snapshot: &Snapshot, now: Timestamp) -> impl Iterator<Item = &Run> {
    let from = id_at(now, limits::LIVE_BACK);
    let all = snapshot.list::<Run>(AccountId::PLATFORM, Some(&from));
    all.map(|entry| &*entry.value)
}

/// What a host says of the end of a run, looked at once more: it may lie. What its entry does not allow is dropped,
/// all of it.
pub fn ended(told: &Ended, entry: &Entry, now: Timestamp) -> RunEnd {
    let output = &entry.output;
    let refused = |field: Option<String>| RunEnd {
        outcome: Outcome::Refused.as_str().to_owned(),
        cause: Some("output_refused".to_owned()),
        field,
        answer: None,
        at: now,
    };
    // A name of the schema, and nothing else that a host would call one.
    let known = |name: &String| output.fields.0.iter().any(|field| field.name == *name);
    let field = told.field.clone().filter(known);
    match (told.outcome, &told.answer) {
        (Outcome::Ok, Some(answer)) => match output.read(answer.as_bytes()) {
            Ok(answer) => RunEnd {
                outcome: Outcome::Ok.as_str().to_owned(),
                cause: None,
                field: None,
                answer: Some(Answer::to_json(&answer)),
                at: now,
            },
            Err(why) => refused(why.field),
        },
        (Outcome::Ok, None) | (_, Some(_)) => refused(None),
        (outcome, None) => RunEnd {
            outcome: outcome.as_str().to_owned(),
            cause: told.cause.map(|cause| cause.as_str().to_owned()),
            field,
            answer: None,
            at: now,
        },
    }
}

fn unknown(name: &str, version: u64) -> Refusal {
    Refusal::NotFound(format!(
        "there is no version {version} of a runbook `{name}`: `writ runbook list` shows what there is"
    ))
}
