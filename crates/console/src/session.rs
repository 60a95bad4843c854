//! Who is signed in: challenges that work once, and the table of sessions.
//!
//! A session lets its person read. It is kept in memory, by the hash of its cookie: after a restart nobody is
//! signed in. Challenges cost strangers nothing here: each carries its own proof that this run has made it,
//! and only those that an enrolled person has used are remembered.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use writ_model::{Nonce, PersonId, Timestamp};
use writ_proof::hash::{Hash, sha256};
use writ_proof::sshsig::SshPublicKey;

use crate::limits;

const NONCE_BYTES: usize = 16;
const TIME_BYTES: usize = 8;

/// A cookie's value.
pub type Token = [u8; limits::COOKIE_BYTES];

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub person: PersonId,
    /// The number of the enrolment: a later one of the same person has not signed in.
    pub enrolment: u64,
    /// The passkey that signed.
    pub key: SshPublicKey,
    /// Since when.
    pub began: Timestamp,
    /// The last time that something was asked for.
    pub used: Timestamp,
}

impl Session {
    /// When it ends if nothing more is asked for.
    pub fn ends(&self) -> Timestamp {
        let whole = self.began.plus(limits::SESSION_LIFETIME);
        whole.min(self.used.plus(limits::SESSION_IDLE))
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// Not of this run of front.
    #[error("the challenge was not given out here: try again")]
    Unknown,
    /// Its time is over.
    #[error("the challenge is older than 5 minutes: try again")]
    Expired,
    /// It has worked already.
    #[error("the challenge was used: try again")]
    Used,
    /// The table is full.
    #[error("too many people are signing in: try again in some minutes")]
    Full,
}

/// The challenges and the sessions of one run of front.
pub struct Gate {
    key: hmac::Key,
    used: BTreeMap<Hash, Timestamp>,
    sessions: BTreeMap<Hash, Session>,
}

impl Gate {
    /// A gate without sessions. `key` is random and is kept nowhere else.
    pub fn new(key: &[u8; 32]) -> Gate {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        Gate { key, used: BTreeMap::new(), sessions: BTreeMap::new() }
    }

    /// A challenge to sign in.
    pub fn challenge(&self, nonce: Nonce, now: Timestamp) -> String {
        let until = now.plus(limits::CHALLENGE_LIFETIME).millis();
        let mut bytes = [&nonce.0[..], &until.to_be_bytes()].concat();
        let tag = hmac::sign(&self.key, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Takes a challenge: it works once. Call it when the signature over it holds.
    ///
    /// # Errors
    /// It is not of this run, too old, or used.
    pub fn take(&mut self, challenge: &str, now: Timestamp) -> Result<(), GateError> {
        let until = self.until(challenge)?;
        if now >= until {
            return Err(GateError::Expired);
        }
        self.used.retain(|_, until| now < *until);
        let id = sha256(challenge.as_bytes());
        if self.used.contains_key(&id) {
            return Err(GateError::Used);
        }
        if self.used.len() >= limits::SESSIONS_MAX {
            return Err(GateError::Full);
        }
        self.used.insert(id, until);
        Ok(())
    }

    /// Lets somebody in.
    ///
    /// # Errors
    /// The table is full.
    pub fn enter(&mut self, token: &Token, session: Session) -> Result<(), GateError> {
        let now = session.used;
        self.sessions.retain(|_, held| now < held.ends());
        let own = |held: &Session| held.person == session.person;
        if self.sessions.values().filter(|held| own(held)).count() >= limits::PERSON_SESSIONS_MAX {
            let held = self.sessions.iter().filter(|(_, held)| own(held));
            let oldest = held.min_by_key(|(_, held)| held.used).map(|(id, _)| *id);
            oldest.and_then(|id| self.sessions.remove(&id));
        }
        if self.sessions.len() >= limits::SESSIONS_MAX {
            return Err(GateError::Full);
        }
        self.sessions.insert(sha256(token), session);
        Ok(())
    }

    /// Whose cookie this is, if that person is `still` somebody who may read; it counts as used. A session whose
    /// person is not, ends.
    pub fn find(
        &mut self,
        token: &Token,
        now: Timestamp,
        still: impl Fn(&Session) -> bool,
    ) -> Option<Session> {
        let id = sha256(token);
        let held = self.sessions.get_mut(&id)?;
        if now >= held.ends() || !still(held) {
            self.sessions.remove(&id);
            return None;
        }
        held.used = held.used.max(now);
        Some(held.clone())
    }

    /// Ends a session.
    pub fn leave(&mut self, token: &Token) -> Option<Session> {
        self.sessions.remove(&sha256(token))
    }

    fn until(&self, challenge: &str) -> Result<Timestamp, GateError> {
        let bytes = URL_SAFE_NO_PAD.decode(challenge).map_err(|_| GateError::Unknown)?;
        let (said, tag) =
            bytes.split_at_checked(NONCE_BYTES + TIME_BYTES).ok_or(GateError::Unknown)?;
        hmac::verify(&self.key, said, tag).map_err(|_| GateError::Unknown)?;
        let until = said.last_chunk::<TIME_BYTES>().ok_or(GateError::Unknown)?;
        Ok(Timestamp::from_millis(u64::from_be_bytes(*until)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn gate() -> Gate {
        Gate::new(&[7; 32])
    }

    fn session(person: &str, at: Timestamp) -> Session {
        Session {
            person: person.parse().unwrap(),
            enrolment: 1,
            key: SshPublicKey::Ed25519([1; 32]),
            began: at,
            used: at,
        }
    }

    fn after(seconds: u64) -> Timestamp {
        Timestamp::from_secs(NOW.secs() + seconds)
    }

    #[test]
    fn challenge_works_once_for_five_minutes_and_in_its_own_run() {
        let mut gate = gate();
        let challenge = gate.challenge(Nonce([1; 16]), NOW);
        assert_eq!(gate.take(&challenge, after(300)), Err(GateError::Expired));
        assert_eq!(gate.take(&challenge, after(299)), Ok(()));
        assert_eq!(gate.take(&challenge, after(299)), Err(GateError::Used));
        let other = Gate::new(&[8; 32]).challenge(Nonce([2; 16]), NOW);
        let mut longer = gate.challenge(Nonce([3; 16]), NOW).into_bytes();
        longer[25] ^= 1;
        let longer = String::from_utf8(longer).unwrap();
        for bad in ["", "AAAA", &other, &longer, "%"] {
            assert_eq!(gate.take(bad, NOW), Err(GateError::Unknown), "{bad}");
        }
    }

    #[test]
    fn session_ends_after_an_hour_without_use_after_eight_hours_and_with_its_person() {
        let mut gate = gate();
        let token = [1; 32];
        let yes = |_: &Session| true;
        gate.enter(&token, session("anna", NOW)).unwrap();
        assert!(gate.find(&[2; 32], NOW, yes).is_none());
        for n in 1..=8 {
            assert!(gate.find(&token, after(n * 3599), yes).is_some(), "{n}");
        }
        assert!(gate.find(&token, after(8 * 3600), yes).is_none());
        gate.enter(&token, session("anna", NOW)).unwrap();
        assert!(gate.find(&token, after(3600), yes).is_none());
        gate.enter(&token, session("anna", NOW)).unwrap();
        assert!(gate.find(&token, NOW, |_| false).is_none());
        assert!(gate.find(&token, NOW, yes).is_none(), "it has ended, and stays so");
        gate.enter(&token, session("anna", NOW)).unwrap();
        assert!(gate.leave(&token).is_some());
        assert!(gate.find(&token, NOW, yes).is_none());
    }

    #[test]
    fn ninth_session_of_a_person_ends_the_oldest() {
        let mut gate = gate();
        for n in 0..9 {
            gate.enter(&[n; 32], session("anna", after(u64::from(n)))).unwrap();
        }
        gate.enter(&[100; 32], session("boris", NOW)).unwrap();
        assert!(gate.find(&[0; 32], after(9), |_| true).is_none());
        assert!(gate.find(&[1; 32], after(9), |_| true).is_some());
        assert!(gate.find(&[100; 32], after(9), |_| true).is_some());
    }
}
