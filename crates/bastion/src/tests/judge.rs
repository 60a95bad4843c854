//! One clock ends a session, and nobody lengthens it by the other; a session that has ended stays so.

use std::time::Duration;

use writ_model::env::TestEnv;

use super::*;

#[path = "people.rs"]
mod people;

const GRANT: Hash = Hash([7; 32]);

#[test]
fn wall_clock_that_is_set_back_lengthens_no_grant() {
    let env = TestEnv::new(Timestamp::from_millis(1_800_000_000_000), 7);
    let end = env.now().plus(Duration::from_secs(60));
    let mut deadlines = Deadlines::default();
    assert!(deadlines.holds(GRANT, end, &env));
    env.set_now(Timestamp::from_millis(env.now().millis() - 3_600_000));
    env.advance(Duration::from_secs(59));
    assert!(deadlines.holds(GRANT, end, &env));
    env.advance(Duration::from_secs(1));
    assert!(!deadlines.holds(GRANT, end, &env), "the wall clock says that there is an hour");
}

#[test]
fn wall_clock_that_is_set_ahead_shortens_a_grant_for_good() {
    let env = TestEnv::new(Timestamp::from_millis(1_800_000_000_000), 7);
    let (start, end) = (env.now(), env.now().plus(Duration::from_secs(60)));
    let mut deadlines = Deadlines::default();
    assert!(deadlines.holds(GRANT, end, &env));
    env.set_now(end);
    assert!(!deadlines.holds(GRANT, end, &env));
    env.set_now(start);
    assert!(!deadlines.holds(GRANT, end, &env), "setting it back again opens nothing");
}

/// Always current, with this.
struct Front(Mutex<Arc<Access>>, watch::Sender<u64>);

impl ports::State for Front {
    fn current(&self) -> Result<Arc<Access>, ports::Stale> {
        Ok(Arc::clone(&self.0.lock().unwrap()))
    }

    fn newest(&self) -> Option<Arc<Access>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }

    fn age(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.1.subscribe()
    }
}

/// Both directions and the watch of a session ask one after another: the first one that hears no must not be the
/// only one.
#[test]
fn session_whose_grant_ended_hears_no_as_often_as_it_asks() {
    let start = Timestamp::from_millis(1_800_000_000_000);
    type End<'e> = &'e dyn Fn(&Front, &TestEnv);
    let ends: [(&str, End<'_>); 2] = [
        ("expired", &|_, env| env.advance(Duration::from_secs(3600))),
        ("revoked", &|front, _| {
            let mut access = people::access(people::roster(), Vec::new());
            access.ended.insert(GRANT, "revoked".to_owned());
            *front.0.lock().unwrap() = Arc::new(access);
            front.1.send_modify(|change| *change += 1);
        }),
    ];
    for (why, end) in ends {
        let env = Arc::new(TestEnv::new(start, 7));
        let access = people::access(people::roster(), vec![people::held(start, &[])]);
        let front = Arc::new(Front(Mutex::new(Arc::new(access)), watch::Sender::new(0)));
        let place = Place::parse("svc+web-1", "anna".parse().unwrap()).unwrap();
        let (port, clock) = (Arc::clone(&front) as Arc<dyn ports::State>, Arc::clone(&env));
        let judge = Judge::new(port, clock, place);
        judge.take(1, Need::Shell).unwrap();
        assert_eq!(judge.may_pass(), Ok(true));
        end(&front, &env);
        for time in 1..=3 {
            let told = judge.may_pass().expect_err(&format!("{why}, {time}"));
            assert!(told.contains(why), "{told}");
        }
    }
}
