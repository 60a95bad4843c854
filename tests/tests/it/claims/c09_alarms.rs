//! Alarms: what must not be is found by watch itself, and reaches people whatever stands still.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::Value;
use writ_proof::roster::Genesis;
use writ_proof::statement::Signed;
use writ_tests::agent::{Agent, alarm_within, note_alarms, watch};
use writ_tests::browser::Browser;
use writ_tests::sink::{Sink, text_of};
use writ_tests::site::{Options, binary};
use writ_tests::wait::{PATIENCE, until, within};
use writ_tests::{Site, process};

use crate::operators::gate::{self, Gate, parameter};

fn site() -> Site {
    Site::with(Options { accounts: Vec::new(), ..Options::default() })
}

/// Tells watch whom alarms go to; answers when it has taken it over.
fn route(site: &Site, channels: &str) {
    fs::write(site.dir().join("watch/watch.toml"), channels).unwrap();
    let count = channels.matches("\nname = ").count();
    until("watch to take its file over", || {
        let answer = answer(site);
        (answer["channels"].as_array().unwrap().len() == count).then_some(())
    });
}

fn answer(site: &Site) -> Value {
    serde_json::from_str(&watch(site, &["alarms", "--all", "--json"])).unwrap()
}

fn webhook(site: &Site, sink: &Sink) -> String {
    let ca = site.dir().join("watch/hook.pem");
    fs::copy(&sink.ca, &ca).unwrap();
    format!(
        "[[webhook]]\nname = \"pager\"\nurl = \"https://127.0.0.1:{}/alarms\"\nca = \"hook.pem\"\n\n",
        sink.port
    )
}

fn mail(site: &Site, sink: &Sink, tls: &str) -> String {
    let folder = site.dir().join("watch");
    fs::copy(&sink.ca, folder.join("mail.pem")).unwrap();
    let login = if tls == "starttls" {
        fs::write(folder.join("mail.password"), "a password\n").unwrap();
        "user = \"writ\"\npassword-file = \"mail.password\"\n"
    } else {
        ""
    };
    format!(
        "[[mail]]\nname = \"mail\"\nserver = \"127.0.0.1:{}\"\ntls = \"{tls}\"\nca = \"mail.pem\"\n{login}\
         from = \"writ@example.com\"\nto = [\"security@example.com\"]\n\n",
        sink.port
    )
}

/// The alarms of a kind, open or not.
fn of_kind(site: &Site, kind: &str) -> Vec<Value> {
    let all = answer(site)["alarms"].as_array().unwrap().clone();
    all.into_iter().filter(|alarm| alarm["alarm"] == kind).collect()
}

/// Waits until watch answers after it was killed.
fn serves_again(site: &Site) {
    until("watch to serve again", || {
        let answer =
            Command::new(binary()).args(["watch", "alarms", "--data"]).arg(site.dir()).output();
        answer.unwrap().status.success().then_some(())
    });
}

fn status(site: &Site) -> String {
    let output = Command::new(binary()).args(["status", "--data"]).arg(site.dir()).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn c09_alarm_reaches_people_by_webhook_and_by_mail() {
    let site = site();
    let hook = Sink::start("https", &site.home().join("hook"));
    let post = Sink::start("starttls", &site.home().join("post"));
    route(&site, &format!("{}{}", webhook(&site, &hook), mail(&site, &post, "starttls")));
    let mut agent = Agent::start(&site, "web-1");
    agent.signal(Signal::KILL);
    let told = hook.alarm("agent-killed");
    assert_eq!((&told["host"], &told["severity"]), (&"web-1".into(), &"page".into()), "{told}");
    assert_eq!(told["detector"], "D-11");
    assert!(told["todo"].as_str().unwrap().contains("who was on the host"), "{told}");

    // What was posted is signed with the key of genesis.
    let took = hook.wait("post", |one| one["line"] == "POST /alarms HTTP/1.1");
    let signature = took["fields"]["writ-signature"].as_str().unwrap();
    let signature = STANDARD.decode(signature.strip_prefix("ed25519=").unwrap()).unwrap();
    let signature: [u8; 64] = signature.try_into().unwrap();
    let body = STANDARD.decode(took["body"].as_str().unwrap()).unwrap();
    let genesis = Signed::from_bytes(&fs::read(site.dir().join("genesis")).unwrap()).unwrap();
    let key = Genesis::verify(&genesis, None).unwrap().watch;
    let message = [b"writ alarm v1\0".as_slice(), &body].concat();
    assert!(key.verifies(&message, &signature));
    assert!(!key.verifies(&body, &signature));

    let (took, text) = post.mail("agent-killed");
    assert_eq!((&took["tls"], &took["user"]), (&true.into(), &"writ".into()), "{took}");
    assert_eq!(took["to"], serde_json::json!(["security@example.com"]));
    assert!(text.contains("page: agent-killed on web-1"), "{text}");
    assert!(text.contains("do     who was on the host?"), "{text}");
    assert!(text.contains("<b>Do first:</b>"), "{text}");
    until("nothing to be owed", || {
        let text = watch(&site, &["alarms"]);
        (!text.contains("NOT DELIVERED")).then_some(())
    });
    until("the status to say so", || status(&site).contains("1 OPEN").then_some(()));
    assert!(!status(&site).contains("NOT DELIVERED"), "{}", status(&site));
}

/// The webhook hangs; mail goes out, and what the webhook owes is shown. watch is killed with the alarm under way.
#[test]
fn c09_alarm_survives_a_frozen_webhook_and_a_killed_watch() {
    let site = site();
    let mut hook = Sink::start("https", &site.home().join("hook"));
    let post = Sink::start("smtps", &site.home().join("post"));
    route(&site, &format!("{}{}", webhook(&site, &hook), mail(&site, &post, "implicit")));
    hook.is("frozen");
    let mut agent = Agent::start(&site, "web-1");
    agent.signal(Signal::KILL);
    post.mail("agent-killed");
    assert!(hook.took().is_empty());
    let shown = within(Duration::from_secs(20), || {
        let text = watch(&site, &["alarms"]);
        text.contains("NOT DELIVERED to pager").then_some(text)
    });
    assert!(shown.is_some_and(|text| !text.contains("NOT DELIVERED to mail")));
    until("the status to say so", || status(&site).contains("NOT DELIVERED").then_some(()));

    site.kill("watch");
    hook.is("ok");
    let told = hook.alarm("agent-killed");
    let id = told["id"].as_str().unwrap().to_owned();
    until("nothing to be owed", || {
        let text = watch(&site, &["alarms"]);
        (!text.contains("NOT DELIVERED")).then_some(())
    });
    // What it took stays taken, over another start.
    site.kill("watch");
    serves_again(&site);
    agent.run();
    agent.wait_until_watched(&site);
    hook.alarm("unclean-stop");
    let same = hook.took().into_iter().filter(|one| one["fields"]["writ-delivery"] == id.as_str());
    assert_eq!(same.filter(|one| one["mode"] == "ok").count(), 1);
    let mails = post.took();
    let killed = mails.iter().filter(|one| text_of(one).contains("page: agent-killed"));
    assert_eq!(killed.count(), 1, "mail was sent again");
}

#[test]
fn c09_file_that_is_unsound_is_said_so_with_its_line_and_the_last_one_goes_on() {
    let site = site();
    let mut post = Sink::start("smtp", &site.home().join("post"));
    let good = mail(&site, &post, "none");
    route(&site, &good);
    fs::write(site.dir().join("watch/watch.toml"), format!("{good}colour = 1\n")).unwrap();
    let (_, text) = post.mail("routes-unsound");
    assert!(text.contains("unknown field `colour`"), "{text}");
    assert!(text.contains("line 9"), "{text}");
    // Nobody to tell is a fault of the channel, not the end of it.
    post.is("refuse");
    fs::write(site.dir().join("watch/watch.toml"), format!("{good}# changed\n")).unwrap();
    until("the refusal to show", || {
        watch(&site, &["alarms"]).contains("550 nobody of that name").then_some(())
    });
    post.is("ok");
    post.mail("routes-changed");
}

/// trail frozen, and trail gone: watch says so by itself, and people hear of it.
#[test]
fn deadline_c09_trail_that_stands_still_is_an_alarm() {
    let site = site();
    let post = Sink::start("smtp", &site.home().join("post"));
    route(&site, &mail(&site, &post, "none"));
    watch(&site, &["test", "--by", "ann"]);
    post.mail("`ann` tries whether alarms arrive");
    let pid = site.pid("trail");
    process::signal(pid, Signal::STOP);
    let found = alarm_within(&site, "stream-silent", Duration::from_secs(20));
    println!("trail frozen to alarm: {found:?}");
    assert!(found.is_some_and(|time| time <= Duration::from_secs(3)), "{found:?}");
    post.mail("stream-silent");
    process::signal(pid, Signal::CONT);
    until("trail to be heard again", || alarm_within(&site, "stream-back", PATIENCE));
}

/// A second sshd that knows its own key, on another port, writing into the same log.
fn own_sshd(site: &Site, log: &Path) -> (Child, u16) {
    let key = |name: &str| site.home().join(name);
    for name in ["other-host", "other-user"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(key(name))
            .status();
        assert!(made.unwrap().success());
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sshd = Command::new("/usr/sbin/sshd")
        .args(["-D", "-f", "/dev/null", "-E"])
        .arg(log)
        .args(["-o", &format!("Port={port}"), "-o", "ListenAddress=127.0.0.1"])
        .args(["-o", &format!("HostKey={}", key("other-host").display())])
        .args(["-o", &format!("AuthorizedKeysFile={}", key("other-user.pub").display())])
        .args(["-o", "StrictModes=no", "-o", "PermitRootLogin=yes", "-o", "PidFile=none"])
        .args(["-o", "UsePAM=no"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until("sshd to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
    (sshd, port)
}

/// An agent on the gate's host, which follows its sshd's log.
fn agent_of(gate: &Gate<'_>) -> Agent {
    let own = gate.site().home().join("web-1.log").display().to_string();
    let real = gate.host.log_file().display().to_string();
    let mut agent = Agent::enrol_edited(gate.site(), "web-1", |text| text.replace(&own, &real));
    agent.run();
    agent.wait_until_open(gate.site());
    agent
}

/// Who comes through the bastion with a grant is no alarm; who comes with a key of their own is one.
#[test]
fn deadline_c05_login_that_no_grant_explains_is_an_alarm() {
    let site = gate::site();
    let gate = Gate::at(&site);
    let agent = agent_of(&gate);
    gate.grant(&[], "1h");
    assert_eq!(gate.runs(gate.ssh("anna", &[], &["echo", "legal"])), "legal\n");
    until("the login to be held", || {
        let lines = writ_tests::agent::lines(site.dir(), "web-1");
        lines
            .iter()
            .any(|line| line.contains("Accepted publickey") && line.contains("ses="))
            .then_some(())
    });
    until("the end to be told", || (!gate.events("EndSession").is_empty()).then_some(()));

    let (mut sshd, port) = own_sshd(&site, &gate.host.log_file());
    let login = Command::new("ssh")
        .args(["-p", &port.to_string(), "-o", "StrictHostKeyChecking=no", "-F", "none"])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-i"])
        .arg(site.home().join("other-user"))
        .args([&format!("{}@127.0.0.1", gate.host.user), "true"])
        .output()
        .unwrap();
    sshd.kill().unwrap();
    sshd.wait().unwrap();
    assert!(login.status.success(), "{}", String::from_utf8_lossy(&login.stderr));
    let found = alarm_within(&site, "access-without-grant", Duration::from_secs(5));
    assert!(found.is_some(), "{}\n{}", agent.printed(), gate.host.log());
    println!("login without a grant to alarm: {found:?}");
    let alarms = of_kind(&site, "access-without-grant");
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!((&alarms[0]["host"], &alarms[0]["detector"]), (&"web-1".into(), &"D-01".into()));
    // Over a start nothing of it is said twice, also when somebody has taken note.
    note_alarms(&site);
    site.kill("watch");
    serves_again(&site);
    agent.wait_until_watched(&site);
    assert!(of_kind(&site, "access-without-grant").iter().all(|a| a["acknowledged_by"] == "test"));
    // What a whole session with all its uses of keys left is no alarm, after the time that each has.
    std::thread::sleep(Duration::from_secs(12));
    for kind in
        ["access-without-grant", "key-use-untold", "event-without-use", "session-unrecorded"]
    {
        let open = of_kind(&site, kind).into_iter().filter(|a| a["acknowledged_by"].is_null());
        assert_eq!(open.count(), 0, "{kind}: {:?}", answer(&site));
    }
}

/// The bastion is frozen with an operator inside: no mark of the recording comes.
#[test]
fn deadline_c06_session_whose_recorder_stands_still_is_an_alarm() {
    let site = gate::site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    let pid = site.pid("bastion");
    let mut child = gate.ssh("anna", &[], &["cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let start = gate.event("StartSession", |_| true);
    process::signal(pid, Signal::STOP);
    let session = parameter(&start, "sessionId").to_owned();
    let found = alarm_within(&site, "session-unrecorded", Duration::from_secs(20));
    process::signal(pid, Signal::CONT);
    child.kill().unwrap();
    child.wait().unwrap();
    println!("recorder stopped to alarm: {found:?}");
    assert!(found.is_some(), "{:?}", answer(&site));
    let alarms = of_kind(&site, "session-unrecorded");
    assert!(alarms[0]["what"].as_str().unwrap().contains(&session), "{alarms:?}");
    assert!(alarm_within(&site, "recording-differs", Duration::from_millis(1)).is_none());
}

/// A day with a session, for the manager of its operator and for the security organisation, as text, HTML and mail.
#[test]
fn c09_summary_says_who_did_what() {
    let site = gate::site();
    let gate = Gate::at(&site);
    gate.grant(&[], "1h");
    gate.runs(gate.ssh("anna", &[], &["echo", "'<b>hello</b>'"]));
    gate.fails(gate.ssh("dora", &[], &["true"]));
    until("the end to be told", || (!gate.events("EndSession").is_empty()).then_some(()));
    fs::write(
        site.dir().join("watch/watch.toml"),
        "[[manager]]\nperson = \"boris\"\nmail = \"boris@example.com\"\nreports = [\"anna\", \"erik\"]\n",
    )
    .unwrap();
    let all = within(PATIENCE, || {
        let text = watch(&site, &["summary"]);
        (text.contains("ended:") && text.contains("dora")).then_some(text)
    });
    let all = all.unwrap_or_else(|| panic!("{}", watch(&site, &["summary"])));
    for part in ["anna", "$ echo '<b>hello</b>'", "approved ", "OPS-17", "dora", "REFUSED"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let own = watch(&site, &["summary", "--manager", "boris"]);
    assert!(own.contains("anna") && own.contains("Nothing of: erik"), "{own}");
    assert!(!own.contains("dora"), "{own}");
    let file = site.home().join("summary.html");
    watch(&site, &["summary", "--html", file.to_str().unwrap()]);
    let html = fs::read_to_string(&file).unwrap();
    assert!(html.contains("&lt;b&gt;hello&lt;/b&gt;") && !html.contains("<b>hello"), "{html}");
    let mut browser = Browser::start(site.home());
    browser.go(&format!("file://{}", file.display()));
    assert!(browser.text().contains("<b>hello</b>"), "{}", browser.text());
    browser.look("summary");
    // That of yesterday, of an empty day, goes out by itself, once.
    let post = Sink::start("smtp", &site.home().join("post"));
    let managers = fs::read_to_string(site.dir().join("watch/watch.toml")).unwrap();
    let daily = format!("{}[summary]\nat = \"00:00\"\n\n{managers}", mail(&site, &post, "none"));
    route(&site, &daily);
    let (took, text) = post.mail("Your people on");
    assert_eq!(took["to"], serde_json::json!(["boris@example.com"]));
    assert!(text.contains("Nobody asked for access"), "{text}");
    let (took, _) = post.mail("Operators on");
    assert_eq!(took["to"], serde_json::json!(["security@example.com"]));
    assert_eq!(post.took().iter().filter(|one| text_of(one).contains("Operators on")).count(), 1);

    let wrong = Command::new(binary())
        .args(["watch", "summary", "--manager", "carla", "--data"])
        .arg(site.dir())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("has no [[manager]] `carla`"));
}
