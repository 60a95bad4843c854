//! What travels over a channel to trail: appends ([`writ_proof::append`]) and questions.
//!
//! No message names its sender: trail knows the role from the channel.

use writ_model::{AccountId, Timestamp, Uuid};
use writ_proof::append::{AppendReply, AppendRequest};
use writ_proof::leaf::LogHead;
use writ_proof::{cbor_enum, cbor_map};

/// A request to trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Appends records. All channels but keyd's and watch's.
    Append(AppendRequest),
    /// One page of LookupEvents. front.
    Lookup(LookupQuery),
    /// What trail says of itself. All channels.
    Status,
    /// The newest signed checkpoint of the operator log. All channels.
    Head,
}
cbor_enum!(Request { 0: Append(_), 1: Lookup(_), 2: Status, 3: Head });

/// trail's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To `Append`.
    Append(AppendReply),
    /// To `Lookup`.
    Lookup(LookupPage),
    /// To `Status`.
    Status(Status),
    /// The question is one that this channel may not ask, or is malformed.
    Refused(String),
    /// To `Head`.
    Head(LogHead),
}
cbor_enum!(Reply { 0: Append(_), 1: Lookup(_), 2: Status(_), 3: Refused(_), 4: Head(_) });

/// A question for one page of an account's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupQuery {
    /// Whose events. front takes it from the verified caller, never from the request.
    pub account: AccountId,
    /// Only events with this value of this attribute.
    pub attribute: Option<(Attribute, String)>,
    /// Only events at or after this time.
    pub start: Option<Timestamp>,
    /// Only events at or before this time.
    pub end: Option<Timestamp>,
    /// How many, 1 to 50.
    pub max: u64,
    /// Where the page before this one ended.
    pub next: Option<String>,
    /// Data events too. AWS's LookupEvents knows management events only.
    pub data_events: bool,
}
cbor_map!(LookupQuery {
    1: account, 2: opt attribute, 3: opt start, 4: opt end, 5: max, 6: opt next, 7: data_events,
});

/// What events can be looked up by (AWS CloudTrail API, `LookupAttributeKey`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `AccessKeyId`.
    AccessKeyId,
    /// `EventId`.
    EventId,
    /// `EventName`.
    EventName,
    /// `EventSource`.
    EventSource,
    /// `ReadOnly`: `true` or `false`.
    ReadOnly,
    /// `ResourceName`.
    ResourceName,
    /// `ResourceType`.
    ResourceType,
    /// `Username`.
    Username,
}
cbor_enum!(Attribute {
    0: AccessKeyId,
    1: EventId,
    2: EventName,
    3: EventSource,
    4: ReadOnly,
    5: ResourceName,
    6: ResourceType,
    7: Username,
});

impl Attribute {
    /// The attribute that the API calls `name`.
    pub fn from_name(name: &str) -> Option<Attribute> {
        Some(match name {
            "AccessKeyId" => Attribute::AccessKeyId,
            "EventId" => Attribute::EventId,
            "EventName" => Attribute::EventName,
            "EventSource" => Attribute::EventSource,
            "ReadOnly" => Attribute::ReadOnly,
            "ResourceName" => Attribute::ResourceName,
            "ResourceType" => Attribute::ResourceType,
            "Username" => Attribute::Username,
            _ => return None,
        })
    }
}

/// One page, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookupPage {
    /// The events.
    pub events: Vec<LookupEvent>,
    /// Where the next page begins; absent on the last. Opaque, and good for the same question only.
    pub next: Option<String>,
}
cbor_map!(LookupPage { 1: events, 2: opt next });

/// One event of LookupEvents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupEvent {
    /// Its id.
    pub event_id: Uuid,
    /// Its name.
    pub event_name: String,
    /// Whether it changed nothing.
    pub read_only: bool,
    /// The key that signed.
    pub access_key_id: Option<String>,
    /// When it completed.
    pub time: Timestamp,
    /// The service.
    pub event_source: String,
    /// The user, the role's session, or `root`.
    pub user_name: Option<String>,
    /// Type and name of what was touched.
    pub resources: Vec<(String, String)>,
    /// The whole record: JSON.
    pub record: Vec<u8>,
}
cbor_map!(LookupEvent {
    1: event_id, 2: event_name, 3: read_only, 4: opt access_key_id, 5: time, 6: event_source,
    7: opt user_name, 8: resources, 9: record,
});

/// What trail says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// WAL position of the next entry.
    pub next_seq: u64,
    /// Entries that are in the tiles.
    pub built_seq: u64,
    /// Logs with their sizes.
    pub logs: Vec<(String, u64)>,
    /// Size and time of the last signed checkpoint of the checkpoint log.
    pub checkpoint: Option<(u64, Timestamp)>,
    /// How many witnesses cosigned that checkpoint, watch included.
    pub cosignatures: u64,
    /// Entries that watch has durably; absent while it is not connected.
    pub watch_seq: Option<u64>,
    /// Free bytes on the ledger's disk.
    pub free_bytes: u64,
    /// Why the ledger takes nothing more, if so.
    pub closed: Option<String>,
}
cbor_map!(Status {
    1: next_seq, 2: built_seq, 3: logs, 4: opt checkpoint, 5: cosignatures, 6: opt watch_seq,
    7: free_bytes, 8: opt closed,
});
