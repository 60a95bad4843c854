//! C-08 for people: who leaves is out within one second of the feed that says so, with a receipt.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use writ_model::{Env as _, SystemEnv, Timestamp};
use writ_tests::ledger::Event;
use writ_tests::process;
use writ_tests::wait::within;
use writ_tests::{Site, until};

use crate::operators::people::{Staffed, line};
use crate::operators::roster::Desk;

/// From the feed's new name to the last thing that is still open.
const DEADLINE: Duration = Duration::from_secs(1);

/// A founder, whose key is enrolled, and whom HR knows too.
const FOUNDER: &str = "founder-1";

fn reads(staffed: &Staffed) -> bool {
    staffed.cli(&[]).code == 0
}

fn staff(founder: &str, joiners: usize) -> Vec<String> {
    let joiner = |n| line(&format!("new-{n}"), "active", "");
    let both = [line(FOUNDER, founder, ""), line("other", "active", "")];
    both.into_iter().chain((0..joiners).map(joiner)).collect()
}

fn receipt(staffed: &Staffed) -> Value {
    staffed.person(FOUNDER).unwrap()["receipt"]["ended"].clone()
}

fn signal(site: &Site, role: &str, signal: Signal) {
    let all = site.processes();
    let process = all.iter().find(|process| process.role == role).unwrap();
    assert!(process::signal(process.pid, signal));
}

#[test]
fn c08_leaver_is_out_within_a_second_with_a_receipt() {
    let staffed = Staffed::start();
    assert!(reads(&staffed), "a founder whom HR does not know reads");
    staffed.deliver(&staff("active", 0));
    staffed.wait_for(FOUNDER, "enabled");
    assert!(reads(&staffed));
    // Many joiners in the same file do not hold the leaver back.
    let delivered = Instant::now();
    staffed.deliver(&staff("terminated", 300));
    let out = within(DEADLINE, || (!reads(&staffed)).then(|| delivered.elapsed()));
    let out = out.expect("the leaver still reads after a second");
    let event = staffed.event("PersonLeft", FOUNDER);
    let recorded: Value = serde_json::from_str(event.text("/requestParameters/receipt")).unwrap();
    assert_eq!(recorded["ended"], receipt(&staffed));
    let what: Vec<&str> = recorded["ended"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["what"].as_str().unwrap())
        .collect();
    assert_eq!(what, ["person", "enrolment", "membership"]);
    assert!(recorded["ended"].as_array().unwrap().iter().all(|item| item["at"].is_u64()));
    staffed.wait_for("new-299", "enabled");
    let summary = staffed.told("TakeHrFeed", "endedAfterMs", "");
    let took: u64 = summary.text("/requestParameters/endedAfterMs").parse().unwrap();
    println!("out after {out:?}; published after {took} ms by the record");
    assert!(took <= 1000, "by the record it took {took} ms");
    // Each later attempt is denied and recorded, and a re-hire's old key opens nothing.
    assert!(!reads(&staffed));
    staffed.deliver(&staff("active", 300));
    staffed.wait_for(FOUNDER, "gated");
    assert!(!reads(&staffed));
}

/// HR's word takes the pen away long before a statement takes the key out of the roster, and whoever HR
/// does not name gets no key.
#[test]
fn c08_leaver_signs_nothing_and_strangers_get_nothing() {
    let staffed = Staffed::start();
    let desk = Desk::at(&staffed.site);
    staffed.deliver(&staff("active", 1));
    staffed.wait_for("new-0", "enabled");
    desk.enrol("new-0");
    desk.key("nobody");
    let public = staffed.site.home().join("nobody.pub");
    let stranger = ["enrol", "--person", "nobody", "--key", public.to_str().unwrap()];
    let refused = desk.change(&stranger, &[1, 2]);
    assert_ne!(refused.code, 0);
    assert!(refused.text.contains("names nobody of this id"), "{}", refused.text);
    staffed.deliver(&staff("terminated", 1));
    staffed.wait_for(FOUNDER, "left");
    let change = ["set-origins", "--origin", "https://writ.example:8441"];
    let refused = desk.change(&change, &[1, 2]);
    assert_ne!(refused.code, 0);
    assert!(refused.text.contains("`founder-1` may not sign now"), "{}", refused.text);
    let told = |event: &Event| {
        event.text("/eventName") == "SubmitStatement"
            && event.text("/errorMessage").contains("may not sign now")
    };
    staffed.site.ledger().wait("the refused statement", told);
    let done = desk.change(&change, &[2, 3]);
    assert_eq!(done.code, 0, "{}", done.text);
    assert_eq!(staffed.site.verify().code, 0);
}

#[test]
fn c08_leaver_is_out_while_the_key_module_hangs() {
    let staffed = Staffed::start();
    staffed.deliver(&staff("active", 0));
    staffed.wait_for(FOUNDER, "enabled");
    signal(&staffed.site, "keyd", Signal::STOP);
    let delivered = Instant::now();
    staffed.deliver(&staff("terminated", 0));
    let out = within(DEADLINE, || (!reads(&staffed)).then(|| delivered.elapsed()));
    signal(&staffed.site, "keyd", Signal::CONT);
    println!("out after {:?}", out.expect("the leaver still reads after a second"));
    assert!(receipt(&staffed)[1]["at"].is_null(), "keyd has not acknowledged the end");
    staffed.event("ConfirmPersonEnd", FOUNDER);
    until("the receipt to be whole", || receipt(&staffed)[1]["at"].is_u64().then_some(()));
}

#[test]
fn c08_suspended_person_is_out_until_hr_says_active() {
    let staffed = Staffed::start();
    staffed.deliver(&staff("active", 0));
    staffed.wait_for(FOUNDER, "enabled");
    staffed.deliver(&staff("leave", 0));
    staffed.wait_for(FOUNDER, "suspended");
    assert!(!reads(&staffed));
    staffed.deliver(&staff("active", 0));
    staffed.wait_for(FOUNDER, "enabled");
    assert!(reads(&staffed));
}

/// No job has to run: the clock alone ends a contractor's access, and an expired gate's.
#[test]
fn c08_contractor_is_out_when_the_time_is_over() {
    let staffed = Staffed::start();
    let until = Timestamp::from_secs(SystemEnv.now().secs() + 6);
    let contractor = |valid: &str, training: &str| {
        format!(
            "{FOUNDER},f1,F,,contractor,active,,t1,j1,,{valid},2026-01-02,1@2026-01-02,{training},not_required\n"
        )
    };
    let end = until.iso();
    for (round, line) in
        [contractor(&end, "2099-12-31"), contractor("2099-12-31", &end)].into_iter().enumerate()
    {
        // The second time, the moment has come already: the delivery itself finds it.
        staffed.deliver(&[line]);
        if round == 0 {
            staffed.wait_for(FOUNDER, "enabled");
            assert!(reads(&staffed));
            let left = Duration::from_millis(until.millis() - SystemEnv.now().millis());
            std::thread::sleep(left);
            assert!(!reads(&staffed), "the time is over");
        }
        let person = staffed.wait_for(FOUNDER, "suspended");
        assert_eq!(person["why"], "gate");
        assert!(!reads(&staffed));
    }
}
