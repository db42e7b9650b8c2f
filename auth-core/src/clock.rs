//! Time comes in through a trait, so that tests own the clock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Tells the wall-clock time. Token and session lives are counted on it.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn unix_millis(&self) -> u64;

    /// Seconds since the Unix epoch.
    fn unix_secs(&self) -> u64 {
        self.unix_millis() / 1000
    }
}

/// The clock of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the time of day is read")]
    fn unix_millis(&self) -> u64 {
        // A clock before 1970 counts as 1970: every token is then not yet valid, which fails closed.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until it is told to move: for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `unix_secs`.
    pub const fn at(unix_secs: u64) -> Self {
        Self(AtomicU64::new(unix_secs))
    }

    /// Moves the clock `secs` seconds ahead.
    pub fn advance(&self, secs: u64) {
        self.0.fetch_add(secs, Ordering::SeqCst);
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, unix_secs: u64) {
        self.0.store(unix_secs, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst).saturating_mul(1000)
    }
}
