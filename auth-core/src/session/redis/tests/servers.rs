//! The Redis servers of the end-to-end tests, and stores in them.

#[path = "../../../../../tests/harness/ports.rs"]
mod ports;
#[path = "../../../../../tests/harness/redis.rs"]
mod servers_of_tests;

use std::sync::Arc;

use super::super::{RedisSettings, RedisStore};
use crate::ManualClock;
use crate::session::{Seal, SealKey};

pub(super) use ports::free_port;
pub(in crate::session) use servers_of_tests::Server;
pub(super) use servers_of_tests::{Cluster, DEADLINE, PACE, Watched, redis_cli};

impl Server {
    /// A store in it, for which it is `now`.
    pub(in crate::session) fn store(&self, now: u64) -> RedisStore {
        store(&settings(&self.url()), now)
    }
}

pub(super) fn settings(url: &str) -> RedisSettings {
    RedisSettings::new(url.parse().unwrap())
}

pub(super) fn store(settings: &RedisSettings, now: u64) -> RedisStore {
    RedisStore::open(settings, seal(), Arc::new(ManualClock::at(now))).unwrap()
}

/// The same for every store of a test, as nodes that share a server share it.
pub(crate) fn seal() -> Seal {
    let key = b"9f3c5a7e1d2b48f6a0c4e8137b5d9f2e6a1c3b5d7f9e0a2c4b6d8f1e3a5c7b9d";
    Seal::new(vec![SealKey::parse("test", key).unwrap()]).unwrap()
}
