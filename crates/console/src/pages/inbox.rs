//! What waits for me, what I asked for, what I may do now.

use crate::view::{Inbox, Reader};

use super::words::time;
use super::{Made, lists, nothing};

pub(super) fn make(inbox: &Inbox, reader: &Reader) -> Made {
    let mut main = String::from("<h1>Inbox</h1>\n");
    let count = inbox.waits.len();
    let waits = match count {
        0 => "Nothing waits for you".to_owned(),
        1 => "One request waits for you".to_owned(),
        n => format!("{n} requests wait for you"),
    };
    main.push_str(&format!("<section aria-labelledby=\"waits\">\n<h2 id=\"waits\">{waits}</h2>\n"));
    if count == 0 {
        main.push_str(&nothing("When somebody asks for access that you may approve, it is here."));
    } else {
        main.push_str(&lists::cards(&inbox.waits, reader));
    }
    main.push_str(
        "</section>\n<section aria-labelledby=\"mine\">\n<h2 id=\"mine\">Your grants</h2>\n",
    );
    if inbox.grants.is_empty() {
        main.push_str(&nothing("You have no access to anything now."));
    } else {
        main.push_str(&lists::grant_table("Your grants", &inbox.grants, false));
    }
    main.push_str(
        "</section>\n<section aria-labelledby=\"asked\">\n<h2 id=\"asked\">Your requests</h2>\n",
    );
    main.push_str(lists::ASK);
    if inbox.requests.is_empty() {
        main.push_str(&nothing("You have not asked for anything."));
    } else {
        main.push_str(&lists::request_table("Your requests", &inbox.requests, false));
    }
    main.push_str("</section>\n");
    main.push_str(&format!(
        "<p class=\"hint\">Your session ends at {} if you ask for nothing more, and after 8 hours in any \
         case.</p>\n",
        time(reader.ends)
    ));
    let script = main.contains("class=\"call\"").then_some("/static/sign.js");
    Made { here: "/", title: "Inbox".to_owned(), script, main }
}
