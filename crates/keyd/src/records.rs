//! The chain of use records: made, streamed to trail before the answer, kept until acknowledged.
//!
//! Several threads add records; whoever gets the sender's lock signs and sends all that wait, so one
//! signature covers a batch. While trail owes too much (records or time), every use is refused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use writ_keyd_client::protocol::{Refusal, UsePosition};
use writ_model::limits::{USE_RECORD_UNACKNOWLEDGED_MAX, USE_RECORDS_UNACKNOWLEDGED_MAX};
use writ_model::{Env, Uuid};
use writ_proof::cbor;
use writ_proof::ed25519::SoftKey;
use writ_proof::hash::{Hash, sha256};
use writ_proof::leaf::LogHead;
use writ_proof::origin::Origin;
use writ_proof::use_record::{Boot, ChainEnd, Use, UseBatch, UseResult, What};

use crate::head::{Head, HeadLog, HeadRecord};
use crate::limits;
use crate::locked::Locked;
use crate::refuse::unavailable;

/// Where batches go: the channel to trail.
pub(crate) trait RecordSink: Send + Sync {
    /// Sends an encoded [`UseBatch`]. False if there is no channel now; it is then sent again
    /// when trail says hello.
    fn send(&self, batch: Vec<u8>) -> bool;

    /// trail has said hello: from now on its newest channel is the one. Nobody sends meanwhile.
    fn restart(&self);
}

struct Waiting {
    record: Vec<u8>,
    position: UsePosition,
    /// When it was made, on the monotonic clock.
    at: Duration,
}

struct Chain {
    end: ChainEnd,
    /// Made and not acknowledged, oldest first.
    waiting: VecDeque<Waiting>,
    /// Number of the first record that is not sent yet.
    unsent: u64,
    acknowledged: Option<UsePosition>,
    persisted_at: Duration,
    /// The number of the next record and the acknowledged position, when the head was written last.
    persisted: (u64, Option<UsePosition>),
}

/// See the module.
pub(crate) struct Records {
    chain: Locked<Chain>,
    /// Held while a batch is signed and sent, so that batches leave in order.
    sender: Locked<()>,
    sink: Arc<dyn RecordSink>,
    head: Arc<dyn HeadLog>,
    env: Arc<dyn Env>,
}

impl Records {
    /// A new boot, whose first record says where the one before ended.
    pub(crate) fn begin(
        boot: Uuid,
        head: &Head,
        sink: Arc<dyn RecordSink>,
        log: Arc<dyn HeadLog>,
        env: Arc<dyn Env>,
    ) -> Records {
        let chain = Chain {
            end: ChainEnd::begin(boot),
            waiting: VecDeque::new(),
            unsent: 0,
            acknowledged: None,
            persisted_at: env.monotonic(),
            persisted: (0, None),
        };
        let records =
            Records { chain: Locked::new(chain), sender: Locked::default(), sink, head: log, env };
        let signed = head.signed.values().filter_map(|signed| {
            let origin = signed.origin.parse::<Origin>().ok()?;
            Some(LogHead { origin, size: signed.size, root: Hash(signed.root) })
        });
        let boot = Boot {
            persisted: head.chain,
            acknowledged: head.acknowledged,
            signed: signed.collect(),
        };
        records.add(What::Boot(boot));
        records
    }

    /// Fails while trail owes too much: nothing may then be used.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let chain = self.chain.lock();
        if chain.waiting.len() >= USE_RECORDS_UNACKNOWLEDGED_MAX {
            return Err(unavailable("too many use records are not yet in the ledger"));
        }
        let now = self.env.monotonic();
        match chain.waiting.front() {
            Some(first) if now.saturating_sub(first.at) > USE_RECORD_UNACKNOWLEDGED_MAX => {
                Err(unavailable("the ledger does not acknowledge use records"))
            }
            _ => Ok(()),
        }
    }

    /// Adds a record to the chain; [`Records::stream`] sends it. One that trail would refuse, and with
    /// it all that follow, is shortened first.
    pub(crate) fn add(&self, what: What) -> UsePosition {
        let what = readable(what);
        let mut chain = self.chain.lock();
        let (record, position) = chain.end.add(self.env.now(), what);
        let at = self.env.monotonic();
        chain.waiting.push_back(Waiting { record, position, at });
        position
    }

    /// Adds a record and sends it, with whatever else waits, before the answer leaves.
    pub(crate) fn put(&self, key: &SoftKey, what: What) -> UsePosition {
        let position = self.add(what);
        self.stream(key);
        position
    }

    /// Signs and sends all records that are not sent yet.
    pub(crate) fn stream(&self, key: &SoftKey) {
        let _order = self.sender.lock();
        self.send_unsent(key);
    }

    /// For whoever holds `sender`.
    fn send_unsent(&self, key: &SoftKey) {
        while let Some((records, first, last)) = self.next_batch() {
            let batch = UseBatch::sign(records, first, last, key);
            let Ok(batch) = batch else { return };
            if !self.sink.send(cbor::to_vec(&batch)) {
                return;
            }
            self.chain.lock().unsent = last.seq + 1;
        }
    }

    /// trail (again) has a channel: everything that it did not acknowledge is sent anew.
    pub(crate) fn restart_stream(&self, key: &SoftKey) {
        // Whoever is sending has done so on the old channel; what comes next goes out first on the new one.
        let _order = self.sender.lock();
        self.sink.restart();
        {
            let mut chain = self.chain.lock();
            let next = chain.end.next_seq();
            chain.unsent = chain.waiting.front().map_or(next, |w| w.position.seq);
            // trail is owed its time again from now on.
            let now = self.env.monotonic();
            chain.waiting.iter_mut().for_each(|w| w.at = now);
        }
        self.send_unsent(key);
    }

    /// trail has everything up to `seq` in its write-ahead log.
    pub(crate) fn acknowledge(&self, boot: Uuid, seq: u64) -> Result<(), Refusal> {
        let mut chain = self.chain.lock();
        if boot != chain.end.boot() || seq >= chain.end.next_seq() {
            return Err(crate::refuse::forbidden("an acknowledgement of records never made"));
        }
        while chain.waiting.front().is_some_and(|w| w.position.seq <= seq) {
            chain.acknowledged = chain.waiting.pop_front().map(|w| w.position);
        }
        chain.unsent = chain.unsent.max(seq + 1);
        Ok(())
    }

    /// Writes the chain's head to the head file now and then.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn persist(&self) -> std::io::Result<()> {
        let now = self.env.monotonic();
        let (head, acknowledged) = {
            let mut chain = self.chain.lock();
            let state = (chain.end.next_seq(), chain.acknowledged);
            let is_due = now.saturating_sub(chain.persisted_at) >= limits::CHAIN_HEAD_INTERVAL;
            if !is_due || chain.persisted == state {
                return Ok(());
            }
            (chain.persisted_at, chain.persisted) = (now, state);
            (head_of(&chain), chain.acknowledged)
        };
        let records: Vec<_> = head
            .map(HeadRecord::Chain)
            .into_iter()
            .chain(acknowledged.map(HeadRecord::Acknowledged))
            .collect();
        self.head.append(&records)
    }

    /// The chain's head now, for a head record that is written anyway.
    pub(crate) fn head(&self) -> Option<HeadRecord> {
        head_of(&self.chain.lock()).map(HeadRecord::Chain)
    }

    /// How many records trail has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.chain.lock().waiting.len() as u64
    }

    fn next_batch(&self) -> Option<(Vec<Vec<u8>>, u64, UsePosition)> {
        let chain = self.chain.lock();
        let unsent = chain.unsent;
        let batch: Vec<&Waiting> = chain
            .waiting
            .iter()
            .filter(|w| w.position.seq >= unsent)
            .take(limits::USE_BATCH_RECORDS_MAX)
            .collect();
        let (first, last) = (batch.first()?.position.seq, batch.last()?.position);
        Some((batch.iter().map(|w| w.record.clone()).collect(), first, last))
    }
}

/// `what`, or what is left of it when its parts come from a peer and are longer than a record or an
/// ARN may be: its ids and digests, and the SHA-256 of the whole.
fn readable(what: What) -> What {
    let What::Use(used) = what else { return what };
    let fits = |used: &Use| {
        let bytes = cbor::to_vec(used);
        bytes.len() <= limits::USE_MAX_BYTES && cbor::from_slice::<Use>(&bytes).is_ok()
    };
    if fits(&used) {
        return What::Use(used);
    }
    let op = format!("sha256:{}", sha256(&cbor::to_vec(&*used)));
    let left = Use { op, key: None, grant: None, via: Vec::new(), ..*used };
    if fits(&left) {
        return What::Use(Box::new(left));
    }
    let result = match left.result {
        UseResult::Ok => UseResult::Ok,
        UseResult::Denied(_) => UseResult::Denied("?".to_owned()),
    };
    What::Use(Box::new(Use { principal: None, result, ..left }))
}

fn head_of(chain: &Chain) -> Option<UsePosition> {
    let seq = chain.end.next_seq().checked_sub(1)?;
    Some(UsePosition { boot: chain.end.boot(), seq, hash: chain.end.hash() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::MemoryHead;
    use std::sync::Mutex;
    use writ_model::env::TestEnv;
    use writ_model::{Arn, Timestamp};
    use writ_proof::ed25519::Signer;
    use writ_proof::use_record::{Basis, UsePrincipal, UseProof};

    struct Collect(Mutex<Vec<UseBatch>>, std::sync::atomic::AtomicBool);

    impl RecordSink for Collect {
        fn send(&self, batch: Vec<u8>) -> bool {
            if self.1.load(std::sync::atomic::Ordering::SeqCst) {
                self.0.lock().unwrap().push(cbor::from_slice(&batch).unwrap());
                return true;
            }
            false
        }

        fn restart(&self) {}
    }

    /// A trail that dies with a batch in its channel, and the one after it.
    #[derive(Default)]
    struct Dying {
        state: Mutex<Sent>,
        changed: std::sync::Condvar,
    }

    #[derive(Default)]
    struct Sent {
        is_new: bool,
        holds: bool,
        is_held: bool,
        lost: usize,
        got: Vec<UseBatch>,
    }

    impl Dying {
        fn set(&self, change: impl FnOnce(&mut Sent)) {
            change(&mut self.state.lock().unwrap());
            self.changed.notify_all();
        }

        fn wait(&self, until: impl Fn(&Sent) -> bool) {
            let state = self.state.lock().unwrap();
            let (_state, waited) = self
                .changed
                .wait_timeout_while(state, Duration::from_secs(10), |state| !until(state))
                .unwrap();
            assert!(!waited.timed_out());
        }
    }

    impl RecordSink for Dying {
        fn send(&self, batch: Vec<u8>) -> bool {
            self.set(|state| state.is_held = state.holds);
            self.wait(|state| !state.holds);
            self.set(|state| match state.is_new {
                true => state.got.push(cbor::from_slice(&batch).unwrap()),
                false => state.lost += 1,
            });
            true
        }

        fn restart(&self) {
            self.set(|state| state.is_new = true);
        }
    }

    /// A batch under way to a trail that died counted as the start of what the next one was sent.
    #[test]
    fn trail_that_returns_while_somebody_sends_gets_all_from_the_first() {
        let sink = Arc::new(Dying::default());
        let key = SoftKey::from_seed(&[1; 32]).unwrap();
        let (boot, log) = (Uuid::from_bytes([1; 16]), Arc::new(MemoryHead::default()));
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(100), 1));
        let records = Records::begin(boot, &Head::default(), sink.clone(), log, env);
        records.stream(&key);
        records.add(boot_record());
        sink.set(|state| state.holds = true);
        std::thread::scope(|threads| {
            threads.spawn(|| records.stream(&key));
            sink.wait(|state| state.is_held);
            let returns = threads.spawn(|| records.restart_stream(&key));
            std::thread::sleep(Duration::from_millis(100));
            assert!(!returns.is_finished(), "it did not wait for whoever sends");
            sink.set(|state| state.holds = false);
        });
        let state = sink.state.lock().unwrap();
        let got: Vec<_> = state.got.iter().map(|b| (b.first_seq, b.records.len())).collect();
        assert_eq!((state.lost, got), (2, vec![(0, 2)]));
    }

    fn boot_record() -> What {
        // Any content will do for the chain; only record 0 is checked to be a boot record.
        What::Boot(Boot { persisted: None, acknowledged: None, signed: vec![] })
    }

    #[test]
    fn records_are_refused_when_trail_owes_too_much_and_sent_again_when_it_returns() {
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(100), 1));
        let sink = Arc::new(Collect(Mutex::default(), false.into()));
        let key = SoftKey::from_seed(&[1; 32]).unwrap();
        let log = Arc::new(MemoryHead::default());
        let boot = Uuid::from_bytes([1; 16]);
        let records =
            Records::begin(boot, &Head::default(), sink.clone(), log.clone(), env.clone());
        records.stream(&key);
        assert!(records.check().is_ok());
        env.advance(Duration::from_millis(1001));
        assert!(matches!(records.check(), Err(Refusal::Unavailable(_))), "a second unacknowledged");

        sink.1.store(true, std::sync::atomic::Ordering::SeqCst);
        records.restart_stream(&key);
        assert!(records.check().is_ok());
        let sent = sink.0.lock().unwrap().clone();
        assert_eq!((sent.len(), sent[0].first_seq, sent[0].records.len()), (1, 0, 1));
        assert!(sent[0].is_signed_by(&key.public_key()));

        records.acknowledge(boot, 0).unwrap();
        assert_eq!(records.unacknowledged(), 0);
        assert!(records.acknowledge(boot, 1).is_err(), "never made");
        assert!(records.acknowledge(Uuid::from_bytes([2; 16]), 0).is_err(), "another boot");
        for _ in 0..USE_RECORDS_UNACKNOWLEDGED_MAX {
            records.add(boot_record());
        }
        assert!(records.check().is_err(), "too many");
        env.advance(Duration::from_secs(6));
        records.persist().unwrap();
        assert_eq!(Head::parse(&log.bytes()).unwrap().chain.unwrap().seq, 2048);
    }

    #[test]
    fn head_is_written_when_it_is_due_and_says_something_new() {
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(100), 1));
        let sink = Arc::new(Collect(Mutex::default(), true.into()));
        let log = Arc::new(MemoryHead::default());
        let boot = Uuid::from_bytes([1; 16]);
        let records = Records::begin(boot, &Head::default(), sink, log.clone(), env.clone());
        let after = |by: Duration| {
            env.advance(by);
            records.persist().unwrap();
            let head = Head::parse(&log.bytes()).unwrap();
            let seq = |position: Option<UsePosition>| position.map(|position| position.seq);
            (log.bytes().len(), seq(head.chain), seq(head.acknowledged))
        };
        let (interval, instant) = (limits::CHAIN_HEAD_INTERVAL, Duration::from_millis(1));
        assert_eq!(after(interval - instant), (0, None, None), "not due");
        let first = after(instant);
        assert_eq!((first.1, first.2), (Some(0), None));
        assert_eq!(after(interval), first, "nothing new");
        records.add(boot_record());
        assert_eq!(after(Duration::ZERO).1, Some(1), "due, as nothing was written");
        let third = records.add(boot_record());
        assert_eq!(records.head(), Some(HeadRecord::Chain(third)));
        assert_eq!(after(interval - instant).1, Some(1), "not due");
        assert_eq!(after(instant).1, Some(2));
        records.acknowledge(boot, 1).unwrap();
        let last = after(interval);
        assert_eq!((last.1, last.2), (Some(2), Some(1)), "an acknowledgement is news");
        assert_eq!(Head::parse(&log.bytes()).unwrap().chain, Some(third));
    }

    #[test]
    fn record_with_a_peers_long_text_is_one_that_trail_takes() {
        let env = Arc::new(TestEnv::new(Timestamp::from_secs(100), 1));
        let sink = Arc::new(Collect(Mutex::default(), true.into()));
        let key = SoftKey::from_seed(&[1; 32]).unwrap();
        let boot = Uuid::from_bytes([1; 16]);
        let log = Arc::new(MemoryHead::default());
        let records = Records::begin(boot, &Head::default(), sink.clone(), log, env);
        let mut end = ChainEnd::begin(boot);
        let whole = whole();
        let denied = |code: String| Use { result: UseResult::Denied(code), ..whole.clone() };
        let Some(principal) = whole.principal.clone() else { panic!("it has one") };
        let long_name = Some(UsePrincipal { arn: arn(4000), ..principal });
        // What is left of it beside the digest that stands for the whole.
        let shortened = |used: &Use| Use {
            op: format!("sha256:{}", sha256(&cbor::to_vec(used))),
            key: None,
            grant: None,
            via: vec![],
            ..used.clone()
        };
        let nobody = |used: &Use| Use { principal: None, ..shortened(used) };
        let undenied =
            |used: &Use| Use { result: UseResult::Denied("?".to_owned()), ..nobody(used) };
        let long = "x".repeat(200_000);
        type Left<'a> = &'a dyn Fn(&Use) -> Use;
        let table: [(Use, Left<'_>); 8] = [
            (denied("NotFoundException".to_owned()), &Use::clone),
            (whole.clone(), &Use::clone),
            (Use { op: long.clone(), ..whole.clone() }, &shortened),
            (Use { key: Some(arn(4000)), ..whole.clone() }, &shortened),
            (Use { grant: Some(long.clone()), ..whole.clone() }, &shortened),
            (Use { via: vec![long.clone()], ..whole.clone() }, &shortened),
            (Use { principal: long_name, ..whole.clone() }, &nobody),
            (denied(long), &undenied),
        ];
        let expected: Vec<Use> = table.iter().map(|(used, left)| left(used)).collect();
        for (used, _) in table {
            records.put(&key, What::Use(Box::new(used)));
        }
        let mut told = Vec::new();
        for batch in sink.0.lock().unwrap().iter() {
            for record in end.accept(batch, &key.public_key()).unwrap() {
                if let What::Use(used) = record.what {
                    told.push(*used);
                }
            }
        }
        assert_eq!(told, expected);
    }

    fn arn(length: usize) -> Arn {
        let account = "111122223333".parse().unwrap();
        Arn::build("kms", "us-east-1", Some(account), &format!("key/{}", "x".repeat(length)))
    }

    /// A record with something in every field.
    fn whole() -> Use {
        let principal = UsePrincipal {
            arn: "arn:aws:iam::111122223333:user/ann".parse().unwrap(),
            unique_id: Some("AIDAAAAAAAAAAAAAAAAAA".parse().unwrap()),
            account: "111122223333".parse().unwrap(),
        };
        Use {
            op: "kms:Decrypt".to_owned(),
            key: Some(arn(40)),
            backing_key: Some([1; 16]),
            principal: Some(principal),
            proof: UseProof::Signature(Hash([2; 32])),
            request: Some(Hash([3; 32])),
            context: Some(Hash([4; 32])),
            policy: Some(Hash([5; 32])),
            grant: Some("g".to_owned()),
            basis: Basis::Grant,
            result: UseResult::Ok,
            request_id: Uuid::from_bytes([6; 16]),
            event_id: Uuid::from_bytes([7; 16]),
            via: vec!["s3.amazonaws.com".to_owned()],
            run: None,
        }
    }
}
