//! What `sshd` itself writes into its log of a login, beside which what a session's own processes show is hearsay.

use std::net::IpAddr;

use writ_proof::hostlog::sshd::accepted;

/// The other end of a connection.
pub(super) type Peer = (IpAddr, u16);

/// A login that `sshd` has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(super) peer: Peer,
    /// The id of the certificate with which it was opened, and the fingerprint of its authority.
    pub(super) certificate: Option<(String, String)>,
}

impl Login {
    /// Reads a line of sshd, alone, behind syslog's head, or in an entry of the journal.
    pub(crate) fn read(text: &[u8]) -> Option<Login> {
        const WORD: &[u8] = b"Accepted ";
        // Nearly all lines are of something else.
        text.windows(WORD.len()).position(|window| window == WORD)?;
        let told = accepted(std::str::from_utf8(text).ok()?)?;
        let address: IpAddr = told.from.parse().ok()?;
        let certificate = told.certificate.map(|one| (one.id.to_owned(), one.authority.to_owned()));
        Some(Login { peer: (address.to_canonical(), told.port?), certificate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_read_wherever_they_come_from() {
        let peer = ("127.0.0.1".parse().unwrap(), 5);
        let own = "Accepted publickey for root from 127.0.0.1 port 5 ssh2: ED25519 SHA256:abc";
        for text in [
            own.to_owned(),
            format!("Nov 22 10:00:00 web-1 sshd[77]: {own}\r"),
            format!("_COMM=sshd\nMESSAGE={own}\nPRIORITY=6"),
            own.replace("127.0.0.1", "::ffff:127.0.0.1"),
        ] {
            let certificate = None;
            assert_eq!(Login::read(text.as_bytes()), Some(Login { peer, certificate }), "{text}");
        }
        let text =
            b"Accepted publickey for svc from 127.0.0.1 port 5 ssh2: ED25519-CERT SHA256:x ID \
                     req=01R;user=anna;ses=01S (serial 7) CA ED25519 SHA256:ca\r";
        let certificate = Some(("req=01R;user=anna;ses=01S".to_owned(), "SHA256:ca".to_owned()));
        assert_eq!(Login::read(text), Some(Login { peer, certificate }));
        // An authority of the user's own makes ids that look like ours, and is told of at the end.
        let forged = [text.trim_ascii_end(), b" (serial 9) CA ED25519 SHA256:own"].concat();
        let (_, authority) = Login::read(&forged).unwrap().certificate.unwrap();
        assert_eq!(authority, "SHA256:own");
        for text in [
            "Failed password for root from 1.2.3.4 port 1 ssh2",
            "Nov 22 sshd[7]: Invalid user ]: Accepted publickey for root from 1.2.3.4 port 1 ssh2",
            "Nov 22 web-1 app[7]: Accepted publickey for root from 1.2.3.4 port 1 ssh2",
            "Accepted publickey for root from nowhere port 1 ssh2",
            "Accepted certificate ID \"a\" (serial 7) signed by ED25519 CA SHA256:ca via /ca",
        ] {
            assert_eq!(Login::read(text.as_bytes()), None, "{text}");
        }
    }
}
