//! Certificates for operators' sessions, asked for by a bastion that cheats.

mod playback;

use std::cell::RefCell;

use writ_keyd_client::operator::{Evidence, Purpose, RecordingKey, SshCertificate, SshSign};
use writ_model::{PersonId, Ulid};
use writ_proof::access::{
    Approval, Basis as Why, Decision, LedgerHead, OWN_TICKETS, Request, Scope, SshRights, SshScope,
    Ticket,
};
use writ_proof::at_most::AtMost;
use writ_proof::cbor::Version;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::hash::Hash;
use writ_proof::krl::Krl;
use writ_proof::recording::{Checkpoint as Progress, Cut, Mark, Totals};
use writ_proof::roster::{
    Accounts, Approver, Change, Enrolment, EnrolmentId, Group, Host, MemberId, Membership,
    PersonKey, RequestKind, Rights, Roster, RosterStatement, Slot, Tier,
};
use writ_proof::ssh::put_string;
use writ_proof::ssh_auth::UserAuth;
use writ_proof::ssh_cert::{CertKind, Certificate, Extension};
use writ_proof::sshsig::{SshPublicKey, SshSig};
use writ_proof::statement::{Signed, Statement};
use writ_proof::use_record::{Basis, UseProof};

use super::*;

pub(super) fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

pub(super) fn person(n: u8) -> PersonId {
    format!("p{n}").parse().unwrap()
}

pub(super) fn signed_by<T: Statement>(statement: &T, keys: &[u8]) -> Signed {
    let mut signed = Signed::new(statement).unwrap();
    keys.iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
    signed
}

/// A keyd with a roster: p11 and p14 may ask, p12 and p13 approve.
pub(super) struct Gate {
    pub(super) site: Site,
    pub(super) roster: RefCell<Roster>,
}

impl Gate {
    pub(super) fn new() -> Gate {
        let site = Site::new();
        let (_, roster) = Roster::begin(&genesis(), None).unwrap();
        let gate = Gate { site, roster: RefCell::new(roster) };
        for n in 11..=14 {
            let key = SshPublicKey::Ed25519(soft(n).public_key().0);
            let keys = AtMost(vec![PersonKey { person: person(n), key, passkey: None }]);
            let id = EnrolmentId { person: person(n), number: 1 };
            gate.change(Change::Enrol(Enrolment { id, keys }));
        }
        gate.change(Change::SetGroup(Box::new(group("approvers", Vec::new(), None))));
        for name in ["web-1", "web-2"] {
            gate.change(Change::SetHost(Box::new(Host {
                name: name.parse().unwrap(),
                address: "127.0.0.1".to_owned(),
                key: SshPublicKey::Ed25519(soft(50).public_key().0),
                accounts: Accounts::All,
            })));
        }
        gate.change(Change::SetGroup(Box::new(oncall())));
        for (name, n) in [("approvers", 12), ("approvers", 13), ("oncall", 11), ("oncall", 14)] {
            let group = name.parse().unwrap();
            let expires = (name == "oncall").then(|| NOON.plus(Duration::from_secs(86_400)));
            gate.change(Change::AddMember(Membership { group, person: person(n), expires }));
        }
        gate.site.advance(Duration::from_secs(10));
        gate
    }

    pub(super) fn change(&self, change: Change) {
        let mut roster = self.roster.borrow_mut();
        let statement = RosterStatement {
            v: Version,
            site: roster.site().clone(),
            seq: roster.seq() + 1,
            prev: roster.head(),
            created: roster.created(),
            change,
        };
        let signed = signed_by(&statement, &[1, 2]);
        roster.apply(&signed).unwrap();
        let command = Command::Roster(signed.to_bytes());
        self.site.engine.handle(Role::Front, command).unwrap();
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.site.env.now().secs())
    }

    pub(super) fn request(&self) -> Request {
        let roster = self.roster.borrow();
        Request {
            v: Version,
            site: roster.site().clone(),
            id: Ulid::from_bytes([9; 16]),
            requester: person(11),
            enrolment: 1,
            group: "oncall".parse().unwrap(),
            revision: roster.group_revision(&"oncall".parse().unwrap()).unwrap(),
            basis: Why::Service,
            reason: "the disk is full".to_owned(),
            ticket: Ticket { system: OWN_TICKETS.to_owned(), id: "OPS-17".to_owned() },
            account: None,
            scope: Scope::Ssh(SshScope {
                hosts: AtMost(vec!["web-1".parse().unwrap()]),
                login: "svc".to_owned(),
                interactive: true,
                commands: AtMost(vec!["uptime".to_owned()]),
                files: AtMost(Vec::new()),
            }),
            not_before: self.now(),
            not_after: self.now().plus(Duration::from_secs(3600)),
            created: self.now(),
        }
    }

    /// What the bastion sends when all is well.
    fn ask(&self) -> SshSign {
        self.ask_for(&self.request(), &[12, 13])
    }

    fn ask_for(&self, request: &Request, approvers: &[u8]) -> SshSign {
        let signed = signed_by(request, &[11]);
        let approvals = approvers.iter().map(|n| {
            let approval = approval(request, signed.digest(), *n);
            signed_by(&approval, &[*n]).to_bytes()
        });
        let approvals = approvals.collect();
        let evidence = Evidence { request: signed.to_bytes(), approvals };
        let (login, login_signature) = login([7; 32], "svc+web-1", 11);
        SshSign {
            evidence,
            login,
            login_signature,
            session: Ulid::from_bytes([5; 16]),
            host: "web-1".parse().unwrap(),
            purpose: Purpose::Shell,
            key: soft(60).public_key().0,
            source: "192.0.2.9".to_owned(),
            event_id: Uuid::from_bytes([3; 16]),
        }
    }

    fn sign(&self, asked: SshSign) -> Result<SshCertificate, Refusal> {
        match self.site.engine.handle(Role::Bastion, Command::SshSign(Box::new(asked)))? {
            Reply::Certificate(signed) => Ok(*signed),
            _ => panic!("no certificate"),
        }
    }

    fn refused(&self, asked: SshSign, why: &str) {
        let Err(Refusal::Forbidden(text)) = self.sign(asked) else { panic!("{why}: not refused") };
        assert!(text.contains(why), "{why}: {text}");
        assert_eq!(self.site.last_record(), ("ssh_sign".to_owned(), "Forbidden".to_owned()));
    }

    fn new_recording(&self, session: Ulid) -> Result<RecordingKey, Refusal> {
        match self.site.engine.handle(Role::Bastion, Command::NewRecording(session))? {
            Reply::Recording(key) => Ok(*key),
            _ => panic!("no key"),
        }
    }
}

pub(super) fn group(name: &str, rule: Vec<Slot>, rights: Option<Rights>) -> Group {
    Group {
        name: name.parse().unwrap(),
        title: name.to_owned(),
        tier: Tier::Sensitive,
        owners: AtMost(vec![person(12), person(13)]),
        rule: AtMost(rule),
        rights,
        admits: None,
    }
}

fn oncall() -> Group {
    let from = Approver::Group("approvers".parse().unwrap());
    let slot = Slot { slot: "peers".parse().unwrap(), count: 2, from };
    let rights = Rights {
        hosts: AtMost(vec!["web-*".parse().unwrap()]),
        logins: AtMost(vec!["svc".to_owned()]),
        kinds: AtMost(vec![RequestKind::Ssh, RequestKind::Playback]),
        max_hours: 1,
        ssh: Some(SshRights {
            interactive: true,
            commands: AtMost(Vec::new()),
            files: AtMost(vec!["ro:/var/log/".parse().unwrap()]),
        }),
    };
    group("oncall", vec![slot], Some(rights))
}

pub(super) fn approval(request: &Request, request_digest: Hash, n: u8) -> Approval {
    Approval {
        v: Version,
        site: request.site.clone(),
        request: request.id,
        request_digest,
        requester: request.requester.clone(),
        approver: person(n),
        decision: Decision::Approve,
        slot: "peers".parse().unwrap(),
        scope: request.scope.clone(),
        account: request.account,
        not_before: request.not_before,
        not_after: request.not_after,
        ticket: request.ticket.clone(),
        revision: request.revision,
        nonce: Nonce([n; 16]),
        ledger: LedgerHead { origin: "o".to_owned(), size: 7, root: Hash([7; 32]) },
        signed: request.created,
    }
}

/// What an SSH client signs to log in.
fn login(session_id: [u8; 32], user: &str, n: u8) -> (Vec<u8>, Vec<u8>) {
    let key = SshPublicKey::Ed25519(soft(n).public_key().0);
    let bytes = UserAuth { session_id, user: user.to_owned(), key }.to_bytes();
    let mut signature = Vec::new();
    put_string(&mut signature, b"ssh-ed25519");
    put_string(&mut signature, &soft(n).sign(&bytes).unwrap());
    (bytes, signature)
}

fn ssh(request: &mut Request) -> &mut SshScope {
    let Scope::Ssh(scope) = &mut request.scope else { panic!("no session") };
    scope
}

#[test]
fn certificate_says_what_was_approved_and_no_more() {
    let gate = Gate::new();
    let asked = gate.ask();
    let digest = Signed::from_bytes(&asked.evidence.request).unwrap().digest();
    let signed = gate.sign(asked).unwrap();
    assert_eq!((&signed.person, signed.grant), (&person(11), digest));
    assert_eq!(signed.not_after, gate.now().plus(Duration::from_secs(3600)));
    let certificate = Certificate::from_bytes(&signed.certificate).unwrap();
    let ca = gate.site.keys.ssh_ca;
    let fields = certificate.verify(&ca, CertKind::User, gate.now()).unwrap();
    assert_eq!(fields.key, soft(60).public_key());
    assert_eq!(fields.serial, signed.serial);
    let (request, session) = (Ulid::from_bytes([9; 16]), Ulid::from_bytes([5; 16]));
    assert_eq!(fields.key_id, format!("req={request};user=p11;ses={session}"));
    assert_eq!(fields.principals, ["svc@web-1"]);
    assert_eq!(fields.valid_after, gate.now().secs(), "not before the grant");
    assert_eq!(fields.valid_before, gate.now().secs() + 300);
    assert!(fields.critical.admits("192.0.2.9".parse().unwrap()));
    assert!(!fields.critical.admits("192.0.2.10".parse().unwrap()));
    assert_eq!(fields.critical.force_command, None);
    let [Extension::PermitPty, Extension::SessionUntil(until)] =
        fields.extensions.iter().copied().collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", fields.extensions)
    };
    assert_eq!(until, signed.not_after.secs(), "the agent on the host ends it with its grant");
    let record = gate.site.last_use();
    assert_eq!((record.op.as_str(), record.basis), ("ssh_sign", Basis::Roster));
    assert_eq!((record.proof, record.request), (UseProof::Request(digest), Some(digest)));
    assert_eq!(record.grant, Some(request.to_string()));
    assert_eq!((record.result, record.event_id), (UseResult::Ok, Uuid::from_bytes([3; 16])));
}

#[test]
fn certificate_without_enough_approvals_is_refused() {
    let gate = Gate::new();
    let request = gate.request();
    for (approvers, why) in [
        (&[][..], "not approved"),
        (&[12], "not approved"),
        (&[12, 12], "not approved"),
        (&[12, 14], "not a member of `approvers`"),
        (&[12, 11], "their own request"),
        (&[12, 70], "not in the roster"),
    ] {
        gate.refused(gate.ask_for(&request, approvers), why);
    }
    let mut denied = gate.ask();
    let digest = Signed::from_bytes(&denied.evidence.request).unwrap().digest();
    let no = Approval { decision: Decision::Deny, ..approval(&request, digest, 12) };
    denied.evidence.approvals[0] = signed_by(&no, &[12]).to_bytes();
    gate.refused(denied, "denied by p12");
    let mut many = gate.ask();
    many.evidence.approvals = vec![many.evidence.approvals[0].clone(); 65];
    gate.refused(many, "too many approvals");
}

#[test]
fn request_that_was_changed_after_it_was_approved_is_refused() {
    let gate = Gate::new();
    let mut asked = gate.ask();
    let mut wider = gate.request();
    ssh(&mut wider).hosts = AtMost(vec!["web-1".parse().unwrap(), "web-2".parse().unwrap()]);
    asked.evidence.request = signed_by(&wider, &[11]).to_bytes();
    gate.refused(asked, "of another request");
    let mut asked = gate.ask();
    let at = asked.evidence.request.len() / 2;
    asked.evidence.request[at] ^= 1;
    assert!(gate.sign(asked).is_err());
}

#[test]
fn hostile_bastion_without_the_users_own_signature_is_refused() {
    let gate = Gate::new();
    let with = |session_id, user: &str, n| {
        let (login, login_signature) = login(session_id, user, n);
        SshSign { login, login_signature, ..gate.ask() }
    };
    // Its own key, a colleague's, an approver's; a login for elsewhere; a signature over something else.
    gate.refused(with([7; 32], "svc+web-1", 60), "not in the roster");
    gate.refused(with([7; 32], "svc+web-1", 14), "not `p14`'s");
    gate.refused(with([7; 32], "svc+web-1", 12), "not `p12`'s");
    gate.refused(with([7; 32], "svc+web-2", 11), "another role or host");
    gate.refused(with([7; 32], "root+web-1", 11), "another role or host");
    let mut other = with([7; 32], "svc+web-1", 11);
    other.login = login([8; 32], "svc+web-1", 11).0;
    gate.refused(other, "the login at the bastion");
    let elsewhere = SshSign { host: "web-2".parse().unwrap(), ..with([7; 32], "svc+web-2", 11) };
    gate.refused(elsewhere, "not for the host `web-2`");
}

#[test]
fn connection_and_session_work_once() {
    let gate = Gate::new();
    gate.sign(gate.ask()).unwrap();
    // The person connects again.
    let (bytes, login_signature) = login([9; 32], "svc+web-1", 11);
    let session = Ulid::from_bytes([6; 16]);
    let next = SshSign { login: bytes, login_signature, session, ..gate.ask() };
    let again = SshSign { session: Ulid::from_bytes([6; 16]), ..gate.ask() };
    gate.refused(again, "has opened its session already");
    let (login, login_signature) = login([8; 32], "svc+web-1", 11);
    let same = SshSign { login, login_signature, ..gate.ask() };
    gate.refused(same, "a session of this name already");
    gate.sign(next).unwrap();
}

#[test]
fn session_for_something_that_was_not_asked_for_is_refused() {
    let gate = Gate::new();
    let mut request = gate.request();
    ssh(&mut request).interactive = false;
    ssh(&mut request).files = AtMost(vec!["read:/var/log/".parse().unwrap()]);
    let with = |purpose| SshSign { purpose, ..gate.ask_for(&request, &[12, 13]) };
    gate.refused(with(Purpose::Shell), "something else");
    gate.refused(with(Purpose::Command("uptime; id".to_owned())), "something else");
    let uptime = gate.sign(with(Purpose::Command("uptime".to_owned()))).unwrap();
    let certificate = Certificate::from_bytes(&uptime.certificate).unwrap();
    assert_eq!(certificate.unverified().critical.force_command.as_deref(), Some("uptime"));
    let extensions: Vec<_> = certificate.unverified().extensions.iter().collect();
    assert!(matches!(extensions[..], [Extension::SessionUntil(_)]), "{extensions:?}");
    let (login, login_signature) = login([8; 32], "svc+web-1", 11);
    let session = Ulid::from_bytes([6; 16]);
    let files = SshSign { login, login_signature, session, ..with(Purpose::Files) };
    let certificate = Certificate::from_bytes(&gate.sign(files).unwrap().certificate).unwrap();
    let forced = &certificate.unverified().critical.force_command;
    assert_eq!(forced.as_deref(), Some("internal-sftp"));
}

/// Front is not asked: what customers said, keyd has sealed itself.
#[test]
fn customer_with_a_lockbox_is_asked_whatever_front_shows() {
    let gate = Gate::new();
    let customer = gate.site.create_account(111_122_223_333);
    gate.site.lockbox(&customer, "STREAMLINED");
    gate.refused(gate.ask(), "`customer` needs 1 more of the customer 111122223333");
    let digest = Signed::from_bytes(&gate.ask().evidence.request).unwrap().digest();
    gate.site.say(&customer, "ApproveOperatorAccess", &digest).unwrap();
    gate.sign(gate.ask()).unwrap();
    // What was approved is this request, and no other.
    let mut other = gate.request();
    other.reason = "something else".to_owned();
    gate.refused(gate.ask_for(&other, &[12, 13]), "needs 1 more of the customer");
}

#[test]
fn disabled_support_role_opens_nothing() {
    let gate = Gate::new();
    let customer = gate.site.create_account(111_122_223_333);
    let switch = |operation| {
        let request = gate.site.writ(&customer, operation, &json!({}));
        gate.site.seal(request, |_| {}).unwrap();
    };
    switch("DisableSupportRole");
    assert!(gate.sign(gate.ask()).is_err());
    assert_eq!(gate.site.last_record().0, "ssh_sign");
    switch("EnableSupportRole");
    gate.sign(gate.ask()).unwrap();
}

#[test]
fn session_outside_its_window_is_refused() {
    let gate = Gate::new();
    let mut later = gate.request();
    later.not_before = gate.now().plus(Duration::from_secs(60));
    gate.refused(gate.ask_for(&later, &[12, 13]), "does not hold now");
    let asked = gate.ask();
    gate.site.advance(Duration::from_secs(3600));
    gate.refused(asked, "does not hold now");
}

#[test]
fn ended_grant_and_people_who_have_left_open_nothing() {
    let gate = Gate::new();
    let asked = gate.ask();
    let digest = Signed::from_bytes(&asked.evidence.request).unwrap().digest();
    gate.site.engine.handle(Role::Front, Command::End(End::Grant(digest))).unwrap();
    gate.refused(asked, "the grant has ended");
    for n in [11, 12] {
        let gate = Gate::new();
        let id = EnrolmentId { person: person(n), number: 1 };
        gate.site.engine.handle(Role::Front, Command::End(End::Person(id))).unwrap();
        gate.refused(gate.ask(), &format!("`p{n}` has left"));
    }
}

/// Whoever approved must still be one who may, when the session opens.
#[test]
fn approver_who_is_no_member_any_more_opens_nothing() {
    let gate = Gate::new();
    let asked = gate.ask();
    let group = "approvers".parse().unwrap();
    gate.change(Change::RemoveMember(MemberId { group, person: person(13) }));
    gate.refused(asked, "is not a member of `approvers` now");
}

/// The list of revoked certificates, verified with the key that genesis names.
fn krl(gate: &Gate) -> Krl {
    let Reply::Krl(signed) = gate.site.engine.handle(Role::Front, Command::SignKrl).unwrap() else {
        panic!("another reply");
    };
    let signature = SshSig::from_bytes(&signed.signature).unwrap();
    let verified = signature.verify(&signed.list, "krl@writ").unwrap();
    let key = gate.site.engine.signing.krl.public_key();
    assert_eq!(verified.key, SshPublicKey::Ed25519(key.0));
    Krl::from_bytes(&signed.list).unwrap()
}

#[test]
fn certificate_is_revoked_when_its_grant_or_its_person_ends_and_until_it_is_worth_nothing() {
    let digest = |asked: &SshSign| Signed::from_bytes(&asked.evidence.request).unwrap().digest();
    let gate = Gate::new();
    let asked = gate.ask();
    let grant = digest(&asked);
    let serial = gate.sign(asked).unwrap().serial;
    let ca = gate.site.engine.signing.ssh_ca.public_key();
    let before = krl(&gate);
    assert!(!before.revokes_serial(&ca, serial));
    gate.site.engine.handle(Role::Front, Command::End(End::Grant(grant))).unwrap();
    let after = krl(&gate);
    assert!(after.revokes_serial(&ca, serial) && !after.revokes_serial(&ca, serial ^ 1));
    assert!(after.version() > before.version());
    // It opens nothing any more, and the list gets short again.
    gate.site.advance(Duration::from_secs(301));
    assert!(!krl(&gate).revokes_serial(&ca, serial));

    let gate = Gate::new();
    let serial = gate.sign(gate.ask()).unwrap().serial;
    let left = EnrolmentId { person: person(11), number: 1 };
    gate.site.engine.handle(Role::Front, Command::End(End::Person(left))).unwrap();
    let ca = gate.site.engine.signing.ssh_ca.public_key();
    assert!(krl(&gate).revokes_serial(&ca, serial));
    assert!(gate.site.engine.handle(Role::Bastion, Command::SignKrl).is_err(), "front alone asks");
}

#[test]
fn nobody_but_the_bastion_asks_for_certificates() {
    let gate = Gate::new();
    for role in [Role::Front, Role::S3, Role::Supervisor, Role::Trail, Role::Watch] {
        let asked = Command::SshSign(Box::new(gate.ask()));
        assert!(matches!(gate.site.engine.handle(role, asked), Err(Refusal::Forbidden(_))));
        let asked = Command::NewRecording(Ulid::from_bytes([5; 16]));
        assert!(matches!(gate.site.engine.handle(role, asked), Err(Refusal::Forbidden(_))));
    }
}

#[test]
fn stale_feed_opens_nothing() {
    let gate = Gate::new();
    gate.site.env.advance(Duration::from_millis(1001));
    assert!(matches!(gate.sign(gate.ask()), Err(Refusal::Unavailable(_))));
}

#[test]
fn recording_has_a_key_of_its_own_and_is_signed_for_known_sessions_alone() {
    let gate = Gate::new();
    let session = Ulid::from_bytes([5; 16]);
    assert!(gate.new_recording(session).is_err(), "before its certificate");
    let signed = gate.sign(gate.ask()).unwrap();
    let (one, two) = (gate.new_recording(session).unwrap(), gate.new_recording(session).unwrap());
    assert_eq!(one.key.expose().len(), 32);
    assert_ne!(one.key.expose(), two.key.expose());
    assert_eq!(one.facts.grant, signed.grant);
    assert_eq!((one.facts.session, &one.facts.person), (session, &person(11)));
    assert!(!one.sealed.windows(32).any(|part| part == one.key.expose()));
    let at = |session: Ulid| Progress {
        session,
        seq: 3,
        head: Hash([4; 32]),
        wall: gate.now(),
        totals: Totals::default(),
    };
    let sign =
        |mark| gate.site.engine.handle(Role::Bastion, Command::SignRecording(Box::new(mark)));
    let mark = Mark::Checkpoint(at(session));
    let Ok(Reply::Signature(signature)) = sign(mark.clone()) else { panic!("no signature") };
    let message = [b"writ-recording-v1".as_slice(), &cbor::to_vec(&mark)].concat();
    assert!(gate.site.keys.use_records.verifies(&message, &signature));
    // Its grant's end is not the end of its recording.
    gate.site.advance(signed.not_after.since(gate.now()) + Duration::from_secs(1));
    gate.site.engine.maintain().unwrap();
    assert!(gate.new_recording(session).is_err(), "after its grant");
    let day = crate::limits::MARKS_AFTER;
    for _ in 0..2 {
        gate.site.advance(day - Duration::from_secs(60));
        gate.site.engine.maintain().unwrap();
        sign(Mark::Checkpoint(at(session))).unwrap();
    }
    gate.site.advance(day + Duration::from_secs(1));
    gate.site.engine.maintain().unwrap();
    assert!(sign(Mark::Checkpoint(at(session))).is_err(), "nothing was recorded for a day");
    let unknown = Ulid::from_bytes([6; 16]);
    assert!(sign(Mark::Checkpoint(at(unknown))).is_err());
    let cut = Cut { at: at(unknown), torn_bytes: 1, torn_digest: Hash([5; 32]) };
    assert!(sign(Mark::Truncated(cut)).is_ok(), "a restart may be keyd's, too");
}
