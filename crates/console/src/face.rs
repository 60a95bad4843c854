//! Under which name a browser asks, and what follows from it.

use std::net::IpAddr;

use writ_proof::origin::SiteId;
use writ_service::http::Request;

/// The name that every console answers to; a browser takes it for safe without TLS.
const LOCALHOST: &str = "localhost";

/// The console as one request sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// The name, without port; the rpId of passkeys.
    pub host: String,
    /// Scheme, name and port.
    pub origin: String,
    /// The installation.
    pub site: SiteId,
    /// True in mode `dev`.
    pub dev: bool,
}

/// Which names a console has.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) port: u16,
    /// DNS names besides `localhost`.
    pub(crate) names: Vec<String>,
}

/// What a request's `host` comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// One of our names: host and origin.
    Ours(String, String),
    /// An address, which is no valid rpId: the same page by name.
    Redirect(String),
    /// Another's name, as a page that has itself resolved to our address would send it.
    Unknown,
}

impl Names {
    /// Judges the fields `host` of a request; there is exactly one in HTTP/1.1.
    pub(crate) fn asked(&self, request: &Request) -> Asked {
        let mut hosts = request.headers.iter().filter(|(name, _)| name == "host");
        let (Some((_, host)), None) = (hosts.next(), hosts.next()) else { return Asked::Unknown };
        let Ok(host) = std::str::from_utf8(host) else { return Asked::Unknown };
        let scheme = if request.network.tls.is_some() { "https" } else { "http" };
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (host, Some(if scheme == "https" { 443 } else { 80 })),
        };
        if port != Some(self.port) {
            return Asked::Unknown;
        }
        let ours = |name: &str| name == LOCALHOST || self.names.iter().any(|n| n == name);
        if ours(name) {
            return Asked::Ours(name.to_owned(), self.origin(scheme, name));
        }
        let address: Result<IpAddr, _> = name.trim_matches(['[', ']']).parse();
        match address {
            Ok(address) => {
                let outside = self.names.first().filter(|_| !address.is_loopback());
                let name = outside.map_or(LOCALHOST, String::as_str);
                Asked::Redirect(format!("{}{}", self.origin(scheme, name), request.path))
            }
            Err(_) => Asked::Unknown,
        }
    }

    /// As browsers write it: without the port that the scheme has anyway.
    fn origin(&self, scheme: &str, name: &str) -> String {
        match (scheme, self.port) {
            ("http", 80) | ("https", 443) => format!("{scheme}://{name}"),
            (_, port) => format!("{scheme}://{name}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use writ_keyd_client::protocol::Network;

    use super::*;

    fn asked(tls: bool, host: &str) -> Asked {
        let names = Names { port: 8441, names: vec!["writ.example".to_owned()] };
        names.asked(&Request {
            method: "GET".to_owned(),
            path: "/enrol/x".to_owned(),
            query: String::new(),
            headers: vec![("host".to_owned(), host.as_bytes().to_vec())],
            body: Vec::new(),
            network: Network {
                source_ip: "127.0.0.1".to_owned(),
                tls: tls.then(|| "TLSv1.3".to_owned()),
                vpce: None,
            },
        })
    }

    #[test]
    fn console_asked_by_another_name_is_unknown() {
        let ours = |origin: &str, host: &str| Asked::Ours(host.to_owned(), origin.to_owned());
        let redirect = |to: &str| Asked::Redirect(to.to_owned());
        let cases = [
            (false, "localhost:8441", ours("http://localhost:8441", "localhost")),
            (true, "writ.example:8441", ours("https://writ.example:8441", "writ.example")),
            (false, "127.0.0.1:8441", redirect("http://localhost:8441/enrol/x")),
            (false, "[::1]:8441", redirect("http://localhost:8441/enrol/x")),
            (true, "192.0.2.1:8441", redirect("https://writ.example:8441/enrol/x")),
            (false, "localhost", Asked::Unknown),
            (false, "localhost:8442", Asked::Unknown),
            (false, "localhost.:8441", Asked::Unknown),
            (false, "evil.example:8441", Asked::Unknown),
            (false, "writ.example.evil.example:8441", Asked::Unknown),
            (false, "", Asked::Unknown),
        ];
        for (tls, host, expected) in cases {
            assert_eq!(asked(tls, host), expected, "{host}");
        }
    }
}
