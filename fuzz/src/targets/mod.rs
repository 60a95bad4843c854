//! The targets, each with `run`.

pub(crate) mod account_bundle;
pub(crate) mod assertion;
pub(crate) mod aws_chunked;
pub(crate) mod channel_packet;
pub(crate) mod fas_ticket;
pub(crate) mod host_frames;
pub(crate) mod host_sources;
pub(crate) mod hr_feed;
pub(crate) mod json_decode;
pub(crate) mod leaf;
pub(crate) mod note_checkpoint;
pub(crate) mod planted;
pub(crate) mod policy_case;
pub(crate) mod policy_parse;
pub(crate) mod query_decode;
pub(crate) mod recording;
pub(crate) mod registration;
pub(crate) mod rest_xml_decode;
pub(crate) mod runbook;
pub(crate) mod sftp_packets;
pub(crate) mod sigv4_head;
pub(crate) mod sigv4_presigned;
pub(crate) mod ssh_auth;
pub(crate) mod ssh_channels;
pub(crate) mod ssh_formats;
pub(crate) mod ssh_handshake;
pub(crate) mod sshd_lines;
pub(crate) mod statement;
pub(crate) mod wal_frame;

/// A target's name, and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const ALL: &[Target] = &[
    ("account_bundle", account_bundle::run),
    ("assertion", assertion::run),
    ("aws_chunked", aws_chunked::run),
    ("channel_packet", channel_packet::run),
    ("fas_ticket", fas_ticket::run),
    ("host_frames", host_frames::run),
    ("host_sources", host_sources::run),
    ("hr_feed", hr_feed::run),
    ("json_decode", json_decode::run),
    ("leaf", leaf::run),
    ("note_checkpoint", note_checkpoint::run),
    ("planted", planted::run),
    ("policy_case", policy_case::run),
    ("policy_parse", policy_parse::run),
    ("query_decode", query_decode::run),
    ("recording", recording::run),
    ("registration", registration::run),
    ("rest_xml_decode", rest_xml_decode::run),
    ("runbook", runbook::run),
    ("sftp_packets", sftp_packets::run),
    ("sigv4_head", sigv4_head::run),
    ("sigv4_presigned", sigv4_presigned::run),
    ("ssh_auth", ssh_auth::run),
    ("ssh_channels", ssh_channels::run),
    ("ssh_formats", ssh_formats::run),
    ("ssh_handshake", ssh_handshake::run),
    ("sshd_lines", sshd_lines::run),
    ("statement", statement::run),
    ("wal_frame", wal_frame::run),
];
