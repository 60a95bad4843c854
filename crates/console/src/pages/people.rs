//! The roster: groups with their members, rule and rights, and people with their keys.

use std::fmt::Write as _;

use writ_proof::roster::{Group, KeyKind};

use crate::html::text;
use crate::view::{Page, PersonView, Reader};
use crate::words::rule;

use super::lists::{row, table};
use super::words::{badge, fact, list, marked, time};
use super::{Made, more, nothing};

pub(super) fn groups(reader: &Reader) -> Made {
    let roster = &reader.roster;
    let mut main = format!(
        "<h1>Groups</h1>\n<p class=\"lede\">The roster at statement {}: who may ask for what, and who must agree. \
         It changes by signed statements alone: <code>writ roster propose</code>.</p>\n",
        roster.seq()
    );
    let short = roster.understaffed(reader.now);
    if !short.is_empty() {
        let short: Vec<String> = short.iter().map(ToString::to_string).collect();
        write!(main, "<div class=\"alert\"><p>Too few people:</p>\n{}</div>\n", list(&short)).ok();
    }
    for group in roster.groups() {
        main.push_str(&group_card(group, reader));
    }
    Made { here: "/groups", title: "Groups".to_owned(), script: None, main }
}

fn group_card(group: &Group, reader: &Reader) -> String {
    let roster = &reader.roster;
    let mut facts = String::new();
    let owners: Vec<&str> = group.owners.0.iter().map(|owner| owner.as_str()).collect();
    let owners = if owners.is_empty() { "–".to_owned() } else { owners.join(", ") };
    fact(&mut facts, "Owners", &text(&owners).to_string());
    let rules = rule(group);
    let rules = if rules.is_empty() {
        "Nobody asks by it: it approves and signs".to_owned()
    } else {
        rules.join("; ")
    };
    fact(&mut facts, "Must agree", &marked(&rules));
    if let Some(rights) = &group.rights {
        let hosts: Vec<String> = rights.hosts.0.iter().map(ToString::to_string).collect();
        let reaches =
            if roster.reaches_customers(&group.name) { " · customers' data" } else { "" };
        let rights = format!(
            "<code>{}</code> on <code>{}</code>, at most {} h{reaches}",
            text(&rights.logins.0.join(", ")),
            text(&hosts.join(", ")),
            rights.max_hours
        );
        fact(&mut facts, "Members may ask for", &rights);
    }
    let mut html = format!(
        "<section class=\"step\" aria-labelledby=\"group-{name}\">\n<h2 id=\"group-{name}\"><code>{name}</code> \
         {title} {tier}</h2>\n<dl class=\"facts\">\n{facts}</dl>\n",
        name = text(group.name.as_str()),
        title = text(&group.title),
        tier = badge(group.tier.as_str()),
    );
    let members: Vec<_> = roster.members(&group.name).collect();
    if members.is_empty() {
        html.push_str(&nothing("It has no members."));
    } else {
        html.push_str(&table(
            &format!("Members of {}", group.name),
            &["Member", "Since", "Until", "State"],
        ));
        for (person, member) in members {
            let counts = roster.member(&group.name, person, reader.now).is_some();
            let until = member.expires.map_or("no end".to_owned(), time);
            row(
                &mut html,
                &[
                    ("Member", text(person.as_str()).to_string()),
                    ("Since", time(member.from)),
                    ("Until", until),
                    ("State", badge(if counts { "member" } else { "over" })),
                ],
            );
        }
        html.push_str("</tbody></table>\n");
    }
    html.push_str("</section>\n");
    html
}

pub(super) fn people(page: &Page<PersonView>, reader: &Reader) -> Made {
    let mut main = String::from(
        "<h1>People</h1>\n<p class=\"lede\">HR only takes away. What somebody may sign, the roster says.</p>\n",
    );
    main.push_str(&table("People, by id", &["Person", "Keys", "Groups", "HR"]));
    for person in &page.items {
        main.push_str(&person_row(person, reader));
    }
    main.push_str("</tbody></table>\n");
    main.push_str(&more("/people", page.next.as_ref()));
    Made { here: "/people", title: "People".to_owned(), script: None, main }
}

fn person_row(person: &PersonView, reader: &Reader) -> String {
    let roster = &reader.roster;
    let count =
        |kind: KeyKind| roster.keys(&person.id).iter().filter(|key| key.kind() == kind).count();
    let keys: Vec<String> = [KeyKind::Passkey, KeyKind::SecurityKey, KeyKind::Software]
        .into_iter()
        .filter(|kind| count(*kind) > 0)
        .map(|kind| format!("{} {}", count(kind), kind.as_str()))
        .collect();
    let keys = if keys.is_empty() { "not enrolled".to_owned() } else { keys.join(", ") };
    let groups = roster.groups_of(&person.id, reader.now);
    let groups: Vec<&str> = groups.map(|(group, _)| group.name.as_str()).collect();
    let groups = if groups.is_empty() { "–".to_owned() } else { groups.join(", ") };
    let hr = match (person.hr, &person.denied) {
        (None, _) => "not in the feed".to_owned(),
        (Some(state), None) => badge(state),
        (Some(state), Some(why)) => format!("{} {}", badge(state), marked(why)),
    };
    let mut html = String::new();
    row(
        &mut html,
        &[
            ("Person", format!("<strong>{}</strong>", text(person.id.as_str()))),
            ("Keys", text(&keys).to_string()),
            ("Groups", text(&groups).to_string()),
            ("HR", hr),
        ],
    );
    html
}
