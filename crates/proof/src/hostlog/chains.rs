//! What must hold between the entries of a host log: that each host's frames follow one another without a gap
//! that is not explained, under the host's own signature, and lead to the heads that were announced.

use std::collections::{BTreeMap, BTreeSet};

use super::log::{Entry, Event};
use super::{Frame, Position};
use crate::roster::HostName;

/// What watch raises when a host's chain is not the announced one.
const REWRITTEN: &str = "history-rewritten";

/// Follows the entries of a host log, from its first on.
#[derive(Debug, Default)]
pub struct Chains {
    hosts: BTreeMap<HostName, Chain>,
    alarms: BTreeSet<u64>,
    frames: u64,
    gaps: u64,
}

/// One host.
#[derive(Debug, Default)]
struct Chain {
    /// All keys that ever were the host's: a spool may hold what an earlier one has signed.
    keys: Vec<[u8; 32]>,
    held: Position,
    epoch: u64,
    announced: Option<Position>,
    /// The newest configuration's.
    serial: u64,
    /// What is a fault unless watch has raised an alarm about it.
    contradictions: Vec<String>,
    is_told: bool,
}

impl Chains {
    /// Takes the entry of this index; answers what does not hold.
    pub fn entry(&mut self, index: u64, entry: &Entry) -> Vec<String> {
        match &entry.event {
            Event::Enrolled(enrolment) => {
                self.chain(&enrolment.host).keys.push(enrolment.key);
                Vec::new()
            }
            Event::Hello(hello) => self.chain(&hello.host).hello(hello.epoch, hello.end),
            Event::Frame(bytes) => {
                self.frames += 1;
                match Frame::from_bytes(bytes) {
                    Ok(frame) => self.chain(&frame.host).frame(&frame, bytes),
                    Err(error) => vec![format!("a frame that is none: {error}")],
                }
            }
            Event::Lost(lost) => {
                self.gaps += 1;
                let chain = self.chain(&lost.host);
                let mut faults = Vec::new();
                if !lost.lost.is_signed(&lost.host, &chain.keys) {
                    faults.push(format!(
                        "host `{}`: frames are said to be lost, and its key has not signed that",
                        lost.host
                    ));
                }
                match chain.held.behind(&lost.lost) {
                    Ok(held) => chain.reach(&lost.host, held),
                    Err(_) => faults.push(format!(
                        "host `{}`: frames from {} on are said to be lost, and {} is due",
                        lost.host, lost.lost.first, chain.held.next_seq
                    )),
                }
                faults
            }
            Event::Left(left) => {
                let chain = self.chain(&left.host);
                let holds =
                    left.bye.end == chain.held && left.bye.is_signed(&left.host, &chain.keys);
                let fault =
                    format!("host `{}`: its end is not signed, or not where it is", left.host);
                if holds { Vec::new() } else { vec![fault] }
            }
            Event::Alarm(alarm) => {
                self.alarms.insert(index);
                if let Some(host) = alarm.host.as_ref().filter(|_| alarm.kind == REWRITTEN) {
                    self.chain(host).is_told = true;
                }
                Vec::new()
            }
            Event::Configured(configured) => {
                let (host, serial) = (&configured.config.host, configured.config.serial);
                let chain = self.chain(host);
                let last = std::mem::replace(&mut chain.serial, serial);
                let fault = format!("host `{host}`: configuration {serial} follows {last}");
                if serial == last.saturating_add(1) { Vec::new() } else { vec![fault] }
            }
            Event::Again(again) => self.known(again.alarm),
            Event::Acknowledged(done) => self.known(done.alarm),
            _ => Vec::new(),
        }
    }

    /// After the last entry: contradictions that no alarm tells of.
    pub fn end(&self) -> Vec<String> {
        let untold = self.hosts.values().filter(|chain| !chain.is_told);
        untold.flat_map(|chain| chain.contradictions.clone()).collect()
    }

    /// How many hosts, frames, and gaps with a signed reason.
    pub fn counts(&self) -> (usize, u64, u64) {
        (self.hosts.len(), self.frames, self.gaps)
    }

    fn chain(&mut self, host: &HostName) -> &mut Chain {
        self.hosts.entry(host.clone()).or_default()
    }

    fn known(&self, alarm: u64) -> Vec<String> {
        match self.alarms.contains(&alarm) {
            true => Vec::new(),
            false => vec![format!("it is about alarm {alarm}, which is not there")],
        }
    }
}

impl Chain {
    fn hello(&mut self, epoch: u64, end: Position) -> Vec<String> {
        self.epoch = self.epoch.max(epoch);
        self.announced = Some(end);
        let fault = |why: &str| vec![format!("its agent connected with {why}, and watch took it")];
        match end.next_seq.cmp(&self.held.next_seq) {
            std::cmp::Ordering::Less => fault("less than is here"),
            std::cmp::Ordering::Equal if end.head != self.held.head => fault("another history"),
            _ => Vec::new(),
        }
    }

    fn frame(&mut self, frame: &Frame, bytes: &[u8]) -> Vec<String> {
        let mut faults = Vec::new();
        let host = &frame.host;
        if frame.seq != self.held.next_seq {
            faults.push(format!(
                "host `{host}`: frame {} where {} is due: one is missing, twice, or out of order",
                frame.seq, self.held.next_seq
            ));
            self.held.next_seq = frame.seq;
        }
        if frame.epoch > self.epoch {
            faults.push(format!(
                "host `{host}`: a frame of epoch {}, which never began",
                frame.epoch
            ));
        }
        if self.keys.is_empty() || !frame.is_signed(&self.keys) {
            faults.push(format!("host `{host}`: frame {} lacks its key's signature", frame.seq));
        }
        self.reach(host, self.held.after(bytes));
        faults
    }

    fn reach(&mut self, host: &HostName, held: Position) {
        self.held = held;
        if let Some(announced) = self.announced.take_if(|place| place.next_seq <= held.next_seq)
            && announced.next_seq == held.next_seq
            && announced.head != held.head
        {
            let what =
                format!("host `{host}`: at {} its head is not the announced one", held.next_seq);
            self.contradictions.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use writ_model::{Nonce, Timestamp, Uuid};

    use super::*;
    use crate::cbor::Version;
    use crate::ed25519::SoftKey;
    use crate::hash::Hash;
    use crate::hostlog::SignedConfig;
    use crate::hostlog::log::{Configured, Connected};

    fn told(chains: &mut Chains, event: Event) -> Vec<String> {
        chains.entry(0, &Entry { v: Version, at: Timestamp::from_secs(9), event })
    }

    #[test]
    fn greeting_with_less_or_another_history_is_told() {
        let mut chains = Chains::default();
        let (host, head): (HostName, Hash) = ("web-1".parse().unwrap(), Hash([1; 32]));
        chains.chain(&host).held = Position { next_seq: 5, head };
        let mut hello = |next_seq, head| {
            let connected = Connected {
                host: host.clone(),
                boot: Uuid::from_bytes([1; 16]),
                epoch: 1,
                instance: Nonce([1; 16]),
                config: Hash([2; 32]),
                end: Position { next_seq, head },
            };
            told(&mut chains, Event::Hello(connected))
        };
        assert_eq!(hello(5, head), Vec::<String>::new());
        assert_eq!(hello(6, Hash([3; 32])), Vec::<String>::new(), "more may come");
        assert!(hello(4, head)[0].contains("with less than is here"));
        assert!(hello(5, Hash([3; 32]))[0].contains("with another history"));
    }

    #[test]
    fn configuration_that_is_missing_or_comes_again_is_told() {
        let mut chains = Chains::default();
        let key = SoftKey::from_seed(&[7; 32]).unwrap();
        let mut configured = |serial| {
            let host = "web-1".parse().unwrap();
            let config = SignedConfig::sign(host, serial, "watch".to_owned(), &key).unwrap();
            told(&mut chains, Event::Configured(Configured { config, by: None }))
        };
        assert_eq!((configured(1), configured(2)), (Vec::new(), Vec::new()));
        assert!(configured(2)[0].contains("configuration 2 follows 2"));
        assert!(configured(4)[0].contains("configuration 4 follows 2"));
    }
}
