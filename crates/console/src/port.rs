//! What the console asks of front.

use std::pin::Pin;

use writ_model::{AccountId, PersonId, Timestamp, Ulid};
use writ_proof::access::{self, Approval, Basis, Decision, Missing, Opening, Scope, Ticket};
use writ_proof::hash::Hash;
use writ_proof::origin::SiteId;
use writ_proof::roster::{Change, GroupName, PersonKey, SlotName};
use writ_proof::sshsig::SshSig;
use writ_proof::statement::Signed;
use writ_service::http::{Refused, Request};

use crate::caller::Caller;
use crate::session::Token;
use crate::view::{
    AlarmsView, DraftView, GrantView, Inbox, Page, PersonView, Reader, RequestPage, RequestView,
    SessionView, TicketView,
};
use crate::webauthn::Assertion;

/// A future of a port.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps enrolments and tells the ledger of them.
pub trait Desk: Send + Sync {
    /// The installation.
    fn site(&self) -> &SiteId;

    /// True in mode `dev`.
    fn is_dev(&self) -> bool;

    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// The home region, which customers sign their calls for.
    fn region(&self) -> &str;

    /// True if browsers may sign for this installation at pages of `origin` with keys of `rp_id`.
    fn is_origin(&self, origin: &str, rp_id: &str) -> bool;

    /// The enrolment whose link has a token of this SHA-256.
    fn look(&self, link: &Hash) -> Option<Link>;

    /// Opens a link for a person, as one commit with its record.
    fn open<'a>(
        &'a self,
        caller: &'a Caller,
        person: &'a PersonId,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Opened, Refused>>;

    /// Keeps the keys that the holder of a link has shown, as one commit with its record; a link takes
    /// them once. `attestation` is the format of what came with a passkey.
    fn propose<'a>(
        &'a self,
        link: &'a Hash,
        keys: Vec<PersonKey>,
        attestation: Option<String>,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>>;

    /// Records that something was refused; of strangers only so many a second.
    fn refused<'a>(
        &'a self,
        event: &'static str,
        refused: &'a Refused,
        request: &'a Request,
    ) -> PortFuture<'a, ()>;
}

/// A link that was opened. Nothing else holds its token.
pub struct Opened {
    /// The enrolment.
    pub id: String,
    /// What the link ends with.
    pub token: [u8; crate::limits::TOKEN_BYTES],
    /// When the link ends.
    pub expires: Timestamp,
}

/// An enrolment, as the page shows it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Whose.
    pub person: PersonId,
    /// Who opened it.
    pub opened_by: PersonId,
    /// When the link ends.
    pub expires: Timestamp,
    /// True if the person has keys already: then the link takes one more.
    pub enrolled: bool,
    /// The passkeys that the person has, which need not be made again.
    pub passkeys: Vec<Vec<u8>>,
    /// What has become of it.
    pub state: State,
}

/// What has become of an enrolment.
#[derive(Debug, Clone)]
pub enum State {
    /// The roster has the keys.
    Done(Change),
    /// The link ended without keys.
    Expired,
    /// It waits for keys.
    Open,
    /// It waits for signatures.
    Proposed(Change),
}

impl State {
    /// As programs read it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            State::Done(_) => "done",
            State::Expired => "expired",
            State::Open => "open",
            State::Proposed(_) => "proposed",
        }
    }

    /// The proposed change.
    pub const fn change(&self) -> Option<&Change> {
        match self {
            State::Done(change) | State::Proposed(change) => Some(change),
            State::Expired | State::Open => None,
        }
    }
}

/// What people who are signed in read, and what they sign. Whatever is given out is in the ledger before.
pub trait Books: Send + Sync {
    /// A challenge to sign in.
    fn challenge(&self) -> String;

    /// Signs somebody in: the passkey's answer to `challenge` at the page of `origin`.
    fn sign_in<'a>(
        &'a self,
        challenge: &'a str,
        answer: &'a Assertion,
        origin: &'a str,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Token, Refused>>;

    /// Whose cookie this is, if they may still read.
    fn reader(&self, token: &Token) -> Option<Reader>;

    /// Ends a session.
    fn sign_out<'a>(
        &'a self,
        token: &'a Token,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>>;

    /// What waits for the reader, and what is theirs.
    fn inbox<'a>(
        &'a self,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Inbox, Refused>>;

    /// All requests before the id `before`.
    fn requests<'a>(
        &'a self,
        before: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<RequestView>, Refused>>;

    /// A request.
    fn request<'a>(
        &'a self,
        id: Ulid,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<RequestPage, Refused>>;

    /// All grants before the id `before`.
    fn grants<'a>(
        &'a self,
        before: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<GrantView>, Refused>>;

    /// Recorded sessions before the id `before`.
    fn sessions<'a>(
        &'a self,
        before: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<SessionView>, Refused>>;

    /// A recorded session.
    fn session<'a>(
        &'a self,
        id: &'a str,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<SessionView, Refused>>;

    /// The statement that the reader would sign to open a recording for a key of theirs.
    fn opening<'a>(
        &'a self,
        session: Ulid,
        recipient: [u8; 32],
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Opening, Refused>>;

    /// Opens a recording for who signed.
    fn open_recording<'a>(
        &'a self,
        signed: Signed,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<OpenedRecording, Refused>>;

    /// All tickets before the id `before`.
    fn tickets<'a>(
        &'a self,
        before: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<TicketView>, Refused>>;

    /// People after the id `after`, by id.
    fn people<'a>(
        &'a self,
        after: Option<&'a str>,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Page<PersonView>, Refused>>;

    /// Records that the reader looks at the groups of the roster, which the reader holds.
    fn groups<'a>(
        &'a self,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>>;

    /// What watch says of alarms.
    fn alarms<'a>(
        &'a self,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<AlarmsView, Refused>>;

    /// The statement that the reader would sign.
    fn statement<'a>(
        &'a self,
        wish: Wish,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Approval, Refused>>;

    /// Takes a decision with its signature.
    fn decide<'a>(
        &'a self,
        said: Approval,
        signature: SshSig,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Decided, Refused>>;

    /// Judges what the reader wants as if it were filed now, and makes the request that they would sign.
    fn draft<'a>(
        &'a self,
        want: Want,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<DraftView, Refused>>;

    /// Files a request with its signature.
    fn file<'a>(
        &'a self,
        asked: access::Request,
        signature: SshSig,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<Ulid, Refused>>;

    /// Carries out a call that the reader has signed.
    fn call<'a>(
        &'a self,
        call: SignedCall,
        reader: &'a Reader,
        request: &'a Request,
    ) -> PortFuture<'a, Result<(), Refused>>;

    /// Records that something was refused before it came to any of these; of strangers only so many a second.
    fn refused<'a>(
        &'a self,
        act: Act,
        refused: &'a Refused,
        reader: Option<&'a Reader>,
        request: &'a Request,
    ) -> PortFuture<'a, ()>;
}

/// What was tried, where it did not come to one of the calls of [`Books`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// To ask for access.
    Ask,
    /// To change something that is no statement.
    Call,
    /// To decide on a request.
    Decide,
    /// To read alarms.
    ReadAlarms,
    /// To open a recording.
    OpenRecording,
    /// To read grants.
    ReadGrants,
    /// To read the roster.
    ReadGroups,
    /// To read persons.
    ReadPeople,
    /// To read requests.
    ReadRequests,
    /// To read sessions.
    ReadSessions,
    /// To read tickets.
    ReadTickets,
    /// To sign in.
    SignIn,
    /// To sign out.
    SignOut,
}

/// A recording that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedRecording {
    /// Its key, sealed to the reader's.
    pub sealed: Vec<u8>,
    /// What fetches its bytes.
    pub token: String,
    /// How many they are.
    pub bytes: u64,
    /// Its end as keyd has signed it.
    pub end: Option<SignedEnd>,
}

/// The end of a recording, all in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEnd {
    /// What was signed: the mark with what stands before it.
    pub signed: String,
    /// keyd's signature.
    pub signature: String,
    /// keyd's key, as genesis names it.
    pub key: String,
}

/// What somebody wants to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The request.
    pub id: Ulid,
    /// Yes or no.
    pub decision: Decision,
    /// The slot; only needed of who may fill several.
    pub slot: Option<SlotName>,
    /// Agree for this many minutes from the beginning of the window, or from now if that is later.
    pub minutes: Option<u32>,
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The state of the request.
    pub state: &'static str,
    /// Who has still to agree.
    pub missing: Vec<Missing>,
}

/// A call of the API of access with a passkey's signature over it, unchecked ([`crate::caller`]). It is a `POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCall {
    /// The path.
    pub target: String,
    /// The body; empty for most.
    pub body: String,
    /// The date that was signed, in the basic form of ISO 8601.
    pub date: String,
    /// The page at which it must have been signed.
    pub origin: String,
    /// The signature.
    pub signature: SshSig,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The group as whose member.
    pub group: GroupName,
    /// What.
    pub scope: Scope,
    /// The ticket of the work.
    pub ticket: Ticket,
    /// The kind of reason.
    pub basis: Basis,
    /// The customer, if it is for one.
    pub account: Option<AccountId>,
    /// The reason in words.
    pub reason: String,
    /// From when on; now if absent.
    pub start: Option<Timestamp>,
    /// For how long.
    pub minutes: u32,
}
