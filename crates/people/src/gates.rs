//! The gates before access: which are required, and which are open at a moment.
//!
//! A gate is passed by evidence in the feed and checked at each use, so an expired training ends access
//! without any job running.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use writ_model::Timestamp;
use writ_store::state::{Person, Screening};

use crate::limits;

/// One gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The non-disclosure agreement is signed.
    Nda,
    /// The acceptable-use policy and code of conduct are accepted.
    Policy,
    /// Screening has a good result, or none is required.
    Screening,
    /// Required training has not expired.
    Training,
}

impl Gate {
    /// Every gate.
    pub const ALL: [Gate; 4] = [Gate::Nda, Gate::Policy, Gate::Screening, Gate::Training];

    /// The word in records and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Gate::Nda => "nda",
            Gate::Policy => "policy",
            Gate::Screening => "screening",
            Gate::Training => "training",
        }
    }

    /// True if `person` has passed it at `now`. Evidence of an earlier employment, and evidence that
    /// is dated in the future, pass nothing.
    pub fn is_passed(self, person: &Person, now: Timestamp) -> bool {
        let counts = |at: Timestamp| at <= now && person.gates_from.is_none_or(|from| at >= from);
        let gates = &person.gates;
        match self {
            Gate::Nda => gates.nda.is_some_and(counts),
            Gate::Policy => gates.policy.as_ref().is_some_and(|accepted| counts(accepted.at)),
            Gate::Screening => match gates.screening {
                Screening::Cleared(cleared) => counts(cleared.at),
                Screening::NotRequired => true,
                Screening::Pending => false,
            },
            Gate::Training => gates.training_until.is_some_and(|until| now < until),
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an installation may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The gates that must be passed before access.
    pub gates: Vec<Gate>,
    /// How long a membership outlives a move.
    pub reapproval: Duration,
    /// The same for privileged groups.
    pub reapproval_privileged: Duration,
    /// How long the feed may be silent.
    pub silence: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            gates: Gate::ALL.to_vec(),
            reapproval: limits::REAPPROVAL,
            reapproval_privileged: limits::REAPPROVAL_PRIVILEGED,
            silence: limits::SILENCE,
        }
    }
}

impl Settings {
    /// The required gates that `person` has not passed at `now`.
    pub fn open_gates(&self, person: &Person, now: Timestamp) -> Vec<Gate> {
        self.gates.iter().copied().filter(|gate| !gate.is_passed(person, now)).collect()
    }

    /// How long a membership outlives a move.
    pub fn reapproval_of(&self, privileged: bool) -> Duration {
        if privileged { self.reapproval_privileged } else { self.reapproval }
    }
}

/// True if the person's time is over at `now`.
pub fn is_expired(person: &Person, now: Timestamp) -> bool {
    person.valid_until.is_some_and(|until| now >= until)
}
