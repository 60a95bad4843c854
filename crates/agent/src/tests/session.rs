//! Tests of how sessions are followed; with processes of real sessions in the claims of C-08.

use writ_model::env::TestEnv;
use writ_proof::ed25519::{Signer as _, SoftKey};

use super::*;
use crate::limits::{SESSION_FAULT_LEAST, SESSION_LOOK};

const ID: &str = "req=1;user=anna;ses=2";

struct Bench {
    env: Arc<TestEnv>,
    sessions: Sessions,
    _temp: tempfile::TempDir,
}

impl Bench {
    /// Without control groups, and with no `sshd` that takes connections.
    fn new() -> Bench {
        let temp = tempfile::tempdir().unwrap();
        let (authority, pid_file) = (temp.path().join("ca.pub"), Some(temp.path().join("pid")));
        let key = SoftKey::from_seed(&[1; 32]).unwrap().public_key();
        let line = SshPublicKey::Ed25519(key.0).to_string();
        disk::replace(&authority, line.as_bytes(), 0o600).unwrap();
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(1_700_000_000), 1));
        let config = SessionsConfig { authority, pid_file };
        let env_of: Arc<dyn Env> = Arc::<TestEnv>::clone(&env);
        let mut sessions = Sessions::open(config, temp.path(), env_of, Handle::default()).unwrap();
        sessions.groups = Err("a test".to_owned());
        Bench { env, sessions, _temp: temp }
    }

    /// A connection from port 5 whose process is `process`.
    fn connect(&mut self, process: Process) -> String {
        let name = Connection::name(process);
        let mut connection = Connection::new(process, self.env.monotonic());
        connection.peer = Some(("127.0.0.1".parse().unwrap(), 5));
        self.sessions.connections.insert(name.clone(), connection);
        name
    }

    fn hear(&mut self, certificate: &str) {
        let line = format!("Accepted publickey for root from 127.0.0.1 port 5 ssh2: {certificate}");
        self.sessions.told.hear(Login::read(line.as_bytes()).unwrap());
        self.sessions.hear();
    }

    fn of_the_authority(&self, id: &str) -> String {
        let authority = &self.sessions.fingerprint;
        format!("ED25519-CERT SHA256:x ID {id} (serial 7) CA ED25519 {authority}")
    }

    fn connection(&self, name: &str) -> &Connection {
        &self.sessions.connections[name]
    }

    /// What is told after so long.
    fn told_after(&mut self, time: Duration) -> (Option<String>, usize) {
        self.env.advance(time);
        self.sessions.blame();
        let now = self.env.monotonic();
        let blame = self.sessions.blame.as_ref().filter(|(until, _)| now < *until);
        let notes = self.sessions.told.take().len();
        (blame.map(|(_, why)| why.clone()), notes)
    }
}

fn own() -> Process {
    procfs::facts(std::process::id()).unwrap().process
}

/// A process that was: its number is another's by now.
fn before(process: Process) -> Process {
    Process { start: process.start - 1, ..process }
}

fn child_of(process: Process) -> Facts {
    let child = Process { pid: u32::MAX, start: process.start };
    Facts { process: child, parent: process.pid, name: "sleep".to_owned() }
}

/// Numbers of processes come again: what root starts long after a session joined it, and was killed with it.
#[test]
fn child_of_a_process_with_the_number_of_a_dead_one_is_not_of_its_session() {
    let mut bench = Bench::new();
    let dead = Process { pid: u32::MAX - 1, start: 1 };
    let name = bench.connect(dead);
    let members = |bench: &mut Bench, member| {
        bench.sessions.edit(&name, |c| c.members = BTreeSet::from([member]));
        bench.sessions.connection_of(&child_of(own()), &BTreeMap::new())
    };
    assert_eq!(members(&mut bench, own()).as_ref(), Some(&name));
    assert_eq!(members(&mut bench, before(own())), None);
    let mut bench = Bench::new();
    let name = bench.connect(before(own()));
    assert_eq!(bench.sessions.connection_of(&child_of(own()), &BTreeMap::new()), None);
    // The dead are forgotten.
    bench.sessions.edit(&name, |c| c.members = BTreeSet::from([dead, own()]));
    bench.sessions.look();
    assert_eq!(bench.connection(&name).members, BTreeSet::from([own()]));
}

/// `exec env -i` leaves nothing to read, and garbage is no login: both were left alone without a word.
#[test]
fn connection_that_does_not_show_how_it_was_opened_is_a_fault() {
    let mut bench = Bench::new();
    let name = bench.connect(own());
    bench.sessions.edit(&name, |c| c.members = BTreeSet::from([own()]));
    // This process has no variable of sshd, and is not settled by that.
    bench.sessions.identify(&name, own().pid, &BTreeMap::new());
    assert!(!bench.connection(&name).is_settled());
    assert_eq!(bench.told_after(SESSION_LOOK), (None, 0));
    let (fault, notes) = bench.told_after(SESSION_IDENTIFY_MAX);
    assert!(fault.unwrap().contains("did not show how it was opened"));
    assert_eq!(notes, 1);
    // It shows long enough to be seen, also when nothing is left of it, and is told once.
    bench.sessions.edit(&name, |c| c.members = BTreeSet::new());
    let (fault, notes) = bench.told_after(SESSION_FAULT_LEAST / 2);
    assert!(fault.is_some() && notes == 0);
    assert_eq!(bench.told_after(SESSION_FAULT_LEAST / 2), (None, 0));
}

#[test]
fn connection_that_sshd_says_was_opened_by_other_means_is_left_alone() {
    let mut bench = Bench::new();
    let name = bench.connect(own());
    bench.sessions.identify(&name, own().pid, &BTreeMap::new());
    bench.hear("ED25519 SHA256:abc");
    assert!(bench.connection(&name).foreign);
    assert_eq!(bench.told_after(SESSION_IDENTIFY_MAX), (None, 0));
}

/// A session is one by sshd's own log, whatever its processes show.
#[test]
fn session_that_shows_another_login_is_one_by_the_log_of_sshd() {
    let mut bench = Bench::new();
    let name = bench.connect(own());
    bench.sessions.edit(&name, |c| c.foreign = true);
    let line = bench.of_the_authority(ID);
    bench.hear(&line);
    let connection = bench.connection(&name);
    assert_eq!((connection.foreign, connection.logged.as_deref()), (false, Some(ID)));
    // Whoever may write lines, too, does not hide it.
    bench.hear("ED25519 SHA256:abc");
    assert!(!bench.connection(&name).foreign);
    let (fault, notes) = bench.told_after(SESSION_IDENTIFY_MAX);
    assert!(fault.unwrap().contains("does not show its certificate"));
    assert_eq!(notes, 1);
}

#[test]
fn certificate_of_another_session_is_not_taken_for_its_own() {
    let mut bench = Bench::new();
    let name = bench.connect(own());
    let until = Timestamp::from_secs(1_800_000_000);
    let other = Session { v: Version, id: "ses=9".to_owned(), until };
    bench.sessions.begin(&name, other.clone());
    assert!(bench.connection(&name).deadline.is_some());
    let line = bench.of_the_authority(ID);
    bench.hear(&line);
    assert_eq!(bench.connection(&name).session, None);
    bench.sessions.begin(&name, other.clone());
    assert_eq!(bench.connection(&name).session, None);
    bench.sessions.begin(&name, Session { id: ID.to_owned(), ..other });
    assert!(bench.connection(&name).session.is_some());
    assert_eq!(bench.told_after(SESSION_IDENTIFY_MAX).0, None);
}

/// A login at the same port long after is another connection's.
#[test]
fn line_of_a_login_waits_for_its_connection_and_not_longer() {
    let mut bench = Bench::new();
    let line = bench.of_the_authority(ID);
    bench.hear(&line);
    let name = bench.connect(own());
    bench.sessions.hear();
    assert_eq!(bench.connection(&name).logged.as_deref(), Some(ID));
    let mut bench = Bench::new();
    bench.hear(&line);
    bench.env.advance(SESSION_IDENTIFY_MAX);
    bench.sessions.hear();
    let name = bench.connect(own());
    bench.sessions.hear();
    assert_eq!(bench.connection(&name).logged, None);
}

/// The thread was held up, and nobody heard of it.
#[test]
fn thread_that_does_not_look_is_a_fault() {
    let mut bench = Bench::new();
    bench.sessions.turn();
    let told = bench.sessions.told.clone();
    let now = bench.env.monotonic();
    assert!(told.fault(now).unwrap().contains("no control groups"));
    let fault = told.fault(now + SESSION_SILENT_MAX + Duration::from_secs(1)).unwrap();
    assert!(fault.contains("none ends"), "{fault}");
}
