//! What ended before its time. Asked on every request, so it lives in memory; the store keeps it across restarts.

mod ends;
mod freshness;

use std::time::Duration;

use tokio::time::Instant;

use crate::Sid;
use crate::session::Ended;

use ends::Ends;
use freshness::Freshness;

/// The sessions that ended while a token that names them could still be valid.
#[derive(Debug, Default)]
pub struct Revocations {
    ends: Ends,
    /// None where sessions end on this node alone.
    freshness: Option<Freshness>,
}

impl Revocations {
    /// Of a node that shares its store with others: what ended on them is known as far as it was read from there.
    /// After `stale_after` without a reading, an end may be missing here.
    pub fn shared(stale_after: Duration) -> Self {
        Self { freshness: Some(Freshness::new(stale_after)), ..Self::default() }
    }

    /// Whether an end on another node may be missing here for longer than it should: the store was not read for so long,
    /// or not once. Never where the store is this node's alone.
    pub fn may_be_stale(&self) -> bool {
        self.freshness.as_ref().is_some_and(|freshness| freshness.is_stale(Instant::now()))
    }

    /// How long ago the ends of all nodes were last read from the store; since when they are waited for, if never.
    /// None where the store is this node's alone.
    pub fn age(&self) -> Option<Duration> {
        self.freshness.as_ref().map(|freshness| freshness.age(Instant::now()))
    }

    /// Whether the ends of all nodes were read from the store since the start.
    pub fn were_read(&self) -> bool {
        self.freshness.as_ref().is_none_or(Freshness::was_read)
    }

    /// Says that everything which the store held at `asked_at` is in here.
    pub(crate) fn read(&self, asked_at: Instant) {
        if let Some(freshness) = &self.freshness {
            freshness.read(asked_at);
        }
    }

    /// Ends a session here, at once. Of several ends of one the latest `until` counts.
    pub fn insert(&self, ended: Ended) {
        self.ends.insert(ended);
    }

    /// Whether the session has ended.
    pub fn contains(&self, sid: &Sid) -> bool {
        self.ends.contains(sid)
    }

    /// Forgets ends that no valid token can name any more at `now` (Unix seconds).
    pub fn sweep(&self, now: u64) {
        self.ends.sweep(now);
    }

    /// How many ends are remembered.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_remembered_until_no_token_can_name_it() {
        let (gone, alive) = (Sid::from_bytes([1; 16]), Sid::from_bytes([2; 16]));
        let revocations = Revocations::default();
        assert!(!revocations.contains(&gone));
        revocations.insert(Ended { sid: gone, until: 100 });
        revocations.insert(Ended { sid: gone, until: 50 });
        assert!(revocations.contains(&gone));
        assert!(!revocations.contains(&alive));
        revocations.sweep(100);
        assert!(revocations.contains(&gone));
        revocations.sweep(101);
        assert!(!revocations.contains(&gone) && revocations.is_empty());
    }
}
