//! The console's page of alarms: watch's own word, and what its texts cannot do.

use rustix::process::Signal;
use writ_tests::Site;
use writ_tests::agent::{Agent, note_alarms};
use writ_tests::until;

use super::access::Shift;
use super::console::{Seat, assert_sound};

#[test]
fn alarm_of_watch_is_shown_with_what_to_do_and_who_noted_it() {
    let site = Site::start();
    let _shift = Shift::at(&site);
    let mut agent = Agent::start(&site, "web-1");
    let mut boris = Seat::of(&site, "boris");
    boris.sign_in("/alarms");
    boris.browser.look("console-alarms-none");
    assert_sound(&mut boris.browser);
    agent.signal(Signal::KILL);
    until("the alarm in the page", || {
        boris.open("/alarms");
        boris.browser.text().contains("agent-killed on web-1").then_some(())
    });
    let page = boris.browser.text();
    for line in ["What to do", "writ watch ack", "How the news goes out", "unwatched"] {
        assert!(page.contains(line), "{line}: {page}");
    }
    boris.browser.look("console-alarms-open");
    assert_sound(&mut boris.browser);
    note_alarms(&site);
    until("the note in the page", || {
        boris.open("/alarms");
        boris.browser.text().contains("No alarm is open").then_some(())
    });
    boris.browser.look("console-alarms-noted");
    assert_sound(&mut boris.browser);
    site.ledger().wait("the reading", |event| {
        event.text("/eventName") == "ReadAlarms"
            && event.text("/requestParameters/reader") == "boris"
    });
}
