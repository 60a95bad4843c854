//! What watch says: open alarms first, then what was noted, hosts, and the way of the news.

use std::fmt::Write as _;

use crate::html::text;
use crate::view::{AlarmView, AlarmsView, Reader};

use super::lists::{row, table};
use super::words::{badge, fact, length, time};
use super::{Made, nothing};

pub(super) fn make(view: &AlarmsView, reader: &Reader) -> Made {
    let mut main = String::from("<h1>Alarms</h1>\n");
    main.push_str(&heard(view, reader));
    if view.said.is_some() {
        match &view.alarms {
            Some(alarms) => main.push_str(&listed(alarms, view.open)),
            None => {
                writeln!(
                    main,
                    "<p class=\"standing {}\"><strong>{}</strong> What they say is for watch's own people alone: \
                     <code>writ watch alarms</code> on its machine.</p>",
                    if view.open == 0 { "open" } else { "bad" },
                    count(view.open),
                )
                .ok();
            }
        }
        main.push_str(&hosts(view));
        main.push_str(&delivery(view));
    }
    Made { here: "/alarms", title: "Alarms".to_owned(), script: None, main }
}

/// Whether watch is heard at all; if it is not, nothing below is worth much.
fn heard(view: &AlarmsView, reader: &Reader) -> String {
    let lede = "<p class=\"lede\">What watch says, signed by its own key. It is the security organisation's, and hears \
                nothing from here: whoever takes note of an alarm does it on watch's machine.</p>\n";
    let Some(said) = view.said else {
        return format!(
            "{lede}<p class=\"alert\" role=\"alert\"><strong>Nothing is known of alarms.</strong> {}. Is watch running? \
             <code>writ status</code> says so.</p>\n",
            text(&view.silent)
        );
    };
    if view.stale {
        return format!(
            "{lede}<p class=\"alert\" role=\"alert\"><strong>Watch has not been heard for {}.</strong> That is the worst news on \
             this page: what stands below may be over, and what is new is not here.</p>\n",
            length(said, reader.now)
        );
    }
    format!("{lede}<p class=\"hint\">Watch spoke last at {}.</p>\n", time(said))
}

fn count(open: u64) -> String {
    match open {
        0 => "No alarm is open.".to_owned(),
        1 => "One alarm is open.".to_owned(),
        n => format!("{n} alarms are open."),
    }
}

fn listed(alarms: &[AlarmView], open: u64) -> String {
    let mut html = format!(
        "<section aria-labelledby=\"open\">\n<h2 id=\"open\">{}</h2>\n",
        count(open).trim_end_matches('.')
    );
    let waiting: Vec<&AlarmView> = alarms.iter().filter(|one| one.noted.is_none()).collect();
    if waiting.is_empty() {
        html.push_str(&nothing("Nothing waits for anybody."));
    } else {
        html.push_str("<ul class=\"cards\">\n");
        waiting.iter().for_each(|one| html.push_str(&card(one)));
        html.push_str("</ul>\n");
    }
    html.push_str(
        "</section>\n<section aria-labelledby=\"noted\">\n<h2 id=\"noted\">Taken note of</h2>\n",
    );
    let noted: Vec<&AlarmView> = alarms.iter().filter(|one| one.noted.is_some()).collect();
    if noted.is_empty() {
        html.push_str(&nothing("None of the newest alarms."));
    } else {
        html.push_str(&table(
            "Alarms that somebody took note of",
            &["Alarm", "What", "Since", "Noted"],
        ));
        for one in noted {
            let by = one.noted.as_ref();
            let by = by.map(|(by, at)| format!("{} {}", text(by), time(*at))).unwrap_or_default();
            row(
                &mut html,
                &[
                    ("Alarm", format!("{} {}", name(one), host(one))),
                    ("What", text(&one.what).to_string()),
                    ("Since", time(one.at)),
                    ("Noted", by),
                ],
            );
        }
        html.push_str("</tbody></table>\n");
    }
    html.push_str("</section>\n");
    html
}

fn name(one: &AlarmView) -> String {
    format!("<code>{}</code>", text(&one.kind))
}

fn host(one: &AlarmView) -> String {
    let host = one.host.as_ref();
    host.map_or(String::new(), |host| format!("on <code>{}</code>", text(host)))
}

fn card(one: &AlarmView) -> String {
    let mut rows = String::new();
    fact(&mut rows, "What to do", &format!("<strong>{}</strong>", text(&one.todo)));
    fact(&mut rows, "Since", &time(one.at));
    if one.again > 0 {
        let again =
            format!("{} more, the last {}: {}", one.again, time(one.last), text(&one.last_what));
        fact(&mut rows, "Again", &again);
    }
    if !one.undelivered.is_empty() {
        let owed = format!("not yet by {}", text(&one.undelivered.join(", ")));
        fact(&mut rows, "Told", &owed);
    }
    let note = format!("<code>writ watch ack {} --by NAME</code> on watch's machine", one.number);
    fact(&mut rows, "Take note", &note);
    format!(
        "<li class=\"card {severity}\"><h3>{name} {host} {badge}</h3>\n<p>{what}</p>\n<dl class=\"rows\">\n{rows}</dl></li>\n",
        severity = text(&one.severity),
        name = name(one),
        host = host(one),
        badge = badge(&one.severity),
        what = text(&one.what),
    )
}

fn hosts(view: &AlarmsView) -> String {
    let mut html =
        String::from("<section aria-labelledby=\"hosts\">\n<h2 id=\"hosts\">Hosts</h2>\n");
    if view.hosts.is_empty() {
        html.push_str(&nothing("No host has an agent yet: <code>writ watch token HOST</code>."));
    } else {
        html.push_str(&table("Hosts and whether they are watched", &["Host", "State"]));
        for (host, unwatched) in &view.hosts {
            let state = match unwatched {
                None => badge("watched"),
                Some(why) => format!("{} {}", badge("unwatched"), text(why)),
            };
            let host = format!("<code>{}</code>", text(host));
            row(&mut html, &[("Host", host), ("State", state)]);
        }
        html.push_str("</tbody></table>\n");
    }
    html.push_str("</section>\n");
    html
}

fn delivery(view: &AlarmsView) -> String {
    let mut html = String::from(
        "<section aria-labelledby=\"delivery\">\n<h2 id=\"delivery\">How the news goes out</h2>\n",
    );
    if view.channels.is_empty() {
        html.push_str(&nothing(
            "Nowhere: watch has no webhook and no mail, so nobody is woken by an alarm.",
        ));
    } else {
        html.push_str(&table("Ways by which watch tells people", &["Way", "Waits", "State"]));
        for channel in &view.channels {
            let state = match &channel.fault {
                None => badge("works"),
                Some(fault) => format!("{} {}", badge("fails"), text(fault)),
            };
            row(
                &mut html,
                &[
                    (
                        "Way",
                        format!("{} <code>{}</code>", text(&channel.kind), text(&channel.name)),
                    ),
                    ("Waits", channel.waiting.to_string()),
                    ("State", state),
                ],
            );
        }
        html.push_str("</tbody></table>\n");
    }
    html.push_str("</section>\n");
    html
}
