//! D-01, D-04 and D-07 in the ledger itself: each certificate that keyd signed against the request and the approvals
//! that watch holds. What customers said of it is sealed, and keyd's alone to judge.

use std::collections::HashMap;

use serde_json::Value;
use writ_model::Timestamp;
use writ_proof::Hash;
use writ_proof::access::{Approval, Approved, Asked, Evidence, Outcome, decide};
use writ_proof::leaf::{Kind, Leaf, Source};
use writ_proof::origin::LogName;
use writ_proof::roster::Roster;
use writ_proof::statement::{Namespace, Signed};
use writ_proof::use_record::{UsePosition, UseProof, UseRecord, UseResult, What};

use super::Finding;
use crate::alarm::Alarm;
use crate::limits::{LOGIN_AFTER_END, REMEMBERED, REMEMBERED_MAX};

/// The slot that stands for customers.
const CUSTOMER: &str = "customer";

struct Held {
    asked: Asked,
    approved: Vec<Approved>,
    ended: Option<Timestamp>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Grants {
    held: HashMap<Hash, Held>,
}

impl Grants {
    /// Takes over an entry of the ledger.
    pub(super) fn entry(&mut self, leaf: &Leaf, record: &[u8], roster: &Roster) {
        match leaf.kind {
            Kind::Statement => self.statement(leaf, record, roster),
            Kind::Event if (leaf.source, leaf.log) == (Source::Front, LogName::Operator) => {
                self.ended(leaf, record);
            }
            _ => {}
        }
    }

    fn statement(&mut self, leaf: &Leaf, record: &[u8], roster: &Roster) {
        let Ok(signed) = Signed::from_bytes(record) else { return };
        match signed.namespace() {
            Namespace::Request => {
                let Ok(asked) = Asked::verify(&signed, roster, leaf.time) else { return };
                if self.held.len() >= REMEMBERED_MAX {
                    self.forget(leaf.time);
                }
                let held = Held { asked, approved: Vec::new(), ended: None };
                self.held.entry(signed.digest()).or_insert(held);
            }
            Namespace::Approval => {
                let Ok((approval, _)) = signed.verify::<Approval>() else { return };
                let Some(held) = self.held.get_mut(&approval.request_digest) else { return };
                let approved = Approved::verify(&signed, &held.asked, roster, None, leaf.time);
                held.approved.extend(approved.ok());
            }
            _ => {}
        }
    }

    fn forget(&mut self, now: Timestamp) {
        self.held.retain(|_, held| held.asked.request().not_after.plus(REMEMBERED) > now);
    }

    fn ended(&mut self, leaf: &Leaf, record: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Value>(record) else { return };
        if event.get("eventName").and_then(Value::as_str) != Some("EndGrant") {
            return;
        }
        let digest = event.pointer("/requestParameters/digest").and_then(Value::as_str);
        let digest = digest.and_then(|text| text.parse::<Hash>().ok());
        if let Some(held) = digest.and_then(|digest| self.held.get_mut(&digest)) {
            held.ended.get_or_insert(leaf.time);
        }
    }

    /// Until when a grant holds at most.
    pub(super) fn until(&self, digest: &Hash) -> Option<Timestamp> {
        let held = self.held.get(digest)?;
        let approved = held.approved.iter().map(|approved| approved.approval().not_after);
        Some(approved.fold(held.asked.request().not_after, Timestamp::min))
    }

    /// Judges a certificate that keyd signed.
    pub(super) fn used(
        &self,
        record: &UseRecord,
        position: UsePosition,
        roster: &Roster,
        found: &mut Vec<Finding>,
    ) {
        let What::Use(used) = &record.what else { return };
        if used.op != "ssh_sign" || used.result != UseResult::Ok {
            return;
        }
        let key = |what: &str| format!("certificate {}/{} {what}", position.boot, position.seq);
        let mut found = |alarm, why: String| {
            let time = record.time.iso_millis();
            let what = format!("keyd signed a certificate at {time}, and {why}");
            found.push(Finding::new(alarm, key("grant"), what));
        };
        let UseProof::Request(digest) = used.proof else {
            return found(Alarm::AccessWithoutGrant, "no request proved it".to_owned());
        };
        let Some(held) = self.held.get(&digest) else {
            let why = format!("the ledger has no good request {digest}");
            return found(Alarm::AccessWithoutGrant, why);
        };
        let person = &held.asked.request().requester;
        if let Some(end) = held.ended.filter(|end| record.time > end.plus(LOGIN_AFTER_END)) {
            let why = format!("the grant of `{person}` had ended at {}", end.iso_millis());
            return found(Alarm::AccessAfterEnd, why);
        }
        let evidence = Evidence { approved: &held.approved, ..Evidence::default() };
        match decide(&held.asked, roster, &evidence) {
            Outcome::Granted(grant) if grant.holds(record.time) => {}
            Outcome::Granted(_) => {
                let why = format!("the grant of `{person}` did not hold then");
                found(Alarm::AccessAfterEnd, why);
            }
            Outcome::Waiting(missing) if missing.iter().all(|one| one.slot == CUSTOMER) => {}
            Outcome::Waiting(missing) => {
                let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
                let why =
                    format!("the request of `{person}` is not approved: {}", missing.join("; "));
                found(Alarm::AccessWithoutGrant, why);
            }
            Outcome::Denied(who) => {
                let why = format!("the request of `{person}` was denied by {who}");
                found(Alarm::AccessWithoutGrant, why);
            }
        }
    }
}
