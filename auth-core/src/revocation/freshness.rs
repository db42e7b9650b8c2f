//! How far this node knows what ended on others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When the ends of all nodes were last read.
#[derive(Debug)]
pub(super) struct Freshness {
    start: Instant,
    /// In milliseconds after `start`, plus one; 0 is never.
    read_at: AtomicU64,
    stale_after: Duration,
}

impl Freshness {
    pub(super) fn new(stale_after: Duration) -> Self {
        Self { start: Instant::now(), read_at: AtomicU64::new(0), stale_after }
    }

    /// The store was asked at `asked_at`, and has answered. Of several readings the one that was asked last counts.
    pub(super) fn read(&self, asked_at: Instant) {
        let after = asked_at.saturating_duration_since(self.start).as_millis();
        self.read_at.fetch_max(u64::try_from(after).unwrap_or(u64::MAX - 1) + 1, Ordering::Release);
    }

    pub(super) fn was_read(&self) -> bool {
        self.read_at.load(Ordering::Acquire) != 0
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        let read_at = self.read_at.load(Ordering::Acquire).saturating_sub(1);
        now.saturating_duration_since(self.start).saturating_sub(Duration::from_millis(read_at))
    }

    pub(super) fn is_stale(&self, now: Instant) -> bool {
        !self.was_read() || self.age(now) > self.stale_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_for_too_long_is_stale() {
        let secs = Duration::from_secs;
        let freshness = Freshness::new(secs(15));
        let start = freshness.start;
        assert!(freshness.is_stale(start) && !freshness.was_read());
        freshness.read(start);
        assert!(!freshness.is_stale(start) && freshness.was_read());
        assert!(!freshness.is_stale(start + secs(15)));
        assert!(freshness.is_stale(start + secs(16)));
        // The answer is as old as the question.
        freshness.read(start + secs(15));
        assert!(!freshness.is_stale(start + secs(16)));
        assert_eq!(freshness.age(start + secs(16)), secs(1));
        // One that was asked before and took longer says nothing new.
        freshness.read(start + secs(5));
        assert_eq!(freshness.age(start + secs(16)), secs(1));
    }
}
