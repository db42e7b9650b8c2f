//! How many connections there may be, and which one goes when there are too many.
//!
//! A connection is idle while no request of it is under way: kept alive, shaking hands, or silent from the start. At the
//! total limit the one that has been idle longest makes room.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::task::AtomicWaker;
use ipnet::IpNet;

use crate::address;
use crate::metrics::{Closed, ConnectionMetrics};

/// How many connections there may be.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) all: usize,
    pub(crate) per_address: usize,
    /// Who may have any number: everybody comes through a trusted proxy.
    pub(crate) exempt: Vec<IpNet>,
}

/// How many of those that have been idle longest are remembered after one look at all: a flood of new connections must
/// not cost a look at all for each.
const REMEMBERED: usize = 256;

/// How often a client that has too many connections is worth a line in the log.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Lets connections in. Its lock is taken when one comes and when one goes, never for a request.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: ArcSwap<Limits>,
    metrics: ConnectionMetrics,
    started: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    members: HashMap<u64, Arc<Member>>,
    by_address: HashMap<IpAddr, usize>,
    /// The longest idle last: since when, and who. Whoever is still idle since then comes before all that are not here.
    idlest: Vec<(u64, u64)>,
    told: Option<Instant>,
}

/// One connection that was let in.
#[derive(Debug)]
pub(super) struct Member {
    id: u64,
    /// Under which address it counts.
    address: Option<IpAddr>,
    started: Instant,
    /// Requests under way, and [`ENDED`].
    requests: AtomicU32,
    /// Since when there is none, in milliseconds since `started`.
    idle_since: AtomicU64,
    waker: AtomicWaker,
}

/// The connection makes room for another; no request of it is begun any more.
const ENDED: u32 = 1 << 31;

/// Its room is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    member: Arc<Member>,
}

/// A request on its way, until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Member>);

impl Admission {
    pub(crate) fn new(limits: Limits, metrics: ConnectionMetrics) -> Arc<Self> {
        let limits = ArcSwap::from_pointee(limits);
        Arc::new(Self { limits, metrics, started: Instant::now(), open: Mutex::default() })
    }

    /// From now on connections are let in by these limits.
    pub(crate) fn limit(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// Makes room for a connection from `peer`, if there may be one.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let limits = self.limits.load();
        let counted = !address::is_trusted(peer, &limits.exempt);
        let address = counted.then(|| address::network(peer.to_canonical()));
        let mut open = self.lock();
        if let Some(address) = address
            && open.by_address.get(&address).is_some_and(|count| *count >= limits.per_address)
        {
            self.metrics.closed(Closed::PerAddress);
            open.tell(address);
            return None;
        }
        if open.members.len() >= limits.all && !self.make_room(&mut open) {
            self.metrics.closed(Closed::Full);
            return None;
        }
        let member = Arc::new(Member {
            id: open.next,
            address,
            started: self.started,
            requests: AtomicU32::new(0),
            idle_since: AtomicU64::new(millis(self.started.elapsed())),
            waker: AtomicWaker::new(),
        });
        open.next += 1;
        open.members.insert(member.id, Arc::clone(&member));
        if let Some(address) = address {
            *open.by_address.entry(address).or_default() += 1;
        }
        drop(open);
        self.metrics.opened();
        Some(Place { admission: Arc::clone(self), member })
    }

    /// Ends the connection that has been idle longest; false if all are busy.
    fn make_room(&self, open: &mut Open) -> bool {
        let ended = open.end_idlest().or_else(|| {
            open.look_at_all();
            open.end_idlest()
        });
        let Some(member) = ended else { return false };
        self.metrics.closed(Closed::MadeRoom);
        self.metrics.gone();
        member.waker.wake();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Ends the first of the remembered that is still idle since then.
    fn end_idlest(&mut self) -> Option<Arc<Member>> {
        while let Some((since, id)) = self.idlest.pop() {
            let ends = self.members.get(&id).is_some_and(|member| member.end_if_idle_since(since));
            if ends {
                return self.remove(id);
            }
        }
        None
    }

    fn look_at_all(&mut self) {
        let idle = self.members.values().filter(|member| member.requests.load(Ordering::Relaxed) == 0);
        let mut idle: Vec<_> =
            idle.map(|member| (member.idle_since.load(Ordering::Relaxed), member.id)).collect();
        if idle.len() > REMEMBERED {
            idle.select_nth_unstable(REMEMBERED);
            idle.truncate(REMEMBERED);
        }
        idle.sort_unstable_by(|one, other| other.cmp(one));
        self.idlest = idle;
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Member>> {
        let member = self.members.remove(&id)?;
        if let Some(address) = member.address
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        Some(member)
    }

    /// An operator whose load balancer is not named as one finds out why it is refused.
    fn tell(&mut self, address: IpAddr) {
        if self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            self.told = Some(Instant::now());
            tracing::warn!(
                %address,
                "this address has server.connections_per_address_max connections, and gets no more; is it a load \
                 balancer? then name it in server.trusted_proxies"
            );
        }
    }
}

impl Member {
    fn end_if_idle_since(&self, since: u64) -> bool {
        self.idle_since.load(Ordering::Relaxed) == since
            && self.requests.compare_exchange(0, ENDED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn has_ended(&self) -> bool {
        self.requests.load(Ordering::Relaxed) & ENDED != 0
    }

    /// Begins a request; none if the connection has just been told to end.
    pub(super) fn begin(self: &Arc<Self>) -> Option<UnderWay> {
        let request = UnderWay(Arc::clone(self));
        let before = self.requests.fetch_add(1, Ordering::AcqRel);
        (before & ENDED == 0).then_some(request)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let member = &*self.0;
        member.idle_since.store(millis(member.started.elapsed()), Ordering::Relaxed);
        member.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Place {
    pub(super) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Does `work`, but no longer than until another connection needs the room.
    pub(super) async fn hold<T>(&self, work: impl Future<Output = Option<T>>) -> Option<T> {
        let (mut work, mut known) = (pin!(work), None::<std::task::Waker>);
        poll_fn(|cx| {
            // The same task polls almost always: it is registered once, and then nothing is written.
            if !known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                self.member.waker.register(cx.waker());
                known = Some(cx.waker().clone());
            }
            if self.member.has_ended() { Poll::Ready(None) } else { work.as_mut().poll(cx) }
        })
        .await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.admission.lock().remove(self.member.id).is_some() {
            self.admission.metrics.gone();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    fn admission(all: usize, per_address: usize) -> Arc<Admission> {
        let exempt = vec!["10.0.0.0/8".parse().unwrap()];
        Admission::new(Limits { all, per_address, exempt }, ConnectionMetrics::new(&mut Registry::default()))
    }

    fn enter(admission: &Arc<Admission>, peer: &str) -> Option<Place> {
        admission.enter(peer.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_share() {
        let admission = admission(100, 2);
        let held: Vec<_> = ["1.2.3.4", "::ffff:1.2.3.4", "2001:db8::1", "2001:db8::2:1"]
            .iter()
            .map(|peer| enter(&admission, peer).unwrap())
            .collect();
        for full in ["1.2.3.4", "2001:db8::3"] {
            assert!(enter(&admission, full).is_none(), "{full}");
        }
        assert!(enter(&admission, "2001:db8:0:1::1").is_some());
        let proxied: Vec<_> = (0..5).filter_map(|_| enter(&admission, "10.1.2.3")).collect();
        assert_eq!(proxied.len(), 5);
        drop(held);
        assert!(enter(&admission, "1.2.3.4").is_some());
        drop(proxied);
        assert!(admission.lock().by_address.is_empty() && admission.lock().members.is_empty());
    }

    #[test]
    fn who_was_idle_longest_makes_room_and_who_is_busy_stays() {
        let admission = admission(3, 100);
        let places: Vec<_> = (0..3).map(|_| enter(&admission, "1.2.3.4").unwrap()).collect();
        for (place, since) in places.iter().zip([10, 0, 20]) {
            place.member.idle_since.store(since, Ordering::Relaxed);
        }
        let busy = places[1].member.begin().unwrap();
        let _fourth = enter(&admission, "1.2.3.4").unwrap();
        assert!(places[0].member.has_ended() && !places[1].member.has_ended());
        assert!(places[0].member.begin().is_none(), "what has ended takes no request");
        let _fifth = enter(&admission, "1.2.3.4").unwrap();
        assert!(places[2].member.has_ended());
        drop(busy);
        assert_eq!(admission.lock().members.len(), 3);
        let all: Vec<_> = admission.lock().members.values().map(|member| member.begin().unwrap()).collect();
        assert!(enter(&admission, "1.2.3.4").is_none(), "nobody is idle");
        drop(all);
        drop(places);
        assert_eq!(admission.lock().members.len(), 2, "who made room frees it once");
    }

    #[tokio::test]
    async fn who_makes_room_is_woken() {
        let admission = admission(1, 100);
        let first = enter(&admission, "1.2.3.4").unwrap();
        let waiting = tokio::spawn(async move { first.hold(std::future::pending::<Option<()>>()).await });
        tokio::task::yield_now().await;
        let _second = enter(&admission, "1.2.3.4").unwrap();
        assert_eq!(waiting.await.unwrap(), None);
    }
}
