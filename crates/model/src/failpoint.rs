//! Named places where a test may end the process or leave something out, to show what then holds.
//!
//! Without the feature `failpoints` this is nothing at all. With it, `WRIT_FAILPOINT=NAME` makes the
//! process abort at the first pass of that place, `NAME:3` at the third; several are separated by
//! commas. The feature is refused in release builds.

#[cfg(all(feature = "failpoints", not(debug_assertions)))]
compile_error!("the feature `failpoints` adds crash points and must not be in a release build");

/// Aborts the process, as `kill -9` would, if this place was named at its start.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &str) {}

/// True if this place was named at the process's start.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn is_set(_name: &str) -> bool {
    false
}

#[cfg(feature = "failpoints")]
pub use on::{hit, is_set};

#[cfg(feature = "failpoints")]
mod on {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Point {
        name: String,
        pass: u64,
        passes: AtomicU64,
    }

    fn points() -> &'static [Point] {
        static POINTS: OnceLock<Vec<Point>> = OnceLock::new();
        POINTS.get_or_init(|| {
            #[expect(
                clippy::disallowed_methods,
                reason = "crash tests steer child processes by it"
            )]
            let text = std::env::var("WRIT_FAILPOINT").unwrap_or_default();
            let named = text.split(',').filter(|point| !point.is_empty());
            named
                .map(|point| {
                    let (name, pass) = point.rsplit_once(':').unwrap_or((point, "1"));
                    let pass = pass.parse().unwrap_or(1);
                    Point { name: name.to_owned(), pass, passes: AtomicU64::new(0) }
                })
                .collect()
        })
    }

    /// Aborts the process, as `kill -9` would, if this place was named at its start.
    pub fn hit(name: &str) {
        for point in points().iter().filter(|point| point.name == name) {
            if point.passes.fetch_add(1, Ordering::SeqCst) + 1 == point.pass {
                std::process::abort();
            }
        }
    }

    /// True if this place was named at the process's start.
    pub fn is_set(name: &str) -> bool {
        points().iter().any(|point| point.name == name)
    }
}
