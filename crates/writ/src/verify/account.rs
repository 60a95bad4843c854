//! One account's view of a ledger: what its own log, the shown leaves of the others and keyd's chain
//! say of each other. The write-ahead log is not here, so neither are other accounts' commits and uses.

use writ_model::AccountId;
use writ_proof::leaf::{Head, Leaf};
use writ_proof::origin::LogName;
use writ_proof::use_record::{ChainEnd, UsePosition};

use super::across;
use super::facts::Facts;
use super::finding::{Code, Report};
use super::roots::{Root, Statements};
use super::source::{Source, View};
use super::trees::Heads;
use super::wal;

/// What a view cannot show, whatever it holds.
pub(crate) const LIMITS: [&str; 4] = [
    "whether a hash in the bundle stands for a later head of your log, a use of your key by your own \
     people, or a roster statement: keep every bundle's state, and ask for receipts of what matters",
    "gaps between your commits: other accounts' commits lie there; whoever holds the whole ledger (the \
     provider's watch, an auditor with --data) checks those, and witnesses hold the provider to one history",
    "what keyd recorded of other accounts' callers who used your keys: the events here tell of them",
    "whether requests of other accounts from which such calls followed were made: those are in their logs",
];

const PLACE: &str = "use records";

/// What is gathered while the logs are read.
pub(crate) struct Reading<'a> {
    facts: Facts,
    statements: Statements<'a>,
}

impl<'a> Reading<'a> {
    /// Nothing read yet.
    pub(crate) fn new(root: &'a Root, account: AccountId) -> Reading<'a> {
        Reading { facts: Facts::of_view(account), statements: Statements::new(root) }
    }

    /// Takes over a shown leaf with its record.
    pub(crate) fn line(&mut self, leaf: &Leaf, record: &[u8], report: &mut Report) {
        if let Some(other) =
            named_account(leaf, record).filter(|other| Some(*other) != self.facts.view)
        {
            let what = format!("it names the log of account {other}, whose bundle this is not");
            report.add(Code::Trees, format!("{} leaf {}", leaf.log, leaf.seq), what);
        }
        self.statements.see(leaf, record, report);
        if let Err(what) = self.facts.record(leaf.seq, leaf, record) {
            let place = format!("{} leaf {} (event {})", leaf.log, leaf.seq, leaf.event_id);
            report.add(Code::Commits, place, what);
        }
    }

    /// Checks the rest; answers what it tells.
    pub(crate) fn end(
        mut self,
        (source, view): (&dyn Source, &dyn View),
        root: &Root,
        heads: &Heads,
        report: &mut Report,
    ) -> Facts {
        covered(source, view, root, heads, report);
        if !self.statements.began {
            let place = root.origin(LogName::Operator);
            report.add(Code::Roots, place, "its leaf 0, the genesis statement, is not shown");
        }
        let hidden = chain(view, root, &mut self.facts, report);
        self.facts.settle();
        if report.findings.is_empty() {
            let across = across::check(&self.facts, heads, &root.genesis.keyd.use_records, false);
            across.findings.into_iter().for_each(|finding| report.push(finding));
            across.unanswered.iter().for_each(|note| report.note(format!("unanswered: {note}")));
        }
        report.checked("roster", format!("statement {}", self.statements.seq()));
        report.note(format!(
            "{hidden} of {} key uses are here as hashes: they are other accounts', or keyd's own work",
            self.facts.chain.len()
        ));
        self.facts
    }
}

/// Every leaf that is here must be below the checkpoint, and the account's log must be named there.
fn covered(source: &dyn Source, view: &dyn View, root: &Root, heads: &Heads, report: &mut Report) {
    let own = LogName::Account(view.account());
    if heads.logs.is_empty() {
        // There is no checkpoint, which has been said.
        return;
    }
    for log in [LogName::Operator, LogName::Checkpoint, own] {
        let below = heads.logs.get(&log).and_then(|sizes| sizes.last_key_value());
        let below = below.map_or(0, |(size, _)| *size);
        let Some(held) = report.take(source.held(log)) else { continue };
        // Fewer were found when the log was read.
        if held > below {
            let what = format!("it holds {held} leaves, but the checkpoint covers only {below}");
            report.add(Code::Trees, root.origin(log), what);
        }
        if below == 0 {
            report.add(Code::Trees, root.origin(log), "nothing in the checkpoint names it");
        }
    }
}

/// The account whose log a leaf of the checkpoint log names.
fn named_account(leaf: &Leaf, record: &[u8]) -> Option<AccountId> {
    match (leaf.log, Head::from_bytes(record)) {
        (LogName::Checkpoint, Ok(Head::Log(head))) => match head.origin.log {
            LogName::Account(account) => Some(account),
            _ => None,
        },
        _ => None,
    }
}

/// keyd's chain from its first record on; answers how many records are hidden.
fn chain(view: &dyn View, root: &Root, facts: &mut Facts, report: &mut Report) -> u64 {
    let keyd = &root.genesis.keyd.use_records;
    let mut last: Option<UsePosition> = None;
    let mut hidden = 0;
    let mut broken = None;
    let read = view.uses(&mut |batch| {
        let known = last.filter(|last| last.boot == batch.boot);
        let mut end = known.map_or_else(|| ChainEnd::begin(batch.boot), ChainEnd::after);
        match end.accept_view(batch, keyd) {
            Ok(records) => {
                for (position, record) in records {
                    hidden += u64::from(record.is_none());
                    facts.used(0, position, record.as_ref());
                }
                last = Some(batch.position());
                true
            }
            Err(error) => {
                broken = Some((batch.position(), error));
                false
            }
        }
    });
    report.take(read);
    if let Some((at, error)) = broken {
        let place = format!("{PLACE} up to {} of boot {}", at.seq, at.boot);
        report.add(wal::kind_of(&error), place, error);
    }
    hidden
}
