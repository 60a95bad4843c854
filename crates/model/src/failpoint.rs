//! Points at which a test build can be made to crash, or to leave something out.
//!
//! `WRIT_FAILPOINT=name` (several with commas) sets them. Without the feature `failpoints` nothing can
//! be set, and the calls compile to nothing.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` is for test builds only");

/// Aborts the process, as `kill -9` would, if the point `name` is set.
pub fn hit(name: &str) {
    if is_set(name) {
        std::process::abort();
    }
}

/// True if the point `name` is set.
#[cfg(feature = "failpoints")]
pub fn is_set(name: &str) -> bool {
    static SET: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "test builds only; the one place that reads it")]
    let set = SET.get_or_init(|| std::env::var("WRIT_FAILPOINT").unwrap_or_default());
    set.split(',').any(|point| point == name)
}

/// True if the point `name` is set.
#[cfg(not(feature = "failpoints"))]
pub const fn is_set(_name: &str) -> bool {
    false
}
