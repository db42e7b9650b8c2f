//! Numbers for tests that try many things.

/// Numbers that look random, and are the same for the same seed (SplitMix64).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// A seed that no run has twice, shown so that a failing run can be had again.
pub(crate) fn seed() -> u64 {
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    eprintln!("seed {seed}");
    seed
}
