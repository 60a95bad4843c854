//! Tests of `writ export` and of `writ verify` on its bundles, against a synthetic ledger: honest
//! bundles verify, and each harm has its exit code.

use writ_model::Timestamp;
use writ_proof::Hash;
use writ_proof::cbor;
use writ_proof::export::{End, PREFIX_BYTES, read_all};
use writ_proof::note::Note;

use super::*;
use crate::verify::finding::Code;
use crate::verify::tests::ledger::*;

/// A ledger of two accounts, with key uses of both, a forwarded call and commits.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.frame(vec![statement(1, &genesis()), boot(2)], vec![]);
    let mut chain = Chain::begin(100, None);
    ledger.frame(vec![], vec![chain.signed()]);
    let direct = chain.used(4, 13, None);
    let theirs = chain.used_by(stranger(), 4, 31, None);
    let forwarded = chain.used(4, 14, Some((15, 7)));
    ledger.frame(vec![], vec![chain.signed()]);
    let items = vec![
        commit(event(10, None), 1, 0, 2),
        commit(event_of(stranger(), 30, None), 1, 1, 2),
        Item { position: Some(direct), ..event(13, None) },
        commit(Item { position: Some(theirs), ..event_of(stranger(), 31, None) }, 2, 0, 1),
        Item { position: Some(forwarded), ..event(14, Some((15, 7))) },
        commit(event(15, None), 3, 0, 1),
    ];
    ledger.frame(items, vec![]);
    ledger.heads(|_| {});
    grown(&ledger, 16)
}

/// The same ledger later on.
fn grown(ledger: &Ledger, n: u8) -> Ledger {
    let mut longer = ledger.clone();
    longer.wait(10);
    longer.frame(vec![event(n, None), event_of(stranger(), n + 100, None)], vec![]);
    longer.heads(|_| {});
    longer
}

/// The bundle of an account, as the ledger's files give it.
fn bundle_of(ledger: &Ledger, account: AccountId) -> Vec<u8> {
    let temp = tempfile::tempdir().unwrap();
    ledger.write(temp.path());
    let source = Directory::open(temp.path()).unwrap();
    let plan = Plan::make(&source, account).unwrap();
    let mut bytes = Vec::new();
    let summary = write(&source, &plan, &mut bytes).unwrap();
    assert_eq!(summary.bytes, bytes.len() as u64);
    bytes
}

/// What an owner has: a folder, and what came out of band.
struct Owner {
    temp: tempfile::TempDir,
    genesis: Hash,
    account: Option<AccountId>,
    now: Timestamp,
}

impl Owner {
    fn new() -> Owner {
        let temp = tempfile::tempdir().unwrap();
        Owner { temp, genesis: genesis().digest(), account: None, now: time(130) }
    }

    fn verify(&self, bundle: &[u8]) -> Report {
        let path = self.temp.path().join("bundle");
        put(&path, bundle);
        let options = Options {
            genesis: Some(self.genesis),
            account: self.account,
            state: State::File(self.temp.path().join("state")),
            quorum: Quorum { policy: None, further: Vec::new() },
            fresh: true,
            now: self.now,
        };
        match Bundle::open(&path) {
            Ok(bundle) => verify(&bundle, &options),
            Err(finding) => Report { findings: vec![finding], ..Report::default() },
        }
    }
}

fn parts_of(bundle: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    read_all(bundle, &mut |part| parts.push(part)).unwrap();
    parts.pop();
    parts
}

/// A bundle of these parts, with an end that fits.
fn bundle(parts: &[Part]) -> Vec<u8> {
    let mut sequence = Sequence::begin(&preamble()).unwrap();
    let mut bytes = preamble().to_vec();
    for part in parts {
        bytes.extend(sequence.write(part).unwrap());
    }
    bytes.extend(sequence.write(&sequence.end()).unwrap());
    bytes
}

fn begin(parts: &mut [Part]) -> &mut Begin {
    let found = parts.iter_mut().find_map(|part| match part {
        Part::Begin(begin) => Some(&mut **begin),
        _ => None,
    });
    found.unwrap()
}

fn nodes(parts: &mut [Part], log: LogName) -> &mut Vec<Shown> {
    let found = parts.iter_mut().find_map(|part| match part {
        Part::Leaves(leaves) if leaves.log == log => Some(&mut leaves.nodes.0),
        _ => None,
    });
    found.unwrap()
}

fn line(node: &mut Shown) -> &mut Line {
    match node {
        Shown::Line(line) => line,
        Shown::Hash(_) => panic!("it is a hash"),
    }
}

fn hide(node: &mut Shown) {
    if let Shown::Line(line) = node {
        *node = Shown::Hash(leaf_hash(&line.leaf));
    }
}

/// The last of the batches of use records.
fn batch(parts: &mut [Part]) -> &mut writ_proof::use_record::UseBatchView {
    let found = parts.iter_mut().rev().find_map(|part| match part {
        Part::Uses(batch) => Some(batch),
        _ => None,
    });
    found.unwrap()
}

fn heads_of_owner(parts: &mut [Part]) -> Vec<&mut Shown> {
    let is_own = |node: &&mut Shown| match node {
        Shown::Line(line) => matches!(
            Head::from_bytes(&line.record), Ok(Head::Log(head)) if head.origin.log == account()
        ),
        Shown::Hash(_) => false,
    };
    nodes(parts, LogName::Checkpoint).iter_mut().filter(is_own).collect()
}

#[track_caller]
fn assert_code(name: &str, report: &Report, code: Code) {
    assert_eq!(report.exit_code(), code.number(), "{name}: {:#?}", report.findings);
}

#[test]
fn honest_bundle_verifies_and_is_kept() {
    let (customer, bytes) = (Owner::new(), bundle_of(&ledger(), owner()));
    let report = customer.verify(&bytes);
    assert_eq!(report.findings, []);
    let told = |report: &Report, name: &str, part: &str| {
        report.checked.iter().any(|(found, value)| *found == name && value.contains(part))
    };
    assert!(told(&report, "account", "111122223333"));
    assert!(told(&report, "events", "5, 1 of them forwarded"), "{:?}", report.checked);
    assert!(told(&report, "key uses", "4 records"), "{:?}", report.checked);
    assert!(report.notes.iter().any(|note| note.starts_with("1 of 4 key uses")));
    assert_eq!(report.limits.len(), 4);
    let again = customer.verify(&bytes);
    assert_eq!(again.findings, []);
    assert!(told(&again, "grown since", "account/111122223333"), "{:?}", again.checked);
    assert_eq!(customer.verify(&bundle_of(&grown(&ledger(), 17), owner())).findings, []);
    // The parts that attacks below are made of, put together again unchanged.
    assert_eq!(bundle(&parts_of(&bytes)), bytes);
}

#[test]
fn bundle_of_many_leaves_verifies() {
    let mut ledger = ledger();
    for n in 0..150 {
        ledger.frame((0..4).map(|_| event(n, None)).collect(), vec![]);
        ledger.heads(|_| {});
    }
    let bytes = bundle_of(&ledger, owner());
    let owner = Owner { now: time(400), ..Owner::new() };
    let report = owner.verify(&bytes);
    assert_eq!(report.findings.iter().filter(|f| f.code != Code::Freshness).count(), 0);
    let parts = parts_of(&bytes);
    assert_eq!(parts.iter().filter(|part| matches!(part, Part::Leaves(_))).count(), 1 + 3 + 3);
    let mut swapped = parts;
    let last = swapped.iter_mut().rev().find_map(|part| match part {
        Part::Leaves(leaves) => Some(&mut leaves.nodes.0),
        _ => None,
    });
    last.unwrap().swap(0, 1);
    let newcomer = Owner { now: time(400), ..Owner::new() };
    assert_code("swapped in the last part", &newcomer.verify(&bundle(&swapped)), Code::Trees);
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn bundles_that_were_changed_are_refused() {
    type Change = fn(&mut Vec<Part>);
    let table: [(&str, Code, Change); 21] = [
        ("record rewritten", Code::Records, |parts| {
            let record = &mut line(&mut nodes(parts, account())[1]).record;
            let text = String::from_utf8(record.clone()).unwrap();
            *record = text.replace("key-13-of", "key-99-of").into_bytes();
        }),
        ("record of another event", Code::Records, |parts| {
            let nodes = nodes(parts, account());
            let other = line(&mut nodes[0]).record.clone();
            line(&mut nodes[1]).record = other;
        }),
        ("leaf left out", Code::Files, |parts| drop(nodes(parts, account()).remove(1))),
        ("leaf left out, its neighbour twice", Code::Trees, |parts| {
            let nodes = nodes(parts, account());
            nodes[1] = nodes[0].clone();
        }),
        ("leaves swapped", Code::Trees, |parts| nodes(parts, account()).swap(0, 1)),
        ("leaf hash changed", Code::Trees, |parts| {
            let nodes = nodes(parts, LogName::Checkpoint);
            let hidden = nodes.iter_mut().find(|node| matches!(node, Shown::Hash(_)));
            *hidden.unwrap() = Shown::Hash(Hash([9; 32]));
        }),
        ("newest leaf cut", Code::Files, |parts| drop(nodes(parts, account()).pop())),
        ("newest part cut", Code::Files, |parts| {
            parts.retain(|part| !matches!(part, Part::Leaves(l) if l.log == account()));
        }),
        ("checkpoint log cut", Code::Files, |parts| {
            nodes(parts, LogName::Checkpoint).pop();
        }),
        ("leaf that no checkpoint covers", Code::Trees, |parts| {
            let nodes = nodes(parts, account());
            nodes.push(nodes[0].clone());
        }),
        ("heads of the account hidden", Code::Trees, |parts| {
            heads_of_owner(parts).into_iter().for_each(hide);
        }),
        ("genesis hidden", Code::Roots, |parts| hide(&mut nodes(parts, LogName::Operator)[0])),
        ("checkpoint by another key", Code::Signature, |parts| {
            begin(parts).checkpoint = ledger().note(LogName::Checkpoint, [60; 32], Some(WATCH));
        }),
        ("checkpoint of another log", Code::Signature, |parts| {
            begin(parts).checkpoint = begin(parts).operator.clone();
        }),
        ("operator checkpoint by another key", Code::Signature, |parts| {
            begin(parts).operator = ledger().note(LogName::Operator, [60; 32], None);
        }),
        ("no cosignature", Code::Witnesses, |parts| {
            begin(parts).checkpoint = ledger().note(LogName::Checkpoint, KEYD, None);
        }),
        ("genesis changed", Code::Roots, |parts| begin(parts).genesis[60] ^= 1),
        ("use record withheld", Code::Uses, |parts| {
            let record = &mut batch(parts).records.0[0];
            let ViewedRecord::Whole(bytes) = record.clone() else { panic!("it is hidden") };
            *record = ViewedRecord::Hash(writ_proof::hash::sha256(&bytes));
        }),
        ("use record changed", Code::Uses, |parts| {
            batch(parts).records.0[1] = ViewedRecord::Hash(Hash([9; 32]));
        }),
        ("use records left out", Code::Uses, |parts| {
            let last = parts.iter().rposition(|part| matches!(part, Part::Uses(_))).unwrap();
            parts.remove(last);
        }),
        ("use records signed by another key", Code::Uses, |parts| {
            let batch = batch(parts);
            let message = writ_proof::use_record::head_message(&batch.position());
            batch.signature = writ_proof::ed25519::Signer::sign(&key([50; 32]), &message).unwrap();
        }),
    ];
    let honest = parts_of(&bundle_of(&ledger(), owner()));
    for (name, code, change) in table {
        assert_eq!(Owner::new().verify(&bundle(&honest)).findings, [], "the control of {name}");
        let mut parts = honest.clone();
        change(&mut parts);
        assert_ne!(parts, honest, "{name}: nothing was changed");
        assert_code(name, &Owner::new().verify(&bundle(&parts)), code);
    }
}

#[test]
fn ledger_that_lacks_what_a_bundle_tells_of_is_refused() {
    // An event that names a use of which keyd knows nothing, and a use without its event.
    let mut forged = ledger();
    let mut chain = Chain::begin(101, None);
    let position = chain.used(15, 50, None);
    forged.frame(vec![Item { position: Some(position), ..event(50, None) }], vec![]);
    forged.heads(|_| {});
    assert_code("event", &Owner::new().verify(&bundle_of(&forged, owner())), Code::Uses);
    let mut silent = ledger();
    silent.frame(vec![], vec![chain.signed()]);
    silent.wait(60);
    assert_code("use", &Owner::new().verify(&bundle_of(&grown(&silent, 17), owner())), Code::Uses);
    let mut orphan = ledger();
    orphan.frame(vec![event(18, Some((19, 7)))], vec![]);
    orphan.wait(60);
    let bytes = bundle_of(&grown(&orphan, 17), owner());
    assert_code("no parent", &Owner::new().verify(&bytes), Code::Forward);
}

#[test]
fn use_that_a_recorded_restart_left_unanswered_is_told_but_no_failure() {
    let mut crashed = ledger();
    let mut chain = Chain::begin(101, None);
    chain.used(15, 50, None);
    crashed.frame(vec![], vec![chain.signed()]);
    crashed.frame(vec![boot(3)], vec![]);
    crashed.wait(60);
    let report = Owner::new().verify(&bundle_of(&grown(&crashed, 17), owner()));
    assert_eq!(report.findings, []);
    assert!(report.notes.iter().any(|note| note.starts_with("unanswered: use record")));
}

#[test]
fn other_genesis_and_old_checkpoint_are_refused() {
    let bytes = bundle_of(&ledger(), owner());
    let other = Owner { genesis: Hash::ZERO, ..Owner::new() };
    assert_code("other genesis", &other.verify(&bytes), Code::Roots);
    let late = Owner { now: time(1000), ..Owner::new() };
    assert_code("old checkpoint", &late.verify(&bytes), Code::Freshness);
}

#[test]
fn older_and_forked_bundles_are_refused_by_who_saw_more() {
    let (old, new) = (ledger(), grown(&ledger(), 17));
    let (old, newer) = (bundle_of(&old, owner()), bundle_of(&new, owner()));
    let seen = Owner::new();
    assert_eq!(seen.verify(&old).findings, [], "the control: by itself it is sound");
    assert_eq!(seen.verify(&newer).findings, []);
    let older = seen.verify(&old);
    assert_code("older", &older, Code::Consistency);
    assert!(older.findings[0].what.contains("give a --state of its own"), "{:?}", older.findings);
    let fork = grown(&grown(&ledger(), 18), 19);
    let fork = bundle_of(&fork, owner());
    assert_eq!(Owner::new().verify(&fork).findings, [], "the control: by itself it is sound");
    assert_code("forked", &seen.verify(&fork), Code::Consistency);
    assert_eq!(seen.verify(&newer).findings, [], "a refusal changes nothing that was seen");
}

/// The checkpoint is the same, only the newest head of the account is given as a hash, with the leaves
/// that it covers cut. A newcomer cannot see that; whoever saw the head can.
#[test]
fn newest_head_hidden_is_refused_by_who_saw_it() {
    let whole = bundle_of(&ledger(), owner());
    let mut parts = parts_of(&whole);
    hide(heads_of_owner(&mut parts).pop().unwrap());
    nodes(&mut parts, account()).pop();
    let cut = bundle(&parts);
    let newcomer = Owner::new();
    let report = newcomer.verify(&cut);
    assert_eq!(report.findings, []);
    assert!(report.limits.iter().any(|limit| limit.contains("later head of your log")));
    let seen = Owner::new();
    assert_eq!(seen.verify(&whole).findings, []);
    assert_code("cut", &seen.verify(&cut), Code::Consistency);
    assert_eq!(newcomer.verify(&whole).findings, [], "more may come");
    assert_code("cut afterwards", &newcomer.verify(&cut), Code::Consistency);
}

/// What a bundle left behind is compared with a directory, and the other way round.
#[test]
fn bundle_and_directory_remember_for_each_other() {
    let owner_of = Owner::new();
    assert_eq!(owner_of.verify(&bundle_of(&grown(&ledger(), 17), owner())).findings, []);
    let options = |state: &Path| Options {
        genesis: Some(genesis().digest()),
        account: None,
        state: State::File(state.to_owned()),
        quorum: Quorum { policy: None, further: Vec::new() },
        fresh: false,
        now: time(130),
    };
    let state = owner_of.temp.path().join("state");
    let data = owner_of.temp.path().join("data");
    grown(&grown(&ledger(), 17), 18).write(&data);
    let report = verify(&Directory::open(&data).unwrap(), &options(&state));
    assert_eq!(report.findings, []);
    let kept = fs::read_to_string(&state).unwrap();
    assert!(kept.contains("\nlog account/111122223333 6 "), "it keeps the head: {kept}");
    let older = bundle_of(&grown(&ledger(), 17), owner());
    assert_code("older than the directory", &owner_of.verify(&older), Code::Consistency);
}

#[test]
fn bundle_of_another_account_is_refused() {
    let theirs = bundle_of(&ledger(), stranger());
    assert_eq!(Owner::new().verify(&theirs).findings, [], "the control: it is theirs");
    let asked = Owner { account: Some(owner()), ..Owner::new() };
    assert_code("said to be theirs", &asked.verify(&theirs), Code::Trees);
    let mut parts = parts_of(&theirs);
    begin(&mut parts).account = owner();
    for part in &mut parts {
        if let Part::Leaves(leaves) = part
            && leaves.log == LogName::Account(stranger())
        {
            leaves.log = account();
        }
    }
    assert_code("made to be theirs", &asked.verify(&bundle(&parts)), Code::Trees);
}

#[test]
fn flipped_byte_and_cut_file_never_pass() {
    let bytes = bundle_of(&ledger(), owner());
    assert_eq!(Owner::new().verify(&bytes).findings, [], "the control");
    for length in (0..bytes.len()).step_by(11) {
        assert_code("cut", &Owner::new().verify(&bytes[..length]), Code::Files);
    }
    let end = cbor::to_vec(&Part::End(End { digest: Hash::ZERO }));
    let ends = bytes.len() - PREFIX_BYTES - end.len();
    let mut step = 1;
    let mut at = 0;
    while at < bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let report = Owner::new().verify(&flipped);
        assert_code(&format!("byte {at}"), &report, Code::Files);
        // By somebody who makes the digest at the end fit.
        if at < ends {
            let digest = writ_proof::hash::sha256(&flipped[..ends]);
            let start = flipped.len() - 32;
            flipped[start..].copy_from_slice(&digest.0);
            let report = Owner::new().verify(&flipped);
            assert_ne!(report.exit_code(), 0, "byte {at}, digest made to fit");
        }
        // Steps of no regular width, so that each kind of byte is met.
        step = step * 31 % 17 + 1;
        at += step;
    }
}

#[test]
fn bundle_holds_nothing_of_another_account() {
    let temp = tempfile::tempdir().unwrap();
    ledger().write(temp.path());
    let holds = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
    let wal = fs::read(temp.path().join("watch/mirror/0000000000.wal")).unwrap();
    let bytes = bundle_of(&ledger(), owner());
    let number = cbor::to_vec(&stranger());
    let theirs: [(&str, &[u8]); 5] = [
        ("the account's number as text", b"999988887777"),
        ("as a number", &number),
        ("a name in a record", b"key-30-of"),
        ("an event's id", &id(30).bytes()),
        ("the event's id in a use record", &id(31).bytes()),
    ];
    for (what, needle) in theirs {
        assert!(holds(&wal, needle), "the control: the ledger holds {what}");
        assert!(!holds(&bytes, needle), "the bundle holds {what}");
    }
    for own in [b"111122223333".as_slice(), b"key-13-of", &id(13).bytes()] {
        assert!(holds(&bytes, own), "the control: it holds the owner's");
    }
}

fn args(data: &Path, out: &Path, overwrite: bool) -> ExportArgs {
    let (data, out) = (data.to_owned(), out.to_owned());
    ExportArgs { account: owner(), data, out, overwrite }
}

/// Every file below a folder with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(content(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn export_replaces_a_file_only_when_told_and_changes_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let (data, out) = (temp.path().join("data"), temp.path().join("out/a.writ"));
    ledger().write(&data);
    fs::create_dir(temp.path().join("out")).unwrap();
    let before = content(&data);
    run(&args(&data, &out, false)).unwrap();
    assert_eq!(Owner::new().verify(&fs::read(&out).unwrap()).findings, []);
    put(&out, b"mine");
    let refused = run(&args(&data, &out, false)).unwrap_err().to_string();
    assert!(refused.contains("--overwrite"), "{refused}");
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    run(&args(&data, &out, true)).unwrap();
    assert_ne!(fs::read(&out).unwrap(), b"mine");
    assert_eq!(content(&data), before);
    assert_eq!(fs::read_dir(temp.path().join("out")).unwrap().count(), 1, "nothing is left beside");
}

#[test]
fn export_that_cannot_be_says_what_to_do_and_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (data, out) = (temp.path().join("data"), temp.path().join("out/a.writ"));
    fs::create_dir(temp.path().join("out")).unwrap();
    let refusal = |args: &ExportArgs| {
        let error = run(args).unwrap_err();
        assert_eq!(fs::read_dir(temp.path().join("out")).unwrap().count(), 0);
        format!("{error:#}")
    };
    assert!(refusal(&args(&data, &out, false)).contains("writ verify --data"));
    ledger().write(&data);
    let unknown = AccountId::from_number(5).unwrap();
    let text = refusal(&ExportArgs { account: unknown, ..args(&data, &out, false) });
    assert!(text.contains("is the number right"), "{text}");
    // A ledger that was changed gives no bundle.
    let folder = data.join("trail/logs").join(origin(account()));
    let mut records = fs::read(folder.join("records.dat")).unwrap();
    records[40] ^= 1;
    put(&folder.join("records.dat"), &records);
    let text = refusal(&args(&data, &out, false));
    assert!(text.contains("15 records"), "{text}");
    let note = ledger().note(LogName::Checkpoint, KEYD, None);
    assert!(Note::from_bytes(&note).is_ok());
    let folder = data.join("trail/logs").join(origin(LogName::Checkpoint));
    put(&folder.join("checkpoint"), &note);
    let text = refusal(&args(&data, &out, false));
    assert!(text.contains("12 witnesses"), "{text}");
}
