//! The private listener: health and metrics. Loopback only, and never a route of the public one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use prometheus_client::registry::Registry;
use serde_json::json;

use crate::live::Live;

/// The private listener, as a service of the server.
pub(crate) struct Admin {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) state: AdminState,
}

/// What its answers are made of.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub(crate) live: Live,
    pub(crate) registry: Arc<Registry>,
    pub(crate) draining: Arc<AtomicBool>,
}

#[async_trait]
impl BackgroundService for Admin {
    async fn start(&self, _shutdown: ShutdownWatch) {
        // It serves until the process ends: health is asked for while requests still drain.
        let served = async {
            let listener = self.listener.try_clone()?;
            listener.set_nonblocking(true)?;
            axum::serve(tokio::net::TcpListener::from_std(listener)?, router(self.state.clone())).await
        };
        if let Err(error) = served.await {
            tracing::error!(%error, "the private listener ended");
        }
    }
}

fn router(state: AdminState) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn(local_only))
        .with_state(state)
}

/// A web page that a browser on this machine shows may send requests here. It cannot choose the `Host` of a name that
/// is not loopback's, nor hide its origin.
async fn local_only(headers: HeaderMap, request: axum::extract::Request, next: Next) -> Response {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host =
        hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
    let local = matches!(name, "localhost" | "[::1]")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|v4| v4.is_loopback());
    let elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin");
    // A target with a host of its own is a proxy's request (RFC 9112 §3.2.2), and nobody's business here.
    let foreign = request.uri().authority().is_some();
    if !local || foreign || elsewhere || headers.contains_key(header::ORIGIN) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

/// Whether new traffic should come here: every upstream has an address, who logged out is known, no end is near. A store in
/// trouble is told, and no reason to send nobody: tokens are verified without it, and other nodes may have the same trouble.
async fn ready(State(state): State<AdminState>) -> Response {
    let Health { failing, degraded } = state.health().await;
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = json!({ "ready": failing.is_empty(), "failing": failing, "degraded": degraded });
    (status, Json(answer)).into_response()
}

/// What is not as it should be.
#[derive(Debug, Default)]
struct Health {
    /// Parts that keep this node from being ready.
    failing: Vec<&'static str>,
    /// Parts in trouble without which most requests are served.
    degraded: Vec<&'static str>,
}

impl AdminState {
    async fn health(&self) -> Health {
        let (snapshot, mut health) = (self.live.snapshot(), Health::default());
        let revocations = &snapshot.lasting.revocations;
        if self.draining.load(Ordering::Relaxed) {
            health.failing.push("draining");
        }
        if let Err(error) = snapshot.lasting.store.check().await {
            tracing::warn!(%error, "the session store is not ready");
            health.degraded.push("store");
        }
        if !revocations.were_read() {
            health.failing.push("revocations");
        } else if revocations.may_be_stale() {
            health.degraded.push("revocations");
        }
        if !snapshot.upstreams.unresolved().is_empty() {
            health.failing.push("upstream_addresses");
        }
        health
    }
}

async fn metrics(State(state): State<AdminState>) -> Response {
    let snapshot = state.live.snapshot();
    let counts = snapshot.verifier.cache_counts();
    let metrics = &snapshot.lasting.metrics;
    let set = |gauge: &prometheus_client::metrics::gauge::Gauge, value: u64| {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    };
    set(&metrics.cache_hits, counts.hits);
    set(&metrics.cache_misses, counts.misses);
    set(&metrics.cache_entries, snapshot.verifier.cache_entries());
    set(&metrics.revocations, snapshot.lasting.revocations.len() as u64);
    set(&metrics.revocations_age, snapshot.lasting.revocations.age().unwrap_or_default().as_secs());
    let health = state.health().await;
    set(&metrics.store_ready, u64::from(!health.degraded.contains(&"store")));
    set(&metrics.ready, u64::from(health.failing.is_empty()));
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => {
            ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                .into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Takes the listener's port now, so that a taken one is a clear error before anything starts.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address)
}
