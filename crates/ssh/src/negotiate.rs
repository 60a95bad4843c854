//! KEXINIT (RFC 4253 section 7.1): what each side offers, and what follows from both offers.

use writ_model::Env;
use writ_proof::ssh::SshReader;

use crate::cipher::Cipher;
use crate::error::Error;
use crate::kex::Kex;
use crate::wire::{Message, name_list, number};

const COMPRESSION: [&str; 1] = ["none"];
const EXT_INFO_CLIENT: &str = "ext-info-c";
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We connected.
    Client,
    /// We were connected to.
    Server,
}

/// What we offer, in our order. The defaults are all that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms {
    /// Methods of key agreement.
    pub kex: Vec<Kex>,
    /// Ciphers, for both directions.
    pub ciphers: Vec<Cipher>,
}

impl Default for Algorithms {
    fn default() -> Algorithms {
        Algorithms { kex: Kex::ALL.to_vec(), ciphers: Cipher::ALL.to_vec() }
    }
}

/// One side's offer, the host keys' names included.
pub(crate) struct Offer<'a> {
    pub(crate) role: Role,
    pub(crate) algorithms: &'a Algorithms,
    pub(crate) host_keys: &'a [String],
    /// True for the connection's first exchange, where alone markers of extensions count.
    pub(crate) first: bool,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) kex: Kex,
    pub(crate) host_key: String,
    pub(crate) to_server: Cipher,
    pub(crate) to_client: Cipher,
    /// True from the first exchange on, if both sides know strict key exchange.
    pub(crate) strict: bool,
    /// True if the client asks for EXT_INFO (RFC 8308).
    pub(crate) ext_info: bool,
    /// True if a packet of the peer follows that was made for another choice: it is not read.
    pub(crate) skip_guess: bool,
}

impl Offer<'_> {
    /// Our KEXINIT.
    pub(crate) fn message(&self, env: &dyn Env) -> Vec<u8> {
        let mut cookie = [0; 16];
        env.fill(&mut cookie);
        let mut kex: Vec<&str> = self.algorithms.kex.iter().map(|kex| kex.name()).collect();
        match (self.first, self.role) {
            (true, Role::Client) => kex.extend([EXT_INFO_CLIENT, STRICT_CLIENT]),
            (true, Role::Server) => kex.push(STRICT_SERVER),
            (false, _) => {}
        }
        let ciphers: Vec<&str> = self.algorithms.ciphers.iter().map(|c| c.name()).collect();
        // No MAC: each of our ciphers authenticates, and then nobody chooses one.
        let none: [&str; 0] = [];
        Message::new(number::KEXINIT)
            .raw(&cookie)
            .list(&kex)
            .list(self.host_keys)
            .list(&ciphers)
            .list(&ciphers)
            .list(&none)
            .list(&none)
            .list(&COMPRESSION)
            .list(&COMPRESSION)
            .list(&none)
            .list(&none)
            .boolean(false)
            .number(0)
            .done()
    }

    /// Chooses, from the peer's KEXINIT: each time the first of the client's that the server has.
    pub(crate) fn choose(&self, theirs: &[u8], strict_before: bool) -> Result<Chosen, Error> {
        let theirs = Proposal::parse(theirs)?;
        let marker = if self.role == Role::Server { STRICT_CLIENT } else { STRICT_SERVER };
        let strict = if self.first { theirs.kex.contains(&marker) } else { strict_before };
        let kex: Vec<&str> = self.algorithms.kex.iter().map(|kex| kex.name()).collect();
        let host_keys: Vec<&str> = self.host_keys.iter().map(String::as_str).collect();
        // Without strict key exchange this cipher lets an attacker cut messages (CVE-2023-48795).
        let usable = |c: &&Cipher| strict || **c != Cipher::ChaCha20Poly1305;
        let ciphers: Vec<&str> =
            self.algorithms.ciphers.iter().filter(usable).map(|c| c.name()).collect();
        let kex_name = self.common("key exchange", &kex, &theirs.kex)?;
        let host_key = self.common("host key", &host_keys, &theirs.host_keys)?;
        let to_server = self.common("cipher", &ciphers, &theirs.to_server)?;
        let to_client = self.common("cipher", &ciphers, &theirs.to_client)?;
        for compression in [&theirs.compression_to_server, &theirs.compression_to_client] {
            self.common("compression", &COMPRESSION, compression)?;
        }
        let guessed =
            theirs.kex.first() == kex.first() && theirs.host_keys.first() == host_keys.first();
        let cipher = |name| Cipher::ALL.into_iter().find(|cipher| cipher.name() == name);
        let known = Kex::ALL.into_iter().find(|kex| kex.name() == kex_name);
        let (Some(kex), Some(to_server), Some(to_client)) =
            (known, cipher(to_server), cipher(to_client))
        else {
            return Err(Error::Protocol("an algorithm is unknown"));
        };
        Ok(Chosen {
            kex,
            host_key: host_key.to_owned(),
            to_server,
            to_client,
            strict,
            ext_info: self.first && theirs.kex.contains(&EXT_INFO_CLIENT),
            skip_guess: theirs.guess_follows && !guessed,
        })
    }

    fn common<'a>(
        &self,
        what: &'static str,
        ours: &[&'a str],
        theirs: &[&'a str],
    ) -> Result<&'a str, Error> {
        let (client, server) =
            if self.role == Role::Client { (ours, theirs) } else { (theirs, ours) };
        client.iter().find(|name| server.contains(name)).copied().ok_or_else(|| {
            let offered: String = theirs.join(",").chars().take(256).collect();
            Error::NoCommon { what, offered }
        })
    }
}

/// A KEXINIT of the peer.
struct Proposal<'a> {
    kex: Vec<&'a str>,
    host_keys: Vec<&'a str>,
    to_server: Vec<&'a str>,
    to_client: Vec<&'a str>,
    compression_to_server: Vec<&'a str>,
    compression_to_client: Vec<&'a str>,
    guess_follows: bool,
}

impl Proposal<'_> {
    fn parse(payload: &[u8]) -> Result<Proposal<'_>, Error> {
        let mut reader = SshReader::new(payload);
        if reader.byte()? != number::KEXINIT {
            return Err(Error::Protocol("this is no KEXINIT"));
        }
        for _ in 0..16 {
            reader.byte()?;
        }
        let (kex, host_keys) = (name_list(&mut reader)?, name_list(&mut reader)?);
        let (to_server, to_client) = (name_list(&mut reader)?, name_list(&mut reader)?);
        let _macs = (name_list(&mut reader)?, name_list(&mut reader)?);
        let (compression_to_server, compression_to_client) =
            (name_list(&mut reader)?, name_list(&mut reader)?);
        let _languages = (name_list(&mut reader)?, name_list(&mut reader)?);
        let guess_follows = reader.boolean()?;
        reader.number()?;
        reader.finish()?;
        Ok(Proposal {
            kex,
            host_keys,
            to_server,
            to_client,
            compression_to_server,
            compression_to_client,
            guess_follows,
        })
    }
}

#[cfg(test)]
#[path = "tests/negotiate.rs"]
mod tests;
