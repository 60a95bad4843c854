//! C-05: nobody reaches customers by themselves. Who may approve follows from signatures, and nothing that
//! front, its database or the HR feed says replaces them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_keyd_client::protocol::{Command, KeydStatus, Load, Refusal, Reply, Role};
use writ_model::Uuid;
use writ_proof::ed25519::SoftKey;
use writ_proof::statement::Signed;
use writ_tests::keyd::Keyd;
use writ_tests::site::{self, ANN};
use writ_tests::{Options, Site, database};

use crate::operators::roster::Desk;

fn one_account() -> Site {
    Site::with(Options { accounts: vec![ANN.to_owned()], ..Options::default() })
}

/// All files of front, as somebody keeps them who can write its folder.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

fn statements(site: &Site) -> Vec<Vec<u8>> {
    let mut entries: Vec<_> =
        database::read(site.dir()).into_iter().filter(|stored| stored.kind == "roster").collect();
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    entries.iter().map(|entry| entry.bytes("statement")).collect()
}

/// front's database of before a removal: the one who was removed would be a member again.
#[test]
fn c05_database_of_before_a_removal_is_no_roster() {
    let mut site = one_account();
    let desk = Desk::at(&site);
    desk.staff();
    let join = ["add-member", "--group=support", "--person=founder-3", "--days=90"];
    desk.changes(&join);
    assert!(site.stop().success());
    let (front, kept) = (site.dir().join("front"), site.home().join("kept"));
    copy(&front, &kept);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    let desk = Desk::at(&site);
    desk.changes(&["remove-member", "--group=support", "--person=founder-3"]);
    assert!(site.stop().success());
    std::fs::remove_dir_all(&front).unwrap();
    copy(&kept, &front);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    // Customers are served, and operators are not.
    site.wait_until_served();
    let desk = Desk::at(&site);
    let refused = desk.change(&["end-enrolment", "--person=founder-3"], &[1, 2]);
    let why = "its database is older than what keyd has seen";
    assert!(refused.code != 0 && refused.text.contains(why), "{}", refused.text);
    assert!(site.log().contains("keyd has no roster"), "{}", site.log());
}

/// Somebody with the disk writes a statement into front's database that only they have signed.
#[test]
fn c05_statement_put_into_the_database_is_none() {
    let mut site = one_account();
    Desk::at(&site).enrol("anna");
    let file = Desk::at(&site).propose(&["add-member", "--group=founders", "--person=anna"]);
    assert_eq!(Desk::at(&site).sign(&file, 1).code, 0);
    assert!(site.stop().success());
    let forged = STANDARD.encode(std::fs::read(&file).unwrap());
    let body = format!(r#"{{"v":1,"body":{{"seq":2,"statement":"{forged}"}}}}"#);
    let connection = rusqlite::Connection::open(site.dir().join("front/state.sqlite")).unwrap();
    let row = ("000000000000", "roster", format!("{:020}", 2), body);
    let insert =
        "INSERT INTO object (account, kind, id, revision, body) VALUES (?1, ?2, ?3, 1, ?4)";
    assert_eq!(connection.execute(insert, row).unwrap(), 1);
    drop(connection);
    site.start_again("").unwrap_or_else(|failure| panic!("{}", failure.log));
    site.wait_until_served();
    let desk = Desk::at(&site);
    let status = site::run(&["status", "--data", site.dir().to_str().unwrap()]);
    assert!(status.text.contains("REFUSED by keyd"), "{}", status.text);
    assert!(status.text.contains("counted: founder-1"), "{}", status.text);
    // Whoever reads the roster sees it too, and statements are not taken.
    let shown = site::run(&["roster", "show", "--data", site.dir().to_str().unwrap()]);
    assert!(shown.code != 0 && shown.text.contains("does not hold"), "{}", shown.text);
    assert_eq!(desk.sign(&file, 2).code, 0);
    let refused = desk.submit(&file);
    assert!(refused.code != 0 && refused.text.contains("Unavailable"), "{}", refused.text);
}

/// A front that is somebody else's, with keyd's own channel.
#[test]
fn c05_keyd_takes_no_roster_from_front_that_people_did_not_sign() {
    let mut site = one_account();
    let desk = Desk::at(&site);
    desk.staff();
    let name = site.ready["genesis"].as_str().unwrap().to_owned();
    assert!(site.stop().success());
    let whole = statements(&site);
    assert_eq!(whole.len(), 3);
    let genesis = std::fs::read(site.dir().join("genesis")).unwrap();
    let genesis = Signed::from_bytes(&genesis).unwrap();
    assert_eq!(genesis.digest().to_string(), name);
    let of = genesis.verify::<writ_proof::roster::Genesis>().unwrap().0.site.to_string();
    let keyd = Keyd::start(site.dir(), &of, Vec::new());
    let load = |roster: Vec<Vec<u8>>| -> KeydStatus {
        keyd.greet(Role::Front, None);
        let (descriptors, ended, last) = (Vec::new(), Vec::new(), true);
        let epoch = Uuid::from_bytes([1; 16]);
        keyd.carried(Role::Front, Command::Load(Load { descriptors, ended, last, epoch, roster }));
        match keyd.carried(Role::Front, Command::Status) {
            Reply::Status(status) => status,
            _ => panic!("no status"),
        }
    };
    let faulty = |roster: Vec<Vec<u8>>, why: &str| {
        let status = load(roster);
        let fault = status.roster.fault.unwrap_or_default();
        assert!(status.loaded && fault.contains(why), "{why}: {fault}");
    };
    faulty(Vec::new(), "and there were 3");
    faulty(whole[..2].to_vec(), "and there were 3");
    faulty(vec![whole[0].clone(), whole[2].clone()], "does not follow");
    faulty(vec![whole[1].clone(), whole[0].clone(), whole[2].clone()], "does not follow");
    // The last one again, with the signature of one founder alone, and with those of strangers.
    let last = Signed::from_bytes(&whole[2]).unwrap();
    let mut forged = Signed::new(&body(&last)).unwrap();
    let strangers = [7, 8].map(|n| SoftKey::from_seed(&[n; 32]).unwrap());
    strangers.iter().for_each(|stranger| forged.sign(stranger).unwrap());
    faulty(vec![whole[0].clone(), whole[1].clone(), forged.to_bytes()], "not in the roster");
    let seed = std::fs::read(site.dir().join("founders/founder-1.seed")).unwrap();
    let mut alone = Signed::new(&body(&last)).unwrap();
    alone.sign(&SoftKey::from_seed(&seed.try_into().unwrap()).unwrap()).unwrap();
    faulty(vec![whole[0].clone(), whole[1].clone(), alone.to_bytes()], "counted: founder-1");
    let status = load(whole.clone());
    assert_eq!((status.roster.fault, status.roster.head.seq, status.roster.people), (None, 3, 5));
    let again = keyd.ask(Role::Front, Command::Roster(whole[2].clone()));
    assert!(matches!(again, Err(Refusal::Forbidden(_))), "a statement counts once");
}

fn body(signed: &Signed) -> writ_proof::roster::RosterStatement {
    writ_proof::cbor::from_slice(signed.body()).unwrap()
}
