//! C-05: reading a recording is access; nobody has it alone, and nobody lends theirs.

use serde_json::Value;
use writ_model::{Env as _, SystemEnv, Timestamp};
use writ_proof::access::{Opening, Scope};
use writ_proof::at_most::AtMost;
use writ_proof::ed25519::SoftKey;
use writ_proof::hpke::Recipient;
use writ_proof::statement::Signed;
use writ_tests::wait::until;

use crate::operators::crook::assert_refused;
use crate::operators::gate::{Gate, parameter, site};
use crate::operators::playback::{allowed, ask, open, opening, recorded, reviewers};

#[test]
fn c05_recording_is_opened_by_its_reader_with_approval_alone() {
    let site = site();
    let gate = Gate::at(&site);
    reviewers(&gate);
    gate.grant(&[], "1h");
    let (session, other) = (recorded(&gate, &[], "echo one"), recorded(&gate, &[], "echo two"));
    // Without approval, and with one's own.
    let waiting = ask(&gate, "dora", &session);
    let said = opening(&gate, "dora", &waiting, &session);
    let refused = |person: &str, said: &Opening, why: &str| {
        assert_refused(open(&gate, &gate.shift.signed(said, person)), "Refused", why);
    };
    refused("dora", &said, "there is no grant now");
    gate.shift.refused("dora", &["approve", &waiting], "their own request");
    gate.shift.ok("boris", &["approve", &waiting]);
    refused("dora", &opening(&gate, "dora", &waiting, &session), "there is no grant now");
    gate.shift.ok("carla", &["approve", &waiting]);
    // A colleague with the grant of another, in either name; another session; another request.
    let right = || opening(&gate, "dora", &waiting, &session);
    refused("anna", &right(), "the key that signed it is `anna`'s");
    refused("anna", &Opening { person: "anna".parse().unwrap(), ..right() }, "not `anna`'s");
    refused("dora", &Opening { session: other.parse().unwrap(), ..right() }, "another session");
    let digest = writ_proof::Hash([7; 32]);
    refused("dora", &Opening { request_digest: digest, ..right() }, "another request");
    let old = Timestamp::from_millis(SystemEnv.now().millis() - 301_000);
    refused("dora", &Opening { signed: old, ..right() }, "sign anew");
    let shell = gate.grant(&[], "1h");
    let ssh =
        Opening { person: "anna".parse().unwrap(), ..opening(&gate, "anna", &shell, &session) };
    refused("anna", &ssh, "something else than a recording");
    // The right one works once, also for who has copied it; with another recipient it is nobody's.
    let signed = gate.shift.signed(&right(), "dora");
    let mut bytes = signed.to_bytes();
    let mine = Recipient::new(&[7; 32]).unwrap().public();
    let at = bytes.windows(32).position(|some| *some == mine).unwrap();
    bytes[at..at + 32].copy_from_slice(&Recipient::new(&[8; 32]).unwrap().public());
    let fields = [("content-type", crate::operators::crook::CBOR)];
    let (status, _) = gate.shift.send("POST", "/writ/v1/openings", &fields, &bytes);
    assert_eq!(status, 403);
    let (status, told) = open(&gate, &signed);
    assert_eq!(status, 200, "{told}");
    assert_refused(open(&gate, &signed), "Refused", "used already");
    fetches(&gate, &told, &session, &other, &waiting);
    // Each of them is told, with its name for keyd.
    until("all refusals to be told", || {
        let refusals = gate.events("OpenRecording").into_iter().filter(|e| !e.error().is_empty());
        (refusals.count() >= 9).then_some(())
    });
    let verdict = site.verify();
    assert_eq!(verdict.code, 0, "{}", verdict.text);
}

/// The sealed bytes go to who has opened that recording, while the grant holds.
fn fetches(gate: &Gate<'_>, told: &Value, session: &str, other: &str, grant: &str) {
    let token = format!("Writ-Reading {}", told["token"].as_str().unwrap());
    let fetch = |session: &str, token: &str| {
        let target = format!("/writ/v1/sessions/{session}/recording?from=0");
        gate.shift.send("GET", &target, &[("authorization", token)], b"").0
    };
    assert_eq!(fetch(session, &token), 200);
    assert_eq!(fetch(other, &token), 403);
    assert_eq!(fetch(session, &format!("Writ-Reading {}", "00".repeat(32))), 403);
    assert_eq!(fetch(session, ""), 403);
    gate.shift.ok("boris", &["revoke", grant]);
    assert_eq!(fetch(session, &token), 403);
}

#[test]
fn c05_request_that_hides_whose_data_a_recording_shows_is_refused() {
    let site = site();
    let gate = Gate::at(&site);
    reviewers(&gate);
    gate.grant(&[], "1h");
    let session = recorded(&gate, &[], "echo one");
    let right = ask(&gate, "dora", &session);
    let with = |change: &dyn Fn(&mut writ_proof::access::PlaybackScope)| {
        let mut request = gate.shift.clone_of(&right);
        let Scope::Playback(scope) = &mut request.scope else { panic!() };
        change(scope);
        gate.shift.file(&gate.shift.signed(&request, "dora"))
    };
    assert_refused(with(&|s| s.accounts = Some(AtMost(Vec::new()))), "Refused", "all customers");
    let other = "222222222222".parse().unwrap();
    assert_refused(with(&|s| s.accounts = Some(AtMost(vec![other]))), "Refused", "all customers");
    assert_refused(with(&|s| s.host = "web-2".parse().unwrap()), "Refused", "another host");
    let gone = "01JD8Z3X5QJ6T4W0RZV9K2M7AB".parse().unwrap();
    assert_refused(with(&|s| s.session = gone), "NotFound", "no such recording");
}

/// Nobody learns from a refusal whether a session was, where, and whose data it showed, but who may ask.
#[test]
fn c05_refusal_of_a_stranger_tells_nothing_of_a_recording() {
    let site = site();
    let gate = Gate::at(&site);
    reviewers(&gate);
    gate.grant(&[], "1h");
    let session = recorded(&gate, &[], "echo one");
    let right = ask(&gate, "dora", &session);
    let with = |change: &dyn Fn(&mut writ_proof::access::PlaybackScope)| {
        let mut request = gate.shift.clone_of(&right);
        let Scope::Playback(scope) = &mut request.scope else { panic!() };
        change(scope);
        request
    };
    let gone = "01JD8Z3X5QJ6T4W0RZV9K2M7AB".parse().unwrap();
    let asked = [
        with(&|_| {}),
        with(&|s| s.host = "web-2".parse().unwrap()),
        with(&|s| s.session = gone),
        with(&|s| s.accounts = Some(AtMost(Vec::new()))),
    ];
    let stranger = SoftKey::from_seed(&[77; 32]).unwrap();
    let by = |signs: bool| {
        let told = asked.iter().map(|request| {
            let mut signed = Signed::new(request).unwrap();
            if signs {
                signed.sign(&stranger).unwrap();
            }
            gate.shift.file(&signed)
        });
        told.collect::<Vec<_>>()
    };
    for told in [by(false), by(true)] {
        assert!(told.iter().all(|one| one.0 == 403 && *one == told[0]), "{told:?}");
    }
    let told = gate.shift.file(&gate.shift.signed(&asked[1], "dora"));
    assert_refused(told, "Refused", "another host");
}

/// Neither the reader nor anybody else sees a recording that somebody has changed.
#[test]
fn c05_changed_recording_is_not_shown() {
    let site = site();
    let gate = Gate::at(&site);
    reviewers(&gate);
    gate.grant(&[], "1h");
    let (session, other) = (recorded(&gate, &[], "echo one"), recorded(&gate, &[], "echo two"));
    allowed(&gate, "dora", &session);
    assert!(gate.shift.ok("dora", &["play", &session]).contains("command: echo one"));
    let file = |session: &str, ending: &str| site.dir().join(format!("bastion/{session}.{ending}"));
    let (path, whole) = (file(&session, "rec"), std::fs::read(file(&session, "rec")).unwrap());
    let refused = |why: &str| gate.shift.refused("dora", &["play", &session], why);
    // A frame changed, the tail cut, all of it another's under this name.
    let mut changed = whole.clone();
    let at = whole.len() - 100;
    changed[at] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    refused("does not verify and is not shown");
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    refused("does not verify and is not shown");
    std::fs::copy(file(&other, "rec"), &path).unwrap();
    refused("of another session");
    std::fs::write(&path, &whole).unwrap();
    // An end that keyd did not sign, and that of another session.
    let end = std::fs::read(file(&session, "end")).unwrap();
    let mut forged = end.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    std::fs::write(file(&session, "end"), &forged).unwrap();
    refused("not signed by keyd");
    std::fs::write(file(&session, "end"), &end).unwrap();
    assert!(gate.shift.ok("dora", &["play", &session]).contains("command: echo one"));
    let opened = gate.events("OpenRecording");
    assert!(opened.iter().all(|event| parameter(event, "person") == "dora"));
}
