//! All fuzz targets in one program: the instrumented code is built and linked once. The target is
//! chosen by the environment, since the arguments are libFuzzer's.

#![no_main]

mod input;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// Names the target.
const CHOICE: &str = "WRIT_FUZZ_TARGET";

/// The target that the environment names.
fn chosen() -> fn(&[u8]) {
    let name = std::env::var(CHOICE).unwrap_or_default();
    let target = targets::ALL.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("{CHOICE} names no target: `{name}`")).1
}

fuzz_target!(|input: &[u8]| {
    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();
    CHOSEN.get_or_init(chosen)(input);
});
