//! What somebody without rights on a host writes into its log makes many alarms, and holds up none.

use writ_proof::hostlog::Line;
use writ_proof::roster::{ChannelPins, Roster};

use super::*;
use crate::detect::Detectors;
use crate::limits::SAME_OPEN_MAX;
use crate::world;

const FORGED: usize = 1000;

impl Bench {
    /// A bench whose watch compares hosts with a ledger, which is empty.
    fn with_detectors() -> Bench {
        let mut bench = Bench::new();
        let temp = tempfile::tempdir().unwrap();
        let pins = ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) };
        let (genesis, _) = Roster::begin(&world::genesis(pins), None).unwrap();
        let elsewhere = hosts(temp.path(), &bench.env);
        let Hosts { env, authority, .. } = std::mem::replace(&mut bench.hosts, elsewhere);
        let book = open(bench.temp.path(), &bench.env);
        let book = Shared::with(book, Detectors::new(&genesis));
        bench.hosts = Hosts::new(env, book, authority);
        bench
    }

    /// `logger -t sshd` in a loop, sent by a good agent in one message.
    fn forge(&mut self, agent: &mut Agent, count: usize) {
        let text = b"Nov 22 10:00:00 web-1 sshd[77]: Accepted password for root from 192.0.2.7 port 5 ssh2";
        let line = Line { inode: 1, end: 1, text: text.to_vec(), partial: false };
        let lines = vec![Payload::Line(line); count];
        assert_eq!(self.send(agent, &lines), [ToAgent::Ack(agent.end)]);
    }

    /// What a channel owes, in its order: number, kind and how often it came again.
    fn owed(&self) -> Vec<(u64, String, u64)> {
        let book = self.hosts.book().lock();
        let owed = book.owed("pager");
        owed.map(|(number, known)| (number, known.alarm.kind.clone(), known.again)).collect()
    }

    fn deliver(&self, count: usize) {
        for _ in 0..count {
            let first = self.owed()[0].0;
            self.hosts.book().lock().delivered(&[first], "pager").unwrap();
        }
    }

    fn killed_on(&self, host: &str) {
        let host: HostName = host.parse().unwrap();
        let killed = Alarm::AgentKilled.as_str();
        self.hosts.book().lock().raise(killed, Some(&host), "gone").unwrap();
    }

    fn place_of_killed(&self) -> Option<usize> {
        self.owed().iter().position(|(_, kind, _)| kind == "agent-killed")
    }
}

#[test]
fn flood_of_forged_logins_holds_up_no_alarm_of_another_host() {
    let mut bench = Bench::with_detectors();
    let mut agent = bench.connected(1);
    bench.forge(&mut agent, FORGED);
    bench.killed_on("web-2");
    let owed = bench.owed();
    assert_eq!(owed.len(), SAME_OPEN_MAX + 2);
    // Before the flood's second alarm, though that is older by far.
    assert_eq!(bench.place_of_killed(), Some(1));
    // Nothing is dropped: what is no alarm of its own is counted.
    let (_, kind, again) = owed.last().unwrap();
    assert_eq!((kind.as_str(), *again), ("access-without-grant", (FORGED - SAME_OPEN_MAX) as u64));
    // It comes in while the flood goes out.
    bench.deliver(10);
    bench.killed_on("web-3");
    bench.forge(&mut agent, FORGED);
    assert_eq!(bench.place_of_killed(), Some(0));
    assert_eq!(bench.owed().len(), SAME_OPEN_MAX + 3 - 10);
    // Somebody takes note of all; the next is an alarm again.
    let open: Vec<u64> = bench.hosts.book().lock().facts().open.iter().copied().collect();
    for number in open {
        assert!(bench.hosts.book().lock().acknowledge(number, "dora").unwrap());
    }
    bench.forge(&mut agent, 1);
    assert_eq!(bench.owed().len(), 1);
}

#[test]
fn flood_of_many_messages_counts_each_frame_once_over_a_restart() {
    let mut bench = Bench::with_detectors();
    let mut agent = bench.connected(1);
    for _ in 0..10 {
        bench.forge(&mut agent, SAME_OPEN_MAX / 4);
    }
    let owed = bench.owed();
    let (number, _, again) = owed.last().unwrap();
    assert_eq!(
        (owed.len(), *again),
        (SAME_OPEN_MAX + 1, (SAME_OPEN_MAX / 4 * 10 - SAME_OPEN_MAX) as u64)
    );
    let temp = tempfile::tempdir().unwrap();
    bench.hosts = hosts(temp.path(), &bench.env);
    let mut book = open(bench.temp.path(), &bench.env);
    // What is looked at again after a start is known.
    for seq in 0..u64::try_from(SAME_OPEN_MAX / 4 * 10).unwrap() {
        let key = format!("login web-1/{seq}");
        book.raise_once(Alarm::AccessWithoutGrant.as_str(), Some(&host()), &key, "again").unwrap();
    }
    assert_eq!(book.facts().alarms[number].again, *again);
}
