//! C-11: hands-off first. A runbook's output is typed and allow-listed, so it cannot carry customer data out; nobody
//! runs what people have not signed, nor twice, nor after its end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use writ_model::{Env as _, SystemEnv};
use writ_proof::at_most::AtMost;
use writ_proof::hash::{Hash, sha256};
use writ_proof::runbook::{
    Argument, Class, Entry, Field, FieldKind, Output, Parameter, ParameterKind, Program, Steps,
};
use writ_tests::site::{ANN, BOB, Options};
use writ_tests::wait::{until, within};
use writ_tests::{Site, process};

use crate::operators::console::{Seat, assert_sound};
use crate::operators::crook::{CBOR, assert_refused};
use crate::operators::roster::Desk;
use crate::operators::runbook::{HOST, Hands};

fn site() -> Site {
    Site::with(Options { accounts: vec![ANN.to_owned()], ..Options::default() })
}

#[test]
fn c11_disk_usage_comes_back_as_numbers_and_each_step_is_in_the_ledger() {
    let site = site();
    let mut hands = Hands::at(&site);
    hands.published(&["disk-usage", "--mount=root"]);
    let listed = hands.shift.ok("dora", &["runbook", "list"]);
    assert!(listed.contains("disk-usage/1  health  in force  for runners"), "{listed}");
    hands.execute();
    let asking = hands.ask("disk-usage", &["--param=mount=root"]);
    hands.agree(&asking);
    let (id, (code, runs, told)) = (asking.id.clone(), asking.end());
    assert_eq!(code, 0, "{told}\n{}", hands.printed());
    for line in [
        "runbook   disk-usage, version 1",
        "class     health: reads the platform's health, and changes nothing",
        "told      mount = root",
        "reaches   no customer's data",
        "waiting for approval: `peers` needs 2 more",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let run = &runs[0];
    assert_eq!((run["state"].as_str(), run["host"].as_str()), (Some("ok"), Some(HOST)));
    let Value::Object(answer) = &run["answer"] else { panic!("{run}") };
    let df = Command::new("df").args(["--output=pcent", "/"]).output().unwrap();
    let df = String::from_utf8(df.stdout).unwrap();
    let used: u64 = df.lines().nth(1).unwrap().trim().trim_end_matches('%').parse().unwrap();
    assert!(answer["used_percent"].as_u64().unwrap().abs_diff(used) <= 1, "{answer:?} {df}");
    assert_eq!(answer.len(), 3, "{answer:?}");
    println!("{}", serde_json::to_string_pretty(run).unwrap());

    let event = |name: &str| {
        let found = site.ledger().wait(name, |event| {
            event.text("/eventName") == name && event.text("/requestParameters/requestId") == id
        });
        assert_eq!((found.log.as_str(), found.error()), ("operator", ""));
        found
    };
    let published = site.ledger().wait("the entry", |e| e.text("/eventName") == "PublishRunbook");
    let (ordered, ended) = (event("OrderRun"), event("FinishRun"));
    assert_eq!(event("StartRun").text("/requestParameters/hostName"), HOST);
    let entry =
        |event: &writ_tests::ledger::Event| event.text("/requestParameters/entryDigest").to_owned();
    assert_eq!(entry(&published), entry(&ordered));
    assert_eq!(ended.text("/requestParameters/outcome"), "ok");
    let digest = sha256(run["answer"].to_string().as_bytes()).to_string();
    assert_eq!(ended.text("/requestParameters/answerDigest"), digest);
    assert!(hands.log().contains("runbook=disk-usage ok"), "{}", hands.log());
    // Whoever agreed sees what became of it.
    let mut boris = Seat::of(&site, "boris");
    boris.sign_in(&format!("/requests/{id}"));
    let page = boris.browser.text();
    assert!(page.contains("What was run") && page.contains("used_percent"), "{page}");
    assert_sound(&mut boris.browser);
    boris.browser.look("console-request-run");
    // The grant is good for one run; to ask again is the same run.
    let again = hands.shift.ok("anna", &["run", "disk-usage", "--request", &id, "--json"]);
    assert!(again.contains(run["id"].as_str().unwrap()), "{again}");
    assert_eq!(hands.log().matches("taken").count(), 1, "{}", hands.log());
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// Who approved and has left the approvers since does not count, and holds up no run to which others agreed.
#[test]
fn c11_approval_that_counts_no_more_holds_up_no_run() {
    let site = site();
    let mut hands = Hands::at(&site);
    let desk = Desk::at(&site);
    desk.enrol("eve");
    desk.changes(&["add-member", "--group=approvers", "--person=eve"]);
    hands.published(&["disk-usage", "--mount=root"]);
    hands.execute();
    let asking = hands.ask("disk-usage", &["--param=mount=root"]);
    hands.shift.ok("eve", &["approve", &asking.id]);
    desk.changes(&["remove-member", "--group=approvers", "--person=eve"]);
    hands.agree(&asking);
    let (code, runs, told) = asking.end();
    assert_eq!((code, runs[0]["state"].as_str()), (0, Some("ok")), "{told}\n{}", hands.printed());
}

/// A real service under runit's own supervisor. Dropping it stops both.
struct Runit(Child);

impl Runit {
    fn start(folder: &Path, name: &str) -> Option<Runit> {
        let service = folder.join(name);
        fs::create_dir_all(&service).unwrap();
        let run = service.join("run");
        fs::write(&run, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("/usr/bin/runsv");
        let child = command.arg(&service).stdin(Stdio::null()).spawn().ok()?;
        until("runit to run the service", || {
            let said = fs::read_to_string(service.join("supervise/stat")).ok()?;
            said.starts_with("run").then_some(())
        });
        Some(Runit(child))
    }
}

impl Drop for Runit {
    fn drop(&mut self) {
        // runsv stops its service and ends.
        process::signal(self.0.id(), rustix::process::Signal::TERM);
        self.0.wait().ok();
    }
}

#[test]
fn c11_service_of_runit_is_seen_and_restarted_without_a_session() {
    let site = site();
    let mut hands = Hands::at(&site);
    let folder = site.home().join("service");
    let Some(_runit) = Runit::start(&folder, "web") else {
        println!("SKIPPED: runit is not installed");
        return;
    };
    let pid = || fs::read_to_string(folder.join("web/supervise/pid")).unwrap();
    let at = ["--supervisor=runit", "--folder", folder.to_str().unwrap()];
    let services = ["--service=web", "--service=gone"];
    hands.published(&[&["service-status"], &services[..], &at].concat());
    hands.published(&[&["service-restart"], &services[..], &at].concat());
    hands.execute();
    let status = hands.runs("service-status", &["--param=service=web"]);
    assert_eq!(status["answer"], json!({"state": "running", "up_minutes": 0, "wanted": true}));
    let before = pid();
    let restarted = hands.runs("service-restart", &["--param=service=web"]);
    assert_eq!(restarted["answer"], json!({"restarted": true, "state": "running"}), "{restarted}");
    assert_ne!(pid(), before, "another process runs");
    // One that is not there fails, and says nothing else.
    let gone = hands.runs("service-status", &["--param=service=gone"]);
    assert_eq!((gone["state"].as_str(), gone.get("answer")), (Some("failed"), None), "{gone}");
    // What the entry does not name is not even asked for.
    let path = ["--param=service=../../etc", "--host", HOST, "--ticket=OPS-17", "--reason=x"];
    hands.shift.refused(
        "anna",
        &[&["run", "service-status"], &path[..]].concat(),
        "one of web, gone",
    );
}

const LEAKS: &str = r#"
import os, sys, time
how = sys.argv[1]
secret = open('/etc/passwd').read()
def say(text): os.write(3, text.encode())
if how == 'content': say(secret)
if how == 'value': say('{"n": 1, "word": %s}' % __import__('json').dumps(secret))
if how == 'newline': say('{"n": 1, "word": "ok\\n%s"}' % secret[:9])
if how == 'field': say('{"n": 1, "word": "ok", "%s": 1}' % secret[:9])
if how == 'twice': say('{"n": 1, "n": 2, "word": "ok"}')
if how == 'number': say('{"n": 123456789, "word": "ok"}')
if how == 'flood':
    try:
        while True: say(secret)
    except BrokenPipeError: pass
if how == 'stdout':
    print(secret, flush=True); sys.stderr.write(secret); say('{"n": 1, "word": "ok"}')
if how == 'code': say('{"n": 1, "word": "ok"}'); sys.exit(secret.encode()[0])
if how == 'sleep': say('{"n": 1, "word": "ok"}'); time.sleep(60)
if how == 'write':
    try: open(sys.argv[2], 'w').write(secret)
    except OSError: say('{"n": 1, "word": "no"}')
if how == 'env': say('{"n": %d, "word": "ok"}' % len(open('/proc/self/environ').read()))
if how == 'who': say('{"n": %d, "word": "ok"}' % (os.getuid() == 65534))
"#;

/// A program that does its worst, in an entry that people have signed all the same.
fn leaks(hands: &Hands<'_>, place: &Path) -> Entry {
    let python = fs::canonicalize("/usr/bin/python3").unwrap();
    let literal = |text: &str| Argument::Literal(text.to_owned());
    let words = |all: &[&str]| AtMost(all.iter().map(|word| (*word).to_owned()).collect());
    let hows = [
        "content", "value", "newline", "field", "twice", "number", "flood", "stdout", "code",
        "sleep", "write", "env", "who",
    ];
    let how = ParameterKind::Enum(words(&hows));
    let field = |name: &str, kind| Field { name: name.to_owned(), optional: false, kind };
    let lines = LEAKS.lines().collect::<Vec<_>>().join("\n");
    // Arguments are short and have no line ends: the program lies in a file.
    let script = place.join("leaks.py");
    fs::write(&script, lines).unwrap();
    fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
    Entry {
        v: Default::default(),
        site: hands.shift.send("GET", "/writ/v1/roster", &[], b"").1["site"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
        name: "leaks".parse().unwrap(),
        version: 1,
        title: "Leaks".to_owned(),
        description: "Tries to get a file out.".to_owned(),
        class: Class::Health,
        group: "runners".parse().unwrap(),
        parameters: AtMost(vec![Parameter { name: "how".to_owned(), kind: how }]),
        program: Program {
            path: python.to_str().unwrap().to_owned(),
            digest: sha256(&fs::read(&python).unwrap()),
        },
        arguments: AtMost(vec![
            literal("-I"),
            literal(script.to_str().unwrap()),
            Argument::Parameter("how".to_owned()),
            literal(place.join("written").to_str().unwrap()),
        ]),
        run_as: "nobody".to_owned(),
        seconds: 3,
        memory_mib: 256,
        output: Output {
            fields: AtMost(vec![
                field("n", FieldKind::Int(Steps { min: 0, max: 100, step: 1 })),
                field("word", FieldKind::Enum(words(&["ok", "no"]))),
            ]),
        },
        created: SystemEnv.now(),
    }
}

fn send(hands: &Hands<'_>, entry: &Entry) -> (u16, Value) {
    let signed = hands.written(entry).to_bytes();
    hands.shift.send("POST", "/writ/v1/runbooks", &[("content-type", CBOR)], &signed)
}

#[test]
fn c11_output_that_carries_a_file_is_dropped_whole() {
    let site = site();
    let mut hands = Hands::at(&site);
    let place = site.home().join("place");
    fs::create_dir(&place).unwrap();
    let entry = leaks(&hands, &place);
    let (status, reply) = send(&hands, &entry);
    assert_eq!(status, 200, "{reply}");
    hands.execute();
    let refused = |field: Value| ("refused", json!("output_refused"), field, Value::Null);
    let ok = |n: u32, word: &str| ("ok", Value::Null, Value::Null, json!({"n": n, "word": word}));
    for (how, wanted) in [
        ("content", refused(Value::Null)),
        ("value", refused(json!("word"))),
        ("newline", refused(json!("word"))),
        ("field", refused(Value::Null)),
        ("twice", refused(Value::Null)),
        ("number", refused(json!("n"))),
        ("flood", refused(Value::Null)),
        // What goes elsewhere than to descriptor 3 stays; an exit code is a word.
        ("stdout", ok(1, "ok")),
        ("code", ("failed", Value::Null, Value::Null, Value::Null)),
        ("sleep", ("timeout", Value::Null, Value::Null, Value::Null)),
        ("write", ok(1, "no")),
        ("env", ok(0, "ok")),
        ("who", ok(1, "ok")),
    ] {
        let run = hands.runs("leaks", &[&format!("--param=how={how}")]);
        let (state, cause, field, answer) = wanted;
        assert_eq!(run["state"], state, "{how}: {run}\n{}", hands.printed());
        assert_eq!((&run["cause"], &run["field"]), (&cause, &field), "{how}: {run}");
        assert_eq!(run["answer"], answer, "{how}: {run}");
        assert!(!run.to_string().contains("root:x:"), "{how}: {run}");
    }
    assert!(!place.join("written").exists(), "it could write a file");
    let told = site.ledger().events().into_iter().any(|e| e.record.to_string().contains("root:x:"));
    assert!(!told && !hands.log().contains("root:x:"), "{}", hands.log());
    // A file of another content under the program's name is not run.
    let other = Entry {
        version: 2,
        program: Program { digest: Hash([7; 32]), ..entry.program.clone() },
        ..entry
    };
    assert_eq!(send(&hands, &other).0, 200);
    let run = hands.runs("leaks/2", &["--param=how=env"]);
    assert_eq!((&run["state"], &run["cause"]), (&json!("refused"), &json!("other_program")));
}

/// Regression: a runbook's grant named all its hosts to each customer, those of others too.
#[test]
fn c11_customers_are_told_of_the_hosts_with_their_own_data_alone() {
    let accounts = vec![ANN.to_owned(), BOB.to_owned()];
    let site = Site::with(Options { accounts, ..Options::default() });
    let (hands, desk) = (Hands::at(&site), Desk::at(&site));
    let key = desk.key("other-key").with_extension("pub");
    let host = ["add-host", "app-2", "--address=10.0.0.10:22", "--account", BOB, "--key"];
    desk.changes(&[&host[..], &[key.to_str().unwrap()]].concat());
    let place = site.home().join("place");
    fs::create_dir(&place).unwrap();
    let entry = Entry { class: Class::Customer, ..leaks(&hands, &place) };
    let (status, reply) = send(&hands, &entry);
    assert_eq!(status, 200, "{reply}");
    let asking = hands.ask("leaks", &["--host=app-2", "--param=how=env"]);
    hands.agree(&asking);
    for (account, own) in [(ANN, HOST), (BOB, "app-2")] {
        let told = site.ledger().wait("a customer to be told", |event| {
            event.text("/eventName") == "OperatorAccessGranted" && event.log == account
        });
        assert_eq!(told.text("/requestParameters/hosts"), own, "{}", told.record);
        assert_eq!(told.text("/requestParameters/kind"), "runbook", "{}", told.record);
    }
    hands.shift.ok("dora", &["revoke", &asking.id]);
    asking.end();
}

#[test]
fn c11_entry_that_its_people_have_not_signed_or_have_withdrawn_is_not_run() {
    let site = site();
    let hands = Hands::at(&site);
    let place = site.home().join("place");
    fs::create_dir(&place).unwrap();
    let entry = leaks(&hands, &place);
    let post = |signed: writ_proof::statement::Signed| {
        let fields = [("content-type", CBOR)];
        hands.shift.send("POST", "/writ/v1/runbooks", &fields, &signed.to_bytes())
    };
    // An owner alone; those of the catalogue without an owner; a stranger beside them.
    assert_refused(post(hands.shift.signed(&entry, "boris")), "Refused", "signatures of 2 people");
    let whole = hands.written(&entry);
    let mut orphan = writ_proof::statement::Signed::new(&entry).unwrap();
    for bytes in &whole.signatures()[1..] {
        orphan.add(&writ_proof::sshsig::SshSig::from_bytes(bytes).unwrap()).unwrap();
    }
    assert_refused(post(orphan), "Refused", "an owner of `runners`");
    let mut strange = whole.clone();
    Desk::at(&site).key("mallory");
    let signature = hands.shift.signature("mallory", "catalogue@writ", strange.body());
    strange.add(&signature).unwrap();
    assert_refused(post(strange), "Refused", "not in the roster");
    // Nobody asks for what is not in the catalogue.
    let ask = ["run", "leaks", "--param=how=env", "--host", HOST, "--ticket=OPS-17", "--reason=x"];
    hands.shift.refused("anna", &ask, "the catalogue has no `leaks` in force");
    assert_eq!(post(whole).0, 200);
    // An entry never changes: another one under the same number is refused.
    let changed = Entry { seconds: 3600, ..entry.clone() };
    let (status, reply) = send(&hands, &changed);
    assert!(
        status == 409 && reply["message"].as_str().unwrap().contains("never changes"),
        "{reply}"
    );

    // Withdrawn between approval and order: nobody's host gets it, though it is granted.
    let asking = hands.ask("leaks", &["--param=how=env"]);
    hands.shift.ok("dora", &["runbook", "withdraw", "leaks/1"]);
    hands.shift.refused("boris", &["approve", &asking.id], "was withdrawn by dora");
    hands.shift.ok("anna", &["withdraw", &asking.id]);
    let (code, _, told) = asking.end();
    assert!(code == 1 && told.contains("withdrawn"), "{told}");
    hands.shift.refused("anna", &ask, "the catalogue has no `leaks` in force");
    assert!(hands.log().is_empty(), "{}", hands.log());
    // A host is not pinned to a genesis that somebody else names.
    let other = hands.pin(&"7".repeat(64));
    assert!(
        other.code != 0 && other.text.contains("does not follow the genesis"),
        "{}",
        other.text
    );
}

#[test]
fn c11_run_dies_with_its_grant_and_an_agent_that_went_down_does_not_run_it_again() {
    let site = site();
    let mut hands = Hands::at(&site);
    let place = site.home().join("place");
    fs::create_dir(&place).unwrap();
    let entry = Entry { seconds: 60, ..leaks(&hands, &place) };
    assert_eq!(send(&hands, &entry).0, 200);
    hands.execute();
    let started = |hands: &Hands<'_>, request: &str| {
        site.ledger().wait("the run to start", |event| {
            event.text("/eventName") == "StartRun"
                && event.text("/requestParameters/requestId") == request
        });
        until("its program", || sleeps(&place.join("leaks.py")));
        assert!(!hands.log().contains("cause=grant_ended") || !request.is_empty());
    };
    let asking = hands.ask("leaks", &["--param=how=sleep"]);
    hands.agree(&asking);
    started(&hands, &asking.id);
    hands.shift.ok("dora", &["revoke", &asking.id]);
    let gone =
        within(Duration::from_secs(5), || sleeps(&place.join("leaks.py")).is_none().then_some(()));
    assert!(gone.is_some(), "the program outlives its grant: {}", hands.printed());
    let (code, runs, told) = asking.end();
    assert_eq!(
        (code, &runs[0]["state"], &runs[0]["cause"]),
        (1, &json!("killed"), &json!("grant_ended")),
        "{told}"
    );

    let asking = hands.ask("leaks", &["--param=how=sleep"]);
    hands.agree(&asking);
    started(&hands, &asking.id);
    hands.kill();
    let gone =
        within(Duration::from_secs(5), || sleeps(&place.join("leaks.py")).is_none().then_some(()));
    assert!(gone.is_some(), "the program outlives the agent");
    hands.execute();
    let (_, runs, told) = asking.end();
    assert_eq!(
        (&runs[0]["state"], &runs[0]["cause"]),
        (&json!("killed"), &json!("restarted")),
        "{told}"
    );
    assert_eq!(hands.log().matches("taken").count(), 2, "{}", hands.log());
}

/// The process that runs this script, if there is one.
fn sleeps(script: &Path) -> Option<u32> {
    let script = script.to_str().unwrap();
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let parts: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        parts.get(2).is_some_and(|part| *part == script.as_bytes())
    })
}
