<<<<<<< HEAD
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
=======
//! Named places where a test may end the process, to show that a crash there loses nothing.
//!
//! Without the feature `failpoints` this is nothing at all. With it, the variable
//! `WRIT_FAILPOINT=NAME` makes the process abort at the first pass of that place, and `NAME:3` at
//! the third. The feature is refused in release builds.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` adds crash points and must not be in a release build");

/// Aborts the process if this place was named at its start.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// Aborts the process if this place was named at its start.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSES: AtomicU64 = AtomicU64::new(0);

    #[expect(clippy::disallowed_methods, reason = "crash tests steer child processes by it")]
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("WRIT_FAILPOINT").ok()?;
        match text.rsplit_once(':') {
            Some((name, pass)) => Some((name.to_owned(), pass.parse().ok()?)),
            None => Some((text, 1)),
        }
    });
    if let Some((wanted, pass)) = chosen
        && wanted == name
        && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *pass
    {
        std::process::abort();
    }
}
>>>>>>> store
