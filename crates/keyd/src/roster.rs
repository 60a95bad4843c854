//! keyd's own roster: who may say what, replayed from genesis, which the supervisor gives.
//!
//! Every statement is verified here again. The head file remembers genesis and the newest statement, so
//! that a history that is shorter, or another one, is refused. Then there is no roster, and whatever
//! needs one is refused; customers are served all the same.

use std::sync::Arc;
use std::time::Duration;

use writ_keyd_client::protocol::{Refusal, RosterHead, RosterStatus};
use writ_model::{Env, PersonId};
use writ_proof::hash::Hash;
use writ_proof::note::VerifierKey;
use writ_proof::roster::{Genesis, Roster};
use writ_proof::statement::Signed;

use crate::head::{Head, HeadLog, HeadRecord};
use crate::locked::Locked;
use crate::refuse::{forbidden, unavailable};

/// A statement may be dated this far ahead of keyd's clock.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// See the module.
pub(crate) struct Rosters {
    env: Arc<dyn Env>,
    log: Arc<dyn HeadLog>,
    /// The roster right after genesis, or why there is none.
    genesis: Result<Roster, String>,
    /// The key of watch's host log, and the name under which keyd cosigns it.
    host_log: Result<(VerifierKey, String), String>,
    state: Locked<State>,
}

struct State {
    /// What the head file knows as the newest statement.
    kept: RosterHead,
    /// The whole roster, or why there is none. Shared: who asks it something holds up nobody.
    whole: Result<Arc<Roster>, String>,
    /// As far as front has shown it.
    shown: Result<Roster, String>,
}

impl Rosters {
    /// Begins with the signed genesis; the first one that is ever given is the only one.
    pub(crate) fn begin(
        genesis: &[u8],
        head: &Head,
        log: Arc<dyn HeadLog>,
        env: Arc<dyn Env>,
    ) -> Rosters {
        let begun = verified(genesis, head.genesis, &*log);
        let host_log = begun.as_ref().map_err(Clone::clone).and_then(|(genesis, _)| {
            let key = genesis.host_log_key().map_err(|error| format!("genesis: {error}"))?;
            Ok((key, genesis.keyd_cosigner_name()))
        });
        let genesis = begun.map(|(_, roster)| roster);
        let first = genesis.as_ref().map_or(Hash::ZERO, Roster::head);
        let kept = head.roster.unwrap_or(RosterHead { seq: 0, digest: first.0 });
        let whole = Err("front has not shown the roster yet".to_owned());
        let state = State { kept, whole, shown: genesis.clone() };
        Rosters { env, log, genesis, host_log, state: Locked::new(state) }
    }

    /// front begins to show all statements.
    pub(crate) fn begin_load(&self) {
        self.state.lock().shown.clone_from(&self.genesis);
    }

    /// Further statements that front shows, in order. What is wrong with them is said at the end.
    pub(crate) fn show(&self, statements: &[Vec<u8>]) {
        let mut state = self.state.lock();
        for statement in statements {
            let kept = state.kept;
            let Ok(roster) = &mut state.shown else { return };
            if let Err(why) = self.follow(roster, statement, kept) {
                state.shown = Err(why);
            }
        }
    }

    /// front has shown all of them.
    pub(crate) fn end_load(&self) {
        let mut state = self.state.lock();
        let shown = std::mem::replace(&mut state.shown, self.genesis.clone());
        let kept = state.kept;
        state.whole = match shown {
            Ok(roster) if roster.seq() < kept.seq => Err(format!(
                "front shows {} statements of the roster, and there were {}: its database is older than \
                 what keyd has seen, restore the newest one",
                roster.seq(),
                kept.seq
            )),
            Ok(roster) => self.keep(&mut state.kept, &roster).map(|()| Arc::new(roster)),
            Err(why) => Err(why),
        };
    }

    /// The next statement.
    ///
    /// # Errors
    /// There is no roster, or the statement does not follow it.
    pub(crate) fn apply(&self, statement: &[u8]) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let kept = state.kept;
        let roster = state.whole.as_ref().map_err(|why| unavailable(why.as_str()))?;
        let mut next = Roster::clone(roster);
        self.follow(&mut next, statement, kept).map_err(forbidden)?;
        self.keep(&mut state.kept, &next).map_err(unavailable)?;
        state.whole = Ok(Arc::new(next));
        Ok(())
    }

    /// Asks the whole roster something; a refusal while there is none. `ask` may take any lock: none is held here.
    pub(crate) fn with<T>(&self, ask: impl FnOnce(&Roster) -> T) -> Result<T, Refusal> {
        let whole = self.state.lock().whole.clone();
        whole.map(|roster| ask(&roster)).map_err(|why| unavailable(why.as_str()))
    }

    /// The key of watch's host log, and the name under which keyd cosigns it.
    ///
    /// # Errors
    /// There is no genesis.
    pub(crate) fn host_log(&self) -> Result<(&VerifierKey, &str), Refusal> {
        let known = self.host_log.as_ref().map_err(|why| unavailable(why.as_str()))?;
        Ok((&known.0, &known.1))
    }

    /// What keyd says of it. `is_ended` knows whom front has told to have ended.
    pub(crate) fn status(&self, is_ended: impl Fn(&PersonId, u64) -> bool) -> RosterStatus {
        let (head, whole) = {
            let state = self.state.lock();
            (state.kept, state.whole.clone())
        };
        let lives = |roster: &Arc<Roster>| {
            let people = roster.people().filter(|(person, _)| {
                roster.enrolment(person).is_some_and(|number| !is_ended(person, number))
            });
            people.count() as u64
        };
        RosterStatus { head, people: whole.as_ref().map_or(0, lives), fault: whole.err() }
    }

    /// Applies one statement, and holds it to the one that the head file knows by this number.
    fn follow(
        &self,
        roster: &mut Roster,
        statement: &[u8],
        kept: RosterHead,
    ) -> Result<(), String> {
        let at = roster.seq() + 1;
        let wrong = |error: writ_proof::Error| format!("roster statement {at}: {error}");
        let signed = Signed::from_bytes(statement).map_err(wrong)?;
        let applied = roster.apply(&signed).map_err(wrong)?;
        if applied.created.since(self.env.now()) > AHEAD_MAX {
            return Err(format!("roster statement {at} is dated ahead of keyd's clock"));
        }
        if roster.seq() == kept.seq && roster.head().0 != kept.digest {
            return Err(format!("roster statement {at} is not the one that keyd has seen before"));
        }
        Ok(())
    }

    /// What is new is in the head file before anything rests on it.
    fn keep(&self, kept: &mut RosterHead, roster: &Roster) -> Result<(), String> {
        if roster.seq() == kept.seq {
            return Ok(());
        }
        let new = RosterHead { seq: roster.seq(), digest: roster.head().0 };
        let written = self.log.append(&[HeadRecord::Roster(new)]);
        written.map_err(|_| "the head file cannot be written".to_owned())?;
        *kept = new;
        Ok(())
    }
}

/// The roster of a genesis that verifies and is the one that was given first.
fn verified(
    genesis: &[u8],
    pinned: Option<[u8; 32]>,
    log: &dyn HeadLog,
) -> Result<(Genesis, Roster), String> {
    let begun = Signed::from_bytes(genesis).and_then(|signed| Roster::begin(&signed, None));
    let (genesis, roster) = begun.map_err(|error| format!("genesis: {error}"))?;
    match pinned {
        Some(digest) if digest != roster.head().0 => {
            Err("the genesis statement is another one than at the first start".to_owned())
        }
        Some(_) => Ok((genesis, roster)),
        None => {
            let written = log.append(&[HeadRecord::Genesis(roster.head().0)]);
            written.map_err(|_| "the head file cannot be written".to_owned())?;
            Ok((genesis, roster))
        }
    }
}
