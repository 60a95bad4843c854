//! Forward access tickets: a customer's verified request, narrowed and carried to a further service.
//!
//! ```text
//! ticket  = [ 1, root: bstr, [ caveat: bstr, ... ], tag: bstr(32) ]        at most 4,096 bytes, 16 caveats
//! tag_0   = HMAC-SHA256(key[kid], "writ-fas-root-v1"   00 root)
//! tag_i   = HMAC-SHA256(tag_{i-1}, "writ-fas-caveat-v1" 00 caveat_i)      tag = tag_n
//! ```
//! Only keyd, which holds the MAC keys, makes a root or checks a ticket; anybody can append a caveat.
//! A use must satisfy the root **and** every caveat, so appending can only take away. Tickets and proofs
//! are secrets: they have no `Debug`, and records carry their digests.

mod check;
mod root;

use subtle::ConstantTimeEq as _;
use writ_model::{Nonce, Timestamp};

pub use check::{Refusal, TicketUse};
pub use root::{
    ContextRule, Customer, Forward, Holder, Mfa, Network, Pair, ResourceRule, Root, SignedRequest,
    context_digest,
};

use crate::cbor::{self, Decode as _, Encode as _, Reader, Version, Writer};
use crate::error::Error;
use crate::hash::{Hash, labelled_mac, sha256};
use crate::limits;
use crate::{cbor_enum, cbor_map};

const ROOT_LABEL: &str = "writ-fas-root-v1";
const CAVEAT_LABEL: &str = "writ-fas-caveat-v1";
const PROOF_LABEL: &str = "writ-fas-proof-v1";
const TICKET_VERSION: u64 = 1;

/// A ticket whose MAC nobody has checked yet. Like every secret it has no equality that could leak
/// by its duration.
#[derive(Clone)]
pub struct Ticket {
    root: Vec<u8>,
    caveats: Vec<Vec<u8>>,
    tag: [u8; 32],
}

/// A predicate on the use, which anybody may add. There is none on what the root alone decides
/// (holder, principal, network, services so far): such a caveat does not decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caveat {
    /// The called service, for example `kms`.
    Audience(String),
    /// The action, for example `kms:Decrypt`.
    Action(String),
    /// At most this many uses with this ticket's transaction.
    Budget(u32),
    /// The digest of the whole encryption context ([`context_digest`]).
    ContextDigest(Hash),
    /// Not at or after this moment.
    Expires(Timestamp),
    /// SHA-256 of the downstream request's body.
    RequestDigest(Hash),
    /// The resource's ARN.
    Resource(String),
}
cbor_enum!(Caveat {
    0: Audience(_),
    1: Action(_),
    2: Resource(_),
    3: ContextDigest(_),
    4: Expires(_),
    5: Budget(_),
    6: RequestDigest(_),
});

impl Ticket {
    /// Makes a ticket. `key` is the MAC key that `root.kid` names; only keyd has it.
    pub fn mint(key: &[u8; 32], root: &Root) -> Result<Ticket, Error> {
        root.check()?;
        let root = cbor::to_vec(root);
        let tag = labelled_mac(key, ROOT_LABEL, &root).0;
        let ticket = Ticket { root, caveats: Vec::new(), tag };
        Error::limit("ticket bytes", ticket.to_bytes().len(), limits::TICKET_MAX_BYTES)?;
        Ok(ticket)
    }

    /// This ticket, narrowed by `caveat`. Needs no key.
    pub fn append(&self, caveat: &Caveat) -> Result<Ticket, Error> {
        Error::limit("ticket caveats", self.caveats.len() + 1, limits::TICKET_MAX_CAVEATS)?;
        let caveat = cbor::to_vec(caveat);
        let mut ticket = self.clone();
        ticket.tag = labelled_mac(&self.tag, CAVEAT_LABEL, &caveat).0;
        ticket.caveats.push(caveat);
        Error::limit("ticket bytes", ticket.to_bytes().len(), limits::TICKET_MAX_BYTES)?;
        Ok(ticket)
    }

    /// The bytes that travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(4);
        writer.uint(TICKET_VERSION);
        writer.bytes(&self.root);
        self.caveats.encode(&mut writer);
        writer.bytes(&self.tag);
        writer.into_bytes()
    }

    /// Reads a ticket's outer form, strictly. What it says is unproven until [`Ticket::verify`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Ticket, Error> {
        Error::limit("ticket bytes", bytes.len(), limits::TICKET_MAX_BYTES)?;
        let mut reader = Reader::new(bytes);
        if reader.array()? != 4 {
            return Err(reader.invalid("an array of four").into());
        }
        let _version: Version<TICKET_VERSION> = Version::decode(&mut reader)?;
        let root = reader.bytes()?.to_vec();
        let caveats = Vec::<Vec<u8>>::decode(&mut reader)?;
        let tag = <[u8; 32]>::decode(&mut reader)?;
        reader.finish()?;
        Error::limit("ticket caveats", caveats.len(), limits::TICKET_MAX_CAVEATS)?;
        Ok(Ticket { root, caveats, tag })
    }

    /// SHA-256 of the bytes that travel: how records name a ticket.
    pub fn digest(&self) -> Hash {
        sha256(&self.to_bytes())
    }

    /// Which MAC key the ticket names; unproven.
    pub fn kid(&self) -> Result<Nonce, Refusal> {
        self.root().map(|root| root.kid)
    }

    /// Checks the MAC chain, in constant time, with the key that [`Ticket::kid`] names, and decodes
    /// the rest. The key can stay where it is held.
    pub fn verify(&self, key: &[u8; 32]) -> Result<VerifiedTicket, Refusal> {
        let mut tag = labelled_mac(key, ROOT_LABEL, &self.root).0;
        for caveat in &self.caveats {
            tag = labelled_mac(&tag, CAVEAT_LABEL, caveat).0;
        }
        if !bool::from(tag.ct_eq(&self.tag)) {
            return Err(Refusal::Mac);
        }
        let root = self.root()?;
        root.check().map_err(|_| Refusal::Format)?;
        let caveats = self.caveats.iter().map(|caveat| cbor::from_slice(caveat));
        let caveats = caveats.collect::<Result<_, _>>().map_err(|_| Refusal::Format)?;
        Ok(VerifiedTicket { root, caveats, digest: self.digest() })
    }

    fn root(&self) -> Result<Root, Refusal> {
        cbor::from_slice(&self.root).map_err(|_| Refusal::Format)
    }
}

/// A ticket that keyd made and others may have narrowed. Only [`Ticket::verify`] makes one.
#[derive(Clone)]
pub struct VerifiedTicket {
    root: Root,
    caveats: Vec<Caveat>,
    digest: Hash,
}

impl VerifiedTicket {
    /// What keyd put into it.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// What was appended.
    pub fn caveats(&self) -> &[Caveat] {
        &self.caveats
    }

    /// [`Ticket::digest`].
    pub fn digest(&self) -> Hash {
        self.digest
    }

    /// The earliest expiry of root and caveats.
    pub fn expires(&self) -> Timestamp {
        let caveats = self.caveats.iter().filter_map(|caveat| match caveat {
            Caveat::Expires(at) => Some(*at),
            _ => None,
        });
        caveats.fold(self.root.exp, Timestamp::min)
    }

    /// Whether root and all caveats allow `wanted` at `now`. Revocation, replay and key state are
    /// keyd's own checks.
    pub fn allows(&self, wanted: &TicketUse<'_>, now: Timestamp) -> Result<(), Refusal> {
        check::allows(self, wanted, now)
    }
}

/// Proof that whoever sends a downstream request holds the key of its channel to keyd.
#[derive(Clone)]
pub struct Proof {
    /// The sender's clock.
    pub time: Timestamp,
    /// Never used twice with one ticket.
    pub nonce: Nonce,
    /// The MAC.
    pub mac: [u8; 32],
}
cbor_map!(Proof { 1: time, 2: nonce, 3: mac });

/// The downstream request that a proof covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: &'a str,
    /// SHA-256 of the body.
    pub body: Hash,
    /// [`Ticket::digest`] of the ticket that goes with it.
    pub ticket: Hash,
}

impl Proof {
    /// Proves `request` with the MAC key that the sender's channel to keyd got at its `hello`.
    pub fn make(
        key: &[u8; 32],
        request: &ProvenRequest<'_>,
        time: Timestamp,
        nonce: Nonce,
    ) -> Proof {
        Proof { time, nonce, mac: proof_mac(key, request, time, nonce) }
    }

    /// The bytes that travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_vec(self)
    }

    /// Reads a proof, strictly.
    pub fn from_bytes(bytes: &[u8]) -> Result<Proof, Error> {
        Ok(cbor::from_slice(bytes)?)
    }

    /// Checks the MAC, in constant time, and that the proof is not older or newer than the skew that
    /// the processes of one cluster may have. The nonce is for the caller's replay set.
    pub fn verify(
        &self,
        key: &[u8; 32],
        request: &ProvenRequest<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mac = proof_mac(key, request, self.time, self.nonce);
        if !bool::from(mac.ct_eq(&self.mac)) {
            return Err(Refusal::Possession);
        }
        if self.time.millis().abs_diff(now.millis()) > limits::TICKET_SKEW_MS {
            return Err(Refusal::Clock);
        }
        Ok(())
    }
}

fn proof_mac(
    key: &[u8; 32],
    request: &ProvenRequest<'_>,
    time: Timestamp,
    nonce: Nonce,
) -> [u8; 32] {
    // An array of strings, not their concatenation: no two requests have the same bytes.
    let mut writer = Writer::default();
    writer.array(7);
    writer.text(request.method);
    writer.text(request.path);
    writer.text(request.query);
    request.body.encode(&mut writer);
    time.encode(&mut writer);
    nonce.encode(&mut writer);
    request.ticket.encode(&mut writer);
    labelled_mac(key, PROOF_LABEL, &writer.into_bytes()).0
}

#[cfg(test)]
#[path = "tests/fas.rs"]
mod tests;
