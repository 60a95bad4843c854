//! All fuzz targets in one program: the instrumented code is built and linked once. The target is
//! chosen by the environment, since the arguments are libFuzzer's.

#![no_main]

mod input;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// Names the target.
const CHOICE: &str = "WRIT_FUZZ_TARGET";

/// Declares the targets, each a module of its name with `run`, and their table.
macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        mod targets {
            $(pub(crate) mod $name;)*
        }

        const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), targets::$name::run)),*];
    };
}

targets! {
    account_bundle,
    assertion,
    aws_chunked,
    channel_packet,
    fas_ticket,
    host_frames,
    host_sources,
    hr_feed,
    json_decode,
    leaf,
    note_checkpoint,
    planted,
    policy_case,
    policy_parse,
    query_decode,
    recording,
    registration,
    rest_xml_decode,
    sftp_packets,
    sigv4_head,
    sigv4_presigned,
    ssh_auth,
    ssh_channels,
    ssh_formats,
    ssh_handshake,
    statement,
    wal_frame,
}

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
