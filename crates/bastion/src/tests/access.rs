//! Grants and needs: who is covered by what, and by nothing more.

use proptest::prelude::*;
use writ_model::Ulid;
use writ_proof::at_most::AtMost;

use super::*;
use crate::sftp::Right;

const START: u64 = 1_800_000_000_000;

fn rule(text: &str) -> FileRule {
    text.parse().unwrap()
}

fn held(number: u8, from: u64, to: u64, scope: SshScope) -> Arc<Held> {
    let at = |secs: u64| Timestamp::from_millis(START + secs * 1000);
    Arc::new(Held {
        grant: Grant {
            request: Ulid::from_bytes([number; 16]),
            digest: Hash([number; 32]),
            person: "anna".parse().unwrap(),
            not_before: at(from),
            not_after: at(to),
        },
        scope,
        evidence: Evidence { request: Vec::new(), approvals: Vec::new() },
        accounts: Vec::new(),
        pseudonym: "op-x".to_owned(),
    })
}

fn scope(interactive: bool, commands: &[&str], files: &[&str]) -> SshScope {
    SshScope {
        hosts: AtMost(vec!["web-1".parse().unwrap()]),
        login: "svc".to_owned(),
        interactive,
        commands: AtMost(commands.iter().map(|one| (*one).to_owned()).collect()),
        files: AtMost(files.iter().map(|one| rule(one)).collect()),
    }
}

fn place() -> Place {
    Place::parse("svc+web-1", "anna".parse().unwrap()).unwrap()
}

#[test]
fn login_names_are_a_role_and_a_host() {
    for name in
        ["svc", "+web-1", "svc+", "svc+web-1+web-1", "a b+web-1", "$(id)+web-1", "svc+../x", ""]
    {
        assert_eq!(Place::parse(name, "anna".parse().unwrap()), None, "{name}");
    }
}

#[test]
fn grant_of_another_person_role_or_host_gives_nothing() {
    let one = held(1, 0, 10, scope(true, &[], &[]));
    assert!(place().is_of(&one));
    let person = |name: &str| Place { person: name.parse().unwrap(), ..place() };
    assert!(!person("dora").is_of(&one));
    assert!(!Place { login: "root".to_owned(), ..place() }.is_of(&one));
    assert!(!Place { host: "web-2".parse().unwrap(), ..place() }.is_of(&one));
}

#[test]
fn need_is_covered_by_what_gives_it_alone() {
    let command = held(1, 0, 10, scope(false, &["uptime"], &[]));
    let files = held(2, 0, 10, scope(false, &[], &["ro:/var/log/"]));
    let live = [command, files];
    let covered = |need: Need| covering(&live, &need).map(|held| held.grant.digest.0[0]);
    assert_eq!(covered(Need::Command("uptime".to_owned())), Some(1));
    assert_eq!(covered(Need::Command("uptime -p".to_owned())), None);
    assert_eq!(covered(Need::Shell), None);
    assert_eq!(covered(Need::Files(vec![rule("read:/var/log/")])), Some(2));
    assert_eq!(covered(Need::Files(vec![rule("read:/var/log/"), rule("read:/etc/hosts")])), None);
    assert_eq!(covered(Need::Files(Vec::new())), None);
    assert_eq!(covered(Need::Login), Some(1));
}

#[test]
fn path_with_a_pattern_gives_no_right() {
    let all = rights(&[rule("read:/srv/*"), rule("read:/srv/a?"), rule("list:/var/log/")]).unwrap();
    assert!(!all.any(b"/srv/x") && !all.any(b"/srv/*") && !all.any(b"/srv/ab"));
    assert!(all.allow(Right::List, b"/var/log") && all.allow(Right::List, b"/var/log/a/b"));
    assert!(!all.allow(Right::List, b"/var/logs") && !all.allow(Right::Read, b"/var/log/a"));
}

proptest! {
    /// Overlapping grants with ends at any instant: access is their union at every instant, and nothing else.
    #[test]
    fn access_is_the_union_of_the_live_grants(
        windows in prop::collection::vec((0u64..50, 1u64..50, any::<bool>()), 1..40),
        instant in 0u64..120,
    ) {
        let grants: Vec<_> = windows.iter().zip(1u8..)
            .map(|((from, length, shell), n)| held(n, *from, from + length, scope(*shell, &["id"], &[])))
            .collect();
        let now = Timestamp::from_millis(START + instant * 1000);
        let live = live(&grants, &place(), now);
        let within = |(from, length, _): &&(u64, u64, bool)| *from <= instant && instant < from + length;
        let expected: Vec<_> = windows.iter().filter(within).collect();
        prop_assert_eq!(live.len(), expected.len());
        let shell = expected.iter().any(|(_, _, shell)| *shell);
        prop_assert_eq!(covering(&live, &Need::Shell).is_some(), shell);
    }
}
