//! Server names → addresses, in the background: a request never waits for DNS, and an answer that does not come leaves
//! the last one in force.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;

use super::Peer;
use crate::config::{ServerAddress, Upstream};

/// How long one look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The peers that need no look-up.
pub(super) fn addresses_known(config: &Upstream) -> Vec<Arc<Peer>> {
    let known = config.servers.iter().filter_map(|server| match server {
        ServerAddress::Ip(address) => Some(*address),
        ServerAddress::Name { .. } => None,
    });
    known.map(|address| Arc::new(Peer::new(address, config))).collect()
}

/// Looks every name up again and takes over what changed. Peers that stay keep their state.
pub(super) async fn refresh<F>(
    config: &Upstream,
    peers: &ArcSwap<Vec<Arc<Peer>>>,
    look_up: &impl Fn(String, u16) -> F,
) where
    F: Future<Output = io::Result<Vec<SocketAddr>>>,
{
    if config.servers.iter().all(|server| matches!(server, ServerAddress::Ip(_))) {
        return;
    }
    let found = join_all(config.servers.iter().map(|server| async {
        match server {
            ServerAddress::Ip(address) => vec![*address],
            ServerAddress::Name { host, port } => look_up(host.clone(), *port).await.unwrap_or_else(|error| {
                tracing::warn!(upstream = %config.name, server = %host, %error, "a server name was not resolved");
                // Which of the old addresses were this name's is not known: all stay.
                peers.load().iter().map(|peer| peer.address).collect()
            }),
        }
    }));
    let addresses: BTreeSet<_> = found.await.into_iter().flatten().collect();
    let old = peers.load();
    if old.iter().map(|peer| peer.address).collect::<BTreeSet<_>>() == addresses {
        return;
    }
    let kept = |address: SocketAddr| old.iter().find(|peer| peer.address == address).map(Arc::clone);
    let new: Vec<_> = addresses
        .iter()
        .map(|address| kept(*address).unwrap_or_else(|| Arc::new(Peer::new(*address, config))))
        .collect();
    tracing::info!(upstream = %config.name, ?addresses, "the servers' addresses changed");
    peers.store(Arc::new(new));
}

pub(super) async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let answer = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    Ok(answer.map_err(|_| io::ErrorKind::TimedOut)??.collect())
}
