//! What ended before its time. Asked on every request, so it lives in memory; the store keeps it across restarts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::Sid;
use crate::session::Ended;

/// The sessions that ended while a token that names them could still be valid.
#[derive(Debug, Default)]
pub struct Revocations {
    until: RwLock<HashMap<Sid, u64>>,
    /// How many there are: nobody logged out is the common case and needs no lock.
    count: AtomicUsize,
}

impl Revocations {
    /// Ends a session here, at once. Of several ends of one the latest `until` counts.
    pub fn insert(&self, ended: Ended) {
        let mut until = self.until.write().unwrap_or_else(PoisonError::into_inner);
        let known = until.entry(ended.sid).or_default();
        *known = ended.until.max(*known);
        self.count.store(until.len(), Ordering::Release);
    }

    /// Whether the session has ended.
    pub fn contains(&self, sid: &Sid) -> bool {
        self.count.load(Ordering::Acquire) != 0
            && self.until.read().unwrap_or_else(PoisonError::into_inner).contains_key(sid)
    }

    /// Forgets ends that no valid token can name any more at `now` (Unix seconds).
    pub fn sweep(&self, now: u64) {
        let mut until = self.until.write().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| *until >= now);
        self.count.store(until.len(), Ordering::Release);
    }

    /// How many ends are remembered.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
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
