//! The one source of time and randomness.

use std::sync::Arc;
use std::time::Duration;

use crate::{Nonce, Timestamp};

/// What code may take from the outside world. Nothing else calls the clock or draws randomness, so
/// that simulations and exact expiry tests are possible.
pub trait Env: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Time since some fixed point of this process; never goes backwards.
    fn monotonic(&self) -> Duration;

    /// Fills `buffer` from a cryptographically secure generator.
    fn fill(&self, buffer: &mut [u8]);

    /// 128 random bits, for identifiers that nobody may guess.
    fn nonce(&self) -> Nonce {
        let mut bytes = [0u8; 16];
        self.fill(&mut bytes);
        Nonce(bytes)
    }
}

impl<E: Env + ?Sized> Env for Arc<E> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }

    fn fill(&self, buffer: &mut [u8]) {
        (**self).fill(buffer);
    }
}

/// The real world: the system's clocks and the kernel's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnv;

#[expect(clippy::disallowed_methods, reason = "this is the one place that may ask the clock")]
impl Env for SystemEnv {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_millis(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0)))
    }

    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        let start = START.get_or_init(std::time::Instant::now);
        std::time::Instant::now().saturating_duration_since(*start)
    }

    fn fill(&self, buffer: &mut [u8]) {
        let mut rest = buffer;
        while !rest.is_empty() {
            match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => rest = rest.get_mut(n..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                // INVARIANT: after boot getrandom fails for no reason that a caller could mend;
                // going on with predictable bytes would be worse than stopping.
                Err(_) => std::process::abort(),
            }
        }
    }
}

/// A world under a test's control: a clock that moves when told, and bytes from a seed.
#[derive(Debug)]
pub struct TestEnv {
    now_ms: std::sync::atomic::AtomicU64,
    monotonic_ms: std::sync::atomic::AtomicU64,
    seed: std::sync::atomic::AtomicU64,
}

impl TestEnv {
    /// A world at `now` whose random bytes follow from `seed`. Never use one outside tests.
    pub fn new(now: Timestamp, seed: u64) -> TestEnv {
        TestEnv { now_ms: now.millis().into(), monotonic_ms: 0.into(), seed: seed.into() }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(0);
        self.now_ms.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
        self.monotonic_ms.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an administrator could.
    pub fn set_now(&self, now: Timestamp) {
        self.now_ms.store(now.millis(), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Env for TestEnv {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(std::sync::atomic::Ordering::SeqCst))
    }

    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            // SplitMix64: good enough to make test identifiers distinct.
            let state =
                self.seed.fetch_add(0x9E37_79B9_7F4A_7C15, std::sync::atomic::Ordering::SeqCst);
            let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = z.to_be_bytes()[0];
        }
    }
}
