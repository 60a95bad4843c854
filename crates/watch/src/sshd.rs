//! What `sshd` says of a login, read from a host's log. Whoever knocks at a host chooses parts of such lines.

/// A login, as `sshd` tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// By what: `publickey`, `password`, …
    pub method: &'a str,
    /// As whom.
    pub user: &'a str,
    /// From which address.
    pub from: &'a str,
    /// The certificate's session and the fingerprint of its authority.
    pub certificate: Option<(&'a str, &'a str)>,
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
    // `sshd -E` ends its lines in CR LF.
    let message = message.lines().next()?.trim_end();
    let mut words = message.strip_prefix("Accepted ")?.split(' ');
    let method = words.next()?;
    // At LogLevel VERBOSE there are lines that begin so, and are of something else.
    let (to, user, of, from) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if (to, of) != ("for", "from") {
        return None;
    }
    let certificate = message.split_once(" ID ").and_then(|(_, rest)| {
        let (id, rest) = rest.split_once(" (serial ")?;
        let session = id.split(';').find_map(|part| part.strip_prefix("ses="))?;
        let (_, authority) = rest.split_once(" CA ")?;
        Some((session, authority.split(' ').nth(1)?))
    });
    Some(Accepted { method, user, from, certificate })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(accepted(text).unwrap().certificate, Some(("01S", "SHA256:ca")));
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
