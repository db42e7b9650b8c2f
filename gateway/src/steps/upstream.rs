//! Step 4: permit → the server to ask. Nothing here can be reached without a [`Permit`].

mod resolve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};

use crate::config;
use crate::denied::Denied;
use crate::steps::policy::Permit;
use crate::websocket::WebSocketConnect;

/// How long a server that did not take a connection is left alone, as long as another one is there.
const REST: Duration = Duration::from_secs(5);

/// Pools connections of WebSocket routes apart: theirs have another stream type.
const WEBSOCKET_POOL: u64 = 1;

/// All upstreams, in the order of the config.
#[derive(Debug)]
pub(crate) struct Upstreams {
    all: Vec<Upstream>,
    started: Instant,
}

#[derive(Debug)]
struct Upstream {
    config: config::Upstream,
    /// Every address of every server, as last resolved.
    peers: ArcSwap<Vec<Arc<Peer>>>,
    next: AtomicUsize,
}

/// One address of one server, ready to be asked.
#[derive(Debug)]
pub(crate) struct Peer {
    /// For the log.
    pub(crate) address: SocketAddr,
    /// The same, in writing.
    pub(crate) shown: Box<str>,
    plain: HttpPeer,
    websocket: HttpPeer,
    /// Until when it rests, in milliseconds since start.
    rests_until: AtomicU64,
}

impl Upstreams {
    /// The upstreams of a config. One that had the same servers `before` begins with their addresses.
    pub(crate) fn new(upstreams: Vec<config::Upstream>, before: Option<&Self>) -> Self {
        let all = upstreams.into_iter().map(|config| {
            let same = |upstream: &&Upstream| upstream.config.servers == config.servers;
            let peers = match before.and_then(|before| before.all.iter().find(same)) {
                Some(upstream) => {
                    let addresses = upstream.peers.load();
                    addresses.iter().map(|peer| Arc::new(Peer::new(peer.address, &config))).collect()
                }
                None => resolve::addresses_known(&config),
            };
            Upstream { peers: ArcSwap::from_pointee(peers), config, next: AtomicUsize::new(0) }
        });
        Self { all: all.collect(), started: Instant::now() }
    }

    /// The next server in turn. `tries` is how many this request asked before.
    pub(crate) fn pick(&self, permit: &Permit, tries: usize) -> Result<Arc<Peer>, Denied> {
        let upstream = &self.all[permit.upstream()];
        let peers = upstream.peers.load();
        if peers.is_empty() || tries >= upstream.config.tries {
            return Err(Denied::UpstreamUnavailable);
        }
        let first = upstream.next.fetch_add(1, Ordering::Relaxed);
        let now = self.now_millis();
        let in_turn = (0..peers.len()).map(|n| &peers[(first.wrapping_add(n)) % peers.len()]);
        let rested = in_turn.clone().find(|peer| peer.rests_until.load(Ordering::Relaxed) <= now);
        // All of them resting means that none can be spared.
        rested.or(in_turn.into_iter().next()).map(Arc::clone).ok_or(Denied::UpstreamUnavailable)
    }

    /// Leaves a server alone for a while.
    pub(crate) fn rest(&self, peer: &Peer) {
        let until = self.now_millis() + u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
        peer.rests_until.store(until, Ordering::Relaxed);
    }

    /// Whether another server may be asked after `tries` of them.
    pub(crate) fn may_retry(&self, permit: &Permit, tries: usize) -> bool {
        tries < self.all[permit.upstream()].config.tries
    }

    /// The `Host` that the service wants, if it is not the client's.
    pub(crate) fn host(&self, permit: &Permit) -> Option<&str> {
        self.all[permit.upstream()].config.host.as_deref()
    }

    /// How long a WebSocket may be silent.
    pub(crate) fn websocket_idle_timeout(&self, permit: &Permit) -> Duration {
        self.all[permit.upstream()].config.websocket_idle_timeout
    }

    /// The names of the upstreams, in the order of the config.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|upstream| upstream.config.name.as_ref())
    }

    /// Names of upstreams none of whose servers has an address.
    pub(crate) fn unresolved(&self) -> Vec<&str> {
        let without = self.all.iter().filter(|upstream| upstream.peers.load().is_empty());
        without.map(|upstream| upstream.config.name.as_ref()).collect()
    }

    /// Looks up every server name again, all at once: one that gets no answer keeps no other waiting.
    pub(crate) async fn resolve(&self) {
        self.resolve_by(resolve::look_up).await;
    }

    async fn resolve_by<F>(&self, look_up: impl Fn(String, u16) -> F)
    where
        F: Future<Output = std::io::Result<Vec<SocketAddr>>>,
    {
        let all = self.all.iter();
        join_all(all.map(|upstream| resolve::refresh(&upstream.config, &upstream.peers, &look_up))).await;
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Peer {
    fn new(address: SocketAddr, config: &config::Upstream) -> Self {
        let mut plain = HttpPeer::new(address, false, String::new());
        let options = &mut plain.options;
        options.connection_timeout = Some(config.connect_timeout);
        options.total_connection_timeout = Some(config.connect_timeout);
        options.read_timeout = Some(config.read_timeout);
        options.write_timeout = Some(config.write_timeout);
        options.idle_timeout = Some(config.idle_timeout);
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();

        let mut websocket = plain.clone();
        websocket.group_key = WEBSOCKET_POOL;
        websocket.options.read_timeout = Some(config.websocket_idle_timeout);
        websocket.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::standard();
        websocket.options.custom_l4 = Some(Arc::new(WebSocketConnect));
        let shown = address.to_string().into();
        Self { address, shown, plain, websocket, rests_until: AtomicU64::new(0) }
    }

    /// As pingora wants it.
    pub(crate) fn connect(&self, websocket: bool) -> Box<HttpPeer> {
        Box::new(if websocket { self.websocket.clone() } else { self.plain.clone() })
    }
}

#[cfg(test)]
mod tests;
