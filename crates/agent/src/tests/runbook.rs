//! Tests of the executor's decisions: which orders it takes, and what it says of those that it does not.

use std::sync::Mutex;
use std::time::Duration;

use writ_model::PersonId;
use writ_model::env::TestEnv;
use writ_proof::at_most::AtMost;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hash::Hash;
use writ_proof::runbook::{Class, Output, Program};

use super::*;

/// Front, as far as an executor sees it.
#[derive(Default)]
struct Front {
    refuses: bool,
    silent: bool,
    begun: Mutex<Vec<Ulid>>,
    ended: Mutex<Vec<(Ulid, Ended)>>,
}

impl Orders for Front {
    fn begin(&self, run: Ulid) -> Result<(), String> {
        self.begun.lock().unwrap().push(run);
        if self.refuses { Err("revoked".to_owned()) } else { Ok(()) }
    }

    fn goes_on(&self, _: Ulid) -> bool {
        true
    }

    fn end(&self, run: Ulid, ended: &Ended) -> Result<(), String> {
        if self.silent {
            return Err("nobody answers".to_owned());
        }
        self.ended.lock().unwrap().push((run, ended.clone()));
        Ok(())
    }
}

const NOON: u64 = 1_800_000_000;

fn key(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

fn entry() -> Entry {
    Entry {
        v: Version,
        site: "site-1".parse().unwrap(),
        name: "nothing".parse().unwrap(),
        version: 1,
        title: "Nothing".to_owned(),
        description: "Its program is not there.".to_owned(),
        class: Class::Health,
        group: "oncall".parse().unwrap(),
        parameters: AtMost(Vec::new()),
        program: Program { path: "/no/such/program".to_owned(), digest: Hash([1; 32]) },
        arguments: AtMost(Vec::new()),
        run_as: "root".to_owned(),
        seconds: 5,
        memory_mib: 64,
        output: Output { fields: AtMost(Vec::new()) },
        created: Timestamp::from_secs(NOON),
    }
}

fn order(n: u8, harm: impl FnOnce(&mut RunOrder)) -> Ordered {
    let entry = entry();
    let mut order = RunOrder {
        v: Version,
        site: entry.site.clone(),
        run: Ulid::from_bytes([n; 16]),
        grant: Hash([n; 32]),
        person: "p11".parse::<PersonId>().unwrap(),
        entry: entry.digest(),
        settings: AtMost(Vec::new()),
        host: "web-1".parse().unwrap(),
        not_before: Timestamp::from_secs(NOON),
        not_after: Timestamp::from_secs(NOON + 60),
    };
    harm(&mut order);
    let run = order.run;
    Ordered { run, order: order.sign(&key(1)).unwrap(), entry: cbor::to_vec(&entry) }
}

fn open(dir: &Path) -> Executor {
    Executor::open(dir, "web-1".parse().unwrap(), key(1).public_key()).unwrap()
}

fn cause(ended: &Ended) -> Cause {
    assert_eq!((ended.outcome, ended.answer.as_ref()), (Outcome::Refused, None));
    ended.cause.unwrap()
}

#[test]
fn order_that_is_not_for_here_and_now_is_refused_and_nothing_begins() {
    let dir = tempfile::tempdir().unwrap();
    let (mut executor, front) = (open(dir.path()), Front::default());
    let env = TestEnv::new(Timestamp::from_secs(NOON + 1), 1);
    let mut foreign = order(1, |_| ());
    foreign.order.signature = [9; 64];
    let mut bent = order(2, |_| ());
    *bent.order.order.last_mut().unwrap() ^= 1;
    let mut renamed = order(3, |_| ());
    renamed.run = Ulid::from_bytes([8; 16]);
    let mut swapped = order(4, |_| ());
    swapped.entry = cbor::to_vec(&Entry { seconds: 3600, ..entry() });
    for (ordered, wanted) in [
        (foreign, Cause::BadOrder),
        (bent, Cause::BadOrder),
        (renamed, Cause::BadOrder),
        (swapped, Cause::BadOrder),
        (order(5, |o| o.host = "web-2".parse().unwrap()), Cause::OtherHost),
        (order(6, |o| o.not_after = Timestamp::from_secs(NOON)), Cause::Expired),
        (order(7, |o| o.not_before = Timestamp::from_secs(NOON + 30)), Cause::Expired),
    ] {
        let ended = executor.carry_out(&ordered, &front, &env).unwrap();
        assert_eq!(cause(&ended), wanted);
        let told = front.ended.lock().unwrap().last().cloned();
        assert_eq!(told, Some((ordered.run, ended)), "front is told of it");
    }
    assert!(front.begun.lock().unwrap().is_empty());
}

#[test]
fn order_is_taken_once_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let env = TestEnv::new(Timestamp::from_secs(NOON + 1), 1);
    let front = Front::default();
    let first = order(1, |_| ());
    let same_grant = order(2, |order| order.grant = Hash([1; 32]));
    {
        let mut executor = open(dir.path());
        let ended = executor.carry_out(&first, &front, &env).unwrap();
        assert_eq!(cause(&ended), Cause::OtherProgram, "it was tried");
        assert_eq!(cause(&executor.carry_out(&first, &front, &env).unwrap()), Cause::Replayed);
    }
    let mut executor = open(dir.path());
    assert_eq!(cause(&executor.carry_out(&first, &front, &env).unwrap()), Cause::Replayed);
    assert_eq!(cause(&executor.carry_out(&same_grant, &front, &env).unwrap()), Cause::Replayed);
    assert_eq!(front.begun.lock().unwrap().len(), 1);
    let ended = front.ended.lock().unwrap();
    let told: Vec<Ulid> = ended.iter().map(|(run, _)| *run).collect();
    assert_eq!(told, [first.run, same_grant.run], "the end of the first is told once");
    // Long after, it is forgotten; then its time is over.
    env.advance(Duration::from_secs(49 * 3600));
    executor.settle(&front, env.now()).unwrap();
    drop(ended);
    assert_eq!(cause(&executor.carry_out(&first, &front, &env).unwrap()), Cause::Expired);
}

#[test]
fn run_that_the_ledger_does_not_have_does_not_begin() {
    let dir = tempfile::tempdir().unwrap();
    let env = TestEnv::new(Timestamp::from_secs(NOON + 1), 1);
    let front = Front { refuses: true, ..Front::default() };
    let ended = open(dir.path()).carry_out(&order(1, |_| ()), &front, &env).unwrap();
    assert_eq!(cause(&ended), Cause::GrantEnded);
}

#[test]
fn run_that_a_crash_ended_is_told_as_killed_and_not_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let env = TestEnv::new(Timestamp::from_secs(NOON + 1), 1);
    let ordered = order(1, |_| ());
    let checked = order(1, |_| ()).order.verify(&key(1).public_key()).unwrap();
    // The process goes down between the note and the end.
    open(dir.path()).used.take(&checked).unwrap();
    let (silent, front) = (Front { silent: true, ..Front::default() }, Front::default());
    let mut executor = open(dir.path());
    executor.settle(&silent, env.now()).unwrap();
    executor.settle(&front, env.now()).unwrap();
    let told = front.ended.lock().unwrap().clone();
    let killed = ended(Outcome::Killed, Some(Cause::Restarted));
    assert_eq!(told, [(ordered.run, killed)]);
    assert_eq!(cause(&executor.carry_out(&ordered, &front, &env).unwrap()), Cause::Replayed);
    executor.settle(&front, env.now()).unwrap();
    assert_eq!(front.ended.lock().unwrap().len(), 1, "told once");
}

#[test]
fn host_key_is_read_from_the_file_of_ssh_keygen() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, more: &[&str]| {
        let path = dir.path().join(name);
        #[expect(clippy::disallowed_methods, reason = "OpenSSH makes the key")]
        let made = std::process::Command::new("ssh-keygen")
            .arg("-q")
            .args(more)
            .arg("-f")
            .arg(&path)
            .status();
        assert!(made.unwrap().success());
        path
    };
    let path = make("host", &["-t", "ed25519", "-N", "", "-C", "a comment"]);
    let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    let public: writ_proof::sshsig::SshPublicKey = public.parse().unwrap();
    let read = host_key(&path).unwrap().public_key().0;
    assert_eq!(writ_proof::sshsig::SshPublicKey::Ed25519(read), public);
    for (name, more) in
        [("locked", ["-t", "ed25519", "-N", "secret"]), ("curve", ["-t", "ecdsa", "-N", ""])]
    {
        let Err(error) = host_key(&make(name, &more)) else { panic!("{name} was read") };
        assert!(error.to_string().contains("no ssh-ed25519 key"), "{error}");
    }
}
