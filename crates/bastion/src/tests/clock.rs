//! Steps of the wall clock are seen, its running is not.

use writ_model::Timestamp;
use writ_model::env::TestEnv;

use super::*;

#[test]
fn step_of_the_wall_clock_is_seen_once_and_its_running_never() {
    let env = TestEnv::new(Timestamp::from_millis(1_800_000_000_000), 7);
    let mut clock = Clock::new(&env);
    env.advance(Duration::from_secs(3600));
    assert_eq!(clock.step(&env), None);
    env.set_now(Timestamp::from_millis(env.now().millis() - 600_000));
    assert_eq!(clock.step(&env), Some(-600_000));
    assert_eq!(clock.step(&env), None);
    env.set_now(Timestamp::from_millis(env.now().millis() + 3_000));
    assert_eq!(clock.step(&env), Some(3_000));
    env.set_now(Timestamp::from_millis(env.now().millis() + 1_500));
    assert_eq!(clock.step(&env), None, "a correction of NTP is none");
}
