//! What verification found: one line each, with the exit code of its kind.

use std::fmt;

/// The kinds of failure; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    /// The genesis statement or the chain of roster statements.
    Roots = 10,
    /// keyd's signature on a checkpoint.
    Signature = 11,
    /// The witnesses' cosignatures.
    Witnesses = 12,
    /// Against what was seen before, here or at watch.
    Consistency = 13,
    /// Tiles, bundles, leaves and roots.
    Trees = 14,
    /// Records against their leaves.
    Records = 15,
    /// Every record of every commit.
    Commits = 16,
    /// keyd's own records against the events.
    Uses = 17,
    /// Where forwarded calls came from.
    Forward = 18,
    /// The age of the newest cosignature.
    Freshness = 19,
    /// A file is missing or cannot be read.
    Files = 20,
    /// Recordings of sessions against the ledger.
    Recordings = 21,
    /// The entries of watch's host log.
    HostLog = 22,
    /// Runs against the catalogue.
    Runbooks = 23,
}

impl Code {
    /// The exit code.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// In words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Code::Roots => "genesis or roster",
            Code::Signature => "checkpoint signature",
            Code::Witnesses => "witnesses",
            Code::Consistency => "consistency",
            Code::Trees => "tiles or leaves",
            Code::Records => "records",
            Code::Commits => "commits",
            Code::Uses => "key uses",
            Code::Forward => "forward access",
            Code::Freshness => "freshness",
            Code::Files => "files",
            Code::Recordings => "recordings",
            Code::HostLog => "host log",
            Code::Runbooks => "runbooks",
        }
    }
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Its kind.
    pub(crate) code: Code,
    /// Where: a log and index, or a file.
    pub(crate) place: String,
    /// What does not hold.
    pub(crate) what: String,
}

impl Finding {
    /// A finding.
    pub(crate) fn new(code: Code, place: impl fmt::Display, what: impl fmt::Display) -> Finding {
        Finding { code, place: place.to_string(), what: what.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { code, place, what } = self;
        write!(f, "{} {:20} {place}: {what}", code.number(), code.as_str())
    }
}

/// Findings that are kept; further ones are only counted.
const FINDINGS_MAX: usize = 1000;

/// The exit code of a ledger that holds together, while its genesis was compared with nothing.
pub(crate) const UNCOMPARED: u8 = 3;

/// Everything that verification says.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Genesis is the one that came out of band, now or when it was verified before.
    pub(crate) compared: bool,
    /// Nothing could be opened.
    pub(crate) unread: bool,
    /// What does not hold, in the order in which it was found.
    pub(crate) findings: Vec<Finding>,
    /// How many more there were.
    pub(crate) more: u64,
    /// What was checked, how far, as name and value.
    pub(crate) checked: Vec<(&'static str, String)>,
    /// What a reader should know although it is no failure.
    pub(crate) notes: Vec<String>,
    /// What such a source cannot show, whatever was found.
    pub(crate) limits: Vec<&'static str>,
}

impl Report {
    /// Adds a finding.
    pub(crate) fn add(&mut self, code: Code, place: impl fmt::Display, what: impl fmt::Display) {
        self.push(Finding::new(code, place, what));
    }

    /// Adds a finding that was made elsewhere.
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Keeps the value, or the finding instead of it.
    pub(crate) fn take<T>(&mut self, result: Result<T, Finding>) -> Option<T> {
        result.map_err(|finding| self.push(finding)).ok()
    }

    /// Says what was checked.
    pub(crate) fn checked(&mut self, name: &'static str, value: impl fmt::Display) {
        self.checked.push((name, value.to_string()));
    }

    /// Adds a note.
    pub(crate) fn note(&mut self, note: impl fmt::Display) {
        self.notes.push(note.to_string());
    }

    /// The exit code: that of the first failure.
    pub(crate) fn exit_code(&self) -> u8 {
        let sound = if self.compared { 0 } else { UNCOMPARED };
        self.findings.first().map_or(sound, |finding| finding.code.number())
    }
}
