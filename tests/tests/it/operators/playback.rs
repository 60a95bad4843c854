//! Reading what was recorded: asked for, approved by others, opened with the reader's own key.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use writ_model::{Env as _, SystemEnv};
use writ_proof::access::Opening;
use writ_proof::hpke::Recipient;
use writ_proof::statement::Signed;
use writ_tests::site::{ANN, tools};
use writ_tests::wait::until;

use super::access::id_of;
use super::console::{Seat, assert_sound};
use super::gate::{Gate, parameter, site};
use super::roster::Desk;

/// The group that reads recordings: `dora` asks, `boris` and `carla` agree.
pub(crate) fn reviewers(gate: &Gate<'_>) {
    let desk = Desk::at(gate.site());
    let group = ["add-group", "review", "--title=Review", "--tier=sensitive", "--owner=anna"];
    let rules = ["--owner=boris", "--slot=peers:2:group:approvers", "--host=web-*"];
    desk.changes(&[&group[..], &rules, &["--kind=playback", "--max-hours=4"]].concat());
    for person in ["dora", "anna"] {
        desk.changes(&["add-member", "--group=review", "--person", person, "--days=90"]);
    }
}

/// Runs a command of `anna`'s on the host, in a session of its own; answers the session's id.
pub(crate) fn recorded(gate: &Gate<'_>, options: &[&str], command: &str) -> String {
    session(gate, gate.ssh("anna", options, &[command]))
}

/// Runs a client to its end; answers the session's id, once the ledger tells of its end.
fn session(gate: &Gate<'_>, client: Command) -> String {
    let before = gate.events("StartSession").len();
    gate.runs(client);
    let begun = until("the ledger to tell of the session", || {
        gate.events("StartSession").into_iter().nth(before)
    });
    let session = parameter(&begun, "sessionId").to_owned();
    gate.event("EndSession", |event| parameter(event, "sessionId") == session);
    session
}

/// Files `person`'s request for a recording; answers its id.
#[track_caller]
pub(crate) fn ask(gate: &Gate<'_>, person: &str, session: &str) -> String {
    let ask = ["request", "--group=review", "--playback", session, "--ticket=OPS-17"];
    let why = ["--reason=what was changed", "--basis=review", "--for=1h"];
    id_of(&gate.shift.ok(person, &[&ask[..], &why].concat()))
}

/// The same, approved.
#[track_caller]
pub(crate) fn allowed(gate: &Gate<'_>, person: &str, session: &str) -> String {
    let id = ask(gate, person, session);
    gate.shift.ok("boris", &["approve", &id]);
    let text = gate.shift.ok("carla", &["approve", &id]);
    assert!(text.contains("granted: "), "{text}");
    id
}

/// What a person signs to open a recording with a request.
pub(crate) fn opening(gate: &Gate<'_>, person: &str, request: &str, session: &str) -> Opening {
    let (signed, asked) = gate.shift.request(request);
    Opening {
        v: Default::default(),
        site: asked.site,
        request: asked.id,
        request_digest: signed.digest(),
        session: session.parse().unwrap(),
        person: person.parse().unwrap(),
        recipient: Recipient::new(&[7; 32]).unwrap().public(),
        signed: SystemEnv.now(),
    }
}

pub(crate) fn open(gate: &Gate<'_>, signed: &Signed) -> (u16, serde_json::Value) {
    let fields = [("content-type", super::crook::CBOR)];
    gate.shift.send("POST", "/writ/v1/openings", &fields, &signed.to_bytes())
}

#[test]
fn recording_is_played_and_exported_by_whom_others_allow() {
    let site = site();
    let gate = Gate::at(&site);
    reviewers(&gate);
    gate.grant(&[], "1h");
    let session =
        recorded(&gate, &["-tt"], "printf 'caf\\303\\251 \\033[31mred\\033[0m\\n'; sleep 0.2");
    gate.shift.refused("dora", &["play", &session], "no grant lets you read this recording");
    let id = ask(&gate, "dora", &session);
    gate.shift.ok("boris", &["approve", &id]);
    gate.shift.refused("dora", &["play", &session], "no grant lets you read this recording");
    gate.shift.ok("carla", &["approve", &id]);
    let played = gate.shift.ok("dora", &["play", &session, "--speed=100"]);
    assert!(played.contains("café \u{1b}[31mred\u{1b}[0m"), "{played}");
    for how in ["its chain", "its end signed by keyd", "marks of the ledger"] {
        assert!(played.contains(how), "{how}: {played}");
    }
    // Another program plays the export, and finds the same in it.
    for version in ["2", "3"] {
        let cast = site.home().join(format!("session-{version}.cast"));
        let file = cast.display().to_string();
        let written =
            gate.shift.ok("dora", &["play", &session, "--export", &file, "--cast", version]);
        assert!(written.contains("written to"), "{written}");
        gate.shift.refused("dora", &["play", &session, "--export", &file], "name another file");
        if version == "2" {
            let asciinema = tools().join("venv/bin/asciinema");
            let mut cat = Command::new(asciinema);
            cat.args(["cat", &file]).env("LANG", "C.UTF-8").env("HOME", site.home());
            let out = gate.runs(cat);
            assert!(out.contains("café \u{1b}[31mred\u{1b}[0m"), "{out}");
        }
    }
    // Everybody who is concerned is told: the operators by name, the customer by pseudonym.
    let told = gate.event("OpenRecording", |event| event.error().is_empty());
    assert_eq!(
        (parameter(&told, "person"), parameter(&told, "requestId"), parameter(&told, "sessionId")),
        ("dora", &*id, &*session)
    );
    assert_eq!(parameter(&told, "recordingOf"), "anna");
    let read = gate.event("ReadRecording", |_| true);
    assert_eq!((parameter(&read, "reader"), parameter(&read, "from")), ("dora", "0"));
    let customer = gate.event("OperatorRecordingOpened", |_| true);
    assert_eq!(customer.text("/recipientAccountId"), ANN);
    assert!(parameter(&customer, "operator").starts_with("op-"), "{customer:?}");
    assert!(!customer.record.to_string().contains("dora"), "{customer:?}");
    // The right ends like any other.
    gate.shift.ok("boris", &["revoke", &id]);
    gate.shift.refused("dora", &["play", &session], "no grant lets you read this recording");
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// What has no terminal is told in words: commands, and which files went where.
#[test]
fn recording_without_a_terminal_is_told_in_words() {
    let site = site();
    let gate = Gate::at(&site);
    reviewers(&gate);
    let folder = site.home().join("files");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("there").display().to_string();
    gate.grant(&["--command=echo hello", &format!("--file=rw:{}/", folder.display())], "1h");
    let session = recorded(&gate, &[], "echo hello");
    allowed(&gate, "dora", &session);
    let told = gate.shift.ok("dora", &["play", &session]);
    for line in ["command: echo hello", "ended with status 0; 0 bytes in, 6 bytes out"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let own = site.home().join("own").display().to_string();
    std::fs::write(&own, vec![7u8; 300_000]).unwrap();
    let copy = gate.copy("scp", "anna", &["-q", &own, &gate.there(&file)]);
    let session = self::session(&gate, copy);
    allowed(&gate, "dora", &session);
    let told = gate.shift.ok("dora", &["play", &session]);
    let sum = writ_proof::hash::sha256(&vec![7u8; 300_000]).to_string();
    let line = format!("put {file} (300000 bytes, SHA-256 {sum})");
    assert!(told.contains("subsystem sftp") && told.contains(&line), "{told}");
    let cast = site.home().join("none.cast").display().to_string();
    gate.shift.refused(
        "dora",
        &["play", &session, "--export", &cast],
        "no terminal and no command",
    );
}

/// The browser makes the key, has the passkey sign for it, verifies and plays; the console carries sealed bytes.
#[test]
fn recording_is_played_in_the_browser() {
    let site = site();
    let gate = Gate::at(&site);
    reviewers(&gate);
    gate.grant(&[], "1h");
    let other = recorded(&gate, &[], "echo one");
    let session =
        recorded(&gate, &["-tt"], "printf 'caf\\303\\251 \\033[31mred\\033[0m <b>\\n'; sleep 0.2");
    let mut dora = Seat::of(&site, "dora");
    dora.sign_in("/sessions");
    let listed = dora.browser.text();
    assert!(listed.contains("anna on web-1") && !listed.contains("you may read it"), "{listed}");
    assert_sound(&mut dora.browser);
    dora.open(&format!("/sessions/{session}"));
    let closed = dora.browser.text();
    assert!(closed.contains("No grant lets you read it now"), "{closed}");
    assert_sound(&mut dora.browser);
    dora.browser.look("console-session-closed");
    let id = ask(&gate, "dora", &session);
    dora.open(&format!("/requests/{id}"));
    assert!(dora.browser.text().contains("dora wants to read a recording of web-1"));
    dora.browser.look("console-request-playback");
    gate.shift.ok("boris", &["approve", &id]);
    gate.shift.ok("carla", &["approve", &id]);
    dora.open("/sessions");
    assert!(dora.browser.text().contains("you may read it"));
    dora.browser.look("console-sessions");
    dora.open(&format!("/sessions/{session}"));
    dora.browser.click("open-recording");
    dora.browser.until(
        "!document.getElementById('opened').hidden || \
         document.getElementById('play-said').className === 'status bad'",
    );
    let opened = dora.browser.text();
    assert!(opened.contains("verified: the chain, and the end that keyd signed"), "{opened}");
    assert!(opened.contains("Command: printf"), "{opened}");
    dora.browser.eval(
        "(() => { const place = document.getElementById('place'); place.value = place.max; \
         place.dispatchEvent(new Event('input')); })()",
    );
    let screen = dora.browser.eval("document.getElementById('screen').textContent");
    assert!(screen.as_str().unwrap().contains("café red <b>"), "{screen}");
    let red = dora.browser.eval("document.querySelector('#screen .t-ink-1').textContent");
    assert_eq!(red, "red");
    assert_sound(&mut dora.browser);
    dora.browser.look("console-session-played");
    // By itself, from the beginning, with a pause that is shortened.
    dora.browser.click("restart");
    dora.browser.click("toggle");
    dora.browser.until("document.getElementById('toggle').textContent === 'Play'");
    let told = gate.event("OpenRecording", |event| event.error().is_empty());
    assert_eq!((parameter(&told, "person"), parameter(&told, "sessionId")), ("dora", &*session));
    // Another recording is another request; another's statement is not taken.
    let key = URL_SAFE_NO_PAD.encode([7; 32]);
    let wanted = serde_json::json!({ "recipient": key });
    let (status, told) = dora.post(&format!("/sessions/{other}/statement"), &wanted);
    assert_eq!((status, told["error"].as_str()), (403, Some("Refused")), "{told}");
    let (status, told) = dora.post(&format!("/sessions/{session}/statement"), &wanted);
    assert_eq!(status, 200, "{told}");
    let statement = URL_SAFE_NO_PAD.decode(told["statement"].as_str().unwrap()).unwrap();
    let passkey = dora.answer(&statement, "playback@writ");
    let offer = serde_json::json!({ "statement": told["statement"], "passkey": passkey });
    let (status, told) = dora.post(&format!("/sessions/{other}/open"), &offer);
    assert_eq!((status, told["error"].as_str()), (403, Some("AccessDenied")), "{told}");
    // With a key of whoever sends it on: the signature is over the first.
    let at = statement.windows(32).position(|some| *some == [7; 32]).unwrap();
    let mut forged = statement.clone();
    forged[at..at + 32].fill(8);
    let offer = serde_json::json!({ "statement": URL_SAFE_NO_PAD.encode(forged), "passkey": offer["passkey"] });
    let (status, told) = dora.post(&format!("/sessions/{session}/open"), &offer);
    assert_eq!((status, told["error"].as_str()), (403, Some("BadSignature")), "{told}");
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}
