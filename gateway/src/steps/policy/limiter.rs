//! How many requests one user, one address or one app may send: the generic cell rate algorithm over a bounded memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auth_core::{AppId, OpenId};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::address;
use crate::config::Limit;
use crate::denied::Denied;

/// Most keys remembered for one route: a flood of new ones evicts those that were silent longest, and memory stays
/// bounded.
const KEYS_MAX: u64 = 200_000;

/// The limiter of one route, of the logins or of the exchanges.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: Limit,
    /// One request's share of the window.
    share: Duration,
    /// How far ahead of time a burst may run: the whole window's requests at once.
    burst: Duration,
    started: Instant,
    /// When each key is even again, in nanoseconds since `started`.
    even_at: Cache<Key, Arc<AtomicU64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    User(OpenId),
    Address(IpAddr),
    App(AppId),
}

impl Limiter {
    pub(crate) fn new(limit: Limit) -> Self {
        Self::with_room(KEYS_MAX, limit)
    }

    fn with_room(keys: u64, limit: Limit) -> Self {
        let share = limit.window / limit.requests.max(1);
        // By recency: moka's own choice, by frequency, turns new keys away when it is full, and a key that is not
        // remembered has no limit.
        let even_at = Cache::builder()
            .max_capacity(keys)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(limit.window * 2)
            .build();
        Self { limit, share, burst: limit.window, started: Instant::now(), even_at }
    }

    /// The limiter for `limit`: the one there was if it had the same, so that a new config forgets nobody's count.
    pub(crate) fn after(before: Option<&Arc<Self>>, limit: Limit) -> Arc<Self> {
        before.filter(|before| before.limit == limit).map_or_else(|| Arc::new(Self::new(limit)), Arc::clone)
    }

    /// Counts one request of the user, or of the address where there is none.
    pub(crate) fn take(&self, user: Option<&OpenId>, client: IpAddr) -> Result<(), Denied> {
        let key = user.map_or_else(|| Key::Address(address::network(client)), |user| Key::User(user.clone()));
        self.count(key).map_err(|retry_after_secs| Denied::RateLimited { retry_after_secs })
    }

    /// Counts one exchange of the app, or says after how many seconds the next would pass.
    pub(crate) fn take_app(&self, app: &AppId) -> Result<(), u32> {
        self.count(Key::App(app.clone()))
    }

    fn count(&self, key: Key) -> Result<(), u32> {
        let even_at = self.even_at.get_with(key, Arc::default);
        let now = nanos(self.started.elapsed());
        let (share, burst) = (nanos(self.share), nanos(self.burst));
        let taken = even_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |even| {
            let next = even.max(now) + share;
            (next - now <= burst).then_some(next)
        });
        taken.map(|_| ()).map_err(|even| {
            let wait = Duration::from_nanos((even.max(now) + share - now).saturating_sub(burst));
            u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX)
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(requests: u32) -> Limit {
        // A window of an hour stands still for as long as a test runs.
        Limit { requests, window: Duration::from_secs(3600) }
    }

    fn limiter(requests: u32) -> Limiter {
        Limiter::new(limit(requests))
    }

    #[test]
    fn a_burst_up_to_the_limit_passes_and_no_more() {
        let limiter = limiter(5);
        let client = "192.0.2.1".parse().unwrap();
        for _ in 0..5 {
            assert_eq!(limiter.take(None, client), Ok(()));
        }
        let denied = limiter.take(None, client).unwrap_err();
        assert!(matches!(denied, Denied::RateLimited { retry_after_secs: 700..=721 }), "{denied:?}");
        assert_eq!(limiter.take(None, "192.0.2.2".parse().unwrap()), Ok(()));
    }

    #[test]
    fn a_new_key_is_counted_however_many_are_remembered() {
        let limiter = Limiter::with_room(4, limit(3));
        for _ in 0..3 {
            for last in 1..=4 {
                assert_eq!(limiter.take(None, IpAddr::from([192, 0, 2, last])), Ok(()));
            }
            limiter.even_at.run_pending_tasks();
        }
        let newcomer = IpAddr::from([198, 51, 100, 1]);
        for _ in 0..3 {
            assert_eq!(limiter.take(None, newcomer), Ok(()));
            limiter.even_at.run_pending_tasks();
        }
        assert!(limiter.take(None, newcomer).is_err());
    }

    #[test]
    fn a_user_counts_alone_and_an_ipv6_network_as_one() {
        let limiter = limiter(1);
        let client = "2001:db8::1".parse().unwrap();
        let user = OpenId::parse("oA").unwrap();
        assert_eq!(limiter.take(Some(&user), client), Ok(()));
        assert_eq!(limiter.take(None, client), Ok(()));
        assert!(limiter.take(None, "2001:db8::ffff:2".parse().unwrap()).is_err());
        assert!(limiter.take(Some(&user), "192.0.2.1".parse().unwrap()).is_err());
    }
}
