//! Ends of sessions that the store has not kept yet. They are in force, but would be forgotten with this process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Sid;
use crate::session::Ended;

/// What is still to be written. Every entry is one logout of somebody who held a valid token, or one
/// of the operator's, as in [`Revocations`](crate::Revocations).
#[derive(Debug, Default)]
pub(super) struct UnkeptEnds(Mutex<HashMap<Sid, Ended>>);

impl UnkeptEnds {
    /// This end is to be kept. Of several ends of one session the latest `until` counts.
    pub(super) fn note(&self, ended: Ended) {
        let mut ends = self.ends();
        let known = ends.entry(ended.sid).or_insert(ended);
        known.until = ended.until.max(known.until);
    }

    /// This end was kept. One that is to be remembered for longer, noted meanwhile, was not.
    pub(super) fn kept(&self, ended: Ended) {
        let mut ends = self.ends();
        if ends.get(&ended.sid).is_some_and(|noted| noted.until <= ended.until) {
            ends.remove(&ended.sid);
        }
    }

    /// Those that still matter at `now` (Unix seconds); the others are forgotten.
    pub(super) fn all(&self, now: u64) -> Vec<Ended> {
        let mut ends = self.ends();
        ends.retain(|_, ended| ended.until >= now);
        ends.values().copied().collect()
    }

    /// No change leaves the map half changed, so what a panicking thread left behind is still whole.
    fn ends(&self) -> MutexGuard<'_, HashMap<Sid, Ended>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
