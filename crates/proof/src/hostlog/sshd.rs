//! What `sshd` says of a login, read from a host's log. Whoever knocks at a host chooses parts of such lines.

use crate::limits::SSHD_LINE_MAX_BYTES;

/// A login, as `sshd` tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// By what: `publickey`, `password`, …
    pub method: &'a str,
    /// As whom.
    pub user: &'a str,
    /// From which address.
    pub from: &'a str,
    /// From which port, if it is one.
    pub port: Option<u16>,
    /// The certificate with which it was opened.
    pub certificate: Option<Certificate<'a>>,
}

/// What `sshd` says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Its id, as its authority made it, whoever that is.
    pub id: &'a str,
    /// The fingerprint of its authority.
    pub authority: &'a str,
}

impl<'a> Certificate<'a> {
    /// The session that its id names.
    pub fn session(&self) -> Option<&'a str> {
        self.id.split(';').find_map(|part| part.strip_prefix("ses="))
    }
}

/// Reads a line of sshd, alone, behind syslog's head, or in a journal entry. A login name that looks like one is none:
/// the message must begin so.
pub fn accepted(text: &str) -> Option<Accepted<'_>> {
    let message = if text.starts_with("Accepted ") {
        text
    } else if let Some(found) = text.lines().find_map(|line| line.strip_prefix("MESSAGE=")) {
        found
    } else {
        let (head, message) = text.split_once("]: ")?;
        head.contains("sshd").then_some(message)?
    };
    let line = message.lines().next()?;
    let mut words = line.strip_prefix("Accepted ")?.split(' ');
    let method = words.next()?;
    // At LogLevel VERBOSE there are lines that begin so, and are of something else.
    let (to, user, of, from) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if (to, of) != ("for", "from") {
        return None;
    }
    // `sshd -E` ends its lines in CR LF.
    let from = from.trim_end();
    let port = words.next().filter(|word| *word == "port").and(words.next());
    let port = port.and_then(|port| port.trim_end().parse().ok());
    let certificate = certificate(line).filter(|_| method == "publickey");
    Some(Accepted { method, user, from, port, certificate })
}

/// The certificate of a line that names one, as format_method_key of OpenSSH's
/// auth.c writes it: `… ssh2: TYPE FINGERPRINT ID id (serial N) CA TYPE FINGERPRINT`.
///
/// The id stands there as the certificate's authority made it, whoever that is, and can look like everything that follows
/// it. So what follows is read from the end, and a line that sshd may have cut says nothing.
fn certificate(line: &str) -> Option<Certificate<'_>> {
    if line.len() >= SSHD_LINE_MAX_BYTES {
        return None;
    }
    let line = line.strip_suffix('\r').unwrap_or(line);
    // Accepted METHOD for USER from ADDRESS port N ssh2: TYPE FINGERPRINT ID …
    let mut before = line.splitn(13, ' ').skip(6);
    let (port, _, protocol) = (before.next()?, before.next()?, before.next()?);
    let (_, _, is, told) = (before.next()?, before.next()?, before.next()?, before.next()?);
    let mut after = told.rsplitn(6, ' ');
    let (authority, _, ca) = (after.next()?, after.next()?, after.next()?);
    let (number, serial, id) = (after.next()?, after.next()?, after.next()?);
    number.strip_suffix(')')?.parse::<u64>().ok()?;
    if (port, protocol, is, serial, ca) != ("port", "ssh2:", "ID", "(serial", "CA") {
        return None;
    }
    Some(Certificate { id, authority })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of somebody's own `cert-authority` has whatever id its owner likes; sshd writes that down as it is.
    #[test]
    fn id_of_a_certificate_that_looks_like_ours_names_no_session_of_ours() {
        let by = "Accepted publickey for svc from ::1 port 5 ssh2: ED25519-CERT SHA256:x ID";
        let ours = "req=01R;user=anna;ses=01S (serial 1) CA ED25519 SHA256:ours";
        let end = "(serial 7) CA ED25519 SHA256:own";
        let read =
            |text: &str| accepted(text).unwrap().certificate.map(|one| one.authority.to_owned());
        assert_eq!(read(&format!("{by} {ours}")).as_deref(), Some("SHA256:ours"));
        assert_eq!(read(&format!("{by} {ours} {end}")).as_deref(), Some("SHA256:own"));
        assert_eq!(read(&format!("{by} x ID {ours} {end}\r")).as_deref(), Some("SHA256:own"));
        // To a file sshd writes line feeds as they are.
        let two = format!("{by} {ours}, \n{by} {ours} {end}");
        assert_eq!(
            two.lines().map(read).collect::<Vec<_>>(),
            [None, Some("SHA256:own".to_owned())]
        );
        // A message has 1,023 bytes in sshd; what comes after is cut off.
        let long = format!("{by} {}{ours}", "x".repeat(1023 - by.len() - ours.len() - 1));
        for cut in
            [long.clone(), format!("{by} {ours}{}", " ".repeat(1023 - by.len() - ours.len() - 1))]
        {
            assert_eq!((cut.len(), read(&cut)), (1023, None));
        }
        // What the client's side tells at hostbased stands behind the certificate.
        let told = format!("{by} x (serial 1) CA ED25519 SHA256:own, client user \"{ours}");
        assert_eq!(read(&told.replace("publickey", "hostbased")), None);
    }

    #[test]
    fn lines_of_sshd_are_read_wherever_they_come_from() {
        let own = "Accepted publickey for root from 127.0.0.1 port 5 ssh2: ED25519 SHA256:abc";
        for text in [
            own.to_owned(),
            format!("Nov 22 10:00:00 web-1 sshd[77]: {own}"),
            format!("Nov 22 10:00:00 web-1 sshd-session[77]: {own}"),
            format!("{own}\r"),
            format!("_COMM=sshd\nMESSAGE={own}\nPRIORITY=6"),
        ] {
            let read = accepted(&text).unwrap();
            assert_eq!((read.method, read.user, read.from), ("publickey", "root", "127.0.0.1"));
            assert_eq!(read.certificate, None);
        }
        let text = "Accepted publickey for svc from ::1 port 5 ssh2: ED25519-CERT SHA256:x ID \
                    req=01R;user=anna;ses=01S (serial 7) CA ED25519 SHA256:ca\r";
        let read = accepted(text).unwrap();
        let certificate = read.certificate.unwrap();
        assert_eq!((certificate.session(), certificate.authority), (Some("01S"), "SHA256:ca"));
        assert_eq!((certificate.id, read.port), ("req=01R;user=anna;ses=01S", Some(5)));
        for text in [
            "Failed password for root from 1.2.3.4",
            "Nov 22 sshd[7]: Invalid user ]: Accepted publickey for root from 1.2.3.4 port 1 ssh2",
            "Nov 22 web-1 app[7]: Accepted publickey for root from 1.2.3.4 port 1 ssh2",
            "Accepted",
            "Accepted certificate ID \"req=01R;user=anna;ses=01S\" (serial 7) signed by ED25519 CA SHA256:ca via /ca",
        ] {
            assert_eq!(accepted(text), None, "{text}");
        }
    }
}
