//! keyd's own roster, shown by a front that cheats.

use writ_model::PersonId;
use writ_proof::at_most::AtMost;
use writ_proof::cbor::Version;
use writ_proof::ed25519::{PublicKey, Signer as _, SoftKey};
use writ_proof::hash::Hash;
use writ_proof::roster::{
    Change, ChannelPins, Enrolment, EnrolmentId, Genesis, Mode, PersonKey, Roster, RosterStatement,
    Rule,
};
use writ_proof::sshsig::SshPublicKey;
use writ_proof::statement::{Namespace, Signed};

use super::*;

fn soft(n: u8) -> SoftKey {
    SoftKey::from_seed(&[n; 32]).unwrap()
}

fn public(n: u8) -> PublicKey {
    soft(n).public_key()
}

fn key_of(person: &str, n: u8) -> PersonKey {
    let key = SshPublicKey::Ed25519(public(n).0);
    PersonKey { person: person.parse().unwrap(), key, passkey: None }
}

/// Two founders, both of whom must sign.
pub(crate) fn genesis() -> Signed {
    genesis_of(NOON)
}

fn genesis_of(created: Timestamp) -> Signed {
    let rule = Rule { namespace: Namespace::Roster, threshold: 2, hardware: false, group: None };
    let genesis = Genesis {
        v: Version,
        site: "test".parse().unwrap(),
        created,
        mode: Mode::Dev,
        founders: vec![key_of("f1", 1), key_of("f2", 2)],
        rules: vec![rule],
        keyd: KeydKeys {
            checkpoint: public(101),
            use_records: public(102),
            ssh_ca: public(103),
            run_orders: public(104),
            krl: public(105),
        },
        watch: public(106),
        witnesses: Vec::new(),
        channel: ChannelPins { trail: Hash([1; 32]), watch: Hash([2; 32]) },
    };
    let mut signed = Signed::new(&genesis).unwrap();
    [1, 2].iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
    signed
}

/// A statement that enrols somebody new; `n` names them and their key.
fn enrol(roster: &Roster, n: u8, signers: &[u8]) -> Signed {
    let person: PersonId = format!("p{n}").parse().unwrap();
    let id = EnrolmentId { person: person.clone(), number: 1 };
    let keys = AtMost(vec![key_of(person.as_str(), n)]);
    let statement = RosterStatement {
        v: Version,
        site: roster.site().clone(),
        seq: roster.seq() + 1,
        prev: roster.head(),
        created: roster.created(),
        change: Change::Enrol(Enrolment { id, keys }),
    };
    let mut signed = Signed::new(&statement).unwrap();
    signers.iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
    signed
}

/// A chain of statements by the first two founders, each enrolling the one of this number.
fn chain(people: &[u8]) -> Vec<Vec<u8>> {
    let (_, mut roster) = Roster::begin(&genesis(), None).unwrap();
    let next = |n: &u8| {
        let signed = enrol(&roster, *n, &[1, 2]);
        roster.apply(&signed).unwrap();
        signed.to_bytes()
    };
    people.iter().map(next).collect()
}

fn status(site: &Site) -> RosterStatus {
    match site.engine.handle(Role::Front, Command::Status).unwrap() {
        Reply::Status(status) => status.roster,
        _ => panic!("no status"),
    }
}

fn say(site: &Site, statement: &[u8]) -> Result<(), Refusal> {
    site.engine.handle(Role::Front, Command::Roster(statement.to_vec())).map(|_| ())
}

/// front greets and shows its statements, two to a batch.
fn show(site: &Site, statements: &[Vec<u8>]) -> RosterStatus {
    let hello = Command::Hello(Hello { protocol: PROTOCOL, x25519: None });
    site.engine.handle(Role::Front, hello).unwrap();
    let epoch = Uuid::from_bytes([1; 16]);
    let part = |roster: &[Vec<u8>], last| {
        let (descriptors, ended, roster) = (Vec::new(), Vec::new(), roster.to_vec());
        Command::Load(Load { descriptors, ended, last, epoch, roster })
    };
    for batch in statements.chunks(2) {
        site.engine.handle(Role::Front, part(batch, false)).unwrap();
    }
    // Whatever is wrong with the roster, customers are served.
    assert!(site.engine.handle(Role::Front, part(&[], true)).is_ok());
    assert!(site.engine.check_loaded().is_ok());
    status(site)
}

/// keyd again, with the head file that it left.
fn restarted(site: &Site) -> Site {
    Site::start(site.env.clone(), site.root.clone(), site.keys, site.head.clone())
}

fn assert_fault(status: &RosterStatus, why: &str) {
    let fault = status.fault.as_deref().unwrap_or("none");
    assert!(fault.contains(why) && status.people == 0, "{why}: {fault}");
}

#[test]
fn roster_follows_its_statements_and_is_the_same_after_a_restart() {
    let site = Site::new();
    assert_eq!((status(&site).head.seq, status(&site).people, status(&site).fault), (0, 2, None));
    let statements = chain(&[11, 12, 13]);
    for statement in &statements {
        say(&site, statement).unwrap();
    }
    let before = status(&site);
    assert_eq!((before.head.seq, before.people), (3, 5));
    let again = restarted(&site);
    assert_fault(&status(&again), "not shown");
    assert!(matches!(say(&again, &statements[0]), Err(Refusal::Unavailable(_))));
    assert_eq!(show(&again, &statements), before);
    // What front committed and never said comes with its next load.
    let longer = chain(&[11, 12, 13, 14]);
    assert_eq!(show(&again, &longer).head.seq, 4);
}

/// Whoever judged a request held the roster and waited for the catalogue, and the other way round.
#[test]
fn roster_that_is_asked_something_holds_up_nobody() {
    let site = Site::new();
    let (said, heard) = std::sync::mpsc::channel();
    let engine = &site.engine;
    std::thread::scope(|threads| {
        let asked = engine.rosters.with(|roster| {
            threads.spawn(move || said.send(engine.status().roster.people));
            (roster.people().count() as u64, heard.recv_timeout(Duration::from_secs(10)))
        });
        let (people, told) = asked.unwrap();
        assert_eq!(told, Ok(people), "the status waits for whoever asks the roster");
    });
}

#[test]
fn shorter_roster_is_refused_after_a_restart() {
    let site = Site::new();
    let statements = chain(&[11, 12, 13]);
    assert_eq!(show(&site, &statements).fault, None);
    for keyd in [restarted(&site), site] {
        for count in 0..3 {
            assert_fault(&show(&keyd, &statements[..count]), "and there were 3");
        }
        let refused = say(&keyd, &statements[2]);
        assert!(matches!(refused, Err(Refusal::Unavailable(_))));
        assert_eq!(show(&keyd, &statements).fault, None, "and the whole one is taken again");
    }
}

#[test]
fn forked_roster_is_refused() {
    let site = Site::new();
    show(&site, &chain(&[11, 12]));
    for keyd in [restarted(&site), site] {
        for other in [&[11, 13][..], &[13, 12], &[11, 13, 14]] {
            assert_fault(&show(&keyd, &chain(other)), "seen before");
        }
        assert_eq!(show(&keyd, &chain(&[11, 12, 13])).fault, None);
        let fork = chain(&[11, 14, 15]);
        assert!(matches!(say(&keyd, &fork[2]), Err(Refusal::Forbidden(_))));
    }
}

#[test]
fn statement_of_too_few_or_of_strangers_is_refused() {
    let site = Site::new();
    let (_, roster) = Roster::begin(&genesis(), None).unwrap();
    for signers in [&[1][..], &[1, 1], &[1, 9], &[9, 8], &[]] {
        let bytes = enrol(&roster, 11, signers).to_bytes();
        assert!(matches!(say(&site, &bytes), Err(Refusal::Forbidden(_))), "{signers:?}");
        assert_fault(&show(&site, &[bytes]), "statement 1");
        assert_eq!(show(&site, &[]).fault, None);
    }
    for junk in [&b""[..], b"junk", &genesis().to_bytes()] {
        assert!(matches!(say(&site, junk), Err(Refusal::Forbidden(_))));
    }
    assert_eq!(status(&site).head.seq, 0);
}

#[test]
fn statement_that_is_dated_ahead_is_refused() {
    let site = Site::new();
    let (_, roster) = Roster::begin(&genesis(), None).unwrap();
    let Change::Enrol(enrolment) =
        enrol(&roster, 11, &[1]).verify::<RosterStatement>().unwrap().0.change
    else {
        panic!("it enrols")
    };
    let dated = |created| {
        let statement = RosterStatement {
            v: Version,
            site: roster.site().clone(),
            seq: 1,
            prev: roster.head(),
            created,
            change: Change::Enrol(enrolment.clone()),
        };
        let mut signed = Signed::new(&statement).unwrap();
        [1, 2].iter().for_each(|n| signed.sign(&soft(*n)).unwrap());
        signed.to_bytes()
    };
    let ahead = |millis| dated(site.env.now().plus(Duration::from_millis(millis)));
    for millis in [300_001, 3_600_000] {
        let refused = say(&site, &ahead(millis));
        assert!(matches!(refused, Err(Refusal::Forbidden(why)) if why.contains("ahead")));
    }
    say(&site, &ahead(300_000)).unwrap();
}

#[test]
fn genesis_is_the_one_of_the_first_start() {
    let site = Site::new();
    let other = genesis_of(NOON.plus(Duration::from_secs(1))).to_bytes();
    let keyd =
        Site::start_with(site.env.clone(), site.root.clone(), site.keys, site.head.clone(), other);
    assert_fault(&show(&keyd, &[]), "another one than at the first start");
    let none =
        Site::start_with(site.env.clone(), site.root.clone(), site.keys, site.head.clone(), vec![]);
    assert_fault(&show(&none, &[]), "genesis");
    assert_eq!(show(&restarted(&site), &[]).fault, None);
}

#[test]
fn ended_enrolment_is_remembered_and_a_rehire_has_another() {
    let site = Site::new();
    show(&site, &chain(&[11]));
    let end = |person: &str, number| {
        let id = EnrolmentId { person: person.parse().unwrap(), number };
        site.engine.handle(Role::Front, Command::End(End::Person(id))).unwrap();
    };
    assert_eq!(status(&site).people, 3);
    end("p11", 1);
    assert_eq!(status(&site).people, 2);
    // An older ending does not undo it, and one of somebody unknown changes nothing.
    end("p11", 0);
    end("p12", 1);
    assert_eq!(status(&site).people, 2);
}

#[test]
fn roster_is_shown_from_the_start_after_fronts_hello_and_nobody_elses() {
    let site = Site::new();
    let statements = chain(&[11, 12]);
    let epoch = Uuid::from_bytes([1; 16]);
    let show_some = |roster: &[Vec<u8>]| {
        let (descriptors, ended, roster) = (Vec::new(), Vec::new(), roster.to_vec());
        let load = Load { descriptors, ended, last: false, epoch, roster };
        site.engine.handle(Role::Front, Command::Load(load)).unwrap();
    };
    let greet = |role| site.engine.handle(role, Command::Hello(hello(None))).unwrap();
    greet(Role::Front);
    show_some(&statements[..1]);
    // front dies, and begins again.
    greet(Role::Front);
    show_some(&statements[..1]);
    for role in [Role::S3, Role::Trail, Role::Supervisor] {
        greet(role);
    }
    show_some(&statements[1..]);
    let load = Load { descriptors: vec![], ended: vec![], last: true, epoch, roster: vec![] };
    site.engine.handle(Role::Front, Command::Load(load)).unwrap();
    assert_eq!((status(&site).head.seq, status(&site).fault), (2, None));
}

#[test]
fn ended_grant_is_remembered_once_and_over_loads() {
    let site = Site::new();
    show(&site, &chain(&[11]));
    let end = |n: u8| {
        let grant = End::Grant(Hash([n; 32]));
        site.engine.handle(Role::Front, Command::End(grant)).unwrap();
    };
    let ended = || match site.engine.handle(Role::Front, Command::Status).unwrap() {
        Reply::Status(status) => status.ended_grants,
        _ => panic!("no status"),
    };
    assert_eq!(ended(), 0);
    for n in [1, 1, 2] {
        end(n);
    }
    assert_eq!(ended(), 2);
    show(&site, &chain(&[11]));
    assert_eq!(ended(), 2, "what front forgets to say stays ended");
    let refused = site.engine.handle(Role::S3, Command::End(End::Grant(Hash([3; 32]))));
    assert!(refused.is_err(), "front alone ends grants");
}
