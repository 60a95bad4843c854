//! Runbooks in the operator log: what was ordered, begun or ended names a catalogue entry that was in the log before,
//! and what was begun was ordered. keyd's own record of each order says the same of the run, its entry and its host.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use writ_model::Uuid;
use writ_proof::use_record::UseRun;

use super::finding::{Code, Report};

/// The source of events about runbooks.
pub(crate) const SOURCE: &str = "runbook.writ.internal";

/// What was read of them, in the order of the log.
#[derive(Debug, Default)]
pub(crate) struct Runbooks {
    /// The digests of entries that were published, withdrawn ones too.
    published: BTreeSet<String>,
    /// Each ordered run's entry.
    ordered: BTreeMap<String, String>,
    /// What each event says was ordered.
    orders: HashMap<Uuid, Order>,
    /// What keyd has signed, by the event that is to tell of it.
    signed: HashMap<Uuid, Order>,
    faults: Vec<(Uuid, String)>,
}

/// A run that was ordered.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    run: String,
    entry: String,
    host: String,
}

impl Runbooks {
    /// Takes over what keyd has signed an order for.
    pub(crate) fn signed(&mut self, event: Uuid, run: &UseRun) {
        let (run, entry, host) = (run.run.to_string(), run.entry.to_string(), run.host.to_string());
        self.signed.insert(event, Order { run, entry, host });
    }

    /// Takes over an event that tells of no error.
    pub(crate) fn event(&mut self, id: Uuid, record: &[u8]) -> Result<(), String> {
        let record: Value = serde_json::from_slice(record).map_err(|error| error.to_string())?;
        let text = |name: &str| {
            let value = record.pointer(&format!("/requestParameters/{name}"));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (entry, run) = (text("entryDigest"), text("runId"));
        match record.get("eventName").and_then(Value::as_str) {
            Some("PublishRunbook") => {
                self.published.insert(entry);
            }
            Some("OrderRun") => {
                if !self.published.contains(&entry) {
                    let what = format!(
                        "run {run} was ordered of the entry `{entry}`, which is not in the log before"
                    );
                    self.faults.push((id, what));
                }
                self.ordered.insert(run.clone(), entry.clone());
                self.orders.insert(id, Order { run, entry, host: text("hostName") });
            }
            Some(name @ ("StartRun" | "FinishRun")) => match self.ordered.get(&run) {
                Some(ordered) if *ordered == entry => {}
                Some(ordered) => {
                    let what = format!(
                        "{name} of run {run} names the entry `{entry}`, and `{ordered}` was ordered"
                    );
                    self.faults.push((id, what));
                }
                None => {
                    self.faults.push((id, format!("{name} of run {run}, which was not ordered")))
                }
            },
            _ => {}
        }
        Ok(())
    }

    /// Adds what does not hold.
    pub(crate) fn check(&self, report: &mut Report) {
        for (event, what) in &self.faults {
            report.add(Code::Runbooks, format!("event {event}"), what);
        }
        for (event, told) in &self.orders {
            // That keyd has a record of it at all is looked at with all other uses.
            let Some(signed) = self.signed.get(event).filter(|signed| *signed != told) else {
                continue;
            };
            let what = format!(
                "tells of run {} of `{}` on {}, but keyd signed run {} of `{}` on {}",
                told.run, told.entry, told.host, signed.run, signed.entry, signed.host
            );
            report.add(Code::Runbooks, format!("event {event}"), what);
        }
        if !self.ordered.is_empty() {
            let (runs, entries) = (self.ordered.len(), self.published.len());
            report.checked(
                "runbooks",
                format!("{runs} runs ordered, of {entries} published entries"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use writ_model::Ulid;
    use writ_proof::hash::Hash;

    use super::*;
    use crate::verify::finding::Report;

    fn told(events: &[(&str, &str, &str)]) -> Vec<String> {
        let mut runbooks = Runbooks::default();
        for (name, run, entry) in events {
            let record = json!({
                "eventName": name, "requestParameters": { "runId": run, "entryDigest": entry },
            });
            runbooks.event(Uuid::from_bytes([1; 16]), record.to_string().as_bytes()).unwrap();
        }
        let mut report = Report::default();
        runbooks.check(&mut report);
        runbooks.faults.into_iter().map(|(_, what)| what).collect()
    }

    #[test]
    fn run_of_an_entry_that_was_not_published_before_is_found() {
        let whole = [
            ("PublishRunbook", "", "e1"),
            ("OrderRun", "r1", "e1"),
            ("StartRun", "r1", "e1"),
            ("WithdrawRunbook", "", "e1"),
            ("FinishRun", "r1", "e1"),
        ];
        assert_eq!(told(&whole), Vec::<String>::new());
        for (events, why) in [
            (&whole[1..], "which is not in the log before"),
            (
                &[("OrderRun", "r1", "e1"), ("PublishRunbook", "", "e1")][..],
                "not in the log before",
            ),
            (&[whole[0], ("StartRun", "r1", "e1")], "which was not ordered"),
            (&[whole[0], whole[1], ("FinishRun", "r1", "e2")], "and `e1` was ordered"),
        ] {
            let found = told(events);
            assert!(found.iter().any(|what| what.contains(why)), "{why}: {found:?}");
        }
    }

    #[test]
    fn order_of_another_entry_or_host_than_keyd_signed_is_found() {
        let (event, other) = (Uuid::from_bytes([1; 16]), Hash([3; 32]).to_string());
        let (id, entry) = (Ulid::from_bytes([1; 16]), Hash([2; 32]));
        let signed = UseRun { run: id, entry, host: "web-1".parse().unwrap() };
        let (id, entry) = (id.to_string(), entry.to_string());
        for (told, is_same) in [
            ([&id, &entry, "web-1"], true),
            ([&id, &other, "web-1"], false),
            ([&id, &entry, "web-2"], false),
            (["01", &entry, "web-1"], false),
        ] {
            let mut runbooks = Runbooks::default();
            let [run, entry, host] = told;
            for name in ["PublishRunbook", "OrderRun"] {
                let told = json!({ "runId": run, "entryDigest": entry, "hostName": host });
                let record = json!({ "eventName": name, "requestParameters": told }).to_string();
                runbooks.event(event, record.as_bytes()).unwrap();
            }
            runbooks.signed(event, &signed);
            let mut report = Report::default();
            runbooks.check(&mut report);
            assert_eq!(report.exit_code() != Code::Runbooks.number(), is_same, "{told:?}");
        }
    }
}
