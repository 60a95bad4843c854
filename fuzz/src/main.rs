//! All fuzz targets in one program: the instrumented code is built and linked once. The target is
//! chosen by the environment, since the arguments are libFuzzer's.

#![no_main]

mod input;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// Names the target.
const CHOICE: &str = "WRIT_FUZZ_TARGET";

/// Every target with its name.
const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("account_bundle", targets::account_bundle::run),
    ("assertion", targets::assertion::run),
    ("aws_chunked", targets::aws_chunked::run),
    ("channel_packet", targets::channel_packet::run),
    ("fas_ticket", targets::fas_ticket::run),
    ("host_frames", targets::host_frames::run),
    ("host_sources", targets::host_sources::run),
    ("hr_feed", targets::hr_feed::run),
    ("json_decode", targets::json_decode::run),
    ("leaf", targets::leaf::run),
    ("note_checkpoint", targets::note_checkpoint::run),
    ("planted", targets::planted::run),
    ("policy_case", targets::policy_case::run),
    ("policy_parse", targets::policy_parse::run),
    ("query_decode", targets::query_decode::run),
    ("recording", targets::recording::run),
    ("registration", targets::registration::run),
    ("rest_xml_decode", targets::rest_xml_decode::run),
    ("sftp_packets", targets::sftp_packets::run),
    ("sigv4_head", targets::sigv4_head::run),
    ("sigv4_presigned", targets::sigv4_presigned::run),
    ("ssh_auth", targets::ssh_auth::run),
    ("ssh_channels", targets::ssh_channels::run),
    ("ssh_formats", targets::ssh_formats::run),
    ("ssh_handshake", targets::ssh_handshake::run),
    ("statement", targets::statement::run),
    ("wal_frame", targets::wal_frame::run),
];

/// The target that the environment names.
fn chosen() -> fn(&[u8]) {
    let name = std::env::var(CHOICE).unwrap_or_default();
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("{CHOICE} names no target: `{name}`")).1
}

fuzz_target!(|input: &[u8]| {
    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();
    CHOSEN.get_or_init(chosen)(input);
});
