//! Whether somebody moves the wall clock. It ends no session later, since sessions end by the monotonic clock;
//! it is told, because grants and certificates of others go by it.

use std::time::Duration;

use writ_model::Env;

use crate::limits::CLOCK_STEP_MAX;
use crate::teller::{Event, Teller};

/// The wall clock as it was last seen beside the monotonic one, in milliseconds.
pub(crate) struct Clock {
    ahead: i128,
}

impl Clock {
    pub(crate) fn new(env: &dyn Env) -> Clock {
        Clock { ahead: ahead(env) }
    }

    /// How far the wall clock was moved since the last look, in milliseconds; `None` if it runs as it should.
    pub(crate) fn step(&mut self, env: &dyn Env) -> Option<i128> {
        let now = ahead(env);
        let step = now - self.ahead;
        self.ahead = now;
        (step.unsigned_abs() > CLOCK_STEP_MAX.as_millis()).then_some(step)
    }

    /// Looks, and tells of a step.
    pub(crate) async fn look(&mut self, env: &dyn Env, teller: &Teller) {
        let Some(step) = self.step(env) else { return };
        tracing::error!(step_ms = %step, "clock.stepped: the wall clock was moved");
        let event = Event::new("ClockStepped", vec![("byMilliseconds", step.to_string())]);
        if let Err(error) = teller.tell("127.0.0.1", vec![event]).await {
            tracing::warn!(error, "a step of the clock is not in the ledger yet");
            // Seen again at the next look.
            self.ahead -= step;
        }
    }
}

fn ahead(env: &dyn Env) -> i128 {
    let monotonic: Duration = env.monotonic();
    i128::from(env.now().millis()) - i128::try_from(monotonic.as_millis()).unwrap_or(i128::MAX)
}

#[cfg(test)]
#[path = "tests/clock.rs"]
mod tests;
