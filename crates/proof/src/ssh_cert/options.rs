//! Critical options and extensions: tuples of name and packed data, in lexical order, each once.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::Error;
use crate::limits;
use crate::ssh::{SshReader, put_string};

const WHAT: &str = "SSH certificate";
const FORCE_COMMAND: &str = "force-command";
const SOURCE_ADDRESS: &str = "source-address";
const VERIFY_REQUIRED: &str = "verify-required";
const SESSION_UNTIL: &str = "session-until@writ.internal";

/// Restrictions of a user's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CriticalOptions {
    /// The one command that runs, whatever is asked for.
    pub force_command: Option<String>,
    /// The only networks that it may be used from; empty means any.
    pub source_address: Vec<Cidr>,
    /// Whether a hardware key must have verified its user.
    pub verify_required: bool,
}

impl CriticalOptions {
    /// True if a peer at `address` may use the certificate.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.source_address.is_empty() || self.source_address.iter().any(|net| net.holds(address))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(command) = &self.force_command {
            put_option(&mut bytes, FORCE_COMMAND, Some(command));
        }
        if !self.source_address.is_empty() {
            let networks: Vec<String> = self.source_address.iter().map(Cidr::to_string).collect();
            put_option(&mut bytes, SOURCE_ADDRESS, Some(&networks.join(",")));
        }
        if self.verify_required {
            put_option(&mut bytes, VERIFY_REQUIRED, None);
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<CriticalOptions, Error> {
        let mut options = CriticalOptions::default();
        each_option(bytes, |name, data| {
            match name {
                FORCE_COMMAND => options.force_command = Some(packed_text(data)?),
                SOURCE_ADDRESS => options.source_address = networks(&packed_text(data)?)?,
                VERIFY_REQUIRED if data.is_empty() => options.verify_required = true,
                other => {
                    let value = other.chars().take(64).collect();
                    return Err(Error::Unsupported { what: "critical option", value });
                }
            }
            Ok(())
        })?;
        Ok(options)
    }
}

/// What a user's certificate permits besides running commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extension {
    /// `no-touch-required`: a hardware key need not have been touched.
    NoTouchRequired,
    /// `permit-X11-forwarding`.
    PermitX11Forwarding,
    /// `permit-agent-forwarding`.
    PermitAgentForwarding,
    /// `permit-port-forwarding`.
    PermitPortForwarding,
    /// `permit-pty`.
    PermitPty,
    /// `permit-user-rc`.
    PermitUserRc,
    /// `session-until@writ.internal`: when what the session started on the host must be over, in seconds since
    /// 1970. `sshd` passes it over; the agent on the host does not.
    SessionUntil(u64),
}

impl Extension {
    /// All without data, in the order of their names' bytes.
    const PLAIN: [Extension; 6] = [
        Extension::NoTouchRequired,
        Extension::PermitX11Forwarding,
        Extension::PermitAgentForwarding,
        Extension::PermitPortForwarding,
        Extension::PermitPty,
        Extension::PermitUserRc,
    ];

    /// Its name in a certificate.
    pub const fn name(self) -> &'static str {
        match self {
            Extension::NoTouchRequired => "no-touch-required",
            Extension::PermitX11Forwarding => "permit-X11-forwarding",
            Extension::PermitAgentForwarding => "permit-agent-forwarding",
            Extension::PermitPortForwarding => "permit-port-forwarding",
            Extension::PermitPty => "permit-pty",
            Extension::PermitUserRc => "permit-user-rc",
            Extension::SessionUntil(_) => SESSION_UNTIL,
        }
    }

    pub(super) fn all_to_bytes(extensions: &BTreeSet<Extension>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for extension in extensions {
            let data = match extension {
                Extension::SessionUntil(until) => Some(until.to_string()),
                _ => None,
            };
            put_option(&mut bytes, extension.name(), data.as_deref());
        }
        bytes
    }

    pub(super) fn all_from_bytes(bytes: &[u8]) -> Result<BTreeSet<Extension>, Error> {
        let mut extensions = BTreeSet::new();
        each_option(bytes, |name, data| {
            if name == SESSION_UNTIL {
                let until = crate::checkpoint::decimal(&packed_text(data)?)?;
                extensions.insert(Extension::SessionUntil(until));
            }
            extensions.extend(Extension::PLAIN.into_iter().find(|known| known.name() == name));
            Ok(())
        })?;
        Ok(extensions)
    }
}

/// A network: an address and how many of its bits count; the others are 0, as sshd demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// The network of one address.
    pub const fn host(address: IpAddr) -> Cidr {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Cidr { address, bits }
    }

    /// True if `address` lies within. An IPv4 address in IPv6's clothes counts as IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        let (mine, other) = (wide(self.address), wide(address.to_canonical()));
        let same_family = self.address.is_ipv4() == address.to_canonical().is_ipv4();
        same_family && (mine ^ other).checked_shr(self.host_bits()).unwrap_or(0) == 0
    }

    fn host_bits(&self) -> u32 {
        u32::from(if self.address.is_ipv4() { 32 } else { 128 } - self.bits)
    }
}

fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Cidr {
    type Err = Error;

    /// Reads `ADDRESS/BITS`, or an address alone.
    fn from_str(text: &str) -> Result<Cidr, Error> {
        let malformed = || Error::malformed(WHAT, "its source address is no network");
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let host = Cidr::host(address.parse().map_err(|_| malformed())?);
        let plain = |b: &&str| b.bytes().all(|b| b.is_ascii_digit()) && !b.is_empty();
        let bits = match bits {
            Some(bits) => Some(bits).filter(plain).and_then(|b| b.parse::<u8>().ok()),
            None => Some(host.bits),
        };
        let bits = bits.filter(|bits| *bits <= host.bits).ok_or_else(malformed)?;
        let network = Cidr { bits, ..host };
        let mask = 1u128.checked_shl(network.host_bits()).map_or(u128::MAX, |bit| bit - 1);
        if wide(network.address) & mask == 0 { Ok(network) } else { Err(malformed()) }
    }
}

fn networks(list: &str) -> Result<Vec<Cidr>, Error> {
    let count = list.split(',').count();
    Error::limit("source addresses", count, limits::SSH_CERT_MAX_SOURCES)?;
    list.split(',').map(str::parse).collect()
}

fn put_option(bytes: &mut Vec<u8>, name: &str, text: Option<&str>) {
    put_string(bytes, name.as_bytes());
    let mut data = Vec::new();
    if let Some(text) = text {
        put_string(&mut data, text.as_bytes());
    }
    put_string(bytes, &data);
}

fn packed_text(data: &[u8]) -> Result<String, Error> {
    let mut reader = SshReader::new(data);
    let text = reader.text()?.to_owned();
    reader.finish()?;
    if text.is_empty() {
        return Err(Error::malformed(WHAT, "an option is empty"));
    }
    Ok(text)
}

fn each_option(
    bytes: &[u8],
    mut each: impl FnMut(&str, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut reader = SshReader::new(bytes);
    let mut last = "";
    while !reader.rest().is_empty() {
        let (name, data) = (reader.text()?, reader.string()?);
        if name <= last {
            return Err(Error::malformed(WHAT, "its options are not in order, each once"));
        }
        each(name, data)?;
        last = name;
    }
    Ok(())
}
