//! The set of ends that every request asks.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use crate::Sid;
use crate::session::Ended;

/// So many parts that requests seldom meet in one, and that none is kept long by work on a whole part: a thousandth of a
/// second where a million ends are remembered.
const SHARDS: usize = 64;

/// Until when ends are remembered, by their sessions.
#[derive(Debug)]
pub(super) struct Ends {
    shards: [Shard; SHARDS],
    /// How many there are: nobody logged out is the common case and needs no look at a shard.
    count: AtomicUsize,
}

/// The two halves of an id.
type Key = (u64, u64);

/// The ends of some sessions. Alone on its cache lines: a request that takes one lock leaves the others' alone.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    until: RwLock<HashMap<Key, u64, IdHash>>,
    /// How many there are: where few logged out, most requests take no lock.
    count: AtomicUsize,
}

impl Default for Ends {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Shard::default()), count: AtomicUsize::new(0) }
    }
}

impl Ends {
    /// Ends a session here, at once. Of several ends of one the latest `until` counts.
    pub(super) fn insert(&self, ended: Ended) {
        self.change(self.shard(&ended.sid), |until| {
            let known = until.entry(key(&ended.sid)).or_default();
            *known = ended.until.max(*known);
        });
    }

    /// Whether the session has ended.
    pub(super) fn contains(&self, sid: &Sid) -> bool {
        self.count.load(Ordering::Acquire) != 0 && self.shard(sid).contains(sid)
    }

    /// Forgets ends that no valid token can name any more at `now` (Unix seconds).
    pub(super) fn sweep(&self, now: u64) {
        for shard in &self.shards {
            self.change(shard, |until| {
                until.retain(|_, until| *until >= now);
                // What a great many logouts took is given back.
                if until.len() < until.capacity() / 4 {
                    until.shrink_to(until.len() * 2);
                }
            });
        }
    }

    /// How many ends are remembered.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// An id is random, any byte of it.
    fn shard(&self, sid: &Sid) -> &Shard {
        &self.shards[usize::from(sid.as_bytes()[Sid::BYTES - 1]) % SHARDS]
    }

    fn change(&self, shard: &Shard, change: impl FnOnce(&mut HashMap<Key, u64, IdHash>)) {
        let mut until = shard.lock();
        let before = until.len();
        change(&mut until);
        let now = until.len();
        shard.count.store(now, Ordering::Release);
        // While the shard is locked: what is counted here has been counted before it goes.
        if now > before {
            self.count.fetch_add(now - before, Ordering::AcqRel);
        } else {
            self.count.fetch_sub(before - now, Ordering::AcqRel);
        }
    }
}

impl Shard {
    fn contains(&self, sid: &Sid) -> bool {
        self.count.load(Ordering::Acquire) != 0
            && self.until.read().unwrap_or_else(PoisonError::into_inner).contains_key(&key(sid))
    }

    fn lock(&self) -> RwLockWriteGuard<'_, HashMap<Key, u64, IdHash>> {
        self.until.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(sid: &Sid) -> Key {
    let id = u128::from_be_bytes(*sid.as_bytes());
    ((id >> 64) as u64, id as u64)
}

/// A hash for ids, a fifth of what the standard one costs on every request of a node that somebody logged out from.
///
/// It withstands ids that are not random at all, but nobody who searches for ids that collide. There is nobody: an id
/// is made here, a token that names one is verified first, and beyond that the operator alone ends sessions.
#[derive(Debug, Clone)]
struct IdHash(u64);

impl Default for IdHash {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for IdHash {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        self.clone()
    }
}

impl Hasher for IdHash {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        // Not used for `u64`, but a hasher must not lose what it is given.
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, half: u64) {
        /// The golden ratio: odd, and without a pattern.
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ half) * FACTOR;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ends_in_every_part_are_found_counted_and_forgotten_with_their_memory() {
        const ENDS: u32 = 40_000;
        let sid = |number: u32| Sid::from_bytes(u128::from(number).to_be_bytes());
        let ends = Ends::default();
        std::thread::scope(|threads| {
            for half in [0, 1] {
                let ends = &ends;
                threads.spawn(move || {
                    for number in (half..ENDS).step_by(2) {
                        ends.insert(Ended { sid: sid(number), until: u64::from(number) });
                        assert!(ends.contains(&sid(number)));
                    }
                });
            }
        });
        assert_eq!(ends.len(), ENDS as usize);
        ends.sweep(u64::from(ENDS - 100));
        assert_eq!(ends.len(), 100);
        for number in 0..ENDS {
            assert_eq!(ends.contains(&sid(number)), number >= ENDS - 100, "{number}");
        }
        let room: usize = ends.shards.iter().map(|shard| shard.lock().capacity()).sum();
        assert!(room < 64 * 100, "room for {room}");
    }

    #[test]
    fn ids_that_are_not_random_spread_all_the_same() {
        const IDS: u64 = 1 << 14;
        let distinct = |places: &mut dyn Iterator<Item = u64>| places.collect::<HashSet<_>>().len() as u64;
        for seed in [0, 1, u64::MAX, 0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b] {
            // Counted up in one byte after the other, with the others zero.
            for byte in 0..=14 {
                let id = |number: u64| Sid::from_bytes((u128::from(number) << (8 * byte)).to_be_bytes());
                let hashes: Vec<_> = (0..IDS).map(|number| IdHash(seed).hash_one(key(&id(number)))).collect();
                // A map takes the low bits for the place, of which random ones would leave out one in e, and seven high ones
                // to tell what it finds there apart.
                let (low, high) =
                    (hashes.iter().map(|hash| hash % IDS), hashes.iter().map(|hash| hash >> 57));
                let (low, high) = (distinct(&mut { low }), distinct(&mut { high }));
                assert!(low > IDS / 4 && high > 64, "seed {seed}, byte {byte}: {low} places, {high} marks");
            }
        }
    }
}
