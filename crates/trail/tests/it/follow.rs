//! What follows the log: watch's stream, witnesses, lookups, the supervisor's spool.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use writ_keyd_client::protocol::Role;
use writ_model::{Env as _, SystemEnv};
use writ_proof::checkpoint::Checkpoint;
use writ_proof::ed25519::Signer as _;
use writ_proof::frame::{Frame, Located, WalEnd, frame_hash};
use writ_proof::hash::sha256;
use writ_proof::note::{KeyKind, Note, VerifierKey};
use writ_proof::origin::{LogName, Origin};
use writ_proof::stream::{FromWatch, StreamPosition, ToWatch, WitnessReply};
use writ_proof::witness::{AddCheckpoint, WitnessAnswer, WitnessState, decide};
use writ_trail::protocol::{Attribute, LookupQuery};
use writ_trail::push::{WatchConnector, WatchLink};
use writ_trail::reader::Reader;
use writ_trail::witness::WitnessConfig;
use writ_trail::{Trail, TrailError};

use super::world::{
    Keyd, OPERATOR, account, append, client, config, end, eventually, item, site, soft, watch_key,
};

/// A witness in memory, by the rules of tlog-witness.
struct Witness {
    name: &'static str,
    key: u8,
    state: Option<WitnessState>,
}

impl Witness {
    fn answer(&mut self, body: &[u8]) -> (u16, Vec<u8>) {
        let origin = Origin::new(site(), LogName::Checkpoint).to_string();
        let log = VerifierKey::new(&origin, KeyKind::Ed25519, soft(101).public_key()).unwrap();
        let request = AddCheckpoint::from_bytes(body).unwrap();
        let known = self.state;
        let answer = decide(&request, &|asked| (asked == origin).then(|| log.clone()), &|_| known);
        let body = match answer {
            WitnessAnswer::Cosign(state) => {
                self.state = Some(state);
                let note = &request.checkpoint;
                note.cosign(self.name, &soft(self.key), SystemEnv.now()).unwrap().to_string()
            }
            WitnessAnswer::Conflict(size) => format!("{size}\n"),
            _ => String::new(),
        };
        (answer.status(), body.into_bytes())
    }
}

/// watch: checks the chain of frames, acknowledges, cosigns.
struct Watch {
    end: WalEnd,
    frames: u64,
    witness: Witness,
    beats: u64,
}

impl Watch {
    fn take(&mut self, message: ToWatch) -> Option<FromWatch> {
        match message {
            ToWatch::Hello(_) => Some(FromWatch::Welcome(self.position())),
            ToWatch::Frame(bytes) => {
                let frame = Frame::from_bytes(&bytes).unwrap();
                let (end, hash) = (bytes.len() as u64, frame_hash(&bytes));
                self.end.step(&Located { at: 0, end, hash, frame }).unwrap();
                self.frames += 1;
                Some(FromWatch::Ack(self.position()))
            }
            ToWatch::Checkpoint(body) => {
                let (status, answer) = self.witness.answer(&body);
                let request = sha256(&body);
                Some(FromWatch::Answer(WitnessReply { request, status, body: answer }))
            }
            ToWatch::Beat(_) => {
                self.beats += 1;
                None
            }
            ToWatch::HostCosigned(_) => None,
        }
    }

    fn position(&self) -> StreamPosition {
        StreamPosition { next_seq: self.end.next_seq, hash: self.end.hash }
    }
}

struct Link {
    watch: Arc<Mutex<Watch>>,
    answers: (Sender<FromWatch>, Receiver<FromWatch>),
    /// Frames that may still be sent over this connection.
    left: usize,
}

impl WatchLink for Link {
    fn send(&mut self, message: &ToWatch) -> std::io::Result<()> {
        if matches!(message, ToWatch::Frame(_)) {
            self.left = self.left.checked_sub(1).ok_or(std::io::ErrorKind::BrokenPipe)?;
        }
        let answer = self.watch.lock().unwrap().take(message.clone());
        answer.into_iter().for_each(|answer| self.answers.0.send(answer).unwrap());
        Ok(())
    }

    fn recv(&mut self, patience: Duration) -> std::io::Result<Option<FromWatch>> {
        Ok(self.answers.1.recv_timeout(patience).ok())
    }
}

struct Connector(Arc<Mutex<Watch>>);

impl WatchConnector for Connector {
    fn connect(&mut self) -> std::io::Result<Box<dyn WatchLink>> {
        Ok(Box::new(Link { watch: Arc::clone(&self.0), answers: channel(), left: 4 }))
    }
}

#[test]
fn watch_gets_every_frame_over_broken_connections_and_its_cosignature_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let witness = Witness { name: "watch.test", key: 106, state: None };
    let watch = Watch { end: WalEnd::default(), frames: 0, witness, beats: 0 };
    let watch = Arc::new(Mutex::new(watch));
    let mut config = config(dir.path());
    config.watch = Some(Box::new(Connector(Arc::clone(&watch))));
    config.segment_bytes = 4096;
    let keyd = Keyd::new();
    let trail = Trail::start(config, Arc::new(SystemEnv)).unwrap();
    keyd.attach(&trail);
    let front = client(&trail, Role::Front);
    for _ in 0..10 {
        append(&front, item(account(1), "Encrypt", None)).unwrap();
    }
    eventually("watch has what is durable", || {
        let status = trail.status();
        let has = watch.lock().unwrap().end.next_seq;
        has >= 12 && status.watch_seq.is_some_and(|seq| seq >= 12)
    });
    assert!(watch.lock().unwrap().frames >= 8, "more than one connection was needed");
    let reader = Reader::open(&dir.path().join("trail")).unwrap();
    eventually("a cosigned checkpoint", || {
        reader
            .cosigned(LogName::Checkpoint)
            .unwrap()
            .is_some_and(|note| Note::from_bytes(&note).unwrap().verify_one(&watch_key()).is_ok())
    });
    end(&trail);
}

#[test]
fn witness_that_holds_an_older_size_is_taken_further() {
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/log/", listener.local_addr().unwrap());
    let answered = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&answered);
    std::thread::spawn(move || {
        let mut witness = Witness { name: "witness.test", key: 107, state: None };
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let body = loop {
                let mut chunk = [0; 4096];
                let read = stream.read(&mut chunk).unwrap();
                bytes.extend_from_slice(&chunk[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                assert!(head.starts_with("POST /log/add-checkpoint HTTP/1.1"), "{head}");
                let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
                if body.len() == length.unwrap().parse::<usize>().unwrap() {
                    break body.as_bytes().to_vec();
                }
            };
            let (status, answer) = witness.answer(&body);
            seen.lock().unwrap().push(status);
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
            if seen.lock().unwrap().len() == 1 {
                // It forgets nothing, but trail will: its memory of sizes is not kept on disk.
                continue;
            }
        }
    });
    let key = VerifierKey::new("witness.test", KeyKind::Cosignature, soft(107).public_key());
    let key = key.unwrap();
    let keyd = Keyd::new();
    let reader = || Reader::open(&dir.path().join("trail")).unwrap();
    let mut last = 0;
    for _ in 0..2 {
        let mut config = config(dir.path());
        config.witnesses = vec![WitnessConfig { url: url.clone(), key: key.clone() }];
        let trail = Trail::start(config, Arc::new(SystemEnv)).unwrap();
        keyd.attach(&trail);
        append(&client(&trail, Role::Front), item(account(1), "Encrypt", None)).unwrap();
        eventually("a newer cosigned checkpoint", || {
            let Some(note) = reader().cosigned(LogName::Checkpoint).unwrap() else { return false };
            let note = Note::from_bytes(&note).unwrap();
            note.verify_one(&key).unwrap();
            Checkpoint::of(&note).unwrap().size > last
        });
        let note = reader().cosigned(LogName::Checkpoint).unwrap().unwrap();
        last = Checkpoint::of(&Note::from_bytes(&note).unwrap()).unwrap().size;
        end(&trail);
    }
    let statuses = answered.lock().unwrap().clone();
    assert!(statuses.contains(&409) && statuses.contains(&200), "{statuses:?}");
}

#[tokio::test]
async fn events_are_found_at_once_newest_first_and_only_by_front() {
    let dir = tempfile::tempdir().unwrap();
    let trail = super::world::start(dir.path());
    let front = client(&trail, Role::Front);
    let mut ids = Vec::new();
    for name in ["Encrypt", "Decrypt", "Encrypt", "Encrypt"] {
        let item = item(account(1), name, None);
        ids.push((name, item.event_id));
        front.append(vec![item]).await.unwrap();
    }
    front.append(vec![item(account(2), "Encrypt", None)]).await.unwrap();
    let mut query = LookupQuery {
        account: account(1),
        attribute: Some((Attribute::EventName, "Encrypt".to_owned())),
        start: None,
        end: None,
        max: 2,
        next: None,
        data_events: false,
    };
    let mut found = Vec::new();
    loop {
        let page = front.lookup(query.clone()).await.unwrap();
        found.extend(page.events);
        match page.next {
            Some(next) => query.next = Some(next),
            None => break,
        }
    }
    let expected: Vec<_> =
        ids.iter().rev().filter(|(n, _)| *n == "Encrypt").map(|(_, id)| *id).collect();
    assert_eq!(found.iter().map(|e| e.event_id).collect::<Vec<_>>(), expected);
    assert!(found.iter().all(|e| e.record.starts_with(b"{\"eventVersion\":\"1.11\"")));
    let s3 = client(&trail, Role::S3);
    let refused = s3.lookup(LookupQuery { next: None, ..query }).await.unwrap_err();
    assert!(matches!(refused, TrailError::Refused(_)), "{refused}");
    assert_eq!(s3.status().await.unwrap().closed, None);
    end(&trail);
}

#[test]
fn spool_of_the_supervisor_is_drained_once_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let record = |n: u8| {
        let id = writ_model::Uuid::from_bytes([n; 16]);
        let text = format!("{{\"eventID\":\"{id}\",\"what\":\"started\",\"n\":{n}}}");
        let mut framed = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        framed.extend_from_slice(text.as_bytes());
        framed
    };
    let mut bytes: Vec<u8> = (1..=3).flat_map(record).collect();
    let last = record(4);
    bytes.extend_from_slice(&last[..7]);
    std::fs::write(&spool, &bytes).unwrap();
    let reader = || Reader::open(&dir.path().join("trail")).unwrap();
    let numbers = || -> Vec<u64> {
        let size = reader().size(OPERATOR).unwrap();
        let lines = reader().lines(OPERATOR, size).skip(1);
        let value = |line: Result<writ_trail::reader::Line, _>| {
            serde_json::from_slice::<serde_json::Value>(&line.unwrap().record).unwrap()["n"]
                .as_u64()
        };
        lines.filter_map(value).collect()
    };
    for n in [3, 4] {
        let mut config = config(dir.path());
        config.spool = Some(spool.clone());
        let trail = Trail::start(config, Arc::new(SystemEnv)).unwrap();
        eventually("the spool is drained", || numbers().len() == n);
        end(&trail);
        // The rest arrives; and the mark is lost, so that all is drained again.
        bytes.truncate(bytes.len() - if n == 3 { 7 } else { 0 });
        bytes.extend_from_slice(&last);
        std::fs::write(&spool, &bytes).unwrap();
        std::fs::remove_file(dir.path().join("spool.at")).unwrap();
    }
    assert_eq!(numbers(), [1, 2, 3, 4]);
}
