//! Statements: what people decide, in bytes that they have signed.
//!
//! A statement's body is deterministic CBOR, kept as signed and never written anew for checking. Each
//! kind has a namespace of its own, so that a signature on one is worth nothing on another. Stock
//! `ssh-keygen -Y verify` accepts body and signature.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use writ_model::ParseError;

use crate::cbor::{self, CborError, Decode, Encode, Reader, Version, Writer};
use crate::cbor_map;
use crate::ed25519::Signer;
use crate::error::Error;
use crate::hash::{Hash, labelled, sha256};
use crate::limits;
use crate::sshsig::{SshSig, VerifiedSsh};

/// The version of the envelope that this build writes and reads.
pub const STATEMENT_VERSION: u64 = 1;

macro_rules! namespaces {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kinds of statement; the text is SSHSIG's namespace.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Namespace {
            $($(#[$doc])* $name,)*
        }

        impl Namespace {
            /// All of them.
            pub const ALL: &[Namespace] = &[$(Namespace::$name),*];

            /// The text that is signed.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Namespace::$name => $text,)*
                }
            }
        }
    };
}
namespaces! {
    /// A customer's account is created or changed.
    Account = "account@writ",
    /// A request is approved or denied.
    Approval = "approval@writ",
    /// The catalogue of runbooks changes.
    Catalogue = "catalogue@writ",
    /// keyd's domain keys change.
    Domain = "domain@writ",
    /// The installation begins.
    Genesis = "genesis@writ",
    /// A host is enrolled, mapped or removed.
    Host = "host@writ",
    /// An SSH revocation list.
    Krl = "krl@writ",
    /// Somebody opens a recording.
    Playback = "playback@writ",
    /// A build may run.
    Release = "release@writ",
    /// Somebody asks for access.
    Request = "request@writ",
    /// Access that was used is reviewed.
    Review = "review@writ",
    /// The roster of people, keys, groups and rules changes.
    Roster = "roster@writ",
    /// Runbooks that may run without a further approval.
    Standing = "standing@writ",
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Namespace {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Namespace, ParseError> {
        let found = Namespace::ALL.iter().find(|namespace| namespace.as_str() == text);
        found.copied().ok_or_else(|| ParseError::new(text, "a namespace of statements"))
    }
}

impl Encode for Namespace {
    fn encode(&self, writer: &mut Writer) {
        writer.text(self.as_str());
    }
}

impl Decode for Namespace {
    fn decode(reader: &mut Reader<'_>) -> Result<Namespace, CborError> {
        reader.text()?.parse().map_err(|_| reader.invalid("a namespace of statements"))
    }
}

/// A kind of statement.
pub trait Statement: Encode + Decode {
    /// Its namespace.
    const NAMESPACE: Namespace;
}

/// A statement with signatures that nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    v: Version<STATEMENT_VERSION>,
    namespace: Namespace,
    body: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}
cbor_map!(Signed { 1: v, 2: namespace, 3: body, 4: signatures });

impl Signed {
    /// A statement without signatures.
    pub fn new<T: Statement>(statement: &T) -> Result<Signed, Error> {
        let body = cbor::to_vec(statement);
        Error::limit("statement bytes", body.len(), limits::STATEMENT_MAX_BYTES)?;
        Ok(Signed { v: Version, namespace: T::NAMESPACE, body, signatures: Vec::new() })
    }

    /// Its kind.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// What is signed; `ssh-keygen -Y sign` and `-Y verify` take these bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The signatures in SSHSIG's binary form.
    pub fn signatures(&self) -> &[Vec<u8>] {
        &self.signatures
    }

    /// Adds the signature of an Ed25519 key.
    pub fn sign(&mut self, signer: &dyn Signer) -> Result<(), Error> {
        let signature = SshSig::sign(&self.body, self.namespace.as_str(), signer)?;
        self.add(&signature)
    }

    /// Adds a signature made elsewhere, if it holds.
    pub fn add(&mut self, signature: &SshSig) -> Result<(), Error> {
        let count = self.signatures.len() + 1;
        Error::limit("statement signatures", count, limits::STATEMENT_MAX_SIGNATURES)?;
        signature.verify(&self.body, self.namespace.as_str())?;
        self.signatures.push(signature.to_bytes());
        Ok(())
    }

    /// The bytes that are kept, sent and put into the ledger.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_vec(self)
    }

    /// Reads such bytes, strictly. Nothing is proven until [`Signed::verify`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Signed, Error> {
        let most = 2 * limits::STATEMENT_MAX_BYTES
            + limits::STATEMENT_MAX_SIGNATURES * limits::SSHSIG_MAX_BYTES;
        Error::limit("signed statement bytes", bytes.len(), most)?;
        let signed: Signed = cbor::from_slice(bytes)?;
        Error::limit("statement bytes", signed.body.len(), limits::STATEMENT_MAX_BYTES)?;
        let count = signed.signatures.len();
        Error::limit("statement signatures", count, limits::STATEMENT_MAX_SIGNATURES)?;
        Ok(signed)
    }

    /// SHA-256 of [`Signed::to_bytes`]: how leaves and other statements name it.
    pub fn digest(&self) -> Hash {
        sha256(&self.to_bytes())
    }

    /// 40 bits of what is signed, for two people who compare what they see: its first signature changes
    /// nothing of it.
    pub fn code(&self) -> String {
        labelled(self.namespace.as_str(), &self.body).code()
    }

    /// The statement and its signers: every signature must hold, each by another key, and there
    /// must be one. Whether these keys may say this is for the caller to decide.
    pub fn verify<T: Statement>(&self) -> Result<(T, Vec<VerifiedSsh>), Error> {
        const WHAT: &str = "signed statement";
        if self.namespace != T::NAMESPACE {
            return Err(Error::malformed(WHAT, "it is of another kind"));
        }
        let mut signers = Vec::new();
        let mut keys = BTreeSet::new();
        for signature in &self.signatures {
            let signature = SshSig::from_bytes(signature)?;
            let verified = signature.verify(&self.body, self.namespace.as_str())?;
            if !keys.insert(verified.key.clone()) {
                return Err(Error::malformed(WHAT, "a key has signed twice"));
            }
            signers.push(verified);
        }
        if signers.is_empty() {
            return Err(Error::Unsigned { wanted: "anybody".to_owned() });
        }
        Ok((cbor::from_slice(&self.body)?, signers))
    }
}

#[cfg(test)]
#[path = "tests/statement.rs"]
mod tests;
