//! The file of routes: what it takes, and what it says of what it does not take.

use super::*;

const MAIL: &str = "[[mail]]\nname = \"mail\"\nserver = \"mail.example:587\"\ntls = \"starttls\"\n\
                    from = \"writ@example.com\"\nto = [\"security@example.com\"]\n";

#[test]
fn file_says_whom_alarms_go_to() {
    let text = format!(
        "[[webhook]]\nname = \"pager\"\nurl = \"https://pager.example/a?b=c\"\n\n{MAIL}\n\
         [summary]\nat = \"06:30\"\n\n[[manager]]\nperson = \"boris\"\nmail = \"boris@example.com\"\n\
         reports = [\"anna\", \"dora\"]\n\n[console]\nshow = \"counts\"\n"
    );
    let routes = Routes::parse(&text).unwrap();
    assert_eq!(routes.channels(), ["pager", "mail"]);
    let hook = &routes.webhooks[0];
    assert_eq!(
        (hook.host.as_str(), hook.port, hook.path.as_str()),
        ("pager.example", 443, "/a?b=c")
    );
    assert_eq!(routes.summary.at, Some(390));
    assert_eq!(routes.summaries().unwrap().name, "mail");
    assert_eq!(routes.managers[0].reports.len(), 2);
    assert_eq!(routes.shown, Some(Shown::Counts));
    assert_eq!(Routes::parse("").unwrap().channels(), Vec::<String>::new());
}

#[test]
fn file_that_is_wrong_says_in_which_line_and_what_to_do() {
    let hook = |url: &str| format!("\n[[webhook]]\nname = \"a\"\nurl = \"{url}\"\n");
    let twice = format!("{MAIL}{MAIL}");
    for (text, part) in [
        (hook("http://pager.example/"), "line 4: without TLS"),
        (hook("ftp://pager.example/"), "line 4: `url` begins with https://"),
        (hook("https:///x"), "line 4: `url` names no host"),
        (hook("https://h/a b"), "line 4: `url` has characters"),
        ("[[webhook]]\nname = \"\"\nurl = \"https://h/\"\n".to_owned(), "line 2: a channel's name"),
        (twice, "line 8: there are two channels `mail`"),
        (MAIL.replace("starttls", "none"), "line 4: without TLS mail goes"),
        (MAIL.replace("starttls", "ssl"), "line 4: unknown variant `ssl`"),
        (MAIL.replace("security@example.com", "a\\r\\nRCPT TO:<b@c>"), "line 6: `to` is a list"),
        (format!("{MAIL}user = \"x\"\n"), "line 7: `user` wants a `password-file`"),
        ("[summary]\nat = \"25:00\"\n".to_owned(), "line 2: `at` is a time"),
        ("[summary]\nat = \"05:00\"\n".to_owned(), "line 2: summaries go by mail"),
        ("colour = 1\n".to_owned(), "line 1: unknown field `colour`"),
        ("[console]\nshow = \"some\"\n".to_owned(), "line 2: unknown variant"),
    ] {
        let error = Routes::parse(&text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn loopback_needs_no_tls() {
    for url in ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:9/"] {
        let text = format!("[[webhook]]\nname = \"a\"\nurl = \"{url}\"\n");
        assert!(Routes::parse(&text).is_ok(), "{url}");
    }
}
