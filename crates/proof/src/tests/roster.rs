//! Tests of the chain of roster statements.

use expect_test::expect;

use super::*;
use crate::cbor::Version;
use crate::ed25519::{Signer as _, SoftKey};
use crate::note::{KeyKind as NoteKey, VerifierKey};
use crate::sshsig::{SkFlags, VerifiedSsh, WebAuthn};
use crate::statement::Statement;

fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

fn person(n: u8) -> PersonKey {
    key_of(n, n)
}

fn key_of(who: u8, n: u8) -> PersonKey {
    let key = SshPublicKey::Ed25519(soft(n).public_key().0);
    PersonKey { person: id(who), key, passkey: None }
}

fn id(n: u8) -> PersonId {
    format!("p{n}").parse().unwrap()
}

fn enrol(n: u8, number: u64) -> Change {
    let id = EnrolmentId { person: id(n), number };
    Change::Enrol(Enrolment { id, keys: AtMost(vec![person(n)]) })
}

fn end(n: u8) -> Change {
    Change::EndEnrolment(EnrolmentId { person: id(n), number: 1 })
}

fn rule_of(threshold: u32) -> Rule {
    Rule { namespace: Namespace::Roster, threshold, hardware: false, group: None }
}

fn genesis() -> Genesis {
    let public = |n| soft(n).public_key();
    let witness = VerifierKey::new("watch.example", NoteKey::Cosignature, public(106)).unwrap();
    Genesis {
        v: Version,
        site: "site-1".parse().unwrap(),
        created: Timestamp::from_secs(1_800_000_000),
        mode: Mode::Software,
        founders: vec![person(1), person(2), person(3)],
        rules: vec![rule_of(2)],
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
    }
}

fn sign<T: Statement>(statement: &T, keys: &[u8]) -> Signed {
    let mut signed = Signed::new(statement).unwrap();
    keys.iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
    signed
}

fn begin() -> (Signed, Roster) {
    let signed = sign(&genesis(), &[1, 2, 3]);
    let (_, roster) = Roster::begin(&signed, Some(signed.digest())).unwrap();
    (signed, roster)
}

fn next(roster: &Roster, change: Change) -> RosterStatement {
    RosterStatement {
        v: Version,
        site: roster.site().clone(),
        seq: roster.seq() + 1,
        prev: roster.head(),
        created: roster.created(),
        change,
    }
}

#[test]
fn genesis_format_is_fixed() {
    expect!["5c3bb9334dfbb16a5bfbb6273f9b683a2d7c0200b3ecc1ff5c61be323181d9f5"]
        .assert_eq(&sign(&genesis(), &[1, 2, 3]).digest().to_string());
}

#[test]
fn genesis_needs_all_founders_and_nobody_else() {
    let all = sign(&genesis(), &[1, 2, 3]);
    assert_eq!(Genesis::verify(&all, Some(all.digest())).unwrap(), genesis());
    assert!(Genesis::verify(&all, Some(Hash::ZERO)).is_err());
    for keys in [&[1, 2][..], &[1, 2, 4], &[1, 2, 3, 4], &[1, 1, 2, 3], &[]] {
        assert!(Genesis::verify(&sign(&genesis(), keys), None).is_err(), "{keys:?}");
    }
}

#[test]
fn genesis_that_cannot_work_is_refused() {
    type Harm = fn(&mut Genesis);
    let harms: [(&str, Harm); 8] = [
        ("a founder twice", |g| g.founders[2].person = g.founders[1].person.clone()),
        ("a key twice", |g| g.founders[2].key = g.founders[1].key.clone()),
        ("more needed than there are", |g| g.rules = vec![rule_of(4)]),
        ("nobody needed", |g| g.rules = vec![rule_of(0)]),
        ("no rule for the roster", |g| g.rules.clear()),
        ("two rules for one kind", |g| g.rules.push(rule_of(1))),
        ("one key, two purposes", |g| g.keyd.krl = g.keyd.checkpoint),
        ("a witness that is none", |g| g.witnesses.push("x".to_owned())),
    ];
    for (name, harm) in harms {
        let mut harmed = genesis();
        harm(&mut harmed);
        assert!(Genesis::verify(&sign(&harmed, &[1, 2, 3]), None).is_err(), "{name}");
    }
    let mut two = genesis();
    two.founders.pop();
    assert!(Genesis::verify(&sign(&two, &[1, 2]), None).is_err(), "two founders outside dev");
    two.mode = Mode::Dev;
    assert!(Genesis::verify(&sign(&two, &[1, 2]), None).is_ok());
}

#[test]
fn roster_changes_under_the_rules_before_the_change() {
    let (first, mut roster) = begin();
    let mut chain = Vec::new();
    let steps: [(Change, &[u8], bool); 9] = [
        (enrol(4, 1), &[1], false),
        (enrol(4, 1), &[1, 1], false),
        (enrol(4, 1), &[1, 4], false),
        (enrol(4, 1), &[1, 2], true),
        (enrol(4, 2), &[1, 2], false),
        (Change::SetRule(rule_of(5)), &[1, 4], false),
        (Change::SetRule(rule_of(3)), &[1, 4], true),
        (Change::RemoveKey(person(1)), &[2, 3, 4], true),
        (Change::RemoveKey(person(2)), &[2, 3, 4], false),
    ];
    for (change, keys, holds) in steps {
        let before = roster.clone();
        let signed = sign(&next(&roster, change.clone()), keys);
        let applied = roster.apply(&signed);
        assert_eq!(applied.is_ok(), holds, "{change:?} by {keys:?}: {applied:?}");
        if holds { chain.push(signed) } else { assert_eq!(roster, before) }
    }
    assert_eq!(roster.person(&person(1).key), None);
    assert_eq!(roster.person(&person(4).key), Some(&id(4)));
    assert_eq!(roster.rule(Namespace::Roster), Some(&rule_of(3)));
    let (_, replayed) = Roster::replay(&first, None, &chain).unwrap();
    assert_eq!(replayed, roster);
    assert!(Roster::replay(&first, None, &chain[1..]).is_err(), "one left out");
    chain.swap(0, 1);
    assert!(Roster::replay(&first, None, &chain).is_err(), "two swapped");
}

#[test]
fn statement_dated_before_the_last_one_is_refused() {
    let (_, mut roster) = begin();
    let mut early = next(&roster, enrol(4, 1));
    early.created = Timestamp::from_secs(1);
    assert!(roster.apply(&sign(&early, &[1, 2])).is_err());
}

fn apply(roster: &mut Roster, change: Change, keys: &[u8]) -> Result<RosterStatement, Error> {
    let signed = sign(&next(roster, change), keys);
    roster.apply(&signed)
}

fn refusal(roster: &Roster, change: Change, keys: &[u8]) -> String {
    let mut tried = roster.clone();
    let error = apply(&mut tried, change, keys).unwrap_err().to_string();
    assert_eq!(tried, *roster, "{error}");
    error
}

#[test]
fn roster_takes_as_many_statements_as_its_limit() {
    let (_, mut roster) = begin();
    roster.seq = limits::ROSTER_MAX_STATEMENTS - 1;
    apply(&mut roster, enrol(4, 1), &[1, 2]).unwrap();
    let full = refusal(&roster, enrol(5, 1), &[1, 2]);
    assert!(full.ends_with("the roster takes no more statements"), "{full}");
}

#[test]
fn a_person_with_two_keys_counts_once() {
    let (_, mut roster) = begin();
    apply(&mut roster, Change::AddKey(key_of(1, 9)), &[2, 3]).unwrap();
    let why = refusal(&roster, enrol(5, 1), &[1, 9]);
    assert!(why.contains("counted: p1; not counted: nobody"), "{why}");
}

#[test]
fn whom_a_change_gives_something_to_does_not_count() {
    let (_, mut roster) = begin();
    let why = refusal(&roster, Change::AddKey(key_of(1, 9)), &[1, 2]);
    assert!(why.contains("not counted: p1 (it gives them something)"), "{why}");
    let founders: GroupName = FOUNDERS.parse().unwrap();
    apply(&mut roster, enrol(4, 1), &[1, 2]).unwrap();
    let join = |n| {
        let group = founders.clone();
        Change::AddMember(Membership { group, person: id(n), expires: None })
    };
    assert!(refusal(&roster, join(4), &[1, 4]).contains("not counted: p4"));
    apply(&mut roster, join(4), &[1, 2]).unwrap();
    assert!(roster.member(&founders, &id(4), roster.created()).is_some());
    // A new owner is given something as well.
    let why = refusal(&roster, Change::SetGroup(Box::new(support(&[1, 2]))), &[1, 3]);
    assert!(why.contains("not counted: p1"), "{why}");
}

#[test]
fn key_that_was_ones_never_becomes_anothers() {
    let (_, mut roster) = begin();
    apply(&mut roster, Change::AddKey(key_of(1, 9)), &[2, 3]).unwrap();
    apply(&mut roster, Change::RemoveKey(key_of(1, 9)), &[2, 3]).unwrap();
    assert!(refusal(&roster, Change::AddKey(key_of(2, 9)), &[1, 3]).contains("is or was `p1`'s"));
    apply(&mut roster, Change::AddKey(key_of(1, 9)), &[2, 3]).unwrap();
}

#[test]
fn ended_enrolment_takes_everything_and_a_rehire_gets_a_new_one() {
    let (_, mut roster) = begin();
    apply(&mut roster, enrol(4, 1), &[1, 2]).unwrap();
    let group: GroupName = FOUNDERS.parse().unwrap();
    let join = Membership { group: group.clone(), person: id(4), expires: None };
    apply(&mut roster, Change::AddMember(join), &[1, 2]).unwrap();
    assert_eq!(roster.enrolment(&id(4)), Some(1));
    apply(&mut roster, end(4), &[1, 2]).unwrap();
    assert_eq!((roster.enrolment(&id(4)), roster.next_enrolment(&id(4))), (None, 2));
    assert_eq!((roster.person(&person(4).key), roster.keys(&id(4)).len()), (None, 0));
    assert_eq!(roster.members(&group).count(), 3);
    assert!(refusal(&roster, Change::AddKey(key_of(4, 9)), &[1, 2]).contains("not enrolled"));
    assert!(refusal(&roster, enrol(4, 1), &[1, 2]).contains("number 2"));
    apply(&mut roster, enrol(4, 2), &[1, 2]).unwrap();
    assert_eq!(roster.enrolment(&id(4)), Some(2));
    assert_eq!(roster.enrolled_since(&id(4), roster.created()), Some(roster.created()));
    assert_eq!(roster.enrolled_since(&id(4), Timestamp::from_secs(1)), None);
    assert!(roster.member(&group, &id(4), roster.created()).is_none(), "it starts with nothing");
    assert!(refusal(&roster, end(4), &[1, 2]).contains("number 2 now"));
}

/// A group that gives sessions on `web-*`, approved by two founders.
fn support(owners: &[u8]) -> Group {
    let slot = Slot {
        slot: "security".parse().unwrap(),
        count: 2,
        from: Approver::Group(FOUNDERS.parse().unwrap()),
    };
    Group {
        name: "support".parse().unwrap(),
        title: "Support".to_owned(),
        tier: Tier::Privileged,
        owners: AtMost(owners.iter().map(|n| id(*n)).collect()),
        rule: AtMost(vec![slot]),
        rights: Some(Rights {
            hosts: AtMost(vec!["web-*".parse().unwrap()]),
            logins: AtMost(vec!["support".to_owned()]),
            kinds: AtMost(vec![RequestKind::Ssh]),
            max_hours: 4,
            ssh: None,
        }),
        admits: None,
    }
}

fn host(name: &str, accounts: Accounts) -> Change {
    Change::SetHost(Box::new(Host {
        name: name.parse().unwrap(),
        address: "10.0.0.7:2222".to_owned(),
        key: person(60).key,
        accounts,
    }))
}

/// A roster with two further people, and the group of support that they own.
fn staffed() -> Roster {
    let (_, mut roster) = begin();
    for change in [enrol(4, 1), enrol(5, 1), Change::SetGroup(Box::new(support(&[4, 5])))] {
        apply(&mut roster, change, &[1, 2]).unwrap();
    }
    roster
}

#[test]
fn group_that_cannot_be_right_is_refused_with_its_reason() {
    type Harm = fn(&mut Group);
    let harms: [(&str, Harm); 14] = [
        ("at least two owners", |g| drop(g.owners.0.pop())),
        ("at least two owners", |g| g.owners.0[0] = g.owners.0[1].clone()),
        ("`p9` is not enrolled", |g| g.owners.0[0] = "p9".parse().unwrap()),
        ("title", |g| g.title.clear()),
        ("control", |g| g.title.push('\u{1b}')),
        ("1 to 8 people", |g| g.rule.0[0].count = 0),
        ("never the only approver", |g| g.rule.0[0].from = Approver::ManagerOfRequester),
        ("never the only approver", |g| g.rule.0[0].from = Approver::Customer),
        ("names no group", |g| g.rule.0[0].from = Approver::Group("nobody".parse().unwrap())),
        ("one name", |g| g.rule.0.push(g.rule.0[0].clone())),
        ("no rule that says who approves", |g| g.rule.0.clear()),
        ("1 to 8 hours", |g| g.rights.as_mut().unwrap().max_hours = 9),
        ("no kind of request", |g| g.rights.as_mut().unwrap().kinds.0.clear()),
        ("user name", |g| g.rights.as_mut().unwrap().logins.0.push("Root".to_owned())),
    ];
    let roster = staffed();
    for (reason, harm) in harms {
        let mut group = support(&[4, 5]);
        group.name = "other".parse().unwrap();
        harm(&mut group);
        let why = refusal(&roster, Change::SetGroup(Box::new(group)), &[1, 2]);
        assert!(why.contains(reason), "{reason}: {why}");
    }
}

#[test]
fn group_that_reaches_customers_needs_two_approvers_whichever_comes_first() {
    let mut roster = staffed();
    let lax = |from: Option<Approver>| {
        let mut group = support(&[4, 5]);
        group.rule.0[0].count = 1;
        let slot = "second".parse().unwrap();
        group.rule.0.extend(from.map(|from| Slot { slot, count: 1, from }));
        Change::SetGroup(Box::new(group))
    };
    let name: GroupName = "support".parse().unwrap();
    assert!(!roster.reaches_customers(&name));
    apply(&mut roster, lax(None), &[1, 2]).unwrap();
    let none = || Accounts::Only(AtMost(Vec::new()));
    apply(&mut roster, host("web-0", none()), &[1, 2]).unwrap();
    assert!(!roster.reaches_customers(&name));
    let some = Accounts::Only(AtMost(vec!["111122223333".parse().unwrap()]));
    for accounts in [some.clone(), Accounts::All] {
        for host_name in ["web-1", "web-0"] {
            let why = refusal(&roster, host(host_name, accounts.clone()), &[1, 2]);
            assert!(why.contains("at least two approvers"), "{why}");
        }
    }
    apply(&mut roster, lax(Some(Approver::Owner)), &[1, 2]).unwrap();
    apply(&mut roster, host("web-1", some), &[1, 2]).unwrap();
    assert!(roster.reaches_customers(&name));
    for from in [None, Some(Approver::ManagerOfRequester), Some(Approver::Customer)] {
        assert!(refusal(&roster, lax(from), &[1, 2]).contains("at least two approvers"));
    }
    assert!(roster.accounts(&"web-9".parse().unwrap()).any(), "unmapped means all");
}

#[test]
fn hr_admits_nobody_who_approves_or_reaches_customers() {
    let mut roster = staffed();
    let admits = Admits {
        all: AtMost(vec![Attribute {
            name: "department".to_owned(),
            any_of: AtMost(vec!["support".to_owned()]),
        }]),
    };
    let open = |admits: &Admits| {
        let mut group = support(&[4, 5]);
        group.name = "readers".parse().unwrap();
        group.admits = Some(admits.clone());
        group
    };
    apply(&mut roster, Change::SetGroup(Box::new(open(&admits))), &[1, 2]).unwrap();
    let why = refusal(&roster, host("web-1", Accounts::All), &[1, 2]);
    assert!(why.contains("admitted to it by the HR feed"), "{why}");
    let mut named = support(&[4, 5]);
    named.rule.0[0].from = Approver::Group("readers".parse().unwrap());
    let why = refusal(&roster, Change::SetGroup(Box::new(named)), &[1, 2]);
    assert!(why.contains("cannot approve"), "{why}");
    let group = Some("readers".parse().unwrap());
    let rule = Rule { namespace: Namespace::Review, threshold: 1, hardware: false, group };
    assert!(apply(&mut roster.clone(), Change::SetRule(rule), &[1, 2]).is_err());
    let nothing = Admits { all: AtMost(Vec::new()) };
    let why = refusal(&roster, Change::SetGroup(Box::new(open(&nothing))), &[1, 2]);
    assert!(why.contains("admits everybody"), "{why}");
}

#[test]
fn membership_lasts_from_its_statement_until_it_expires() {
    let mut roster = staffed();
    let group: GroupName = "support".parse().unwrap();
    let (now, hour) = (roster.created(), 3_600_000);
    let at = |ms: u64| Timestamp::from_millis(now.millis() + ms);
    let join = |expires| {
        let group = group.clone();
        Change::AddMember(Membership { group, person: id(3), expires })
    };
    assert!(refusal(&roster, join(None), &[1, 2]).contains("must expire"));
    assert!(refusal(&roster, join(Some(now)), &[1, 2]).contains("ended before it begins"));
    apply(&mut roster, join(Some(at(hour))), &[1, 2]).unwrap();
    let holds = |at| roster.member(&group, &id(3), at).is_some();
    assert!(holds(now) && holds(at(hour - 1)));
    assert!(!holds(at(hour)), "the end is not part of it");
    assert!(!holds(Timestamp::from_millis(now.millis() - 1)), "nor is what was before");
    assert_eq!(roster.groups_of(&id(3), now).count(), 2);
    assert_eq!(roster.groups_of(&id(3), at(hour)).count(), 1);
    // A renewal goes on where the membership began.
    let mut renewed = next(&roster, join(Some(at(3 * hour))));
    renewed.created = at(hour / 2);
    roster.apply(&sign(&renewed, &[1, 2])).unwrap();
    let member = roster.member(&group, &id(3), at(2 * hour)).unwrap();
    assert_eq!((member.from, member.approved), (now, at(hour / 2)));
}

#[test]
fn owners_do_not_change_their_group_by_themselves() {
    let mut roster = staffed();
    let change = || {
        let mut group = support(&[4, 5]);
        group.title = "Support team".to_owned();
        Change::SetGroup(Box::new(group))
    };
    assert!(refusal(&roster, change(), &[4, 5]).contains("by themselves"));
    let group: GroupName = "support".parse().unwrap();
    let join = |n| {
        let (group, expires) = (group.clone(), Some(Timestamp::from_secs(1_900_000_000)));
        Change::AddMember(Membership { group, person: id(n), expires })
    };
    assert!(refusal(&roster, join(4), &[4, 5]).contains("not counted: p4"));
    apply(&mut roster, join(4), &[1, 5]).unwrap();
    // Who is a member gets something when the rule changes.
    let mut loose = support(&[4, 5]);
    loose.rule.0[0].from = Approver::Owner;
    let why = refusal(&roster, Change::SetGroup(Box::new(loose)), &[1, 4]);
    assert!(why.contains("not counted: p4"), "{why}");
    apply(&mut roster, change(), &[1, 4]).unwrap();
}

#[test]
fn rule_may_name_a_group_that_stays() {
    let mut roster = staffed();
    let group: GroupName = FOUNDERS.parse().unwrap();
    let rule = |name: &GroupName| Rule { group: Some(name.clone()), ..rule_of(2) };
    let nobody: GroupName = "nobody".parse().unwrap();
    assert!(refusal(&roster, Change::SetRule(rule(&nobody)), &[1, 2]).contains("`nobody`"));
    let support: GroupName = "support".parse().unwrap();
    assert!(refusal(&roster, Change::SetRule(rule(&support)), &[1, 2]).contains("0 could sign"));
    apply(&mut roster, Change::SetRule(rule(&group)), &[4, 5]).unwrap();
    let why = refusal(&roster, enrol(6, 1), &[1, 4]);
    assert!(why.contains("not counted: p4 (not in the group that signs)"), "{why}");
    let leave = |n| Change::RemoveMember(MemberId { group: group.clone(), person: id(n) });
    apply(&mut roster, leave(1), &[1, 2]).unwrap();
    assert!(refusal(&roster, leave(2), &[2, 3]).contains("1 could sign"));
    assert!(refusal(&roster, end(2), &[2, 3]).contains("1 could sign"));
    assert!(refusal(&roster, Change::RemoveGroup(group), &[2, 3]).contains("`founders`"));
}

#[test]
fn group_with_too_few_people_is_reported_and_not_lowered() {
    let mut roster = staffed();
    let now = roster.created();
    assert_eq!(roster.understaffed(now), []);
    apply(&mut roster, end(5), &[1, 2]).unwrap();
    let told: Vec<String> = roster.understaffed(now).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["`support`: ownership needs 2 people and has 1"]);
    let mut more = support(&[4, 1]);
    more.rule.0[0].count = 5;
    apply(&mut roster, Change::SetGroup(Box::new(more)), &[2, 3]).unwrap();
    let told = roster.understaffed(now);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].to_string(), "`support`: the slot `security` needs 5 people and has 3");
}

#[test]
fn a_rule_for_hardware_wants_touch_and_verification() {
    let (_, mut roster) = begin();
    let key = SshPublicKey::SkEd25519 { key: [1; 32], application: "ssh:writ".to_owned() };
    let hardware = PersonKey { person: id(1), key: key.clone(), passkey: None };
    apply(&mut roster, Change::AddKey(hardware), &[2, 3]).unwrap();
    let wanted = Rule { namespace: Namespace::Approval, threshold: 1, hardware: true, group: None };
    apply(&mut roster, Change::SetRule(wanted), &[1, 2]).unwrap();
    let now = roster.created();
    let by = |key: SshPublicKey, flags: Option<u8>| {
        let hardware = flags.map(|flags| SkFlags { flags, counter: 1 });
        let signer = VerifiedSsh { key, hardware, webauthn: None };
        roster.permits(Namespace::Approval, &[signer], now).is_ok()
    };
    assert!(by(key.clone(), Some(5)));
    assert!(!by(key.clone(), Some(1)), "touched, not verified");
    assert!(!by(key.clone(), Some(4)), "verified, not touched");
    assert!(!by(key.clone(), Some(0x0d)), "it may be copied");
    assert!(!by(key, Some(0x1d)), "it has been copied");
    assert!(!by(person(1).key, None), "a software key");
    assert!(roster.permits(Namespace::Review, &[], now).is_err(), "a kind without a rule");
}

#[test]
fn security_key_for_another_purpose_is_not_enrolled() {
    let (_, roster) = begin();
    let key = SshPublicKey::SkEd25519 { key: [1; 32], application: "ssh:".to_owned() };
    let other = PersonKey { person: id(1), key, passkey: None };
    assert!(refusal(&roster, Change::AddKey(other), &[2, 3]).contains("application=ssh:writ"));
}

#[test]
fn passkey_signs_only_at_the_pages_of_the_installation() {
    let mut first = genesis();
    let check = |roster: &mut Roster, rp_id: &str, origin: &str, webauthn: bool| {
        let key = SshPublicKey::SkEcdsa { point: [4; 65], application: rp_id.to_owned() };
        let passkey = Some(Passkey { credential_id: vec![7], rp_id: rp_id.to_owned() });
        let mut roster = roster.clone();
        let new = PersonKey { person: id(1), key: key.clone(), passkey };
        apply(&mut roster, Change::AddKey(new), &[2, 3]).unwrap();
        let data =
            WebAuthn { origin: origin.to_owned(), client_data: Vec::new(), extensions: Vec::new() };
        let hardware = Some(SkFlags { flags: 5, counter: 0 });
        let signer = VerifiedSsh { key, hardware, webauthn: webauthn.then_some(data) };
        let wanted =
            Rule { namespace: Namespace::Review, threshold: 1, hardware: true, group: None };
        apply(&mut roster, Change::SetRule(wanted), &[2, 3]).unwrap();
        roster.permits(Namespace::Review, &[signer], roster.created()).is_ok()
    };
    let signed = sign(&first, &[1, 2, 3]);
    let (_, mut roster) = Roster::begin(&signed, None).unwrap();
    let origin = "https://console.example:8443";
    assert!(!check(&mut roster, "console.example", origin, true), "no page is named yet");
    let origins = Change::SetOrigins(AtMost(vec![origin.to_owned()]));
    apply(&mut roster, origins, &[1, 2]).unwrap();
    assert!(check(&mut roster, "console.example", origin, true));
    assert!(check(&mut roster, "example", origin, true), "a site of the page");
    assert!(!check(&mut roster, "xample", origin, true), "another site");
    assert!(!check(&mut roster, "console.example", "https://console.example", true));
    assert!(!check(&mut roster, "console.example", origin, false), "not by a browser");
    assert!(!check(&mut roster, "localhost", "http://localhost:8440", true), "not in this mode");
    for bad in ["http://a.example", "https://", "https://a/b", "https://A.example"] {
        let change = Change::SetOrigins(AtMost(vec![bad.to_owned()]));
        assert!(refusal(&roster, change, &[1, 2]).contains("origin"), "{bad}");
    }
    first.mode = Mode::Dev;
    let (_, mut dev) = Roster::begin(&sign(&first, &[1, 2, 3]), None).unwrap();
    assert!(check(&mut dev, "localhost", "http://localhost:8440", true));
    assert!(!check(&mut dev, "localhost", "http://127.0.0.1:8440", true));
}

#[test]
fn statement_above_its_limit_is_refused() {
    let (_, mut roster) = begin();
    let statement = next(&roster, enrol(4, 1));
    let mut signed = Signed::new(&statement).unwrap();
    assert_eq!(limits::STATEMENT_MAX_SIGNATURES, 32);
    for n in 1..=32 {
        signed.sign(&soft(n)).unwrap();
    }
    // Thirty-two small signatures fit; what a browser adds must not be piled up.
    assert!(signed.to_bytes().len() < limits::ROSTER_STATEMENT_MAX_BYTES);
    assert!(roster.apply(&signed).unwrap_err().to_string().contains("not in the roster"));
}

/// The bytes of each kind of change are what people have signed: they stay.
#[test]
fn change_formats_are_fixed() {
    let host = host("web-1", Accounts::Only(AtMost(vec!["111122223333".parse().unwrap()])));
    let group: GroupName = "support".parse().unwrap();
    let (person_3, expires) = (id(3), Some(Timestamp::from_millis(1)));
    let join = Membership { group: group.clone(), person: person_3.clone(), expires };
    let changes = [
        Change::AddKey(person(1)),
        Change::RemoveKey(person(1)),
        Change::SetRule(rule_of(2)),
        enrol(4, 1),
        end(4),
        Change::SetGroup(Box::new(support(&[4, 5]))),
        Change::RemoveGroup(group.clone()),
        Change::AddMember(join),
        Change::RemoveMember(MemberId { group, person: person_3 }),
        host,
        Change::RemoveHost("web-1".parse().unwrap()),
        Change::SetOrigins(AtMost(vec!["https://a.example".to_owned()])),
    ];
    let digests: Vec<String> = changes
        .iter()
        .map(|change| {
            let bytes = crate::cbor::to_vec(change);
            assert_eq!(crate::cbor::from_slice::<Change>(&bytes).as_ref(), Ok(change));
            let digest = crate::hash::sha256(&bytes).to_string();
            format!("{} bytes, {}", bytes.len(), &digest[..16])
        })
        .collect();
    expect![[r#"
        61 bytes, a1e8513f476419ce
        61 bytes, 7924827a4f64b6a9
        20 bytes, 8675a8a055319435
        72 bytes, 3e5bf800f4cbbf27
        9 bytes, f1bb4f72be106437
        85 bytes, 8d810d6009699c4f
        10 bytes, ee703b75cbe6377b
        18 bytes, 4ef906441786c1e9
        16 bytes, a9defe61ad1f898f
        92 bytes, b8de75de26568a5d
        8 bytes, 53dabd36303a59fb
        21 bytes, 25d60e43cc64cce2"#]]
    .assert_eq(&digests.join("\n"));
}
