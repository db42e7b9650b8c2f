//! The ends that this node wrote lately, so that it can write them again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::session::Ended;

/// For how long an end is written again: longer than a failover takes, from the first lost write to a new master.
const LASTS: Duration = Duration::from_secs(120);

/// How many are kept for that, about 160 KiB; of more in that time, the newest.
const RECENT_MAX: usize = 4096;

/// Ends in the order in which they were written.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<(Instant, Ended)>>);

impl Recent {
    pub(super) fn add(&self, ended: Ended, now: Instant) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back((now, ended));
    }

    /// Those that are still young enough; forgets the others.
    pub(super) fn all(&self, now: Instant) -> Vec<Ended> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|(at, _)| now.duration_since(*at) > LASTS) {
            recent.pop_front();
        }
        recent.iter().map(|(_, ended)| *ended).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sid;

    fn ended(until: u64) -> Ended {
        Ended { sid: Sid::from_bytes([1; Sid::BYTES]), until }
    }

    #[test]
    fn an_end_is_recent_for_two_minutes() {
        let (recent, start) = (Recent::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        recent.add(ended(1), start);
        recent.add(ended(2), at(100));
        assert_eq!(recent.all(at(120)), [ended(1), ended(2)]);
        assert_eq!(recent.all(at(121)), [ended(2)]);
        assert_eq!(recent.all(at(221)), []);
    }

    #[test]
    fn of_too_many_the_newest_are_kept() {
        let (recent, now) = (Recent::default(), Instant::now());
        (0..=RECENT_MAX as u64).for_each(|until| recent.add(ended(until), now));
        let all = recent.all(now);
        assert_eq!((all.len(), all[0]), (RECENT_MAX, ended(1)));
    }
}
