//! `writ verify`: everything about a ledger that public keys and witnesses can prove, offline.
//!
//! [`verify`] is the table of contents. Each step adds what it finds to one report; the first failure
//! decides the exit code ([`finding::Code`]).

pub(crate) mod account;
mod across;
pub(crate) mod bundle;
pub(crate) mod checkpoints;
pub(crate) mod directory;
mod facts;
pub(crate) mod finding;
mod hosts;
mod print;
mod progress;
pub(crate) mod recordings;
mod records;
pub(crate) mod roots;
mod runs;
pub(crate) mod source;
mod state;
mod trees;
mod wal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use writ_model::{AccountId, Env as _, SystemEnv, Timestamp};
use writ_proof::Hash;
use writ_proof::note::VerifierKey;
use writ_proof::origin::LogName;
use writ_proof::policy::Policy;

use account::Reading;
use bundle::Bundle;
use checkpoints::{Quorum, Trusted};
use directory::Directory;
use facts::Facts;
use finding::{Code, Finding, Report};
use progress::Progress;
use roots::Root;
use source::{Content, Source, WholeLedger};
use state::{LogHeads, Seen};
use trees::Heads;

/// What may be under way in a running ledger is there after this long, or keyd would have stopped.
const UNDER_WAY: Duration = Duration::from_millis(2500);

/// `writ verify …`.
#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    /// The data directory of a stopped or running `writ up`, or a copy of it.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    pub(crate) data: PathBuf,
    /// An account bundle from `writ export`, instead of a data directory.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(crate) bundle: Option<PathBuf>,
    /// SHA-256 of the genesis statement, as the provider handed it out.
    #[arg(long, value_name = "SHA256")]
    pub(crate) genesis: Option<Hash>,
    /// Recompute only this account's log beside the operator log and the checkpoint log; a bundle must
    /// be this account's.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<AccountId>,
    /// Where the last trusted checkpoint is kept [default: ~/.local/state/writ/SITE.checkpoint].
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Which witnesses must have cosigned (C2SP tlog-policy) [default: all that genesis names].
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Fail when the newest cosignature is older than five minutes.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Judge the age as of this time, such as 2026-11-21T20:15:00Z, for archives.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to check with.
pub(crate) struct Options {
    pub(crate) genesis: Option<Hash>,
    pub(crate) account: Option<AccountId>,
    pub(crate) state: State,
    pub(crate) quorum: Quorum,
    pub(crate) fresh: bool,
    pub(crate) now: Timestamp,
}

/// Where it is remembered what was seen.
pub(crate) enum State {
    /// In the user's own folder, by the site's name.
    Default,
    /// In this file.
    File(PathBuf),
    /// Nowhere.
    None,
}

impl State {
    fn path(&self, root: &Root) -> Option<PathBuf> {
        match self {
            State::Default => state::default_path(&root.genesis.site),
            State::File(path) => Some(path.clone()),
            State::None => None,
        }
    }
}

/// Verifies and prints; the exit code says what failed first.
///
/// # Errors
/// When an argument cannot be read.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(args: &VerifyArgs) -> Result<ExitCode> {
    let options = options(args)?;
    let report = match open(args) {
        Ok(source) => verify(&*source, &options),
        Err(finding) => {
            let mut report = Report { unread: true, ..Report::default() };
            report.push(finding);
            report
        }
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&print::json(&report))?);
    } else {
        print!("{}", print::text(&report));
    }
    Ok(ExitCode::from(report.exit_code()))
}

fn open(args: &VerifyArgs) -> Result<Box<dyn Source>, Finding> {
    match &args.bundle {
        Some(file) => Bundle::open(file).map(|bundle| -> Box<dyn Source> { Box::new(bundle) }),
        None => Directory::open(&args.data).map(|dir| -> Box<dyn Source> { Box::new(dir) }),
    }
}

fn options(args: &VerifyArgs) -> Result<Options> {
    let now = match &args.at {
        Some(text) => Timestamp::parse_iso(text)?,
        None => SystemEnv.now(),
    };
    let policy = match &args.policy {
        Some(path) => {
            let shown = || format!("`{}` is no policy", path.display());
            let text = std::fs::read_to_string(path).with_context(shown)?;
            Some(Policy::parse(&text).with_context(shown)?)
        }
        None => None,
    };
    // A bundle comes without a configuration.
    let further = if args.bundle.is_some() { Vec::new() } else { further(&args.data) };
    let quorum = Quorum { policy, further };
    let state = args.state.clone().map_or(State::Default, State::File);
    let (genesis, account) = (args.genesis, args.account);
    Ok(Options { genesis, account, state, quorum, fresh: args.fresh, now })
}

/// Witnesses that the configuration names: said, but not required, since whoever runs the ledger
/// writes that file. A configuration that cannot be read says nothing.
fn further(data: &Path) -> Vec<VerifierKey> {
    use crate::up::config::{Config, FILE};
    let text = std::fs::read_to_string(data.join(FILE)).unwrap_or_default();
    let config = Config::parse(&text).unwrap_or_default();
    config.witness.iter().filter_map(|witness| witness.key.parse().ok()).collect()
}

/// All steps in order.
pub(crate) fn verify(source: &dyn Source, options: &Options) -> Report {
    let mut report = Report::default();
    let mut progress = Progress::new();
    let Some(root) = roots::check(source, options.genesis, &mut report) else { return report };
    let mut reading = whose(source, &root, options, &mut report);
    let trusted = checkpoints::check(source, &root, &options.quorum, &mut report);
    let path = options.state.path(&root);
    let seen = compare(source, &root, trusted.as_ref(), path.as_deref(), &mut report);
    let heads = match &trusted {
        Some(trusted) => {
            let both = (&mut report, &mut progress);
            let on_line: trees::OnLine<'_> = &mut |leaf, record, report| {
                if let Some(reading) = &mut reading {
                    reading.line(leaf, record, report);
                }
            };
            trees::check(source, &root, trusted, options.account, both, on_line)
        }
        None => Heads::default(),
    };
    let host_head = match source.content() {
        Content::Ledger(ledger) => {
            let known = seen.as_ref().and_then(|seen| seen.heads.get(&LogName::Host)).copied();
            hosts::check(&ledger.host_log(), &root, known, &mut report)
        }
        Content::Account(_) => None,
    };
    let held = held(source, &root, &heads, &mut report);
    let facts = match (source.content(), reading) {
        (Content::Ledger(ledger), _) => {
            let facts = content((source, ledger), &root, &heads, &mut report, &mut progress);
            let find = |session: &str| ledger.recording(session);
            let (key, running) = (&root.genesis.keyd.use_records, source.is_running());
            recordings::check(&facts.sessions, key, running, &find, &mut report);
            facts.runbooks.check(&mut report);
            facts
        }
        (Content::Account(view), reading) => {
            let reading = reading.unwrap_or_else(|| Reading::new(&root, view.account()));
            reading.end((source, view), &root, &heads, &mut report)
        }
    };
    tell(&facts, &mut report);
    strangers(&root, &held, &facts, &mut report);
    progress.end();
    if let Some(trusted) = &trusted {
        age(trusted, options, &mut report);
        if report.findings.is_empty()
            && let Some(path) = &path
        {
            keep(path, &root, trusted, &now_seen(source, &heads, host_head, seen), &mut report);
        }
    }
    report
}

/// Whose view it is, if it is one account's.
fn whose<'a>(
    source: &dyn Source,
    root: &'a Root,
    options: &Options,
    report: &mut Report,
) -> Option<Reading<'a>> {
    let Content::Account(view) = source.content() else { return None };
    let account = view.account();
    report.limits.extend(account::LIMITS);
    report.checked("account", account);
    if let Some(other) = options.account.filter(|wanted| *wanted != account) {
        let what = format!("the bundle is of account {account}, not of {other}");
        report.add(Code::Trees, root.origin(LogName::Account(account)), what);
    }
    Some(Reading::new(root, account))
}

fn compare(
    source: &dyn Source,
    root: &Root,
    trusted: Option<&Trusted>,
    path: Option<&Path>,
    report: &mut Report,
) -> Option<Seen> {
    let seen = path.and_then(|path| state::load(path, report));
    match &seen {
        Some(seen) => state::check(source, root, trusted, seen, report),
        None => report
            .note("no earlier verification is known here: a rollback before today would not show"),
    }
    seen
}

/// The heads of account logs to remember: those of earlier bundles, and that of this one.
fn now_seen(
    source: &dyn Source,
    heads: &Heads,
    host: Option<(u64, Hash)>,
    seen: Option<Seen>,
) -> LogHeads {
    let mut kept = seen.map(|seen| seen.heads).unwrap_or_default();
    kept.extend(host.map(|head| (LogName::Host, head)));
    if let Content::Account(view) = source.content() {
        let log = LogName::Account(view.account());
        let head = heads.logs.get(&log).and_then(|sizes| sizes.last_key_value());
        kept.extend(head.map(|(size, root)| (log, (*size, *root))));
    }
    kept
}

/// How many records the files of each log hold. Said is how many no checkpoint covers yet.
fn held(
    source: &dyn Source,
    root: &Root,
    heads: &Heads,
    report: &mut Report,
) -> BTreeMap<LogName, u64> {
    let mut sizes = BTreeMap::new();
    let mut uncovered = 0;
    for log in report.take(source.logs()).unwrap_or_default() {
        let covered = heads.logs.get(&log).and_then(|sizes| sizes.last_key_value());
        let covered = covered.map_or(0, |(size, _)| *size);
        let Some(held) = report.take(source.held(log)) else { continue };
        if held < covered {
            let what = format!("{held} records, but {covered} leaves in the checkpoint");
            report.add(Code::Files, root.origin(log), what);
        }
        // Heads of the other logs are leaves of the checkpoint log: it is always a little ahead.
        if log != LogName::Checkpoint {
            uncovered += held.saturating_sub(covered);
        }
        sizes.insert(log, held);
    }
    if uncovered > 0 {
        report.note(format!("{uncovered} newest leaves are under no checkpoint yet"));
    }
    sizes
}

/// Files that hold more than was ever written, or a log that nobody wrote.
fn strangers(root: &Root, held: &BTreeMap<LogName, u64>, facts: &Facts, report: &mut Report) {
    let Some(sizes) = &facts.sizes else { return };
    for (log, held) in held {
        let written = sizes.get(log).copied().unwrap_or(0);
        if *held > written {
            let what = format!("{held} records, but only {written} are in the write-ahead log");
            report.add(Code::Trees, root.origin(*log), what);
        }
    }
}

/// The write-ahead log and what its parts say of each other.
fn content(
    (source, ledger): (&dyn Source, &dyn WholeLedger),
    root: &Root,
    heads: &Heads,
    report: &mut Report,
    progress: &mut Progress,
) -> Facts {
    let keyd = &root.genesis.keyd.use_records;
    let mut read = || {
        let mut found = Report::default();
        let facts = wal::check(ledger, root, heads, &mut found, progress);
        let whole = found.findings.is_empty();
        let is_running = source.is_running();
        // Where the log itself cannot be followed, everything behind would seem to be missing.
        let across =
            if whole { across::check(&facts, heads, keyd, is_running) } else { Default::default() };
        (facts, found, across)
    };
    let (mut facts, mut found, mut across) = read();
    if !across.findings.is_empty() && source.is_running() {
        std::thread::sleep(UNDER_WAY);
        let first = across.findings;
        (facts, found, across) = read();
        across.findings.retain(|finding| first.contains(finding));
    }
    found.findings.into_iter().chain(across.findings).for_each(|finding| report.push(finding));
    report.checked.extend(found.checked);
    report.notes.extend(found.notes);
    across.unanswered.iter().for_each(|note| report.note(format!("unanswered: {note}")));
    facts
}

fn tell(facts: &Facts, report: &mut Report) {
    let (events, uses, forwards) = (facts.events.len(), facts.chain.len(), facts.forwards.len());
    report.checked("events", format!("{events}, {forwards} of them forwarded"));
    report.checked("key uses", format!("{uses} records of keyd in an unbroken chain"));
}

fn age(trusted: &Trusted, options: &Options, report: &mut Report) {
    if options.fresh {
        checkpoints::fresh(trusted, options.now, report);
    }
    if let Some(time) = trusted.cosigned {
        let age = options.now.since(time).as_secs();
        report.checked("age", format!("{age} s since the newest cosignature ({})", time.iso()));
    }
}

fn keep(path: &Path, root: &Root, trusted: &Trusted, heads: &LogHeads, report: &mut Report) {
    match state::save(path, root, trusted, heads, report.compared) {
        Ok(()) => report.checked("kept", path.display()),
        Err(error) => {
            report.note(format!("this checkpoint could not be kept for next time: {error:#}"))
        }
    }
}

#[cfg(test)]
#[path = "../tests/verify.rs"]
pub(crate) mod tests;
