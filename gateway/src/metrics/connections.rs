//! Connections of the public listeners.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How many are open, and which were closed by the gateway's own will.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionMetrics {
    open: Gauge,
    closed: Arc<[Counter; REASONS.len()]>,
}

/// Why a connection was closed, or not taken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Closed {
    /// `server.connections_max` were busy.
    Full,
    /// `server.connections_per_address_max`.
    PerAddress,
    /// Another one needed its room.
    MadeRoom,
    /// The handshake of TLS failed, or took too long.
    Handshake,
    /// The client did not take its answer.
    SlowReader,
}

/// By the order of [`Closed`].
const REASONS: [&str; 5] = ["full", "per_address", "made_room", "handshake", "slow_reader"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    reason: &'static str,
}

impl ConnectionMetrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let open = Gauge::default();
        registry.register("wxgate_connections", "Open connections of clients", open.clone());
        let closed = Family::<ClosedLabels, Counter>::default();
        let help = "Connections of clients that the gateway closed or did not take, by reason";
        registry.register("wxgate_connections_closed", help, closed.clone());
        let closed = REASONS.map(|reason| closed.get_or_create(&ClosedLabels { reason }).clone());
        Self { open, closed: Arc::new(closed) }
    }

    pub(crate) fn opened(&self) {
        self.open.inc();
    }

    pub(crate) fn gone(&self) {
        self.open.dec();
    }

    pub(crate) fn closed(&self, why: Closed) {
        self.closed[why as usize].inc();
    }
}
