//! The MAC keys of forward access tickets: in memory only, fresh at each start, rotated daily.

use std::time::Duration;

use writ_keyd_client::caller::Caller;
use writ_model::limits::FAS_ROOT_LIFETIME;
use writ_model::{Env, Nonce, Timestamp};
use writ_proof::cbor_map;
use writ_proof::fas::{Refusal, Ticket, VerifiedTicket};
use zeroize::Zeroizing;

use crate::locked::ReadLocked;

const ROTATE_AFTER: Duration = Duration::from_secs(24 * 3600);

struct Key {
    id: Nonce,
    secret: Zeroizing<[u8; 32]>,
    made: Duration,
}

struct Keys {
    current: Key,
    previous: Option<Key>,
}

/// See the module.
pub(crate) struct FasKeys(ReadLocked<Keys>);

/// What a ticket commits to by digest: the customer in full, and what the root has no room for.
pub(crate) struct ContextDocument {
    pub(crate) caller: Caller,
    pub(crate) user_agent: Option<String>,
    pub(crate) referer: Option<String>,
    /// Until when the transaction's budget is counted.
    pub(crate) until: Timestamp,
}
cbor_map!(ContextDocument { 1: caller, 2: opt user_agent, 3: opt referer, 4: until });

impl FasKeys {
    pub(crate) fn new(env: &dyn Env) -> FasKeys {
        FasKeys(ReadLocked::new(Keys { current: Key::new(env), previous: None }))
    }

    /// The key that mints now.
    pub(crate) fn current(&self) -> (Nonce, Zeroizing<[u8; 32]>) {
        let keys = self.0.read();
        (keys.current.id, keys.current.secret.clone())
    }

    /// Checks a ticket's MAC chain with the key that it names, where that key lies.
    pub(crate) fn verify(&self, ticket: &Ticket) -> Result<VerifiedTicket, Refusal> {
        let id = ticket.kid()?;
        let keys = self.0.read();
        let mut known = [Some(&keys.current), keys.previous.as_ref()].into_iter().flatten();
        let key = known.find(|key| key.id == id).ok_or(Refusal::UnknownKey)?;
        ticket.verify(&key.secret)
    }

    /// Makes a new key once a day; the old one stays until its last ticket is dead.
    pub(crate) fn rotate(&self, env: &dyn Env) {
        let now = env.monotonic();
        let mut keys = self.0.write();
        if now.saturating_sub(keys.current.made) >= ROTATE_AFTER {
            let old = std::mem::replace(&mut keys.current, Key::new(env));
            keys.previous = Some(old);
        } else if now.saturating_sub(keys.current.made) > FAS_ROOT_LIFETIME * 2 {
            keys.previous = None;
        }
    }
}

impl Key {
    fn new(env: &dyn Env) -> Key {
        let mut secret = Zeroizing::new([0u8; 32]);
        env.fill(secret.as_mut_slice());
        Key { id: env.nonce(), secret, made: env.monotonic() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use writ_model::env::TestEnv;

    #[test]
    fn key_changes_daily_and_the_one_before_stays_until_its_last_ticket_is_dead() {
        let env = TestEnv::new(Timestamp::from_secs(1_790_000_000), 1);
        let keys = FasKeys::new(&env);
        let known = |id| {
            let keys = keys.0.read();
            keys.current.id == id || keys.previous.as_ref().is_some_and(|key| key.id == id)
        };
        let after = |seconds| {
            env.advance(Duration::from_secs(seconds));
            keys.rotate(&env);
            keys.current().0
        };
        let first = keys.current().0;
        assert_ne!(*keys.current().1, [0; 32]);
        assert_eq!(after(86_399), first, "for a day");
        let second = after(1);
        assert_ne!(second, first);
        let last_ticket = FAS_ROOT_LIFETIME.as_secs();
        assert_eq!(after(2 * last_ticket), second);
        assert!(known(first), "a ticket of its last moment and the skew are over by then");
        assert_eq!(after(1), second);
        assert!(!known(first) && known(second));
        let third = after(86_400 - 2 * last_ticket - 1);
        assert_ne!(third, second);
        assert!(known(second) && known(third));
    }
}
