//! `writ export`: one account's history in a file, for an owner who has no access to the directory.
//!
//! The data directory is only read, stopped or running. The newest cosigned checkpoint decides how far
//! the bundle goes ([`Plan`]); everything that is the account's own goes in whole, everything else as
//! hashes. What was written is verified, as its owner will do it, before it gets its name.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::Value;
use writ_model::{AccountId, Env as _, SystemEnv, Ulid, Uuid};
use writ_proof::access::{Approval, Request};
use writ_proof::at_most::AtMost;
use writ_proof::cbor;
use writ_proof::export::{Begin, Leaves, Line, Node as Shown, Part, Sequence, preamble};
use writ_proof::leaf::{Head, Kind, Leaf, leaf_hash};
use writ_proof::origin::LogName;
use writ_proof::statement::{Namespace, Signed};
use writ_proof::tile::TILE_WIDTH;
use writ_proof::use_record::{UseBatch, UsePosition, UseRecord, ViewedRecord, What};

use crate::verify::bundle::Bundle;
use crate::verify::checkpoints::{self, Quorum, Trusted};
use crate::verify::directory::{Directory, bundles};
use crate::verify::finding::{Finding, Report};
use crate::verify::roots::{self, Root};
use crate::verify::source::{Copy, Node, Source, WholeLedger};
use crate::verify::{Options, State, verify};

/// `writ export …`.
#[derive(clap::Args)]
pub(crate) struct ExportArgs {
    /// The account whose history it is.
    #[arg(long, value_name = "ACCOUNT")]
    account: AccountId,
    /// The data directory of a stopped or running `writ up`, or a copy of it.
    #[arg(long, value_name = "DIR", default_value = "writ-data")]
    data: PathBuf,
    /// The file to write; another one is written beside it and renamed.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    overwrite: bool,
}

/// Writes the bundle and says what it holds.
///
/// # Errors
/// With what to do next: the file exists, the account has no log, no checkpoint covers it yet, or the
/// ledger does not verify.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(args: &ExportArgs) -> Result<()> {
    let shown = args.out.display();
    if args.out.exists() && !args.overwrite {
        bail!("`{shown}` exists: name another file with --out, or add --overwrite");
    }
    let source = Directory::open(&args.data).map_err(|f| unsound(&args.data, &f))?;
    let plan = Plan::make(&source, args.account).map_err(|refusal| match refusal {
        Refusal::Uncovered(why) => anyhow!("{why}"),
        Refusal::Unsound(finding) => unsound(&args.data, &finding),
    })?;
    let out = std::path::absolute(&args.out)?;
    let name = out.file_name().and_then(|n| n.to_str()).context("the file has no name")?;
    let temporary = out.with_file_name(format!(".{name}.tmp"));
    let written = write_file(&source, &plan, &temporary)
        .and_then(|summary| checked(&plan, &temporary).map(|()| summary))
        .and_then(|summary| place(&temporary, &out, args.overwrite).map(|()| summary));
    let summary = match written {
        Ok(summary) => summary,
        Err(error) => {
            fs::remove_file(&temporary).ok();
            return Err(error.context(format!("`{shown}` was not written")));
        }
    };
    print!("{}", told(args, &plan, &summary));
    Ok(())
}

fn unsound(data: &Path, finding: &Finding) -> anyhow::Error {
    let data = data.display();
    anyhow!("the ledger in `{data}` does not verify ({finding}): see `writ verify --data {data}`")
}

fn told(args: &ExportArgs, plan: &Plan, summary: &Summary) -> String {
    let (out, account, genesis) = (args.out.display(), args.account, plan.root.digest);
    let cosigned = plan.trusted.cosigned.map_or("by nobody".to_owned(), |time| time.iso());
    let checkpoint = &plan.trusted.checkpoint;
    format!(
        "wrote `{out}`: the history of account {account}\n  \
           records     {} of the account, {} shown of the checkpoint log's and operator log's {}\n  \
           key uses    {} shown, {} as hashes\n  \
           size        {} bytes\n  \
           checkpoint  size {}, root {}, cosigned {cosigned}\n  \
           genesis     {genesis}\n\
         check it, with the genesis that came to you by another way than this file:\n  \
           writ verify --bundle {out} --account {account} --genesis {genesis}\n",
        summary.records,
        summary.shown,
        summary.others,
        summary.uses,
        summary.hidden_uses,
        summary.bytes,
        checkpoint.size,
        checkpoint.root,
    )
}

fn write_file(source: &Directory, plan: &Plan, path: &Path) -> Result<Summary> {
    let shown = || format!("cannot write `{}`", path.display());
    // What an interrupted run left there is nobody's.
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut out = BufWriter::new(file.with_context(shown)?);
    let summary = write(source, plan, &mut out)?;
    let file = out.into_inner().map_err(|error| error.into_error()).with_context(shown)?;
    file.sync_all().with_context(shown)?;
    Ok(summary)
}

/// Verifies what was written as its owner will, but for what an owner remembers.
fn checked(plan: &Plan, path: &Path) -> Result<()> {
    let options = Options {
        genesis: Some(plan.root.digest),
        account: Some(plan.account),
        state: State::None,
        quorum: Quorum { policy: None, further: Vec::new() },
        fresh: false,
        now: SystemEnv.now(),
    };
    let findings = match Bundle::open(path) {
        Ok(bundle) => verify(&bundle, &options).findings,
        Err(finding) => vec![finding],
    };
    match findings.first() {
        None => Ok(()),
        Some(finding) => bail!(
            "what the ledger holds for this account does not verify ({finding}): \
             see `writ verify --data DIR`"
        ),
    }
}

/// Gives the written file its name, which survives a crash.
fn place(temporary: &Path, out: &Path, overwrite: bool) -> Result<()> {
    let flags = if overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    renameat_with(CWD, temporary, CWD, out, flags)
        .with_context(|| format!("cannot rename to `{}`", out.display()))?;
    let folder = out.parent().context("the file has no folder")?;
    Ok(File::open(folder)?.sync_all()?)
}

/// Why there is nothing to export.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No checkpoint covers the account's log; in words, with what to do.
    Uncovered(String),
    /// The ledger is not in order.
    Unsound(Finding),
}

impl From<Finding> for Refusal {
    fn from(finding: Finding) -> Refusal {
        Refusal::Unsound(finding)
    }
}

/// How far a bundle goes, and what it shows.
pub(crate) struct Plan {
    account: AccountId,
    root: Root,
    trusted: Trusted,
    /// How many leaves of each log.
    sizes: Vec<(LogName, u64)>,
    /// Leaves of the checkpoint log that are shown.
    shown: BTreeSet<u64>,
    /// Requests for access to this account's data that were granted.
    granted: BTreeSet<Ulid>,
    /// The last of keyd's records.
    uses: Option<UsePosition>,
    genesis: Vec<u8>,
    operator: Vec<u8>,
}

impl Plan {
    /// Decides by the newest checkpoint that genesis' witnesses have cosigned.
    pub(crate) fn make(source: &Directory, account: AccountId) -> Result<Plan, Refusal> {
        let mut report = Report::default();
        let quorum = Quorum { policy: None, further: Vec::new() };
        let root = roots::check(source, None, &mut report);
        let trusted =
            root.as_ref().and_then(|root| checkpoints::check(source, root, &quorum, &mut report));
        if let Some(finding) = report.findings.into_iter().next() {
            return Err(finding.into());
        }
        let uncovered = |why: &str| Refusal::Uncovered(format!("account {account} has {why}"));
        let (Some(root), Some(trusted)) = (root, trusted) else {
            return Err(uncovered("no checkpoint to rest on: start `writ up` once"));
        };
        let heads = ShownHeads::read(source, account, trusted.checkpoint.size)?;
        let own = LogName::Account(account);
        if heads.own == 0 {
            return Err(uncovered(match source.held(own)? {
                0 => "no log here: is the number right, and the data directory?",
                _ => "nothing below a cosigned checkpoint yet: try again in some seconds",
            }));
        }
        let Some(operator) = &trusted.operator else {
            return Err(uncovered("no checkpoint of the operator log to rest on"));
        };
        let sizes = vec![
            (LogName::Operator, operator.checkpoint.size.max(heads.operator)),
            (LogName::Checkpoint, trusted.checkpoint.size),
            (own, heads.own),
        ];
        let genesis = source.genesis()?;
        let operator = operator.note.to_bytes();
        let (shown, uses) = (heads.shown, heads.uses);
        let granted = granted(source, own, heads.own)?;
        Ok(Plan { account, root, trusted, sizes, shown, granted, uses, genesis, operator })
    }

    /// True for a leaf that the account's owner may read, or that tells of nobody's account.
    fn shows(&self, leaf: &Leaf, record: &[u8]) -> bool {
        match leaf.log {
            LogName::Account(account) => account == self.account,
            LogName::Checkpoint => self.shown.contains(&leaf.seq),
            // Restarts explain what a crash left unanswered.
            LogName::Operator => match leaf.kind {
                Kind::Boot => true,
                Kind::Statement => self.shows_statement(record),
                _ => false,
            },
            LogName::Host => false,
        }
    }

    /// The roster is everybody's. Who asked for access to whose data, and who agreed, is for the customers whom it
    /// concerned; of other kinds nothing is known.
    fn shows_statement(&self, record: &[u8]) -> bool {
        let Ok(signed) = Signed::from_bytes(record) else { return false };
        let request = match signed.namespace() {
            Namespace::Genesis | Namespace::Roster => return true,
            Namespace::Request => cbor::from_slice::<Request>(signed.body()).map(|said| said.id),
            Namespace::Approval => {
                cbor::from_slice::<Approval>(signed.body()).map(|said| said.request)
            }
            _ => return false,
        };
        request.is_ok_and(|id| self.granted.contains(&id))
    }
}

/// The requests of whose grants the account's own log tells.
fn granted(source: &Directory, own: LogName, size: u64) -> Result<BTreeSet<Ulid>, Finding> {
    const EVENT: &str = "OperatorAccessGranted";
    let mut granted = BTreeSet::new();
    each_line(source, own, size, &mut |leaf, record| {
        let text = String::from_utf8_lossy(record);
        if leaf.kind != Kind::Event || !text.contains(EVENT) {
            return;
        }
        let Ok(event) = serde_json::from_str::<Value>(&text) else { return };
        if event.get("eventName").and_then(Value::as_str) == Some(EVENT)
            && let Some(Value::String(id)) = event.pointer("/requestParameters/accessRequestId")
        {
            granted.extend(id.parse::<Ulid>().ok());
        }
    })?;
    Ok(granted)
}

/// The leaves of the checkpoint log that a bundle shows: every head of the account's log, the newest
/// of the operator log, and the newest of each boot of keyd's chain.
#[derive(Default)]
struct ShownHeads {
    shown: BTreeSet<u64>,
    own: u64,
    operator: u64,
    uses: Option<UsePosition>,
}

impl ShownHeads {
    fn read(source: &Directory, account: AccountId, size: u64) -> Result<ShownHeads, Finding> {
        let mut heads = ShownHeads::default();
        let mut newest: BTreeMap<Option<Uuid>, u64> = BTreeMap::new();
        each_line(source, LogName::Checkpoint, size, &mut |leaf, record| {
            if leaf.kind != Kind::Checkpoint {
                return;
            }
            match Head::from_bytes(record) {
                Ok(Head::Log(head)) if head.origin.log == LogName::Account(account) => {
                    heads.own = heads.own.max(head.size);
                    heads.shown.insert(leaf.seq);
                }
                Ok(Head::Log(head)) if head.origin.log == LogName::Operator => {
                    heads.operator = heads.operator.max(head.size);
                    newest.insert(None, leaf.seq);
                }
                Ok(Head::Uses(head)) => {
                    heads.uses = Some(head.position);
                    newest.insert(Some(head.position.boot), leaf.seq);
                }
                // Other accounts', or what verification will refuse.
                _ => {}
            }
        })?;
        heads.shown.extend(newest.into_values());
        Ok(heads)
    }
}

/// Shows each leaf of a log that can be read.
fn each_line(
    source: &Directory,
    log: LogName,
    size: u64,
    visit: &mut dyn FnMut(&Leaf, &[u8]),
) -> Result<(), Finding> {
    for bundle in 0..bundles(size) {
        let read = source.nodes(log, bundle, size)?;
        if let Some(finding) = read.without_records {
            return Err(finding);
        }
        for node in &read.nodes {
            if let Node::Leaf(bytes, Some(record)) = node
                && let Ok(leaf) = Leaf::from_bytes(bytes)
            {
                visit(&leaf, record);
            }
        }
    }
    Ok(())
}

/// What a bundle holds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Summary {
    /// Records of the account.
    pub(crate) records: u64,
    /// Leaves of the other logs that are shown.
    shown: u64,
    /// Leaves of the other logs.
    others: u64,
    /// Use records that are shown.
    uses: u64,
    /// Use records that are hashes.
    hidden_uses: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
}

/// Writes a bundle.
///
/// # Errors
/// When the ledger cannot be read, or `out` not be written.
pub(crate) fn write(source: &Directory, plan: &Plan, out: &mut dyn Write) -> Result<Summary> {
    let sequence = Sequence::begin(&preamble())?;
    out.write_all(&preamble())?;
    let summary = Summary { bytes: preamble().len() as u64, ..Summary::default() };
    let mut writer = Writer { source, plan, out, sequence, summary, own: HashSet::new() };
    writer.put(&Part::Begin(Box::new(Begin {
        account: plan.account,
        genesis: plan.genesis.clone(),
        checkpoint: plan.trusted.note.to_bytes(),
        operator: plan.operator.clone(),
    })))?;
    for (log, size) in &plan.sizes {
        for bundle in 0..bundles(*size) {
            writer.leaves(*log, bundle, *size)?;
        }
    }
    writer.uses()?;
    let end = writer.sequence.end();
    writer.put(&end)?;
    Ok(writer.summary)
}

struct Writer<'a> {
    source: &'a Directory,
    plan: &'a Plan,
    out: &'a mut dyn Write,
    sequence: Sequence,
    summary: Summary,
    /// The uses that the account's events name.
    own: HashSet<(Uuid, u64)>,
}

impl Writer<'_> {
    fn put(&mut self, part: &Part) -> Result<()> {
        let bytes = self.sequence.write(part)?;
        self.out.write_all(&bytes)?;
        self.summary.bytes += bytes.len() as u64;
        Ok(())
    }

    fn leaves(&mut self, log: LogName, bundle: u64, size: u64) -> Result<()> {
        let read = self.source.nodes(log, bundle, size).map_err(|finding| failed(&finding))?;
        if let Some(finding) = read.without_records {
            return Err(failed(&finding));
        }
        let nodes = read.nodes.into_iter().map(|node| self.node(node)).collect::<Result<_>>()?;
        let first = bundle * TILE_WIDTH;
        self.put(&Part::Leaves(Leaves { log, first, nodes: AtMost(nodes) }))
    }

    fn node(&mut self, node: Node) -> Result<Shown> {
        let (bytes, record) = match node {
            Node::Hash(hash) => return Ok(Shown::Hash(hash)),
            Node::Leaf(bytes, record) => (bytes, record.context("a leaf has no record")?),
        };
        let leaf = Leaf::from_bytes(&bytes)?;
        let is_own = leaf.log == LogName::Account(self.plan.account);
        let shows = self.plan.shows(&leaf, &record);
        let counted = if is_own { &mut self.summary.records } else { &mut self.summary.others };
        *counted += 1;
        self.summary.shown += u64::from(shows && !is_own);
        if !shows {
            return Ok(Shown::Hash(leaf_hash(&bytes)));
        }
        if is_own && let Some(position) = leaf.use_position {
            self.own.insert((position.boot, position.seq));
        }
        Ok(Shown::Line(Line { leaf: bytes, record }))
    }

    /// keyd's chain from its first record up to the newest that the checkpoint covers.
    fn uses(&mut self) -> Result<()> {
        let Some(last) = self.plan.uses else { return Ok(()) };
        let (mut reached, mut fault) = (false, None);
        let source = self.source;
        let read = source.frames(Copy::Ledger, &mut |located| {
            for batch in &located.frame.batch.uses {
                if reached {
                    break;
                }
                if let Err(error) = self.batch(batch) {
                    fault = Some(error);
                    return false;
                }
                reached = batch.position() == last;
            }
            !reached
        });
        read.map_err(|finding| failed(&finding))?;
        match fault {
            Some(error) => Err(error),
            None if reached => Ok(()),
            None => bail!("the write-ahead log lacks use records that the checkpoint covers"),
        }
    }

    fn batch(&mut self, batch: &UseBatch) -> Result<()> {
        let view = batch.viewed(&|record| self.may_read(record))?;
        for record in &view.records.0 {
            match record {
                ViewedRecord::Hash(_) => self.summary.hidden_uses += 1,
                ViewedRecord::Whole(_) => self.summary.uses += 1,
            }
        }
        self.put(&Part::Uses(view))
    }

    /// keyd writes down whose request it was; on nobody's request, it is the account's whose event
    /// names it.
    fn may_read(&self, record: &UseRecord) -> bool {
        match &record.what {
            What::Boot(_) => true,
            What::Use(used) => match &used.principal {
                Some(principal) => principal.account == self.plan.account,
                None => self.own.contains(&(record.boot, record.seq)),
            },
        }
    }
}

fn failed(finding: &Finding) -> anyhow::Error {
    anyhow!("the ledger cannot be read ({finding})")
}

#[cfg(test)]
#[path = "tests/export.rs"]
mod tests;
