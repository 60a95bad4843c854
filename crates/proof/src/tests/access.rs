//! Tests of requests and approvals. Persons: p1 to p3 are founders, p4 asks, p5 is p4's colleague in the
//! group that asks, p6 and p7 approve.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::at_most::AtMost;
use crate::ed25519::{Signer as _, SoftKey};
use crate::note::{KeyKind, VerifierKey};
use crate::roster::{
    Accounts, Approver, Change, ChannelPins, Enrolment, EnrolmentId, Genesis, Group, Host,
    KeydKeys, Membership, Mode, PersonKey, RequestKind, Rights, Roster, RosterStatement, Rule,
    Slot, Tier,
};
use crate::sshsig::SshPublicKey;
use crate::statement::Signed;

const T0: u64 = 1_800_000_000;

fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

fn id(n: u8) -> PersonId {
    format!("p{n}").parse().unwrap()
}

fn key(n: u8) -> PersonKey {
    PersonKey { person: id(n), key: SshPublicKey::Ed25519(soft(n).public_key().0), passkey: None }
}

fn time(secs: u64) -> Timestamp {
    Timestamp::from_secs(T0 + secs)
}

fn account(n: u64) -> AccountId {
    AccountId::from_number(n).unwrap()
}

struct World {
    roster: Roster,
}

impl World {
    /// The roster at `T0`: host web-1 holds data of account 1, host db-1 of everybody, host log-1 of nobody.
    fn new() -> World {
        World::of(Mode::Dev)
    }

    fn of(mode: Mode) -> World {
        let public = |n| soft(n).public_key();
        let witness = VerifierKey::new("w", KeyKind::Cosignature, public(106)).unwrap();
        let genesis = Genesis {
            v: Version,
            site: "site-1".parse().unwrap(),
            created: time(0),
            mode,
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
        let signed = signed_by(&genesis, &[1, 2, 3]);
        let (_, roster) = Roster::begin(&signed, None).unwrap();
        let mut world = World { roster };
        for n in 4..=7 {
            let id = EnrolmentId { person: id(n), number: 1 };
            world.change(Change::Enrol(Enrolment { id, keys: AtMost(vec![key(n)]) }));
        }
        world.change(Change::SetGroup(Box::new(group("approvers", Vec::new(), None))));
        for (name, accounts) in
            [("web-1", Some(vec![account(1)])), ("db-1", None), ("log-1", Some(vec![]))]
        {
            world.change(Change::SetHost(Box::new(Host {
                name: name.parse().unwrap(),
                address: format!("{name}.example"),
                key: SshPublicKey::Ed25519(soft(50).public_key().0),
                accounts: accounts.map_or(Accounts::All, |all| Accounts::Only(AtMost(all))),
            })));
        }
        world.change(Change::SetGroup(Box::new(oncall(2))));
        for (name, n) in [("approvers", 6), ("approvers", 7), ("oncall", 4), ("oncall", 5)] {
            world.add(name, n);
        }
        world
    }

    fn change(&mut self, change: Change) {
        let statement = RosterStatement {
            v: Version,
            site: self.roster.site().clone(),
            seq: self.roster.seq() + 1,
            prev: self.roster.head(),
            created: self.roster.created(),
            change,
        };
        self.roster.apply(&signed_by(&statement, &[1, 2])).unwrap();
    }

    fn change_at(&mut self, at: Timestamp, change: Change) {
        let statement = RosterStatement {
            v: Version,
            site: self.roster.site().clone(),
            seq: self.roster.seq() + 1,
            prev: self.roster.head(),
            created: at,
            change,
        };
        self.roster.apply(&signed_by(&statement, &[1, 2])).unwrap();
    }

    fn membership(name: &str, n: u8) -> Change {
        let expires = (name == "oncall").then(|| time(86_400));
        Change::AddMember(Membership { group: name.parse().unwrap(), person: id(n), expires })
    }

    fn add(&mut self, name: &str, n: u8) {
        self.change(World::membership(name, n));
    }

    fn request(&self) -> Request {
        Request {
            v: Version,
            site: self.roster.site().clone(),
            id: Ulid::from_bytes([9; 16]),
            requester: id(4),
            enrolment: 1,
            group: "oncall".parse().unwrap(),
            revision: self.roster.group_revision(&"oncall".parse().unwrap()).unwrap(),
            basis: Basis::Service,
            reason: "the disk is full".to_owned(),
            ticket: Ticket { system: OWN_TICKETS.to_owned(), id: "OPS-17".to_owned() },
            account: None,
            scope: Scope::Ssh(SshScope {
                hosts: AtMost(vec!["web-1".parse().unwrap()]),
                login: "svc".to_owned(),
                interactive: true,
                commands: AtMost(Vec::new()),
                files: AtMost(Vec::new()),
            }),
            not_before: time(60),
            not_after: time(3660),
            created: time(60),
        }
    }

    fn ask(&self, request: &Request) -> Result<Asked, Error> {
        Asked::verify(&signed_by(request, &[4]), &self.roster, time(61))
    }

    fn asked(&self) -> Asked {
        self.ask(&self.request()).unwrap()
    }

    fn approve(&self, asked: &Asked, n: u8) -> Result<Approved, Error> {
        self.judge(&approval(asked, n), asked, n)
    }

    fn judge(&self, approval: &Approval, asked: &Asked, n: u8) -> Result<Approved, Error> {
        let signed = signed_by(approval, &[n]);
        Approved::verify(&signed, asked, &self.roster, Some(&id(1)), time(120))
    }
}

fn group(name: &str, rule: Vec<Slot>, rights: Option<Rights>) -> Group {
    Group {
        name: name.parse().unwrap(),
        title: name.to_owned(),
        tier: Tier::Sensitive,
        owners: AtMost(vec![id(3), id(7)]),
        rule: AtMost(rule),
        rights,
        admits: None,
    }
}

/// The group that may ask: `count` approvers.
fn oncall(count: u32) -> Group {
    let slot = Slot {
        slot: "peers".parse().unwrap(),
        count,
        from: Approver::Group("approvers".parse().unwrap()),
    };
    let rights = Rights {
        hosts: AtMost(vec!["*-1".parse().unwrap()]),
        logins: AtMost(vec!["svc".to_owned()]),
        kinds: AtMost(vec![RequestKind::Ssh]),
        max_hours: 2,
        ssh: Some(SshRights {
            interactive: true,
            commands: AtMost(vec![]),
            files: AtMost(vec!["ro:/var/log/".parse().unwrap()]),
        }),
    };
    group("oncall", vec![slot], Some(rights))
}

fn signed_by<T: Statement>(statement: &T, keys: &[u8]) -> Signed {
    let mut signed = Signed::new(statement).unwrap();
    keys.iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
    signed
}

fn approval(asked: &Asked, n: u8) -> Approval {
    let request = asked.request();
    Approval {
        v: Version,
        site: request.site.clone(),
        request: request.id,
        request_digest: asked.digest(),
        requester: request.requester.clone(),
        approver: id(n),
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
        signed: time(90),
    }
}

fn ssh(request: &mut Request) -> &mut SshScope {
    let Scope::Ssh(scope) = &mut request.scope else { panic!() };
    scope
}

#[test]
fn formats_are_fixed() {
    let world = World::new();
    let asked = world.asked();
    let digest = |bytes: &[u8]| crate::hash::sha256(bytes).to_string();
    let request = Signed::new(&world.request()).unwrap();
    expect_test::expect!["8a99489a4fa8cba2bdac9359966f9395408450d2a8538591b4b97209b6ba5a0b"]
        .assert_eq(&digest(request.body()));
    let approval = Signed::new(&approval(&asked, 6)).unwrap();
    expect_test::expect!["8c8f95c8eff0d059ce7384eff843231563f7b8cb84b271ba1c3abfdd34756ad2"]
        .assert_eq(&digest(approval.body()));
}

#[test]
fn two_approvals_make_a_grant_of_their_common_window() {
    let world = World::new();
    let asked = world.asked();
    assert_eq!(asked.touches(&world.roster), Touches::Only(BTreeSet::from([account(1)])));
    let mut short = approval(&asked, 7);
    (short.not_before, short.not_after) = (time(100), time(1000));
    let approved = [world.approve(&asked, 6).unwrap(), world.judge(&short, &asked, 7).unwrap()];
    let decided = |approved: &[Approved]| {
        let evidence = Evidence { approved, ..Evidence::default() };
        decide(&asked, &world.roster, &evidence)
    };
    assert!(matches!(decided(&[]), Outcome::Waiting(missing) if missing[0].count == 2));
    assert!(matches!(decided(&approved[..1]), Outcome::Waiting(missing) if missing[0].count == 1));
    // One human is one human, however often.
    let twice = [approved[0].clone(), approved[0].clone()];
    assert!(matches!(decided(&twice), Outcome::Waiting(_)));
    let Outcome::Granted(grant) = decided(&approved) else { panic!() };
    assert_eq!((grant.digest, &grant.person), (asked.digest(), &id(4)));
    assert_eq!((grant.not_before, grant.not_after), (time(100), time(1000)));
    for (at, holds) in [(99, false), (100, true), (999, true), (1000, false)] {
        assert_eq!(grant.holds(time(at)), holds, "{at}");
    }
    let mut no = approval(&asked, 6);
    no.decision = Decision::Deny;
    let denied = [approved[1].clone(), world.judge(&no, &asked, 6).unwrap()];
    assert_eq!(decided(&denied), Outcome::Denied("p6".to_owned()));
}

#[test]
fn request_that_may_not_be_made_is_refused() {
    type Harm = fn(&mut Request);
    let harms: [(&str, Harm); 24] = [
        ("another installation", |r| r.site = "site-2".parse().unwrap()),
        ("is `p4`'s", |r| r.requester = id(5)),
        ("has ended; ask anew", |r| r.enrolment = 2),
        ("no group", |r| r.group = "x".parse().unwrap()),
        ("was changed since", |r| r.revision = 1),
        ("is not a member", |r| {
            (r.group, r.revision) = ("founders".parse().unwrap(), 0);
        }),
        ("needs a reason", |r| r.reason = " \n".to_owned()),
        ("needs a reason", |r| r.reason = "x".repeat(2001)),
        ("do not show", |r| r.reason = "a\u{1b}[2J".to_owned()),
        ("do not show", |r| r.reason = "line\nno \u{202e}eno".to_owned()),
        ("do not show", |r| ssh(r).commands = AtMost(vec!["a\u{200b}b".to_owned()])),
        ("needs a ticket", |r| r.ticket.id = String::new()),
        ("needs a ticket", |r| r.ticket.id = "a b".to_owned()),
        ("whole seconds", |r| r.not_after = Timestamp::from_millis((T0 + 100) * 1000 + 1)),
        ("ends before", |r| r.not_after = r.not_before),
        ("at most 2 h", |r| r.not_after = time(60 + 7201)),
        ("dated ahead", |r| r.created = time(61 + 301)),
        ("14 days", |r| {
            (r.not_before, r.not_after) = (time(15 * 86_400), time(15 * 86_400 + 60));
        }),
        ("no host `x-1`", |r| ssh(r).hosts = AtMost(vec!["x-1".parse().unwrap()])),
        ("does not reach", |r| ssh(r).hosts = AtMost(vec!["web-2".parse().unwrap()])),
        ("names no host", |r| ssh(r).hosts = AtMost(Vec::new())),
        ("login role `root`", |r| ssh(r).login = "root".to_owned()),
        ("asks for nothing", |r| ssh(r).interactive = false),
        ("rights on `/etc/`", |r| ssh(r).files = AtMost(vec!["read:/etc/".parse().unwrap()])),
    ];
    let world = World::new();
    for (why, harm) in harms {
        let mut request = world.request();
        harm(&mut request);
        let error = world.ask(&request).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    for (keys, why) in
        [(&[5][..], "is `p5`'s"), (&[4, 5], "nobody else"), (&[60], "not in the roster")]
    {
        let signed = signed_by(&world.request(), keys);
        let error = Asked::verify(&signed, &world.roster, time(61)).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn approval_that_does_not_count_is_refused() {
    type Harm = fn(&mut Approval);
    let harms: [(&str, Harm); 14] = [
        ("of another request", |a| a.site = "site-2".parse().unwrap()),
        ("of another request", |a| a.request = Ulid::from_bytes([8; 16])),
        ("of another request", |a| a.request_digest = Hash([1; 32])),
        ("of another request", |a| a.requester = id(5)),
        ("of another request", |a| a.account = Some(account(2))),
        ("of another request", |a| a.ticket.id = "OPS-18".to_owned()),
        ("of another request", |a| a.revision += 1),
        ("of another request", |a| {
            let Scope::Ssh(scope) = &mut a.scope else { panic!() };
            scope.login = "root".to_owned();
        }),
        ("wider than", |a| a.not_after = time(3661)),
        ("wider than", |a| a.not_before = time(59)),
        ("wider than", |a| a.not_after = a.not_before),
        ("wider than", |a| a.not_after = Timestamp::from_millis(T0 * 1000 + 60_001)),
        ("no slot `x`", |a| a.slot = "x".parse().unwrap()),
        ("is `p6`'s", |a| a.approver = id(7)),
    ];
    let world = World::new();
    let asked = world.asked();
    for (why, harm) in harms {
        let mut wrong = approval(&asked, 6);
        harm(&mut wrong);
        let error = world.judge(&wrong, &asked, 6).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    for (n, why) in [(4, "their own request"), (5, "not a member"), (60, "not in the roster")] {
        let error = world.approve(&asked, n).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    let two = signed_by(&approval(&asked, 6), &[6, 7]);
    assert!(Approved::verify(&two, &asked, &world.roster, None, time(120)).is_err());
}

#[test]
fn approver_made_after_the_request_does_not_count() {
    let mut world = World::new();
    let asked = world.asked();
    world.change_at(time(70), World::membership("approvers", 5));
    let error = world.approve(&asked, 5).unwrap_err().to_string();
    assert!(error.contains("after the request was made"), "{error}");
    let mut later = world.request();
    later.created = time(71);
    let asked = world.ask(&later).unwrap();
    assert!(world.approve(&asked, 5).is_ok());
}

#[test]
fn software_key_does_not_approve_outside_dev() {
    let world = World::of(Mode::Software);
    let asked = world.asked();
    let error = world.approve(&asked, 6).unwrap_err().to_string();
    assert!(error.contains("hardware"), "{error}");
}

#[test]
fn changed_rule_ends_what_was_asked_under_the_old_one() {
    let mut world = World::new();
    let request = world.request();
    world.change(Change::SetGroup(Box::new(oncall(1 + 1))));
    assert!(world.ask(&request).unwrap_err().to_string().contains("was changed"));
}

#[test]
fn customer_with_a_lockbox_is_asked() {
    let world = World::new();
    let asked = world.asked();
    let approved = [world.approve(&asked, 6).unwrap(), world.approve(&asked, 7).unwrap()];
    let decided = |lockboxes: &[u64], consents: &[(u64, Decision, Option<u64>)]| {
        let consent = |(n, decision, until): &(u64, Decision, Option<u64>)| {
            (account(*n), Consent { decision: *decision, not_after: until.map(time) })
        };
        let evidence = Evidence {
            approved: &approved,
            lockboxes: lockboxes.iter().map(|n| account(*n)).collect(),
            consents: consents.iter().map(consent).collect::<BTreeMap<_, _>>(),
        };
        decide(&asked, &world.roster, &evidence)
    };
    let Outcome::Waiting(missing) = decided(&[1], &[]) else { panic!() };
    assert_eq!(missing[0].to_string(), "`customer` needs 1 more of the customer 000000000001");
    // A lockbox of somebody whose data is not touched asks nobody.
    assert!(matches!(decided(&[2], &[]), Outcome::Granted(_)));
    assert!(matches!(decided(&[1], &[(2, Decision::Approve, None)]), Outcome::Waiting(_)));
    let yes = [(1, Decision::Approve, Some(600))];
    let Outcome::Granted(grant) = decided(&[1], &yes) else { panic!() };
    assert_eq!(grant.not_after, time(600));
    // What somebody says whose data it is not, changes nothing.
    let Outcome::Granted(grant) = decided(&[], &[(2, Decision::Approve, Some(70))]) else {
        panic!()
    };
    assert_eq!(grant.not_after, asked.request().not_after);
    assert!(matches!(decided(&[], &[(2, Decision::Deny, None)]), Outcome::Granted(_)));
    let no = [(1, Decision::Deny, None)];
    assert_eq!(decided(&[1], &no), Outcome::Denied("the customer 000000000001".to_owned()));
}

#[test]
fn rule_that_asks_the_customer_asks_somebody() {
    let mut world = World::new();
    let mut group = oncall(2);
    let customer = Slot { slot: "customer".parse().unwrap(), count: 1, from: Approver::Customer };
    group.rule.0.push(customer);
    world.change(Change::SetGroup(Box::new(group)));
    let missing = |host: &str, account: Option<u64>| {
        let mut request = world.request();
        request.account = account.map(self::account);
        ssh(&mut request).hosts = AtMost(vec![host.parse().unwrap()]);
        let asked = world.ask(&request).unwrap();
        let approved = [world.approve(&asked, 6).unwrap(), world.approve(&asked, 7).unwrap()];
        let evidence = Evidence { approved: &approved, ..Evidence::default() };
        match decide(&asked, &world.roster, &evidence) {
            Outcome::Waiting(missing) => missing.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        }
    };
    let one = |text: &str| vec![format!("`customer` needs 1 more of {text}")];
    assert_eq!(missing("web-1", None), one("the customer 000000000001"));
    assert_eq!(missing("db-1", Some(3)), one("the customer 000000000003"));
    // Everybody's host and nobody's account: there is nobody to ask.
    assert_eq!(missing("db-1", None), one("the customer; ask anew and name the account"));
    assert_eq!(missing("log-1", None), Vec::<String>::new());
}

#[test]
fn host_that_nobody_mapped_counts_as_everybodys() {
    let world = World::new();
    let mut request = world.request();
    ssh(&mut request).hosts = AtMost(vec!["db-1".parse().unwrap()]);
    let asked = world.ask(&request).unwrap();
    assert_eq!(asked.touches(&world.roster), Touches::Everybody);
    assert!(asked.touches(&world.roster).touches(account(77)));
    ssh(&mut request).hosts = AtMost(vec!["log-1".parse().unwrap()]);
    assert!(!world.ask(&request).unwrap().touches(&world.roster).any());
}

#[test]
fn rule_for_files_covers_what_lies_below_it() {
    let table = [
        ("ro:/var/log/", "read:/var/log/a", true),
        ("ro:/var/log/", "read:/var/log/", true),
        ("ro:/var/log/", "read:/var/log", false),
        ("ro:/var/log/", "read:/var/logs/a", false),
        ("ro:/var/log/", "write:/var/log/a", false),
        ("ro:/", "read,list:/etc/", true),
        ("read:/etc/hosts", "read:/etc/hosts", true),
        ("read:/etc/hosts", "read:/etc/hosts/a", false),
        ("read:/etc/hosts", "read:/etc/", false),
        ("rw:/srv/", "link:/srv/a", false),
    ];
    for (known, wanted, covers) in table {
        let (known, other): (FileRule, FileRule) =
            (known.parse().unwrap(), wanted.parse().unwrap());
        assert_eq!(known.covers(&other), covers, "{known} {wanted}");
        assert_eq!(other.to_string().parse::<FileRule>().unwrap(), other);
    }
    for text in
        ["", "read", "x:/a", "read:a", "read:/a/../b", "read:/a//b", "read:/./a", ":/a", "read:/\n"]
    {
        assert!(text.parse::<FileRule>().is_err(), "{text}");
    }
}
