//! Making a request: what a person wants is checked as if it were filed, the exact bytes go out, their signature
//! comes back.

use serde::Deserialize;
use serde_json::{Value, json};
use writ_model::{AccountId, Timestamp};
use writ_proof::access::{Basis, OWN_TICKETS, Request as Asked, Scope, SshScope, Ticket};
use writ_proof::at_most::AtMost;
use writ_proof::roster::{GroupName, HostName};
use writ_proof::statement::Namespace;
use writ_service::http::{Refused, Reply, Request};

use crate::face::Face;
use crate::pages;
use crate::port::{Act, Books, Want};
use crate::routes::json_reply;
use crate::signing::{answered, offered_statement, to_sign, usable};
use crate::view::Reader;

/// What the form sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    group: String,
    hosts: Vec<String>,
    login: String,
    shell: bool,
    commands: Vec<String>,
    files: Vec<String>,
    ticket: String,
    basis: String,
    account: String,
    reason: String,
    /// `2026-12-01T20:00`, in UTC; empty for now.
    start: String,
    minutes: u32,
}

/// Shows what would come of a request, and gives out its bytes to sign.
pub(crate) async fn check(
    books: &dyn Books,
    face: &Face,
    reader: &Reader,
    request: &Request,
) -> Reply {
    let read = || {
        let form: Form = serde_json::from_slice(&request.body)
            .map_err(|_| Refused::new(400, "Malformed", "the body is not what the form sends"))?;
        Ok((want(form)?, usable(reader, face)?))
    };
    let (want, passkeys) = match read() {
        Ok(read) => read,
        Err(refused) => return failed(books, reader, request, refused).await,
    };
    let draft = match books.draft(want, reader, request).await {
        Ok(draft) => draft,
        Err(refused) => return refused.reply(),
    };
    let mut reply = match to_sign(&draft.request, face, &passkeys) {
        Ok(reply) => reply,
        Err(refused) => return refused.reply(),
    };
    let code = reply.get("code").and_then(Value::as_str).unwrap_or_default();
    let html = pages::draft(&draft, code, reader);
    if let Value::Object(fields) = &mut reply {
        fields.insert("html".to_owned(), html.into());
    }
    json_reply(200, &reply)
}

/// Takes a signed request.
pub(crate) async fn file(
    books: &dyn Books,
    face: &Face,
    reader: &Reader,
    request: &Request,
) -> Reply {
    let read = || {
        let (asked, passkey) = offered_statement::<Asked>(request, "request")?;
        if asked.requester != reader.person {
            let what = format!(
                "it is a request of `{}`, and `{}` is signed in",
                asked.requester, reader.person
            );
            return Err(Refused::new(403, "AccessDenied", what));
        }
        let signature = answered(&passkey, (reader, face), Namespace::Request.as_str())?;
        Ok((asked, signature))
    };
    let (asked, signature) = match read() {
        Ok(read) => read,
        Err(refused) => return failed(books, reader, request, refused).await,
    };
    match books.file(asked, signature, reader, request).await {
        Ok(id) => json_reply(200, &json!({ "id": id })),
        Err(refused) => refused.reply(),
    }
}

/// What the form says. Whether it may be asked for is not known yet.
fn want(form: Form) -> Result<Want, Refused> {
    let bad = |what: String| Refused::new(400, "Malformed", what);
    let group: GroupName =
        form.group.parse().map_err(|_| bad("choose the group as whose member you ask".into()))?;
    let hosts: Result<Vec<HostName>, _> = form.hosts.iter().map(|host| host.parse()).collect();
    let hosts = hosts.map_err(|_| bad("a host has no such name".into()))?;
    if hosts.is_empty() {
        return Err(bad("choose a host at least".into()));
    }
    let files: Result<Vec<_>, _> = lines(&form.files).map(|line| line.parse()).collect();
    let files = files.map_err(|error: writ_model::ParseError| bad(error.to_string()))?;
    let commands: Vec<String> = lines(&form.commands).map(str::to_owned).collect();
    if !form.shell && commands.is_empty() && files.is_empty() {
        return Err(bad("ask for something: a shell, commands or files".into()));
    }
    let basis = Basis::ALL.into_iter().find(|known| known.as_str() == form.basis);
    let account = match form.account.trim() {
        "" => None,
        text => {
            let account: Result<AccountId, _> = text.parse();
            Some(account.map_err(|_| bad("an account has 12 digits".into()))?)
        }
    };
    let (system, id) = form.ticket.trim().split_once('/').unwrap_or((OWN_TICKETS, &form.ticket));
    let ticket = Ticket { system: system.trim().to_owned(), id: id.trim().to_owned() };
    if ticket.id.is_empty() {
        return Err(bad("name the ticket of the work".into()));
    }
    if form.reason.trim().is_empty() {
        return Err(bad("say why, in words that the approvers read".into()));
    }
    if form.minutes == 0 {
        return Err(bad("ask for a minute at least".into()));
    }
    let scope = SshScope {
        hosts: AtMost(hosts),
        login: form.login,
        interactive: form.shell,
        commands: AtMost(commands),
        files: AtMost(files),
    };
    Ok(Want {
        group,
        scope: Scope::Ssh(scope),
        ticket,
        basis: basis.ok_or_else(|| bad("choose the kind of reason".into()))?,
        account,
        // A form ends its lines as HTTP does.
        reason: form.reason.replace("\r\n", "\n").trim().to_owned(),
        start: start(&form.start)?,
        minutes: form.minutes,
    })
}

fn lines(all: &[String]) -> impl Iterator<Item = &str> {
    all.iter().map(|line| line.trim()).filter(|line| !line.is_empty())
}

/// The time of a field `datetime-local`, which is in UTC here.
fn start(text: &str) -> Result<Option<Timestamp>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let seconds = if text.len() == 16 { ":00" } else { "" };
    let at = Timestamp::parse_iso(&format!("{text}{seconds}Z"));
    at.map(Some).map_err(|_| {
        Refused::new(400, "Malformed", "the beginning is no time such as 2026-12-01T20:00")
    })
}

async fn failed(books: &dyn Books, reader: &Reader, request: &Request, refused: Refused) -> Reply {
    books.refused(Act::Ask, &refused, Some(reader), request).await;
    refused.reply()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Value {
        json!({
            "group": "oncall", "hosts": ["web-1"], "login": "svc", "shell": true, "commands": [""],
            "files": [" ro:/var/log/ "], "ticket": "OPS-17", "basis": "service", "account": "",
            "reason": " one\r\ntwo ", "start": "", "minutes": 60,
        })
    }

    fn read(form: Value) -> Result<Want, String> {
        want(serde_json::from_value(form).unwrap()).map_err(|refused| refused.message)
    }

    #[test]
    fn form_becomes_what_the_command_line_would_ask() {
        let Want { scope, ticket, reason, start, .. } = read(form()).unwrap();
        let Scope::Ssh(scope) = scope else { panic!() };
        assert_eq!(scope.commands.0, Vec::<String>::new());
        assert_eq!(scope.files.0[0].to_string(), "list,read,stat:/var/log/");
        assert_eq!((&*ticket.system, &*ticket.id), ("writ", "OPS-17"));
        assert_eq!((&*reason, start), ("one\ntwo", None));
        let mut later = form();
        later["start"] = "2026-12-01T20:00".into();
        assert_eq!(read(later).unwrap().start.unwrap().iso(), "2026-12-01T20:00:00Z");
    }

    #[test]
    fn form_that_says_too_little_says_what_is_missing() {
        let cases = [
            ("group", json!(""), "choose the group"),
            ("hosts", json!([]), "choose a host"),
            ("files", json!(["all:/"]), "a rule for files"),
            ("ticket", json!(" "), "name the ticket"),
            ("basis", json!("mood"), "the kind of reason"),
            ("account", json!("12"), "12 digits"),
            ("reason", json!(" \r\n"), "say why"),
            ("start", json!("tomorrow"), "no time"),
            ("minutes", json!(0), "a minute"),
        ];
        for (field, value, why) in cases {
            let mut form = form();
            form[field] = value;
            let said = read(form).unwrap_err();
            assert!(said.contains(why), "{field}: {said}");
        }
        let mut nothing = form();
        nothing["shell"] = false.into();
        nothing["files"] = json!([]);
        assert!(read(nothing).unwrap_err().contains("ask for something"));
    }
}
