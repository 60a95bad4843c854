//! Each detector: one history that it finds, and a legal twin that it does not.

use serde_json::{Value, json};
use writ_model::{Ulid, Uuid};
use writ_proof::Hash;
use writ_proof::cbor::{self, Version};
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::frame::{Batch, Entry};
use writ_proof::hostlog::{Class, Line};
use writ_proof::leaf::{Kind, Source, rec};
use writ_proof::origin::LogName;
use writ_proof::recording::{Checkpoint, End, Mark, Totals};
use writ_proof::roster::ChannelPins;
use writ_proof::use_record::{
    Basis, Boot, ChainEnd, TicketProof, Use, UsePosition, UseProof, UseRecord, UseResult, What,
};

use super::*;
use crate::limits::{
    LOGIN_EXPLAINED, LOGINS_WAITING_MAX, MARKS_LATE, PARENT_MAX, SESSION_END_LATE, USE_UNTOLD_MAX,
};
use crate::world;

const KEYD_SEED: [u8; 32] = [2; 32];
const BOOT: Uuid = Uuid::from_bytes([7; 16]);

fn second(n: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + n)
}

fn event_id(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

fn session_id() -> Ulid {
    "01JDAAAAAAAAAAAAAAAAAAAAAA".parse().unwrap()
}

/// A ledger and hosts, with the clock that detectors see.
struct Bench {
    detectors: Detectors,
    roster: Roster,
    chain: ChainEnd,
    seq: u64,
    now: u64,
}

impl Bench {
    fn new() -> Bench {
        let pins = ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) };
        let (genesis, roster) = Roster::begin(&world::genesis(pins), None).unwrap();
        let detectors = Detectors::new(&genesis);
        let chain = ChainEnd::begin(BOOT);
        let mut bench = Bench { detectors, roster, chain, seq: 0, now: 0 };
        let boot = Boot { persisted: None, acknowledged: None, signed: Vec::new() };
        // Long before anything else: it excuses nothing.
        let (bytes, _) = bench.chain.add(Timestamp::from_secs(1), What::Boot(boot));
        bench.frame(Vec::new(), vec![UseRecord::from_bytes(&bytes).unwrap()]);
        bench
    }

    fn frame(&mut self, leaves: Vec<(Leaf, Vec<u8>)>, uses: Vec<UseRecord>) {
        let entries = leaves
            .iter()
            .map(|(leaf, record)| Entry { record: record.clone(), leaves: vec![leaf.to_bytes()] });
        let batch = Batch { entries: entries.collect(), ..Batch::default() };
        let frame = Frame { epoch: 1, first_seq: 0, prev: Hash::ZERO, batch };
        let leaves = leaves.into_iter().map(|(leaf, _)| vec![leaf]).collect();
        let now = Duration::from_secs(self.now);
        self.detectors.frame(&frame, &Accepted { leaves, uses }, &self.roster, now);
    }

    /// A use of a key that event `event` will tell of.
    fn used(&mut self, event: u8, change: impl FnOnce(&mut Use)) -> UsePosition {
        let mut used = Use {
            op: "kms:Decrypt".to_owned(),
            key: None,
            backing_key: None,
            principal: None,
            proof: UseProof::Signature(Hash([3; 32])),
            request: None,
            context: None,
            policy: None,
            grant: None,
            basis: Basis::Policy,
            result: UseResult::Ok,
            request_id: event_id(event),
            event_id: event_id(event),
            via: Vec::new(),
            run: None,
        };
        change(&mut used);
        let (bytes, position) = self.chain.add(second(self.now), What::Use(Box::new(used)));
        let record = UseRecord::from_bytes(&bytes).unwrap();
        self.frame(Vec::new(), vec![record]);
        position
    }

    fn leaf(
        &mut self,
        kind: Kind,
        source: Source,
        event: u8,
        position: Option<UsePosition>,
        record: &Value,
    ) {
        let record = record.to_string().into_bytes();
        self.seq += 1;
        let leaf = Leaf {
            v: Version,
            seq: self.seq,
            time: second(self.now),
            kind,
            log: LogName::Operator,
            event_id: event_id(event),
            source,
            commit: None,
            use_position: position,
            rec: rec(kind, &record).unwrap_or(Hash::ZERO),
        };
        self.frame(vec![(leaf, record)], Vec::new());
    }

    fn event(&mut self, event: u8, position: Option<UsePosition>) {
        self.leaf(Kind::Event, Source::Front, event, position, &json!({}));
    }

    fn bastion(&mut self, name: &str, shown: &Value, position: Option<UsePosition>) {
        let mut shown = shown.clone();
        shown["sessionId"] = session_id().to_string().into();
        let record = json!({ "eventName": name, "requestParameters": shown });
        self.leaf(Kind::Event, Source::Bastion, 99, position, &record);
    }

    /// A session of `anna` as svc@web-1 until second 600, for which keyd has signed.
    fn session(&mut self) {
        let position = self.used(99, |used| used.op = "ssh_sign".to_owned());
        let shown = json!({ "person": "anna", "login": "svc", "hostName": "web-1",
                            "notAfter": second(600).iso() });
        self.bastion("StartSession", &shown, Some(position));
        self.mark("CheckpointRecording", 1, 1);
        // There is no request of it here: what matters of that is tested with a whole site.
        self.detectors.take();
    }

    fn mark(&mut self, name: &str, seq: u64, head: u8) {
        let at = Checkpoint {
            session: session_id(),
            seq,
            head: Hash([head; 32]),
            wall: second(self.now),
            totals: Totals::default(),
        };
        let mark = match name {
            "EndSession" => Mark::End(End { at, reason: "left".to_owned() }),
            _ => Mark::Checkpoint(at),
        };
        let bytes = cbor::to_vec(&mark);
        let key = SoftKey::from_seed(&KEYD_SEED).unwrap();
        let signature = key.sign(&[b"writ-recording-v1".as_slice(), &bytes].concat()).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        self.bastion(name, &json!({ "mark": hex(&bytes), "signature": hex(&signature) }), None);
    }

    fn login(&mut self, seq: u64, host: &str, text: &str) {
        let line = Line { inode: 1, end: seq, text: text.as_bytes().to_vec(), partial: false };
        let frame = HostFrame {
            v: Version,
            host: host.parse().unwrap(),
            boot: BOOT,
            epoch: 1,
            seq,
            mono_ms: 0,
            wall: second(self.now),
            source: "sshd".to_owned(),
            class: Class::Security,
            payload: Payload::Line(line),
            signature: None,
        };
        let now = Duration::from_secs(self.now);
        self.detectors.host_frame(&frame, second(self.now), now);
    }

    /// A line of sshd for a certificate of the session.
    fn accepted(&self, user: &str) -> String {
        let authority = SoftKey::from_seed(&[3; 32]).unwrap().public_key();
        let authority = SshPublicKey::Ed25519(authority.0).fingerprint();
        format!(
            "Accepted publickey for {user} from 127.0.0.1 port 5 ssh2: ED25519-CERT SHA256:x ID \
             req=01R;user=anna;ses={} (serial 7) CA ED25519 {authority}",
            session_id()
        )
    }

    fn wait(&mut self, time: Duration) {
        self.now += time.as_secs() + 1;
        self.detectors.due(Duration::from_secs(self.now), second(self.now));
    }

    #[track_caller]
    fn finds(&mut self, kinds: &[Alarm]) -> Vec<String> {
        let (found, _) = self.detectors.take();
        let known: Vec<Alarm> = found.iter().map(|finding| finding.alarm).collect();
        assert_eq!(known, kinds, "{found:?}");
        found.into_iter().map(|finding| finding.what).collect()
    }
}

#[test]
fn d10_use_whose_event_never_comes_is_found() {
    let mut bench = Bench::new();
    let told = bench.used(1, |_| {});
    bench.event(1, Some(told));
    bench.used(2, |_| {});
    bench.wait(USE_UNTOLD_MAX);
    let what = bench.finds(&[Alarm::KeyUseUntold]);
    assert!(
        what[0].contains("kms:Decrypt") && what[0].contains(&event_id(2).to_string()),
        "{what:?}"
    );
    // It is said once.
    bench.wait(USE_UNTOLD_MAX);
    bench.finds(&[]);
}

#[test]
fn d10_use_right_before_a_recorded_restart_is_unanswered_and_no_page() {
    let mut bench = Bench::new();
    bench.used(1, |_| {});
    bench.now += 3;
    // Front says that it was started anew: nobody asks it.
    bench.leaf(Kind::Boot, Source::Front, 50, None, &json!({}));
    bench.used(2, |_| {});
    bench.leaf(Kind::Boot, Source::Supervisor, 51, None, &json!({}));
    bench.wait(USE_UNTOLD_MAX);
    let (found, unanswered) = bench.detectors.take();
    assert_eq!((found.len(), unanswered.len()), (0, 2), "{found:?}");
    // One that came long before is no matter of the restart.
    bench.used(3, |_| {});
    bench.now += 9;
    bench.detectors.due(Duration::from_secs(bench.now), second(bench.now));
    bench.now += 3;
    bench.leaf(Kind::Boot, Source::Supervisor, 52, None, &json!({}));
    bench.wait(Duration::ZERO);
    bench.finds(&[Alarm::KeyUseUntold]);
}

#[test]
fn d10_event_that_names_a_use_that_is_not_there_is_found() {
    let mut bench = Bench::new();
    let known = bench.used(1, |_| {});
    let forged = UsePosition { hash: Hash([9; 32]), ..known };
    bench.event(1, Some(known));
    bench.event(2, Some(forged));
    bench.event(3, Some(UsePosition { seq: known.seq + 1, ..forged }));
    bench.wait(USE_UNTOLD_MAX);
    bench.finds(&[Alarm::EventWithoutUse, Alarm::EventWithoutUse]);
}

#[test]
fn d09_forwarded_use_without_the_customers_request_is_found() {
    let forwarded = |parent: u8| {
        move |used: &mut Use| {
            let (ticket, signature) = (Hash([4; 32]), Hash([5; 32]));
            used.proof =
                UseProof::Ticket(TicketProof { ticket, parent: event_id(parent), signature });
            used.via = vec!["s3.amazonaws.com".to_owned()];
        }
    };
    let mut bench = Bench::new();
    let first = bench.used(1, forwarded(10));
    bench.event(1, Some(first));
    bench.event(10, None);
    let second = bench.used(2, forwarded(11));
    bench.event(2, Some(second));
    bench.wait(USE_UNTOLD_MAX);
    bench.finds(&[]);
    bench.wait(PARENT_MAX);
    let what = bench.finds(&[Alarm::ForwardWithoutParent]);
    assert!(what[0].contains(&event_id(11).to_string()), "{what:?}");
    let third = bench.used(3, |used| used.via = vec!["s3.amazonaws.com".to_owned()]);
    bench.event(3, Some(third));
    bench.finds(&[Alarm::ForwardWithoutParent]);
}

#[test]
fn d01_certificate_for_a_request_that_nobody_made_is_found() {
    let mut bench = Bench::new();
    bench.used(1, |used| {
        used.op = "ssh_sign".to_owned();
        used.proof = UseProof::Request(Hash([6; 32]));
    });
    let what = bench.finds(&[Alarm::AccessWithoutGrant]);
    assert!(what[0].contains("no good request"), "{what:?}");
    bench.used(2, |used| {
        used.op = "ssh_sign".to_owned();
        used.result = UseResult::Denied("Forbidden".to_owned());
    });
    bench.finds(&[]);
}

#[test]
fn d01_session_that_keyd_signed_nothing_for_is_found() {
    let mut bench = Bench::new();
    let shown = json!({ "person": "anna", "login": "svc", "hostName": "web-1",
                        "notAfter": second(600).iso() });
    bench.bastion("StartSession", &shown, None);
    bench.finds(&[Alarm::AccessWithoutGrant]);
    let mut bench = Bench::new();
    let other = bench.used(1, |_| {});
    bench.bastion("StartSession", &shown, Some(other));
    bench.finds(&[Alarm::AccessWithoutGrant]);
}

#[test]
fn d05_session_without_marks_is_found_once_for_each_gap() {
    let mut bench = Bench::new();
    bench.session();
    bench.wait(MARKS_LATE);
    // Nothing happens in it.
    bench.finds(&[]);
    bench.bastion("FileOperation", &json!({}), None);
    bench.wait(MARKS_LATE);
    bench.finds(&[Alarm::SessionUnrecorded]);
    bench.wait(MARKS_LATE);
    bench.finds(&[]);
    bench.mark("CheckpointRecording", 5, 5);
    bench.now += 5;
    bench.bastion("FileOperation", &json!({}), None);
    bench.mark("CheckpointRecording", 9, 9);
    bench.wait(MARKS_LATE);
    bench.finds(&[]);
}

#[test]
fn d05_marks_that_contradict_each_other_or_are_not_keyds_are_found() {
    let mut bench = Bench::new();
    bench.session();
    bench.mark("CheckpointRecording", 5, 5);
    bench.mark("CheckpointRecording", 5, 5);
    bench.finds(&[]);
    bench.mark("CheckpointRecording", 5, 6);
    assert!(bench.finds(&[Alarm::RecordingDiffers])[0].contains("two marks of frame 5"));
    bench.bastion("CheckpointRecording", &json!({ "mark": "00", "signature": "" }), None);
    bench.finds(&[Alarm::RecordingDiffers]);
    bench.mark("EndSession", 4, 4);
    assert!(bench.finds(&[Alarm::RecordingDiffers])[0].contains("it ends at frame 4"));
}

#[test]
fn d07_session_without_an_end_is_found_when_its_time_is_over() {
    for ends in [true, false] {
        let mut bench = Bench::new();
        bench.session();
        if ends {
            bench.mark("EndSession", 7, 7);
        }
        bench.now = 600;
        bench.wait(SESSION_END_LATE);
        let kinds: &[Alarm] = if ends { &[] } else { &[Alarm::SessionUnended] };
        bench.finds(kinds);
    }
}

#[test]
fn d01_login_on_a_host_is_explained_by_its_session_alone() {
    let mut bench = Bench::new();
    // The host's word comes before the ledger's.
    let accepted = bench.accepted("svc");
    bench.login(1, "web-1", &accepted);
    bench.finds(&[]);
    bench.session();
    bench.wait(LOGIN_EXPLAINED);
    bench.finds(&[]);
    bench.login(2, "web-1", "Accepted password for root from 192.0.2.7 port 5 ssh2");
    let what = bench.finds(&[Alarm::AccessWithoutGrant]);
    assert!(what[0].contains("`root` from 192.0.2.7"), "{what:?}");
    let other = accepted.replace("CA ED25519 SHA256:", "CA ED25519 SHA256:z");
    bench.login(3, "web-1", &other);
    bench.finds(&[Alarm::AccessWithoutGrant]);
    bench.login(4, "web-2", &accepted);
    bench.finds(&[Alarm::AccessWithoutGrant]);
    let root = bench.accepted("root");
    bench.login(5, "web-1", &root);
    bench.finds(&[Alarm::AccessWithoutGrant]);
}

#[test]
fn d01_login_by_ones_own_authority_whose_id_names_a_living_session_is_found() {
    let mut bench = Bench::new();
    bench.session();
    let ours = bench.accepted("svc");
    bench.login(1, "web-1", &format!("{ours} (serial 7) CA ED25519 SHA256:own"));
    let what = bench.finds(&[Alarm::AccessWithoutGrant]);
    assert!(what[0].contains("another authority, SHA256:own"), "{what:?}");
}

#[test]
fn d01_login_whose_session_never_comes_is_found_in_time() {
    let mut bench = Bench::new();
    let accepted = bench.accepted("svc");
    bench.login(1, "web-1", &accepted);
    bench.now += LOGIN_EXPLAINED.as_secs();
    bench.detectors.due(Duration::from_secs(bench.now), second(bench.now));
    bench.finds(&[]);
    bench.wait(Duration::ZERO);
    let what = bench.finds(&[Alarm::AccessWithoutGrant]);
    assert!(what[0].contains("the ledger knows no session"), "{what:?}");
}

/// Anybody on a host can write lines that name a certificate of ours.
#[test]
fn d01_logins_of_one_host_that_wait_to_be_explained_leave_other_hosts_room() {
    let mut bench = Bench::new();
    let accepted = bench.accepted("svc");
    for seq in 0..=LOGINS_WAITING_MAX as u64 {
        bench.login(seq, "web-2", &accepted);
    }
    let what = bench.finds(&[Alarm::AccessWithoutGrant]);
    assert!(what[0].contains("too many others wait"), "{what:?}");
    bench.login(1, "web-1", &accepted);
    bench.finds(&[]);
}

#[test]
fn d02_certificate_that_opens_a_second_connection_is_found() {
    let mut bench = Bench::new();
    bench.session();
    let accepted = bench.accepted("svc");
    bench.login(1, "web-1", &accepted);
    bench.finds(&[]);
    bench.login(2, "web-1", &accepted);
    bench.finds(&[Alarm::CertificateReused]);
}

#[test]
fn d07_login_after_the_end_is_found() {
    for ends in [true, false] {
        let mut bench = Bench::new();
        bench.session();
        if ends {
            bench.mark("EndSession", 7, 7);
            bench.now += 3;
        } else {
            bench.now = 602;
        }
        let accepted = bench.accepted("svc");
        bench.login(1, "web-1", &accepted);
        bench.finds(&[Alarm::AccessAfterEnd]);
    }
}
