//! One clock ends a session, and nobody lengthens it by the other.

use std::time::Duration;

use writ_model::env::TestEnv;

use super::*;

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
