//! What watch says of hosts, as the bastion goes by it: a lease for each host, renewed by watch's signed word.

use std::collections::BTreeMap;
use std::time::Duration;

use writ_bastion::access::Unwatched;
use writ_bastion::limits::WATCH_LEASE;
use writ_model::Timestamp;
use writ_proof::roster::HostName;
use writ_watch::word::Word;

/// What was heard last. Hosts of which watch knows nothing are nobody's business here.
#[derive(Default)]
pub(super) struct Watched {
    /// Why each host that watch knows is not watched; nothing of those that are.
    hosts: BTreeMap<HostName, Option<String>>,
    /// When that was written, by watch's clock.
    at_ms: u64,
    /// From when on it says nothing any more, by the monotonic clock.
    silent_from: Duration,
    /// Until when sessions on a host may go on, by the monotonic clock.
    leases: BTreeMap<HostName, Duration>,
}

impl Watched {
    /// Takes a word that is newer than the last one.
    pub(super) fn hear(&mut self, word: &Word, now: Timestamp, monotonic: Duration) {
        if word.at_ms <= self.at_ms {
            return;
        }
        let until = monotonic + WATCH_LEASE.saturating_sub(word.age(now));
        let told = word.hosts.iter();
        let told = told.filter_map(|told| Some((told.host.parse().ok()?, told.unwatched.clone())));
        self.hosts = told.collect();
        (self.at_ms, self.silent_from) = (word.at_ms, until);
        self.leases.retain(|host, _| self.hosts.contains_key(host));
        let watched = self.hosts.iter().filter(|(_, unwatched)| unwatched.is_none());
        self.leases.extend(watched.map(|(host, _)| (host.clone(), until)));
    }

    /// The hosts on which nothing opens now.
    pub(super) fn unwatched(&self, monotonic: Duration) -> BTreeMap<HostName, Unwatched> {
        let silent = monotonic >= self.silent_from;
        let unwatched = self.hosts.iter().filter_map(|(host, why)| {
            let why = match why {
                Some(why) => why.clone(),
                None if silent => {
                    format!("watch has not been heard for {} s", WATCH_LEASE.as_secs())
                }
                None => return None,
            };
            let over = self.leases.get(host).is_none_or(|until| monotonic >= *until);
            Some((host.clone(), Unwatched { why, over }))
        });
        unwatched.collect()
    }
}

#[cfg(test)]
mod tests {
    use writ_watch::word::Host;

    use super::*;

    fn word(at_ms: u64, unwatched: Option<&str>) -> Word {
        let unwatched = unwatched.map(str::to_owned);
        let hosts = vec![Host { host: "web-1".to_owned(), unwatched }];
        Word { v: 1, at_ms, hosts, ..Word::default() }
    }

    fn state(watched: &Watched, secs: u64) -> Option<bool> {
        let unwatched = watched.unwatched(Duration::from_secs(secs));
        unwatched.get(&"web-1".parse().unwrap()).map(|host| host.over)
    }

    #[test]
    fn host_that_watch_does_not_see_opens_nothing_at_once_and_loses_its_sessions_with_its_lease() {
        let mut watched = Watched::default();
        let hear = |watched: &mut Watched, at: u64, unwatched| {
            let now = Timestamp::from_millis(at * 1000);
            watched.hear(&word(at * 1000, unwatched), now, Duration::from_secs(at));
        };
        assert_eq!(state(&watched, 1), None, "of a host that watch does not know it says nothing");
        hear(&mut watched, 100, None);
        assert_eq!(state(&watched, 101), None);
        hear(&mut watched, 102, Some("its agent was killed"));
        assert_eq!(state(&watched, 103), Some(false));
        assert_eq!(state(&watched, 110), Some(true), "the lease of the last good word is over");
        hear(&mut watched, 111, None);
        assert_eq!(state(&watched, 112), None);
        // A word that is shown again renews nothing.
        watched.hear(
            &word(100_000, None),
            Timestamp::from_millis(119_000),
            Duration::from_secs(119),
        );
        assert_eq!(state(&watched, 120), None);
        assert_eq!(state(&watched, 121), Some(true), "watch itself is silent");
    }

    #[test]
    fn word_of_long_ago_is_no_lease() {
        let mut watched = Watched::default();
        watched.hear(&word(1000, None), Timestamp::from_millis(60_000), Duration::ZERO);
        assert_eq!(state(&watched, 0), Some(true));
    }
}
