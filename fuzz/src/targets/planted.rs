//! A planted bug: the wrapper's own test. A fuzzer with working coverage finds it in seconds.

pub(crate) fn run(input: &[u8]) {
    if let [b'w', b'r', b'i', b't', level, ..] = input {
        assert!(*level != b'!', "the planted bug");
    }
}
