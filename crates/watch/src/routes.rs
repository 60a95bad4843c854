//! `watch.toml` in watch's own folder: whom alarms and summaries go to. It belongs to the security organisation;
//! nothing of the control side writes it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use writ_model::PersonId;

use crate::limits::{CHANNELS_MAX, MANAGERS_MAX, RECIPIENTS_MAX, REPORTS_MAX};

/// The file's name in watch's folder.
pub const FILE: &str = "watch.toml";

/// The whole file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) mails: Vec<Mail>,
    pub(crate) summary: Summary,
    pub(crate) managers: Vec<Manager>,
    /// Whether the control side may see alarms, or their number alone; the mode decides without it.
    pub(crate) shown: Option<Shown>,
}

/// What the word for the control side holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shown {
    All,
    Counts,
}

/// Where alarms are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) is_tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    /// Authorities in PEM that its certificate may be of; the system's without.
    pub(crate) ca: Option<PathBuf>,
}

/// Where mail goes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: MailTls,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

/// How the connection to the mail server is kept to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MailTls {
    /// TLS from the first byte (RFC 8314), port 465.
    Implicit,
    /// Not at all; to this very machine alone.
    None,
    /// Asked for by STARTTLS (RFC 3207), port 587; without it nothing is sent.
    Starttls,
}

/// When and by which channel summaries go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Summary {
    /// Minutes after midnight in UTC.
    pub(crate) at: Option<u32>,
    /// The channel; the first of mail without.
    pub(crate) channel: Option<String>,
}

/// Whose people a summary is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) person: PersonId,
    pub(crate) mail: String,
    pub(crate) reports: BTreeSet<PersonId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    webhook: Vec<WebhookTable>,
    #[serde(default)]
    mail: Vec<MailTable>,
    summary: Option<SummaryTable>,
    #[serde(default)]
    manager: Vec<ManagerTable>,
    console: Option<ConsoleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WebhookTable {
    name: Spanned<String>,
    url: Spanned<String>,
    ca: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct MailTable {
    name: Spanned<String>,
    server: Spanned<String>,
    tls: Spanned<MailTls>,
    ca: Option<PathBuf>,
    user: Option<Spanned<String>>,
    password_file: Option<PathBuf>,
    from: Spanned<String>,
    to: Spanned<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SummaryTable {
    at: Spanned<String>,
    channel: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ManagerTable {
    person: Spanned<String>,
    mail: Spanned<String>,
    reports: Spanned<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ConsoleTable {
    show: Shown,
}

/// A complaint about the text: in which line, and what to do.
struct Complaints<'a>(&'a str);

impl Complaints<'_> {
    fn at<T, R>(&self, place: &Spanned<T>, what: impl AsRef<str>) -> Result<R, String> {
        let before = self.0.get(..place.span().start).unwrap_or_default();
        let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
        Err(format!("line {line}: {}", what.as_ref()))
    }
}

impl Routes {
    /// Reads the file's text.
    ///
    /// # Errors
    /// The line, what is wrong there, and what to do.
    pub(crate) fn parse(text: &str) -> Result<Routes, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let before = text.get(..span.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        })?;
        let say = Complaints(text);
        let mut names = BTreeSet::new();
        let mut named = |name: &Spanned<String>| -> Result<String, String> {
            let text = name.get_ref();
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if !(1..=40).contains(&text.len()) || !text.bytes().all(plain) {
                return say
                    .at(name, "a channel's name has 1 to 40 letters, digits, `-`, `_` and `.`");
            }
            if !names.insert(text.clone()) {
                return say
                    .at(name, format!("there are two channels `{text}`: give each its own name"));
            }
            if names.len() > CHANNELS_MAX {
                return say.at(name, format!("there are more than {CHANNELS_MAX} channels"));
            }
            Ok(text.clone())
        };
        let mut routes = Routes { shown: file.console.map(|c| c.show), ..Routes::default() };
        for table in file.webhook {
            let name = named(&table.name)?;
            routes.webhooks.push(webhook(&say, name, table)?);
        }
        for table in file.mail {
            let name = named(&table.name)?;
            routes.mails.push(mail(&say, name, table)?);
        }
        if let Some(table) = file.summary {
            routes.summary = summary(&say, &table, &routes.mails)?;
        }
        if file.manager.len() > MANAGERS_MAX {
            return Err(format!("there are more than {MANAGERS_MAX} managers"));
        }
        routes.managers =
            file.manager.iter().map(|table| manager(&say, table)).collect::<Result<_, _>>()?;
        Ok(routes)
    }

    /// The names of all channels.
    pub(crate) fn channels(&self) -> Vec<String> {
        let webhooks = self.webhooks.iter().map(|webhook| webhook.name.clone());
        webhooks.chain(self.mails.iter().map(|mail| mail.name.clone())).collect()
    }

    /// The channel that summaries go through.
    pub(crate) fn summaries(&self) -> Option<&Mail> {
        match &self.summary.channel {
            Some(name) => self.mails.iter().find(|mail| mail.name == *name),
            None => self.mails.first(),
        }
    }
}

fn webhook(say: &Complaints<'_>, name: String, table: WebhookTable) -> Result<Webhook, String> {
    let url = table.url.get_ref();
    let (is_tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => {
            return say
                .at(&table.url, "`url` begins with https:// (http:// is for loopback alone)");
        }
    };
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let printable = path.bytes().all(|b| b.is_ascii_graphic());
    let Some((host, port)) = place_of(place, if is_tls { 443 } else { 80 }) else {
        return say.at(&table.url, "`url` names no host: give https://HOST[:PORT]/PATH");
    };
    if !printable || path.contains('#') {
        return say.at(&table.url, "`url` has characters that do not belong there: escape them");
    }
    if !is_tls && !is_loopback(&host) {
        return say.at(
            &table.url,
            "without TLS alarms go to this machine alone: give an https:// address",
        );
    }
    let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    Ok(Webhook { name, is_tls, host, port, path, ca: table.ca })
}

fn mail(say: &Complaints<'_>, name: String, table: MailTable) -> Result<Mail, String> {
    let tls = *table.tls.get_ref();
    let default = match tls {
        MailTls::Implicit => 465,
        MailTls::None => 25,
        MailTls::Starttls => 587,
    };
    let Some((host, port)) = place_of(table.server.get_ref(), default) else {
        return say.at(&table.server, "`server` is HOST or HOST:PORT");
    };
    if tls == MailTls::None && !is_loopback(&host) {
        return say.at(
            &table.tls,
            "without TLS mail goes to this machine alone: say \"starttls\" or \"implicit\"",
        );
    }
    if let (Some(user), None) = (&table.user, &table.password_file) {
        return say.at(user, "`user` wants a `password-file`");
    }
    if !is_address(table.from.get_ref()) {
        return say.at(&table.from, "`from` is no mail address");
    }
    let to = table.to.get_ref();
    if to.is_empty() || to.len() > RECIPIENTS_MAX || !to.iter().all(|one| is_address(one)) {
        return say
            .at(&table.to, format!("`to` is a list of 1 to {RECIPIENTS_MAX} mail addresses"));
    }
    Ok(Mail {
        name,
        host,
        port,
        tls,
        ca: table.ca,
        user: table.user.map(Spanned::into_inner),
        password_file: table.password_file,
        from: table.from.into_inner(),
        to: table.to.into_inner(),
    })
}

fn summary(say: &Complaints<'_>, table: &SummaryTable, mails: &[Mail]) -> Result<Summary, String> {
    let at = table.at.get_ref().split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    });
    let Some(at) = at else {
        return say.at(&table.at, "`at` is a time of day in UTC, such as \"06:00\"");
    };
    let channel = table.channel.as_ref().map(Spanned::get_ref).cloned();
    let known = |name: &String| mails.iter().any(|mail| mail.name == *name);
    if let Some(place) = table.channel.as_ref().filter(|place| !known(place.get_ref())) {
        return say.at(place, "`channel` names no [[mail]]");
    }
    if mails.is_empty() {
        return say.at(&table.at, "summaries go by mail: add a [[mail]]");
    }
    Ok(Summary { at: Some(at), channel })
}

fn manager(say: &Complaints<'_>, table: &ManagerTable) -> Result<Manager, String> {
    let Ok(person) = table.person.get_ref().parse() else {
        return say.at(&table.person, "`person` is no person id");
    };
    if !is_address(table.mail.get_ref()) {
        return say.at(&table.mail, "`mail` is no mail address");
    }
    let reports: Result<BTreeSet<PersonId>, _> =
        table.reports.get_ref().iter().map(|one| one.parse()).collect();
    match reports {
        Ok(reports) if reports.len() <= REPORTS_MAX => {
            Ok(Manager { person, mail: table.mail.get_ref().clone(), reports })
        }
        _ => say
            .at(&table.reports, format!("`reports` is a list of at most {REPORTS_MAX} person ids")),
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`.
fn place_of(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if port.is_empty() => default,
        None => return None,
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    (!host.is_empty() && host.len() <= 253 && host.bytes().all(plain))
        .then(|| (host.to_owned(), port))
}

pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A plain address: no display name, nothing that could end a line of SMTP.
fn is_address(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"<>()[]\\,;:\"".contains(&b);
    text.len() <= 254
        && text.bytes().all(plain)
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        })
}

/// A path that the file names: below watch's folder unless it is absolute.
pub(crate) fn resolve(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path)
}

#[cfg(test)]
#[path = "tests/routes.rs"]
mod tests;
