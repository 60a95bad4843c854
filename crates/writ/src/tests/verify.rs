//! Tests of `writ verify` against a synthetic ledger: one harm, one exit code.

use writ_model::{AccountId, Arn, PersonId, Uuid};
use writ_proof::at_most::AtMost;
use writ_proof::leaf::Source as Sender;
use writ_proof::origin::LogName;
use writ_proof::roster::{Change, Enrolment, EnrolmentId, PersonKey, RosterStatement};
use writ_proof::statement::Signed;
use writ_proof::use_record::{Use, UsePosition, UseResult};

use super::*;
use ledger::*;

#[path = "ledger.rs"]
pub(crate) mod ledger;

/// Where a test interferes while the ledger is written.
#[derive(Default)]
struct Harm {
    /// The roster statement that is appended.
    statement: Option<Signed>,
    /// Items of the second half, changed.
    items: Option<fn(&mut Vec<Item>)>,
    /// A use without its event, this long before the ledger goes on.
    unanswered: Option<u64>,
    /// Whether a restart is recorded after it.
    restart: bool,
    /// Whether that record came from front.
    by_front: bool,
    /// What keyd tells of the direct use.
    told: Option<fn(&mut Use)>,
    /// Who signs keyd's records instead of keyd.
    uses_signed_by: Option<[u8; 32]>,
    /// A head, changed.
    head: Option<fn(&mut writ_proof::leaf::LogHead)>,
    /// What keyd says of the customer's signature.
    signature: Option<u8>,
    /// What a further boot of keyd says was acknowledged.
    acknowledged: Option<UsePosition>,
}

/// A ledger with commits, key uses, a forwarded call and a roster statement.
fn ledger(harm: &Harm) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.frame(vec![statement(1, &genesis()), boot(2)], vec![]);
    let mut chain = Chain::begin(100, None);
    ledger.frame(vec![], vec![chain.signed()]);
    let signed = harm.statement.clone().unwrap_or_else(|| addition(&[21, 22]));
    ledger.frame(vec![statement(3, &signed)], vec![]);
    let mut told = Chain::a_use(owner(), 13, None);
    if let Some(change) = harm.told {
        change(&mut told);
    }
    let direct = chain.used_as(4, told);
    let forwarded = chain.used(4, 14, Some((15, harm.signature.unwrap_or(7))));
    if harm.unanswered.is_some() {
        chain.used(4, 99, None);
    }
    let batch = match harm.uses_signed_by {
        Some(seed) => chain.batch(seed),
        None => chain.signed(),
    };
    ledger.frame(vec![], vec![batch]);
    let mut items = vec![
        commit(event(10, None), 1, 0, 2),
        commit(event(11, None), 1, 1, 2),
        commit(event(12, None), 2, 0, 1),
        Item { position: Some(direct), ..event(13, None) },
        Item { position: Some(forwarded), ..event(14, Some((15, 7))) },
        event(15, None),
        // An equal request of the same second: one signature, another parent, which comes later.
        event(20, Some((16, 7))),
    ];
    if let Some(change) = harm.items {
        change(&mut items);
    }
    ledger.frame(items, vec![]);
    ledger.wait(harm.unanswered.unwrap_or(0));
    if harm.restart {
        let source = if harm.by_front { Sender::Front } else { Sender::Supervisor };
        ledger.frame(vec![Item { source, ..boot(4) }], vec![]);
    }
    if harm.acknowledged.is_some() {
        ledger.frame(vec![], vec![Chain::begin(101, harm.acknowledged).signed()]);
    }
    ledger.wait(60);
    ledger.frame(vec![commit(event(16, None), 3, 0, 1)], vec![]);
    ledger.heads(|head| {
        if let Some(change) = harm.head {
            change(head);
        }
    });
    ledger
}

/// Changes the event of the direct use.
fn edit(items: &mut [Item], pointer: &str, value: &str) {
    let item = items[3].clone();
    items[3] = item.told(|event| *event.pointer_mut(pointer).unwrap() = value.into());
}

fn other() -> AccountId {
    AccountId::from_number(999_999_999_999).unwrap()
}

fn key_of(account: AccountId) -> Arn {
    Arn::build("kms", "us-east-1", Some(account), "key/k")
}

/// A roster statement after genesis, signed by the keys of these numbers.
fn addition(signers: &[u8]) -> Signed {
    addition_at(1, 30, signers)
}

/// The same as number `seq`, with the new person's key of this number.
pub(crate) fn addition_at(seq: u64, new: u8, signers: &[u8]) -> Signed {
    let person: PersonId = "p".parse().unwrap();
    let key_of_p = PersonKey {
        person: person.clone(),
        key: writ_proof::sshsig::SshPublicKey::Ed25519(
            writ_proof::ed25519::Signer::public_key(&key([new; 32])).0,
        ),
        passkey: None,
    };
    let id = EnrolmentId { person, number: 1 };
    let enrolment = Enrolment { id, keys: AtMost(vec![key_of_p]) };
    let statement = RosterStatement {
        v: Default::default(),
        site: "site-1".parse().unwrap(),
        seq,
        prev: genesis().digest(),
        created: time(1),
        change: Change::Enrol(enrolment),
    };
    let mut signed = Signed::new(&statement).unwrap();
    signers.iter().for_each(|n| signed.sign(&key([*n; 32])).unwrap());
    signed
}

struct World {
    temp: tempfile::TempDir,
    genesis: Option<Hash>,
    fresh: bool,
    now: Timestamp,
}

impl World {
    fn new(ledger: &Ledger) -> World {
        let temp = tempfile::tempdir().unwrap();
        ledger.write(&temp.path().join("data"));
        World { temp, genesis: Some(genesis().digest()), fresh: true, now: time(130) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join("data").join(name)
    }

    fn log(&self, log: LogName, name: &str) -> PathBuf {
        self.path("trail/logs").join(origin(log)).join(name)
    }

    fn verify(&self) -> Report {
        let quorum = Quorum { policy: None, further: Vec::new() };
        let state = State::File(self.temp.path().join("state"));
        let (genesis, fresh, now) = (self.genesis, self.fresh, self.now);
        let options = Options { genesis, account: None, state, quorum, fresh, now };
        match Directory::open(&self.path("")) {
            Ok(source) => verify(&source, &options),
            Err(finding) => {
                let mut report = Report::default();
                report.push(finding);
                report
            }
        }
    }
}

fn assert_code(name: &str, report: &Report, code: Code) {
    assert_eq!(report.exit_code(), code.number(), "{name}: {:#?}", report.findings);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    put(path, &bytes);
}

#[test]
fn honest_ledger_verifies_and_is_kept() {
    let world = World::new(&ledger(&Harm::default()));
    let report = world.verify();
    assert_eq!(report.findings, []);
    let text = print::text(&report);
    assert!(text.starts_with("VERIFIED\n") && text.contains("site-1/watch cosigned"), "{text}");
    let again = world.verify();
    assert_eq!(again.findings, []);
    assert!(again.checked.iter().any(|(name, _)| *name == "grown since"));
    assert_eq!(print::json(&again)["ok"], true);
}

#[test]
fn genesis_that_was_compared_with_nothing_is_no_verification() {
    let mut world = World::new(&ledger(&Harm::default()));
    let genesis = world.genesis.take();
    // What the ledger says of itself is no more worth for having been remembered.
    for _ in 0..2 {
        let report = world.verify();
        assert_eq!((report.findings.len(), report.exit_code()), (0, finding::UNCOMPARED));
        assert!(print::text(&report).starts_with("CONSISTENT, genesis not compared"));
        assert_eq!(print::json(&report)["ok"], false);
    }
    world.genesis = genesis;
    assert_eq!(world.verify().exit_code(), 0);
    world.genesis = None;
    assert_eq!(world.verify().exit_code(), 0, "it was compared before");
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn ledgers_that_an_insider_wrote_are_refused() {
    let table: [(&str, Code, Harm); 23] = [
        (
            "roster statement that is missing",
            Code::Roots,
            Harm { statement: Some(addition_at(2, 30, &[21, 22])), ..Harm::default() },
        ),
        (
            "second roster statement of one number",
            Code::Roots,
            Harm {
                items: Some(|items| items.push(statement(60, &addition_at(1, 31, &[21, 22])))),
                ..Harm::default()
            },
        ),
        (
            "roster statement of too few",
            Code::Roots,
            Harm { statement: Some(addition(&[21])), ..Harm::default() },
        ),
        (
            "roster statement of strangers",
            Code::Roots,
            Harm { statement: Some(addition(&[21, 40])), ..Harm::default() },
        ),
        (
            "another root in the checkpoint log",
            Code::Trees,
            Harm { head: Some(|head| head.root = Hash([5; 32])), ..Harm::default() },
        ),
        (
            "record of a commit left out",
            Code::Commits,
            Harm { items: Some(|items| drop(items.remove(1))), ..Harm::default() },
        ),
        (
            "whole commit left out",
            Code::Commits,
            Harm { items: Some(|items| drop(items.remove(2))), ..Harm::default() },
        ),
        (
            "record of a commit twice",
            Code::Commits,
            Harm {
                items: Some(|items| items[1] = commit(event(17, None), 1, 0, 2)),
                ..Harm::default()
            },
        ),
        (
            "event without keyd's record",
            Code::Uses,
            Harm {
                items: Some(|items| items[3].position.as_mut().unwrap().hash = Hash::ZERO),
                ..Harm::default()
            },
        ),
        ("use without its event", Code::Uses, Harm { unanswered: Some(0), ..Harm::default() }),
        (
            "use without its event, long before a restart",
            Code::Uses,
            Harm {
                unanswered: Some(60),
                restart: true,
                items: Some(|items| items.push(event(18, None))),
                ..Harm::default()
            },
        ),
        (
            "use without its event, excused by a restart of front's own",
            Code::Uses,
            Harm { unanswered: Some(1), restart: true, by_front: true, ..Harm::default() },
        ),
        (
            "event of another operation",
            Code::Uses,
            Harm { items: Some(|items| edit(items, "/eventName", "ListKeys")), ..Harm::default() },
        ),
        (
            "event of another principal",
            Code::Uses,
            Harm {
                items: Some(|items| edit(items, "/userIdentity/arn", "arn:aws:iam::1:root")),
                ..Harm::default()
            },
        ),
        (
            "event in another account's log",
            Code::Uses,
            Harm {
                items: Some(|items| {
                    let position = items[3].position;
                    items[3] = Item { position, ..event_of(other(), 13, None) };
                }),
                ..Harm::default()
            },
        ),
        (
            "success of what keyd refused",
            Code::Uses,
            Harm {
                told: Some(|told| told.result = UseResult::Denied("AccessDenied".to_owned())),
                ..Harm::default()
            },
        ),
        (
            "event that leaves out the key",
            Code::Uses,
            Harm { told: Some(|told| told.key = Some(key_of(owner()))), ..Harm::default() },
        ),
        (
            "event without a copy for the key's owner",
            Code::Uses,
            Harm {
                told: Some(|told| told.key = Some(key_of(other()))),
                items: Some(|items| {
                    let arn = key_of(other());
                    items[3] = items[3].clone().told(|event| {
                        event["resources"] = serde_json::json!([{"ARN": arn.as_str()}]);
                    });
                }),
                ..Harm::default()
            },
        ),
        (
            "uses signed by another key",
            Code::Uses,
            Harm { uses_signed_by: Some([50; 32]), ..Harm::default() },
        ),
        (
            "acknowledged uses that are gone",
            Code::Uses,
            Harm {
                acknowledged: Some(UsePosition { boot: id(100), seq: 50, hash: Hash::ZERO }),
                ..Harm::default()
            },
        ),
        (
            "forged parent",
            Code::Forward,
            Harm { items: Some(|items| drop(items.remove(5))), ..Harm::default() },
        ),
        (
            "transaction of two signatures",
            Code::Forward,
            Harm { items: Some(|items| items.push(event(21, Some((16, 9))))), ..Harm::default() },
        ),
        (
            "another signature of the customer",
            Code::Forward,
            Harm { signature: Some(8), ..Harm::default() },
        ),
    ];
    for (name, code, harm) in table {
        let long_before = name.ends_with("restart");
        let mut built = ledger(&harm);
        if long_before {
            // The newest record before the restart must be long after the use.
            built = late_restart();
        }
        let report = World::new(&built).verify();
        assert_code(name, &report, code);
    }
}

/// A use without its event, other events a minute later, then a restart.
fn late_restart() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.frame(vec![statement(1, &genesis())], vec![]);
    let mut chain = Chain::begin(100, None);
    chain.used(2, 99, None);
    ledger.frame(vec![], vec![chain.signed()]);
    ledger.wait(60);
    ledger.frame(vec![event(10, None)], vec![]);
    ledger.frame(vec![boot(4)], vec![]);
    ledger.heads(|_| {});
    ledger
}

/// A ledger with these uses and events, and a restart.
fn with_uses(uses: Vec<(u64, Use)>, items: impl FnOnce(&[UsePosition]) -> Vec<Item>) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.frame(vec![statement(1, &genesis())], vec![]);
    let mut chain = Chain::begin(100, None);
    let positions: Vec<_> =
        uses.into_iter().map(|(secs, told)| chain.used_as(secs, told)).collect();
    ledger.frame(vec![], vec![chain.signed()]);
    ledger.frame(items(&positions), vec![]);
    ledger.frame(vec![boot(4)], vec![]);
    ledger.wait(60);
    ledger.frame(vec![event(10, None)], vec![]);
    ledger.heads(|_| {});
    ledger
}

#[test]
fn use_that_somebody_signed_and_that_names_no_event_is_found() {
    let hidden = Use { event_id: Uuid::from_bytes([0; 16]), ..Chain::a_use(owner(), 99, None) };
    let later = Chain::a_use(owner(), 14, None);
    let ledger = with_uses(vec![(2, hidden), (100, later)], |positions| {
        vec![Item { position: Some(positions[1]), ..event(14, None) }]
    });
    assert_code("nil event", &World::new(&ledger).verify(), Code::Uses);
}

/// trail writes the times of the ledger's leaves; those of the uses are keyd's.
#[test]
fn restart_excuses_no_use_long_before_it_though_trails_clock_stood_still() {
    let uses = vec![(2, Chain::a_use(owner(), 99, None)), (7200, Chain::a_use(owner(), 14, None))];
    let ledger =
        with_uses(uses, |positions| vec![Item { position: Some(positions[1]), ..event(14, None) }]);
    assert_code("frozen clock", &World::new(&ledger).verify(), Code::Uses);
}

#[test]
fn use_that_hides_behind_the_event_of_another_one_is_found() {
    let of = |account| Use { key: Some(key_of(account)), ..Chain::a_use(owner(), 14, None) };
    let tells = |position: &UsePosition| {
        let named = event(14, None).told(|event| {
            event["resources"] = serde_json::json!([{ "ARN": key_of(owner()).as_str() }]);
        });
        vec![Item { position: Some(*position), ..named }]
    };
    let honest = with_uses(vec![(2, of(owner()))], |positions| tells(&positions[0]));
    assert_eq!(World::new(&honest).verify().findings, []);
    // An answer of keyd that a crash took is told, and no failure: the ledger says that the call failed.
    let failed = event(14, None).told(|event| event["errorCode"] = "InternalFailure".into());
    let report = World::new(&with_uses(vec![(2, of(stranger()))], |_| vec![failed])).verify();
    assert_eq!(report.findings, []);
    assert!(report.notes.iter().any(|note| note.contains("did not arrive")), "{:?}", report.notes);
    for second in [owner(), stranger()] {
        let ledger = with_uses(vec![(2, of(owner())), (3, of(second))], |p| tells(&p[0]));
        assert_code("two uses of one event", &World::new(&ledger).verify(), Code::Uses);
    }
}

/// A forwarded use whose event came only after trail's restart; the service's own request was lost by it.
#[test]
fn parent_that_was_lost_with_a_restart_is_excused_though_the_event_came_after_it() {
    let mut ledger = Ledger::default();
    ledger.frame(vec![statement(1, &genesis())], vec![]);
    let mut chain = Chain::begin(100, None);
    let position = Some(chain.used(2, 14, Some((15, 7))));
    ledger.frame(vec![], vec![chain.signed()]);
    ledger.frame(vec![boot(4)], vec![]);
    ledger.frame(vec![Item { position, ..event(14, Some((15, 7))) }], vec![]);
    ledger.wait(60);
    ledger.frame(vec![event(10, None)], vec![]);
    ledger.heads(|_| {});
    let report = World::new(&ledger).verify();
    assert_eq!(report.findings, []);
    assert!(report.notes.iter().any(|note| note.contains("its parent")), "{:?}", report.notes);
}

#[test]
fn use_that_a_recorded_restart_left_unanswered_is_told_but_no_failure() {
    let harm = Harm { unanswered: Some(1), restart: true, ..Harm::default() };
    let report = World::new(&ledger(&harm)).verify();
    assert_eq!(report.findings, []);
    assert!(report.notes.iter().any(|note| note.starts_with("unanswered: use record")));
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn files_that_were_changed_are_refused() {
    type Change = fn(&World, &Ledger);
    let table: [(&str, Code, Change); 18] = [
        ("genesis file changed", Code::Roots, |w, _| flip(&w.path("trail/genesis"), 60)),
        ("two genesis files", Code::Roots, |w, _| flip(&w.path("genesis"), 60)),
        ("checkpoint by another key", Code::Signature, |w, l| {
            put(
                &w.log(LogName::Checkpoint, "checkpoint"),
                &l.note(LogName::Checkpoint, [60; 32], Some(WATCH)),
            );
        }),
        ("operator checkpoint by another key", Code::Signature, |w, l| {
            put(
                &w.log(LogName::Operator, "checkpoint"),
                &l.note(LogName::Operator, [60; 32], None),
            );
        }),
        ("no cosignature", Code::Witnesses, |w, l| {
            put(
                &w.log(LogName::Checkpoint, "checkpoint"),
                &l.note(LogName::Checkpoint, KEYD, None),
            );
        }),
        ("cosignature by another key", Code::Witnesses, |w, l| {
            put(
                &w.log(LogName::Checkpoint, "checkpoint"),
                &l.note(LogName::Checkpoint, KEYD, Some([61; 32])),
            );
        }),
        ("watch holds more", Code::Consistency, |w, l| {
            put(
                &w.path("trail/wal/0000000001.wal"),
                &l.frames[l.frames.len() / 2..l.frames.len() - 1].concat(),
            );
        }),
        ("watch holds another history", Code::Consistency, |w, _| {
            let other = ledger(&Harm { items: Some(|items| items.swap(0, 1)), ..Harm::default() });
            put(&w.path("watch/mirror/0000000000.wal"), &other.frames.concat());
        }),
        ("leaf changed", Code::Trees, |w, _| flip(&w.log(account(), "tile/entries/000.p/8"), 10)),
        ("leaves swapped", Code::Trees, |w, _| {
            let path = w.log(account(), "tile/entries/000.p/8");
            let bytes = std::fs::read(&path).unwrap();
            let mut leaves = writ_proof::tile::decode_entries(&bytes, 8).unwrap();
            leaves.swap(0, 1);
            put(&path, &writ_proof::tile::encode_entries(&leaves).unwrap());
        }),
        ("tile changed", Code::Trees, |w, _| flip(&w.log(account(), "tile/0/000.p/8"), 40)),
        ("record changed", Code::Records, |w, _| flip(&w.log(account(), "records.dat"), 40)),
        ("log that nobody wrote", Code::Trees, |w, _| {
            let stranger = w.path("trail/logs/writ/site-1/account/999999999999/records.idx");
            put(&stranger, &[0; 8]);
        }),
        ("bundle missing", Code::Files, |w, _| {
            std::fs::remove_file(w.log(account(), "tile/entries/000.p/8")).unwrap();
        }),
        ("log missing", Code::Files, |w, _| {
            std::fs::remove_dir_all(w.log(account(), "")).unwrap();
        }),
        ("checkpoint missing", Code::Files, |w, _| {
            std::fs::remove_file(w.log(LogName::Checkpoint, "checkpoint")).unwrap();
        }),
        ("first segment missing", Code::Files, |w, _| {
            std::fs::remove_file(w.path("trail/wal/0000000000.wal")).unwrap();
        }),
        ("frame changed", Code::Trees, |w, _| flip(&w.path("trail/wal/0000000000.wal"), 90)),
    ];
    let honest = ledger(&Harm::default());
    for (name, code, change) in table {
        let world = World::new(&honest);
        change(&world, &honest);
        assert_code(name, &world.verify(), code);
    }
}

#[test]
fn other_genesis_old_checkpoint_and_rollback_are_refused() {
    let honest = ledger(&Harm::default());
    let mut world = World::new(&honest);
    world.genesis = Some(Hash::ZERO);
    assert_code("genesis that was not handed out", &world.verify(), Code::Roots);
    world.genesis = None;
    assert!(world.verify().checked.iter().any(|(_, value)| value.contains("NOT compared")));
    world.now = time(1000);
    assert_code("old checkpoint replayed", &world.verify(), Code::Freshness);
    world.fresh = false;
    assert_eq!(world.verify().findings, []);

    let mut longer = honest.clone();
    longer.frame(vec![event(19, None)], vec![]);
    longer.heads(|_| {});
    let data = world.path("");
    std::fs::remove_dir_all(&data).unwrap();
    longer.write(&data);
    assert_eq!(world.verify().findings, [], "it has grown");
    std::fs::remove_dir_all(&data).unwrap();
    honest.write(&data);
    assert_code("rolled back", &world.verify(), Code::Consistency);
    let other = Harm { items: Some(|items| items.swap(3, 5)), ..Harm::default() };
    let mut other = ledger(&other);
    other.frame(vec![event(19, None)], vec![]);
    other.heads(|_| {});
    std::fs::remove_dir_all(&data).unwrap();
    other.write(&data);
    assert_code("another history, signed and witnessed", &world.verify(), Code::Consistency);
}
