//! A small installation: p1 to p3 are founders, p4 and p5 may ask, p6 to p8 approve. Host web-1 holds data of account 1.

use std::collections::{BTreeMap, BTreeSet};

use writ_access::{Customers, Decided, Filed, Hr, Nonces, Refusal, World as Judged};
use writ_model::{AccountId, Nonce, PersonId, Revision, StoreEpoch, Timestamp, Ulid, Uuid};
use writ_proof::Hash;
use writ_proof::access::{
    Approval, Basis, Consent, Decision, LedgerHead, Request, Scope, SshScope, Ticket, Touches,
};
use writ_proof::at_most::AtMost;
use writ_proof::ed25519::{Signer as _, SoftKey};
use writ_proof::note::{KeyKind, VerifierKey};
use writ_proof::roster::{
    Accounts, Approver, Change, ChannelPins, Enrolment, EnrolmentId, Genesis, Group, GroupName,
    Host, KeydKeys, Membership, Mode, PersonKey, RequestKind, Rights, Roster, RosterStatement,
    Rule, Slot, Tier,
};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::statement::{Namespace, Signed, Statement};
use writ_store::state::{
    self, AccessGrant, Employment, Gates, HrState, PersonState, Receipt, RequestState,
};
use writ_store::{Body, Object, Snapshot};

pub(crate) const T0: u64 = 1_800_000_000;

pub(crate) fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

pub(crate) fn id(n: u8) -> PersonId {
    format!("p{n}").parse().unwrap()
}

pub(crate) fn time(secs: u64) -> Timestamp {
    Timestamp::from_secs(T0 + secs)
}

pub(crate) fn account(n: u64) -> AccountId {
    AccountId::from_number(n).unwrap()
}

fn key(n: u8) -> PersonKey {
    PersonKey { person: id(n), key: SshPublicKey::Ed25519(soft(n).public_key().0), passkey: None }
}

pub(crate) fn signed_by<T: Statement>(statement: &T, keys: &[u8]) -> Signed {
    let mut signed = Signed::new(statement).unwrap();
    keys.iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
    signed
}

/// HR's and customers' words.
#[derive(Default)]
pub(crate) struct Words {
    pub(crate) away: BTreeSet<PersonId>,
    pub(crate) managers: BTreeMap<PersonId, PersonId>,
    pub(crate) lockboxes: BTreeSet<AccountId>,
    pub(crate) disabled: BTreeSet<AccountId>,
    pub(crate) consents: BTreeMap<AccountId, Consent>,
}

impl Hr for Words {
    fn may_act(&self, person: &PersonId, _: Option<&GroupName>) -> Result<(), String> {
        match self.away.contains(person) {
            true => Err("the person is suspended".to_owned()),
            false => Ok(()),
        }
    }

    fn manager(&self, person: &PersonId) -> Option<PersonId> {
        self.managers.get(person).cloned()
    }
}

impl Customers for Words {
    fn lockboxes(&self, touches: &Touches) -> BTreeSet<AccountId> {
        self.lockboxes.iter().copied().filter(|account| touches.touches(*account)).collect()
    }

    fn disabled(&self, touches: &Touches) -> BTreeSet<AccountId> {
        self.disabled.iter().copied().filter(|account| touches.touches(*account)).collect()
    }

    fn consents(&self, _: Ulid) -> BTreeMap<AccountId, Consent> {
        self.consents.clone()
    }
}

/// An installation at a time.
pub(crate) struct World {
    pub(crate) roster: Roster,
    pub(crate) snapshot: Snapshot,
    pub(crate) words: Words,
    pub(crate) nonces: Nonces,
    pub(crate) now: Timestamp,
}

impl World {
    /// At `T0` and a minute, with the ticket OPS-17 open.
    pub(crate) fn new() -> World {
        let now = time(60);
        let epoch: StoreEpoch = Uuid::from_bytes([1; 16]);
        let mut world = World {
            roster: roster(),
            snapshot: Snapshot::empty(epoch),
            words: Words::default(),
            nonces: Nonces::default(),
            now,
        };
        let rule = vec![slot("peers", 2, "approvers")];
        world.change(Change::SetGroup(Box::new(group("oncall", rule))));
        world.join(4);
        world.join(5);
        world.put(state::Ticket {
            id: "OPS-17".to_owned(),
            title: "t".to_owned(),
            opened_by: id(1),
            opened: time(0),
            closed: None,
        });
        world
    }

    pub(crate) fn put(&mut self, body: impl Into<Body>) {
        let object = Object::new(AccountId::PLATFORM, body);
        let next = Revision(self.snapshot.revision().0 + 1);
        let change = writ_store::Change {
            revision: next,
            ordinal: 0,
            object: object.id(),
            body: Some(object.body),
            actor: String::new(),
            request_id: Uuid::from_bytes([2; 16]),
            at: self.now,
        };
        self.snapshot = self.snapshot.apply(&[change], next);
    }

    pub(crate) fn change(&mut self, change: Change) {
        let statement = RosterStatement {
            v: Default::default(),
            site: self.roster.site().clone(),
            seq: self.roster.seq() + 1,
            prev: self.roster.head(),
            created: self.roster.created(),
            change,
        };
        self.roster.apply(&signed_by(&statement, &[1, 2])).unwrap();
    }

    pub(crate) fn judged(&self) -> Judged<'_> {
        Judged {
            snapshot: &self.snapshot,
            roster: &self.roster,
            hr: &self.words,
            customers: &self.words,
            now: self.now,
        }
    }

    /// A right request of p4 for an hour from now on.
    pub(crate) fn request(&self, n: u8) -> Request {
        let group: GroupName = "oncall".parse().unwrap();
        let mut id_bytes = [n; 16];
        id_bytes[..6].copy_from_slice(&self.now.millis().to_be_bytes()[2..]);
        let whole = Timestamp::from_secs(self.now.secs());
        Request {
            v: Default::default(),
            site: self.roster.site().clone(),
            id: Ulid::from_bytes(id_bytes),
            requester: id(4),
            enrolment: 1,
            revision: self.roster.group_revision(&group).unwrap_or_default(),
            group,
            basis: Basis::Service,
            reason: "the disk is full".to_owned(),
            ticket: Ticket { system: "writ".to_owned(), id: "OPS-17".to_owned() },
            account: None,
            scope: Scope::Ssh(SshScope {
                hosts: AtMost(vec!["web-1".parse().unwrap()]),
                login: "svc".to_owned(),
                interactive: true,
                commands: AtMost(Vec::new()),
                files: AtMost(Vec::new()),
            }),
            not_before: whole,
            not_after: whole.plus(std::time::Duration::from_secs(3600)),
            created: self.now,
        }
    }

    pub(crate) fn judge(&self, request: &Request) -> Result<Filed, Refusal> {
        writ_access::file(&signed_by(request, &[4]), &self.judged())
    }

    /// Files and stores a right request.
    pub(crate) fn filed(&mut self, n: u8) -> Filed {
        let filed = self.judge(&self.request(n)).unwrap();
        self.put(filed.request.clone());
        filed
    }

    /// A right decision with a fresh nonce.
    pub(crate) fn approval(&mut self, filed: &Filed, n: u8, decision: Decision) -> Approval {
        let request = filed.asked.request();
        let ledger = LedgerHead { origin: "o".to_owned(), size: 7, root: Hash([7; 32]) };
        let whose = (request.id, &id(n), decision);
        let given = self.nonces.give(whose, Nonce([n; 16]), ledger.clone(), self.now).unwrap();
        Approval {
            v: Default::default(),
            site: request.site.clone(),
            request: request.id,
            request_digest: filed.asked.digest(),
            requester: request.requester.clone(),
            approver: id(n),
            decision,
            slot: "peers".parse().unwrap(),
            scope: request.scope.clone(),
            account: request.account,
            not_before: request.not_before,
            not_after: request.not_after,
            ticket: request.ticket.clone(),
            revision: request.revision,
            nonce: given.nonce,
            ledger,
            signed: self.now,
        }
    }

    pub(crate) fn decide(&self, approval: &Approval, n: u8) -> Result<Decided, Refusal> {
        writ_access::decide(&signed_by(approval, &[n]), &self.nonces, &self.judged())
    }

    /// A right decision, taken and stored.
    pub(crate) fn decided(&mut self, filed: &Filed, n: u8, decision: Decision) -> Decided {
        let approval = self.approval(filed, n, decision);
        let decided = self.decide(&approval, n).unwrap();
        self.nonces.take(&approval);
        self.put(decided.approval.clone());
        self.put(decided.request.clone());
        if let Some(grant) = decided.grant.clone() {
            self.put(grant);
        }
        decided
    }

    /// A grant, approved by p6 and p7.
    pub(crate) fn granted(&mut self, n: u8) -> AccessGrant {
        let filed = self.filed(n);
        self.decided(&filed, 6, Decision::Approve);
        let decided = self.decided(&filed, 7, Decision::Approve);
        assert_eq!(decided.request.state, RequestState::Approved);
        decided.grant.unwrap()
    }

    fn join(&mut self, n: u8) {
        let (group, expires) = ("oncall".parse().unwrap(), Some(time(20 * 86_400)));
        self.change(Change::AddMember(Membership { group, person: id(n), expires }));
    }

    /// Ends a person's enrolment, enrols them anew and takes them back into the group.
    pub(crate) fn rehire(&mut self, n: u8) {
        self.change(Change::EndEnrolment(EnrolmentId { person: id(n), number: 1 }));
        let enrolment = EnrolmentId { person: id(n), number: 2 };
        let keys = AtMost(vec![key(n)]);
        self.change(Change::Enrol(Enrolment { id: enrolment, keys }));
        self.join(n);
    }

    /// HR's word that a person has left, and which enrolment ended with it.
    pub(crate) fn leave(&mut self, n: u8, enrolment: Option<u64>) {
        let (epoch, now) = (2, self.now);
        self.put(state::Person {
            id: id(n).to_string(),
            epoch,
            state: PersonState::Left,
            why: None,
            since: now,
            hr_state: HrState::Terminated,
            user_name: "u".to_owned(),
            display_name: "U".to_owned(),
            email: String::new(),
            employment: Employment::Employee,
            manager: None,
            team: "t".to_owned(),
            job_code: "j".to_owned(),
            cost_center: String::new(),
            valid_until: None,
            gates: Gates::default(),
            gates_from: None,
            moved_at: None,
            reapprovals: BTreeMap::new(),
            absent_since: None,
            receipt: Some(Receipt { epoch: 1, enrolment, found: now, ended: Vec::new() }),
            created: now,
        });
    }

    pub(crate) fn later(&mut self, secs: u64) {
        self.now = self.now.plus(std::time::Duration::from_secs(secs));
    }
}

pub(crate) fn slot(name: &str, count: u32, from: &str) -> Slot {
    let from = Approver::Group(from.parse().unwrap());
    Slot { slot: name.parse().unwrap(), count, from }
}

pub(crate) fn group(name: &str, rule: Vec<Slot>) -> Group {
    let rights = Rights {
        hosts: AtMost(vec!["*-1".parse().unwrap()]),
        logins: AtMost(vec!["svc".to_owned()]),
        kinds: AtMost(vec![RequestKind::Ssh]),
        max_hours: 4,
        ssh: None,
    };
    Group {
        name: name.parse().unwrap(),
        title: name.to_owned(),
        tier: Tier::Sensitive,
        owners: AtMost(vec![id(3), id(8)]),
        rights: (!rule.is_empty()).then_some(rights),
        rule: AtMost(rule),
        admits: None,
    }
}

pub(crate) fn host(accounts: Accounts) -> Change {
    Change::SetHost(Box::new(Host {
        name: "web-1".parse().unwrap(),
        address: "web-1.example".to_owned(),
        key: SshPublicKey::Ed25519(soft(50).public_key().0),
        accounts,
    }))
}

fn roster() -> Roster {
    let public = |n| soft(n).public_key();
    let witness = VerifierKey::new("w", KeyKind::Cosignature, public(106)).unwrap();
    let genesis = Genesis {
        v: Default::default(),
        site: "site-1".parse().unwrap(),
        created: time(0),
        mode: Mode::Dev,
        founders: vec![key(1), key(2), key(3)],
        rules: vec![Rule {
            namespace: Namespace::Roster,
            threshold: 2,
            hardware: false,
            group: None,
        }],
        keyd: KeydKeys {
            checkpoint: public(101),
            use_records: public(102),
            ssh_ca: public(103),
            run_orders: public(104),
            krl: public(105),
        },
        watch: public(106),
        witnesses: vec![witness.to_string()],
        channel: ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) },
    };
    let (_, roster) = Roster::begin(&signed_by(&genesis, &[1, 2, 3]), None).unwrap();
    let snapshot = Snapshot::empty(Uuid::from_bytes([1; 16]));
    let (words, nonces, now) = (Words::default(), Nonces::default(), time(0));
    let mut world = World { roster, snapshot, words, nonces, now };
    for n in 4..=8 {
        let id = EnrolmentId { person: id(n), number: 1 };
        world.change(Change::Enrol(Enrolment { id, keys: AtMost(vec![key(n)]) }));
    }
    world.change(Change::SetGroup(Box::new(group("approvers", Vec::new()))));
    for n in [6, 7, 8] {
        let (group, expires) = ("approvers".parse().unwrap(), None);
        world.change(Change::AddMember(Membership { group, person: id(n), expires }));
    }
    world.change(host(Accounts::Only(AtMost(vec![account(1)]))));
    world.roster
}
