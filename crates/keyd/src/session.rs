//! Operators' sessions: the certificate that opens one, and the key of its recording.
//!
//! keyd believes nobody here. It verifies request and approvals against its own roster, asks its own
//! catalogue what has ended, and wants the signature that the person's own SSH client made for this very
//! connection. So the bastion gets a certificate only for what people have signed, and only for somebody
//! who is there.

mod playback;

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use writ_keyd_client::operator::{
    Evidence, Purpose, RecordingFacts, RecordingKey, SignedKrl, SshCertificate, SshSign,
};
use writ_keyd_client::protocol::{Refusal, Reply};
use writ_keyd_client::secret::SecretBytes;
use writ_model::{AccountId, PersonId, Timestamp, Ulid, Uuid};
use writ_proof::access::{self, Approved, Asked, Grant, Outcome, RecordedAccounts, Touches};
use writ_proof::at_most::AtMost;
use writ_proof::cbor;
use writ_proof::ed25519::{PublicKey, Signer as _};
use writ_proof::krl::Krl;
use writ_proof::limits::RECORDING_MAX_ACCOUNTS;
use writ_proof::recording::Mark;
use writ_proof::roster::{Mode, Roster, Tier};
use writ_proof::ssh_auth::{self, VerifiedUserAuth};
use writ_proof::ssh_cert::{CertFields, CertKind, Cidr, CriticalOptions, Extension};
use writ_proof::sshsig::{SshSig, VerifiedSsh};
use writ_proof::statement::{Namespace, Signed};
use writ_proof::use_record::{Basis, Use, UseProof};
use zeroize::Zeroizing;

use crate::crypto::NONCE_BYTES;
use crate::customers::Customers;
use crate::engine::Engine;
use crate::refuse::{forbidden, unavailable};
use crate::{limits, narrate};

/// A certificate opens its connection within this time; the session's end is the bastion's business.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(300);
/// A host's clock may be behind ours by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// What a list of revoked certificates says of itself.
const KRL_COMMENT: &str = "writ";
/// The first bytes of a sealed recording key; the digit is the format's version.
const RECORDING_MAGIC: &[u8; 4] = b"WRR1";

/// A session that keyd has signed a certificate for.
pub(crate) struct Session {
    facts: RecordingFacts,
    /// The certificate's serial number.
    serial: u64,
    /// When the certificate opens nothing any more, in seconds since 1970.
    until: u64,
    /// When its grant is over; the session goes on if another one covers it.
    not_after: Timestamp,
}

/// A grant that holds now, with what was asked for.
pub(crate) struct Held {
    pub(crate) asked: Asked,
    pub(crate) grant: Grant,
}

impl Engine {
    pub(crate) fn ssh_sign(&self, asked: &SshSign) -> Result<Reply, Refusal> {
        self.check_ready()?;
        let signed = self.rosters.with(|roster| {
            let held = self.grant(roster, &asked.evidence)?;
            let login = self.login(roster, &held, asked)?;
            let accounts = recorded(&held.asked.touches(roster));
            Ok((held, login, accounts))
        });
        let (held, login, accounts) =
            signed?.inspect_err(|refusal| self.record_refused(asked, refusal))?;
        let outcome = self.certificate((&held, accounts), &login, asked);
        outcome.map(|signed| Reply::Certificate(Box::new(signed))).inspect_err(|refusal| {
            self.record_refused(asked, refusal);
        })
    }

    pub(crate) fn new_recording(&self, session: Ulid) -> Result<Reply, Refusal> {
        self.check_ready()?;
        let now = self.env.now();
        let facts = match self.sessions.lock().get_mut(&session) {
            Some(session) if now <= session.not_after => session.facts.clone(),
            _ => return Err(forbidden("there is no such session")),
        };
        let refused = || unavailable("the recording's key cannot be made");
        let (id, domain_key) = self.domain.active().ok_or_else(refused)?;
        let mut key = Zeroizing::new([0u8; 32]);
        self.env.fill(key.as_mut_slice());
        let mut nonce = [0; NONCE_BYTES];
        self.env.fill(&mut nonce);
        let mut sealed = RECORDING_MAGIC.to_vec();
        sealed.extend_from_slice(&id.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        let aad = cbor::to_vec(&facts);
        domain_key
            .recordings
            .seal(nonce, &aad, key.as_slice(), &mut sealed)
            .map_err(|_| refused())?;
        let key = SecretBytes::new(key.to_vec());
        Ok(Reply::Recording(Box::new(RecordingKey { key, sealed, facts })))
    }

    /// Signs how far a recording is. What a restart has cut off may be of a session of an earlier run.
    pub(crate) fn sign_recording(&self, mark: &Mark) -> Result<Reply, Refusal> {
        let mut sessions = self.sessions.lock();
        let known = sessions.get_mut(&mark.at().session).is_some();
        if !known && !matches!(mark, Mark::Truncated(_)) {
            return Err(forbidden("there is no such session"));
        }
        if matches!(mark, Mark::Checkpoint(_)) {
            sessions.extend(&mark.at().session, self.env.now().plus(limits::MARKS_AFTER));
        }
        drop(sessions);
        let signature = self.signing.use_records.sign(&mark.signed_bytes());
        signature.map(Reply::Signature).map_err(|_| unavailable("the recording cannot be signed"))
    }

    /// The list of the certificates whose grant or person has ended, and that could still open something.
    /// Nobody says what is on it: keyd knows what it has signed, and what has ended.
    pub(crate) fn sign_krl(&self) -> Result<Reply, Refusal> {
        self.check_ready()?;
        let now = self.env.now();
        let broken = |_| unavailable("the list of revoked certificates cannot be made");
        // Milliseconds: no two lists of different contents have one version, and none is older than the last.
        let version = now.millis().max(self.krl_version.load(Ordering::SeqCst).saturating_add(1));
        self.krl_version.store(version, Ordering::SeqCst);
        let mut krl = Krl::new(version, now.secs(), KRL_COMMENT).map_err(broken)?;
        let ca = self.signing.ssh_ca.public_key();
        let enrolled = |person: &PersonId| self.rosters.with(|roster| roster.enrolment(person));
        let catalogue = self.catalogue.read();
        for session in self.sessions.lock().values().filter(|session| now.secs() <= session.until) {
            let RecordingFacts { grant, person, .. } = &session.facts;
            let left = enrolled(person)?.is_none_or(|number| catalogue.is_ended(person, number));
            if left || catalogue.is_grant_ended(grant) {
                krl.revoke_serials(Some(&ca), session.serial..=session.serial).map_err(broken)?;
            }
        }
        drop(catalogue);
        let list = krl.to_bytes().map_err(broken)?;
        let signature = SshSig::sign(&list, Namespace::Krl.as_str(), &self.signing.krl);
        let signature = signature.map_err(broken)?.to_bytes();
        Ok(Reply::Krl(Box::new(SignedKrl { list, signature })))
    }

    /// The grant that the evidence makes, if it holds now and has not ended.
    pub(crate) fn grant(&self, roster: &Roster, evidence: &Evidence) -> Result<Held, Refusal> {
        if evidence.approvals.len() > limits::APPROVALS_MAX {
            return Err(forbidden("there are too many approvals"));
        }
        let now = self.env.now();
        let wrong = |error: writ_proof::Error| forbidden(error.to_string());
        let asked =
            Asked::verify(&Signed::from_bytes(&evidence.request).map_err(wrong)?, roster, now)
                .map_err(wrong)?;
        let mut approved = Vec::new();
        for bytes in &evidence.approvals {
            let signed = Signed::from_bytes(bytes).map_err(wrong)?;
            approved.push(Approved::verify(&signed, &asked, roster, None, now).map_err(wrong)?);
        }
        let catalogue = self.catalogue.read();
        let people = approved.iter().map(|one| &one.approval().approver);
        for person in people.chain([&asked.request().requester]) {
            let number = roster.enrolment(person).unwrap_or_default();
            if catalogue.is_ended(person, number) {
                return Err(forbidden(format!("`{person}` has left")));
            }
        }
        if catalogue.is_grant_ended(&asked.digest()) {
            return Err(forbidden("the grant has ended"));
        }
        drop(catalogue);
        let Customers { lockboxes, consents } =
            self.customers(&asked.digest(), &asked.touches(roster))?;
        let evidence = access::Evidence { approved: &approved, lockboxes, consents };
        match access::decide(&asked, roster, &evidence) {
            Outcome::Granted(grant) if grant.holds(now) => Ok(Held { asked, grant }),
            Outcome::Granted(_) => Err(forbidden("the grant does not hold now")),
            Outcome::Denied(who) => Err(forbidden(format!("the request was denied by {who}"))),
            Outcome::Waiting(missing) => {
                let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
                Err(forbidden(format!("the request is not approved: {}", missing.join("; "))))
            }
        }
    }

    /// The login at the bastion: by the requester, to this role on this host, for what was asked.
    fn login(
        &self,
        roster: &Roster,
        held: &Held,
        asked: &SshSign,
    ) -> Result<VerifiedUserAuth, Refusal> {
        let login = ssh_auth::verify(&asked.login, &asked.login_signature)
            .map_err(|error| forbidden(format!("the login at the bastion: {error}")))?;
        let signer = VerifiedSsh {
            key: login.request().key.clone(),
            hardware: login.hardware(),
            webauthn: None,
        };
        let tier = roster.group(&held.asked.request().group).map(|group| group.tier);
        let hardware = roster.mode() != Mode::Dev && tier != Some(Tier::Standard);
        let person = roster
            .signer(&signer, hardware)
            .map_err(|error| forbidden(format!("the login at the bastion: {error}")))?;
        if *person != held.grant.person {
            return Err(forbidden(format!("the grant is not `{person}`'s")));
        }
        let Some(scope) = held.asked.request().scope.ssh() else {
            return Err(forbidden("the grant is for something else than a session"));
        };
        if login.request().user != format!("{}+{}", scope.login, asked.host) {
            return Err(forbidden("the login at the bastion names another role or host"));
        }
        if !scope.hosts.0.contains(&asked.host) {
            return Err(forbidden(format!("the grant is not for the host `{}`", asked.host)));
        }
        let given = match &asked.purpose {
            Purpose::Shell => scope.interactive,
            Purpose::Command(command) => scope.commands.0.contains(command),
            Purpose::Files => !scope.files.0.is_empty(),
        };
        if !given {
            return Err(forbidden("the grant is for something else than this session"));
        }
        Ok(login)
    }

    fn certificate(
        &self,
        (held, accounts): (&Held, Option<RecordedAccounts>),
        login: &VerifiedUserAuth,
        asked: &SshSign,
    ) -> Result<SshCertificate, Refusal> {
        let now = self.env.now();
        let mut serial = [0; 8];
        self.env.fill(&mut serial);
        let mut nonce = [0; 32];
        self.env.fill(&mut nonce);
        let serial = u64::from_be_bytes(serial).max(1);
        let (from, to) = lifetime(&held.grant, now);
        let person = held.grant.person.clone();
        let request = held.asked.request().id;
        let (shell, forced) = match &asked.purpose {
            Purpose::Shell => (true, None),
            Purpose::Command(command) => (false, Some(command.clone())),
            Purpose::Files => (false, Some("internal-sftp".to_owned())),
        };
        let source: IpAddr =
            asked.source.parse().map_err(|_| forbidden("the bastion's address is none"))?;
        let fields = CertFields {
            nonce,
            key: PublicKey(asked.key),
            serial,
            kind: CertKind::User,
            key_id: format!("req={request};user={person};ses={}", asked.session),
            principals: vec![login.request().user.replacen('+', "@", 1)],
            valid_after: from,
            valid_before: to,
            critical: CriticalOptions {
                force_command: forced,
                source_address: vec![Cidr::host(source)],
                ..CriticalOptions::default()
            },
            extensions: shell
                .then_some(Extension::PermitPty)
                .into_iter()
                .chain([Extension::SessionUntil(held.grant.not_after.secs())])
                .collect(),
        };
        let facts = RecordingFacts {
            session: asked.session,
            grant: held.grant.digest,
            person: person.clone(),
            host: asked.host.clone(),
            accounts,
        };
        let opened = Session { facts, serial, until: to, not_after: held.grant.not_after };
        self.open_session(login, opened)?;
        let certificate = fields
            .sign(&self.signing.ssh_ca)
            .map_err(|error| forbidden(format!("the certificate: {error}")))?;
        let position = self.record(narrated("ssh_sign", asked.event_id, Some(held)));
        Ok(SshCertificate {
            certificate: certificate.to_bytes(),
            serial,
            person,
            grant: held.grant.digest,
            not_after: held.grant.not_after,
            position,
        })
    }

    /// A connection opens one session, and a session's name is used once, until nothing is signed of it any more.
    fn open_session(&self, login: &VerifiedUserAuth, opened: Session) -> Result<(), Refusal> {
        let now = self.env.now();
        let full = |_| unavailable("there are too many sessions");
        let mut connections = self.connections.lock();
        let mut sessions = self.sessions.lock();
        let connection = login.request().session_id;
        if connections.live_mut(&connection, now).is_some() {
            return Err(forbidden("this connection has opened its session already"));
        }
        let session = opened.facts.session;
        if sessions.live_mut(&session, now).is_some() {
            return Err(forbidden("there is a session of this name already"));
        }
        let owner = AccountId::PLATFORM;
        let until = opened.not_after;
        connections.insert(connection, owner, until, 0, ()).map_err(full)?;
        sessions.insert(session, owner, until.plus(limits::MARKS_AFTER), 0, opened).map_err(full)
    }

    fn record_refused(&self, asked: &SshSign, refusal: &Refusal) {
        let record = narrated("ssh_sign", asked.event_id, None);
        self.record_if_ready(narrate::refused(record, refusal));
    }
}

/// Whose data a recording can show; of too many it is taken to be anybody's.
fn recorded(touches: &Touches) -> Option<RecordedAccounts> {
    match touches {
        Touches::Only(accounts) if accounts.len() <= RECORDING_MAX_ACCOUNTS => {
            Some(AtMost(accounts.iter().copied().collect()))
        }
        Touches::Only(_) | Touches::Everybody => None,
    }
}

/// The certificate's own time: now and a little, within the grant's.
fn lifetime(grant: &Grant, now: Timestamp) -> (u64, u64) {
    let skewed = Timestamp::from_millis(
        now.millis().saturating_sub(u64::try_from(CLOCK_SKEW.as_millis()).unwrap_or(0)),
    );
    let from = skewed.max(grant.not_before);
    let to = now.plus(CERTIFICATE_LIFETIME).min(grant.not_after);
    (from.secs(), to.secs())
}

/// keyd's record of what it signs on a grant, or refuses: a certificate, an order.
pub(crate) fn narrated(command: &str, event_id: Uuid, held: Option<&Held>) -> Use {
    let record = Use { event_id, ..narrate::own(command, None) };
    match held {
        None => record,
        Some(held) => Use {
            proof: UseProof::Request(held.grant.digest),
            request: Some(held.grant.digest),
            grant: Some(held.grant.request.to_string()),
            basis: Basis::Roster,
            ..record
        },
    }
}
