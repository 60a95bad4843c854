//! Orders of runbooks, asked for by a front that cheats.

use writ_keyd_client::operator::{Evidence, OrderRun, OrderedRun};
use writ_model::Ulid;
use writ_proof::access::{Request, Scope};
use writ_proof::at_most::AtMost;
use writ_proof::cbor::Version;
use writ_proof::hash::Hash;
use writ_proof::roster::{
    Accounts, Approver, Change, EnrolmentId, Group, Host, Membership, RequestKind, Rights, Rule,
    Slot,
};
use writ_proof::runbook::{
    Argument, Class, Entry, Field, FieldKind, Output, Parameter, ParameterKind, Program, RunOrder,
    RunScope, Setting, Steps, Value,
};
use writ_proof::statement::Namespace;
use writ_proof::use_record::UseRun;

use super::session::{Gate, approval, group, person, signed_by};
use super::*;

/// A keyd in whose catalogue p12, an owner, and the founders p1 and p2 publish; p11 asks, p12 or p13 agrees.
struct Desk {
    gate: Gate,
    class: Class,
}

fn runners(approvers: u32) -> Group {
    let from = Approver::Group("approvers".parse().unwrap());
    let slot = Slot { slot: "peers".parse().unwrap(), count: approvers, from };
    let rights = Rights {
        hosts: AtMost(vec!["web-1".parse().unwrap()]),
        logins: AtMost(Vec::new()),
        kinds: AtMost(vec![RequestKind::Runbook]),
        max_hours: 1,
        ssh: None,
    };
    group("runners", vec![slot], Some(rights))
}

impl Desk {
    fn new() -> Desk {
        // A host without customers' data: one person's agreement is enough there.
        Desk::of(Class::Health, Vec::new(), 1)
    }

    fn of(class: Class, accounts: Vec<AccountId>, approvers: u32) -> Desk {
        let gate = Gate::new();
        let host = gate.roster.borrow().host(&"web-1".parse().unwrap()).unwrap().clone();
        let accounts = Accounts::Only(AtMost(accounts));
        gate.change(Change::SetHost(Box::new(Host { accounts, ..host })));
        let (namespace, threshold) = (Namespace::Catalogue, 2);
        gate.change(Change::SetRule(Rule { namespace, threshold, hardware: false, group: None }));
        gate.change(Change::SetGroup(Box::new(runners(approvers))));
        let expires = Some(NOON.plus(Duration::from_secs(86_400)));
        let group = "runners".parse().unwrap();
        gate.change(Change::AddMember(Membership { group, person: person(11), expires }));
        gate.site.advance(Duration::from_secs(10));
        Desk { gate, class }
    }

    fn entry(&self) -> Entry {
        let kind = ParameterKind::Int((1, 9));
        let steps = Steps { min: 0, max: 1023, step: 1 };
        let field = Field { name: "used".to_owned(), optional: false, kind: FieldKind::Int(steps) };
        Entry {
            v: Version,
            site: self.gate.roster.borrow().site().clone(),
            name: "disk-usage".parse().unwrap(),
            version: 1,
            title: "Disk usage".to_owned(),
            description: "How full it is.".to_owned(),
            class: self.class,
            group: "runners".parse().unwrap(),
            parameters: AtMost(vec![Parameter { name: "samples".to_owned(), kind }]),
            program: Program { path: "/usr/bin/writ".to_owned(), digest: Hash([1; 32]) },
            arguments: AtMost(vec![Argument::Parameter("samples".to_owned())]),
            run_as: "nobody".to_owned(),
            seconds: 30,
            memory_mib: 64,
            output: Output { fields: AtMost(vec![field]) },
            created: NOON,
        }
    }

    /// A right request for a run.
    fn request(&self, n: u8) -> Request {
        let revision = self.gate.roster.borrow().group_revision(&"runners".parse().unwrap());
        let setting = Setting { name: "samples".to_owned(), value: Value::Int(3) };
        Request {
            id: Ulid::from_bytes([n; 16]),
            group: "runners".parse().unwrap(),
            revision: revision.unwrap(),
            scope: Scope::Runbook(RunScope {
                hosts: AtMost(vec!["web-1".parse().unwrap()]),
                runbook: "disk-usage".parse().unwrap(),
                version: 1,
                entry: self.entry().digest(),
                class: self.class,
                settings: AtMost(vec![setting]),
            }),
            ..self.gate.request()
        }
    }

    fn ask(&self, request: &Request, approvers: &[u8]) -> OrderRun {
        let signed = signed_by(request, &[11]);
        let approvals = approvers
            .iter()
            .map(|n| signed_by(&approval(request, signed.digest(), *n), &[*n]).to_bytes());
        OrderRun {
            evidence: Evidence { request: signed.to_bytes(), approvals: approvals.collect() },
            entry: signed_by(&self.entry(), &[1, 2, 12]).to_bytes(),
            run: request.id,
            host: "web-1".parse().unwrap(),
            event_id: Uuid::from_bytes([3; 16]),
        }
    }

    fn order(&self, asked: OrderRun) -> Result<OrderedRun, Refusal> {
        match self.gate.site.engine.handle(Role::Front, Command::RunOrder(Box::new(asked)))? {
            Reply::Ordered(ordered) => Ok(*ordered),
            _ => panic!("no order"),
        }
    }

    fn refused(&self, asked: OrderRun, why: &str) {
        let Err(Refusal::Forbidden(text)) = self.order(asked) else { panic!("{why}: not refused") };
        assert!(text.contains(why), "{why}: {text}");
        let told = ("run_order".to_owned(), "Forbidden".to_owned());
        assert_eq!(self.gate.site.last_record(), told);
    }
}

fn scope(request: &mut Request) -> &mut RunScope {
    let Scope::Runbook(scope) = &mut request.scope else { panic!("no runbook") };
    scope
}

#[test]
fn order_says_what_was_approved_for_one_host_and_a_short_time() {
    let desk = Desk::new();
    let request = desk.request(1);
    let ordered = desk.order(desk.ask(&request, &[12])).unwrap();
    let order: RunOrder = ordered.order.verify(&desk.gate.site.keys.run_orders).unwrap();
    assert!(ordered.order.verify(&desk.gate.site.keys.ssh_ca).is_err());
    assert_eq!((order.host.as_str(), &order.person), ("web-1", &person(11)));
    assert_eq!(order.entry, desk.entry().digest());
    assert_eq!(order.grant, signed_by(&request, &[11]).digest());
    assert_eq!(order.not_after, desk.gate.site.env.now().plus(Duration::from_secs(90)));
    assert_eq!(order.arguments(&desk.entry()).unwrap(), ["3"]);
    assert_eq!(ordered.bits, desk.entry().bits());
    let used = desk.gate.site.last_use();
    let run = UseRun { run: request.id, entry: desk.entry().digest(), host: order.host };
    assert_eq!((used.op.as_str(), used.run), ("run_order", Some(run)));
    // Nobody but front may ask, and each grant is good for one run on each host.
    let other = desk
        .gate
        .site
        .engine
        .handle(Role::Bastion, Command::RunOrder(Box::new(desk.ask(&desk.request(2), &[12]))));
    assert!(matches!(other, Err(Refusal::Forbidden(_))));
    desk.refused(desk.ask(&request, &[12]), "a run of this name already");
    let again = OrderRun { run: Ulid::from_bytes([9; 16]), ..desk.ask(&request, &[12]) };
    desk.refused(again, "one run on each of its hosts");
}

#[test]
fn order_without_the_people_who_must_agree_is_refused() {
    let desk = Desk::new();
    desk.refused(desk.ask(&desk.request(1), &[]), "not approved");
    desk.refused(desk.ask(&desk.request(1), &[11]), "their own request");
    desk.refused(desk.ask(&desk.request(1), &[14]), "not a member of `approvers`");
    let elsewhere =
        OrderRun { host: "web-2".parse().unwrap(), ..desk.ask(&desk.request(1), &[12]) };
    desk.refused(elsewhere, "not for the host `web-2`");
    type Harm = fn(&mut RunScope);
    let harms: [(Harm, &str); 4] = [
        (|s| s.entry = Hash([9; 32]), "something else of `disk-usage` than the catalogue"),
        (|s| s.class = Class::Platform, "something else of `disk-usage` than the catalogue"),
        (|s| s.version = 2, "something else of `disk-usage` than the catalogue"),
        (|s| s.settings.0[0].value = Value::Int(10), "a number from 1 to 9"),
    ];
    for (harm, why) in harms {
        let mut request = desk.request(1);
        harm(scope(&mut request));
        desk.refused(desk.ask(&request, &[12]), why);
    }
    // A grant for a session orders nothing, and one for a runbook opens none.
    let session = Request { id: Ulid::from_bytes([2; 16]), ..desk.gate.request() };
    desk.refused(desk.ask(&session, &[12, 13]), "something else than a runbook");
    let end = End::Grant(signed_by(&desk.request(3), &[11]).digest());
    desk.gate.site.engine.handle(Role::Front, Command::End(end)).unwrap();
    desk.refused(desk.ask(&desk.request(3), &[12]), "the grant has ended");
}

#[test]
fn entry_that_its_people_have_not_signed_or_have_withdrawn_orders_nothing() {
    let desk = Desk::new();
    let with = |keys: &[u8]| OrderRun {
        entry: signed_by(&desk.entry(), keys).to_bytes(),
        ..desk.ask(&desk.request(1), &[12])
    };
    desk.refused(with(&[12]), "signatures of 2 people");
    desk.refused(with(&[1, 2]), "an owner of `runners`");
    desk.refused(with(&[1, 12, 70]), "not in the roster");
    let mut bent = with(&[1, 2, 12]);
    let at = bent.entry.len() / 3;
    bent.entry[at] ^= 1;
    assert!(desk.order(bent).is_err());
    // An owner and one other person are two people.
    desk.order(with(&[1, 12])).unwrap();
    // Whoever signed it and has left does not count any more, nor does a withdrawn entry.
    let left = End::Person(EnrolmentId { person: person(12), number: 1 });
    let asked = |n| OrderRun {
        entry: signed_by(&desk.entry(), &[1, 2, 12]).to_bytes(),
        ..desk.ask(&desk.request(n), &[13])
    };
    desk.gate.site.engine.handle(Role::Front, Command::End(left)).unwrap();
    desk.refused(asked(5), "`p12`, who signed `disk-usage`, has left");
    let others = OrderRun {
        entry: signed_by(&desk.entry(), &[1, 2, 13]).to_bytes(),
        ..desk.ask(&desk.request(6), &[13])
    };
    desk.order(others).unwrap();
    let end = End::Entry(desk.entry().digest());
    desk.gate.site.engine.handle(Role::Front, Command::End(end)).unwrap();
    let others = OrderRun {
        entry: signed_by(&desk.entry(), &[1, 2, 13]).to_bytes(),
        ..desk.ask(&desk.request(7), &[13])
    };
    desk.refused(others, "withdrawn from the catalogue");
}

#[test]
fn day_tells_one_person_only_so_much() {
    for (class, accounts) in [(Class::Health, vec![]), (Class::Customer, vec![account(1)])] {
        let desk = Desk::of(class, accounts, 2);
        let bits = desk.entry().bits();
        let fit = crate::limits::RUN_BITS_DAILY / bits;
        for n in 0..fit {
            let mut request = desk.request(1);
            request.id =
                Ulid::from_bytes([&[7; 12][..], &n.to_be_bytes()].concat().try_into().unwrap());
            desk.order(desk.ask(&request, &[12, 13])).unwrap();
        }
        desk.refused(desk.ask(&desk.request(1), &[12, 13]), "ask tomorrow");
        // Another name for whose data it is about is no other day.
        let other = Request { account: Some(account(2)), ..desk.request(2) };
        desk.refused(desk.ask(&other, &[12, 13]), "ask tomorrow");
    }
}
