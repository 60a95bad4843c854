//! The checkpoints: keyd's signature, the witnesses' cosignatures, their age.

use std::time::Duration;

use writ_model::Timestamp;
use writ_proof::checkpoint::Checkpoint;
use writ_proof::note::{Note, VerifierKey};
use writ_proof::origin::LogName;
use writ_proof::policy::Policy;

use super::finding::{Code, Finding, Report};
use super::roots::Root;
use super::source::{Source, Which};

/// How old the newest cosignature may be where freshness is asked for.
pub(crate) const FRESH_MAX: Duration = Duration::from_secs(5 * 60);
/// How long a running ledger is waited for, until its witnesses have answered.
const WAITS: u32 = 12;
const WAIT: Duration = Duration::from_millis(250);

/// The checkpoints that the rest is compared with.
pub(crate) struct Trusted {
    /// The checkpoint log's, as a note.
    pub(crate) note: Note,
    /// The same, read.
    pub(crate) checkpoint: Checkpoint,
    /// The operator log's, where there is one.
    pub(crate) operator: Option<Signed>,
    /// When it was cosigned last.
    pub(crate) cosigned: Option<Timestamp>,
}

/// A checkpoint with the note that it was read from.
pub(crate) struct Signed {
    /// The note.
    pub(crate) note: Note,
    /// The same, read.
    pub(crate) checkpoint: Checkpoint,
}

/// Which witnesses must have cosigned.
pub(crate) struct Quorum {
    /// A policy file, instead of genesis' witnesses.
    pub(crate) policy: Option<Policy>,
    /// Further witnesses, which are reported but not required.
    pub(crate) further: Vec<VerifierKey>,
}

/// Checks the checkpoints that lie beside the checkpoint log and the operator log.
pub(crate) fn check(
    source: &dyn Source,
    root: &Root,
    quorum: &Quorum,
    report: &mut Report,
) -> Option<Trusted> {
    let policy = match policy(root, quorum) {
        Ok(policy) => policy,
        Err(error) => {
            report.add(Code::Witnesses, "policy", error);
            return None;
        }
    };
    let mut found = best(source, root, &policy);
    for _ in 0..WAITS {
        let unwitnessed = |f: &Finding| matches!(f.code, Code::Witnesses | Code::Files);
        if !found.1.iter().any(unwitnessed) || !source.is_running() {
            break;
        }
        std::thread::sleep(WAIT);
        found = best(source, root, &policy);
    }
    let (note, findings) = found;
    findings.into_iter().for_each(|finding| report.push(finding));
    let note = note?;
    let checkpoint = Checkpoint::of(&note).ok()?;
    let cosigned = witnesses(root, quorum, &policy, &note, report);
    report.checked("checkpoint", format!("size {}, root {}", checkpoint.size, checkpoint.root));
    if let Ok(key) = root.log_key(LogName::Checkpoint) {
        report.checked("log key", key);
    }
    let operator = operator(source, root, report);
    Some(Trusted { note, checkpoint, operator, cosigned })
}

/// Fails when the newest cosignature is older than five minutes at `now`.
pub(crate) fn fresh(trusted: &Trusted, now: Timestamp, report: &mut Report) {
    match trusted.cosigned {
        Some(time) if now.since(time) <= FRESH_MAX => {}
        Some(time) => {
            let age = now.since(time).as_secs();
            report.add(Code::Freshness, "checkpoint", format!("cosigned at {time}, {age} s ago"));
        }
        None => report.add(Code::Freshness, "checkpoint", "no witness says when it was made"),
    }
}

fn policy(root: &Root, quorum: &Quorum) -> Result<Policy, writ_proof::Error> {
    if let Some(policy) = &quorum.policy {
        return Ok(policy.clone());
    }
    let witnesses = root.genesis.witness_keys()?;
    Policy::k_of_n(&root.log_key(LogName::Checkpoint)?, &witnesses, witnesses.len())
}

/// The newest checkpoint with a quorum, else the newest that is signed, with what is wrong.
fn best(source: &dyn Source, root: &Root, policy: &Policy) -> (Option<Note>, Vec<Finding>) {
    let place = root.origin(LogName::Checkpoint);
    let mut findings = Vec::new();
    let mut signed: Option<(u64, Note)> = None;
    let mut witnessed: Option<(u64, Note)> = None;
    let mut refusals = Vec::new();
    for which in [Which::Newest, Which::Cosigned] {
        let bytes = match source.note(LogName::Checkpoint, which) {
            Ok(Some(bytes)) => bytes,
            Ok(None) if which == Which::Newest => {
                findings.push(Finding::new(Code::Files, &place, "it has no checkpoint"));
                continue;
            }
            Ok(None) => continue,
            Err(finding) => {
                findings.push(finding);
                continue;
            }
        };
        let verified = root.log_key(LogName::Checkpoint).and_then(|key| {
            let note = Note::from_bytes(&bytes)?;
            Checkpoint::verify(&note, &key).map(|checkpoint| (checkpoint.size, note))
        });
        match verified {
            Err(error) => findings.push(Finding::new(Code::Signature, &place, error)),
            Ok((size, note)) => {
                match policy.check(&note) {
                    Ok(_) => keep(&mut witnessed, size, &note),
                    Err(error) => refusals.push(error),
                }
                keep(&mut signed, size, &note);
            }
        }
    }
    if witnessed.is_none() {
        let bad = refusals.iter().find(|e| matches!(e, writ_proof::Error::BadSignature { .. }));
        if let Some(error) = bad.or_else(|| refusals.first()) {
            findings.push(Finding::new(Code::Witnesses, &place, error));
        }
    }
    (witnessed.or(signed).map(|(_, note)| note), findings)
}

fn keep(slot: &mut Option<(u64, Note)>, size: u64, note: &Note) {
    if slot.as_ref().is_none_or(|(known, _)| *known < size) {
        *slot = Some((size, note.clone()));
    }
}

/// Says who has cosigned; answers the newest time.
fn witnesses(
    root: &Root,
    quorum: &Quorum,
    policy: &Policy,
    note: &Note,
    report: &mut Report,
) -> Option<Timestamp> {
    let mut keys: Vec<VerifierKey> = policy.witnesses().values().map(|w| w.key.clone()).collect();
    let further = root.genesis.witness_keys().unwrap_or_default();
    for key in further.into_iter().chain(quorum.further.iter().cloned()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let verified = note.verify(&keys).unwrap_or_default();
    let mut times = Vec::new();
    for key in &keys {
        let time = verified.iter().find(|v| v.key == *key).and_then(|v| v.time);
        let said =
            time.map_or("NOT cosigned".to_owned(), |time| format!("cosigned {}", time.iso()));
        report.checked("witness", format!("{} {said}", key.name()));
        times.extend(time);
    }
    if keys.iter().all(|key| key.key() == root.genesis.watch) {
        report.note(
            "the only witness is the provider's own watch: run `writ witness` yourself, \
             or a provider who controls both could show you another history",
        );
    }
    times.into_iter().max()
}

fn operator(source: &dyn Source, root: &Root, report: &mut Report) -> Option<Signed> {
    let place = root.origin(LogName::Operator);
    let bytes = report.take(source.note(LogName::Operator, Which::Newest))?;
    let Some(bytes) = bytes else {
        report.add(Code::Files, &place, "it has no checkpoint");
        return None;
    };
    let verified = root.log_key(LogName::Operator).and_then(|key| {
        let note = Note::from_bytes(&bytes)?;
        Checkpoint::verify(&note, &key).map(|checkpoint| Signed { note, checkpoint })
    });
    match verified {
        Ok(signed) => Some(signed),
        Err(error) => {
            report.add(Code::Signature, &place, error);
            None
        }
    }
}
