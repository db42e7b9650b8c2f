//! Server names → addresses, in the background: a request never waits for DNS, and an answer that does not come leaves
//! the last one in force.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

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
pub(super) async fn refresh(config: &Upstream, peers: &ArcSwap<Vec<Arc<Peer>>>) {
    if config.servers.iter().all(|server| matches!(server, ServerAddress::Ip(_))) {
        return;
    }
    let mut addresses = BTreeSet::new();
    for server in &config.servers {
        match server {
            ServerAddress::Ip(address) => drop(addresses.insert(*address)),
            ServerAddress::Name { host, port } => match look_up(host, *port).await {
                Ok(found) => addresses.extend(found),
                Err(error) => {
                    tracing::warn!(upstream = %config.name, server = %host, %error, "a server name was not resolved");
                    // Which of the old addresses were this name's is not known: all stay.
                    addresses.extend(peers.load().iter().map(|peer| peer.address));
                }
            },
        }
    }
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

async fn look_up(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    let answer = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    Ok(answer.map_err(|_| std::io::ErrorKind::TimedOut)??.collect())
}
