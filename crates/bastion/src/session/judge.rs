//! Whether a session may go on: some live grant covers each open channel of it.
//!
//! One clock ends a session: the monotonic one, with the deadline of each grant computed when the grant was first
//! read. Steps of the wall clock never lengthen a session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use writ_model::limits::{BASTION_CLOSE_AFTER, BASTION_FREEZE_AFTER};
use writ_model::{Env, Timestamp};
use writ_proof::hash::Hash;

use crate::access::{Access, Held, Need, Place, covering};
use crate::limits::JUDGE_EVERY;
use crate::ports;
use crate::teller::Event;

pub(super) struct Judge {
    front: Arc<dyn ports::State>,
    env: Arc<dyn Env>,
    place: Place,
    state: Mutex<State>,
    changes: watch::Receiver<u64>,
}

/// When each grant is over, by the monotonic clock.
#[derive(Default)]
struct Deadlines(BTreeMap<Hash, Duration>);

impl Deadlines {
    /// True if a grant until `not_after` is not over. A wall clock that was set ahead shortens its time; one that
    /// was set back lengthens nothing.
    fn holds(&mut self, grant: Hash, not_after: Timestamp, env: &dyn Env) -> bool {
        let (wall, now) = (env.now(), env.monotonic());
        let left = now + not_after.since(wall);
        let deadline = self.0.entry(grant).or_insert(left);
        *deadline = (*deadline).min(left);
        now < *deadline
    }

    fn of(&self, grant: &Hash) -> Option<Duration> {
        self.0.get(grant).copied()
    }
}

#[derive(Default)]
struct State {
    deadlines: Deadlines,
    /// What each open channel needs, and the grant that gives it.
    needs: BTreeMap<u32, (Need, Option<Hash>)>,
    /// The change of the state that was judged last.
    judged: Option<u64>,
    /// When it must be judged again.
    until: Duration,
    /// Channels that another grant has taken over, not yet told: the channel, the old grant and the new one.
    taken: Vec<(u32, Hash, Arc<Held>)>,
}

impl Judge {
    pub(super) fn new(front: Arc<dyn ports::State>, env: Arc<dyn Env>, place: Place) -> Judge {
        let changes = front.changes();
        let mut state = State::default();
        // The connection itself needs a grant as long as it is there.
        state.needs.insert(0, (Need::Login, None));
        Judge { front, env, place, state: Mutex::new(state), changes }
    }

    /// The grant that gives `need` now, from a current state; the channel needs it from here on.
    pub(super) fn take(&self, channel: u32, need: Need) -> Result<Arc<Held>, String> {
        let access = self.front.current().map_err(|stale| stale.to_string())?;
        access.watched(&self.place.host)?;
        let mut state = self.lock();
        let live = self.live(&mut state, &access);
        let Some(held) = covering(&live, &need) else {
            return Err(what_to_do(&need, &self.place));
        };
        state.needs.insert(channel, (need, Some(held.grant.digest)));
        state.judged = None;
        Ok(Arc::clone(held))
    }

    /// All live grants for the place, from a current state.
    pub(super) fn all(&self) -> Result<Vec<Arc<Held>>, String> {
        let access = self.front.current().map_err(|stale| stale.to_string())?;
        Ok(self.live(&mut self.lock(), &access))
    }

    /// The channel is closed.
    pub(super) fn release(&self, channel: u32) {
        self.lock().needs.remove(&channel);
    }

    /// True if bytes may go on; false while nobody knows; an error says why the session ends.
    pub(super) fn may_pass(&self) -> Result<bool, String> {
        // In this order: what is judged is then at least as new as what is proven current.
        let age = self.front.age();
        self.judge()?;
        match age {
            Some(age) if age < BASTION_FREEZE_AFTER => Ok(true),
            Some(age) if age < BASTION_CLOSE_AFTER => Ok(false),
            _ => Err(format!(
                "the bastion has not heard for {} s what is granted",
                BASTION_CLOSE_AFTER.as_secs()
            )),
        }
    }

    /// Fails with the reason if the session must end. Cheap while nothing has changed.
    fn judge(&self) -> Result<(), String> {
        let change = *self.changes.borrow();
        let now = self.env.monotonic();
        let mut state = self.lock();
        if state.judged == Some(change) && now < state.until {
            return Ok(());
        }
        let newest = self.front.newest();
        let access = newest.ok_or("the bastion does not know what is granted")?;
        let live = self.live(&mut state, &access);
        // The needs stay where they are: after a no, whoever asks next gets the same one.
        let State { deadlines, needs, taken, .. } = &mut *state;
        for (channel, (need, before)) in needs {
            let Some(held) = covering(&live, need) else {
                return Err(self.why(before.as_ref(), deadlines, &access));
            };
            // A grant that still gives it keeps the channel, whichever would come first.
            let kept = before.is_some_and(|digest| {
                let own = live.iter().filter(|held| held.grant.digest == digest);
                covering(&own.cloned().collect::<Vec<_>>(), need).is_some()
            });
            if kept {
                continue;
            }
            if let Some(old) = before.replace(held.grant.digest) {
                taken.push((*channel, old, Arc::clone(held)));
            }
        }
        let next = live.iter().filter_map(|held| state.deadlines.of(&held.grant.digest)).min();
        state.until = next.unwrap_or(now).min(now + JUDGE_EVERY);
        state.judged = Some(change);
        Ok(())
    }

    /// Channels that another grant has taken over since the last call.
    fn taken(&self) -> Vec<(u32, Hash, Arc<Held>)> {
        std::mem::take(&mut self.lock().taken)
    }

    /// When the first grant is over, or the next look is due.
    fn due_in(&self) -> Duration {
        self.lock().until.saturating_sub(self.env.monotonic())
    }

    /// The live grants whose deadline by the monotonic clock has not come either.
    fn live(&self, state: &mut State, access: &Access) -> Vec<Arc<Held>> {
        let env = &*self.env;
        let mut live = access.live(&self.place, env.now());
        live.retain(|held| state.deadlines.holds(held.grant.digest, held.grant.not_after, env));
        live
    }

    fn why(&self, grant: Option<&Hash>, deadlines: &Deadlines, access: &Access) -> String {
        if let Some(why) = access.away.get(&self.place.person) {
            return format!("`{}` may not act any more: {why}", self.place.person);
        }
        if let Some(host) = access.unwatched.get(&self.place.host).filter(|host| host.over) {
            return format!("its host is not watched any more: {}", host.why);
        }
        let ended = grant.and_then(|digest| access.ended.get(digest));
        let now = self.env.monotonic();
        let over = grant.and_then(|digest| deadlines.of(digest)).is_none_or(|end| now >= end);
        // The roster has changed, and front has not drawn the conclusion yet.
        let why = if over { "expired" } else { "policy_changed" };
        format!("its grant ended: {}", ended.map_or(why, String::as_str))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody lacks, and how to ask for it.
fn what_to_do(need: &Need, place: &Place) -> String {
    let Place { login, host, .. } = place;
    let (what, flag) = match need {
        Need::Login => ("a login", String::new()),
        Need::Shell => ("a shell or a terminal", " --shell".to_owned()),
        Need::Command(command) => ("this command", format!(" --command '{command}'")),
        Need::Files(_) => ("files", " --file RIGHTS:PATH".to_owned()),
    };
    format!(
        "no grant gives {what} as `{login}` on `{host}` now: ask with `writ request --host {host} \
         --login {login}{flag} ...`"
    )
}

impl super::Session {
    /// Waits for whatever ends the session, and says what it was.
    pub(super) async fn watch(&self) -> String {
        let mut changes = self.judge.changes.clone();
        let mut dead = self.dead.subscribe();
        loop {
            if let Err(why) = self.judge.may_pass() {
                return why;
            }
            self.tell_taken().await;
            let due = self.judge.due_in().min(JUDGE_EVERY);
            tokio::select! {
                why = dead.wait_for(Option::is_some) => {
                    return why.ok().and_then(|why| why.clone()).unwrap_or_default();
                }
                why = self.upstream_ended() => return why,
                _ = changes.changed() => {}
                () = tokio::time::sleep(due) => {}
            }
        }
    }

    async fn tell_taken(&self) {
        for (channel, old, held) in self.judge.taken() {
            let mut shown = self.shown();
            shown.extend([
                ("channel", channel.to_string()),
                ("from", old.to_string()),
                ("to", held.grant.digest.to_string()),
                ("takenOverBy", held.grant.request.to_string()),
            ]);
            // What cannot be told ends the session, which the caller sees at once.
            self.keep(Vec::new(), vec![Event::new("TakeOverSession", shown)]).await.ok();
        }
    }

    /// Completes when the recording has failed, or the host has left.
    async fn upstream_ended(&self) -> String {
        let upstream = loop {
            let connected = self.connected.notified();
            if let Some(upstream) = self.upstream.get() {
                break upstream;
            }
            connected.await;
        };
        tokio::select! {
            error = upstream.recording.failed() => format!("its recording failed: {error}"),
            ended = upstream.host.ended() => match ended {
                Ok(()) => "the host left".to_owned(),
                Err(error) => format!("the host left: {error}"),
            },
        }
    }
}

#[cfg(test)]
#[path = "../tests/judge.rs"]
mod tests;
