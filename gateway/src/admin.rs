//! The private listener: health, metrics, what operators do, and what services ask. Never a route of the public one.
//!
//! On loopback health and metrics ask for no credential. On any other address nothing but health does without.

pub(crate) mod credential;
mod connections;
mod refusal;
mod web_pages;
mod audit;
mod health;
pub(crate) mod store_health;
mod metrics;
mod sessions;
pub(crate) mod services;
mod session_data;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::live::Live;
use refusal::Refusal;
use store_health::StoreHealth;

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
    pub(crate) store: Arc<StoreHealth>,
    /// Whether only this machine can reach it.
    pub(crate) on_loopback: bool,
}

#[async_trait]
impl BackgroundService for Admin {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let listener = self.listener.try_clone().and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        match listener {
            // It serves until the process ends: health is asked for while requests still drain.
            Ok(listener) => connections::serve(listener, router(&self.state)).await,
            Err(error) => tracing::error!(%error, "the private listener cannot be served"),
        }
    }
}

fn router(state: &AdminState) -> Router {
    let operators = || from_fn_with_state(state.clone(), credential::operators_only);
    let health = Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(health::ready));
    let health = health.method_not_allowed_fallback(method_not_allowed);
    let rest = Router::new().route("/metrics", get(metrics::metrics)).fallback(async || Refusal::NotFound);
    let rest = rest.method_not_allowed_fallback(method_not_allowed);
    let rest = if state.on_loopback { rest } else { rest.layer(operators()) };
    let sessions = Router::new()
        .route("/sessions", get(sessions::list).delete(sessions::end_all))
        .route("/sessions/{sid}", get(sessions::show).delete(sessions::end))
        .method_not_allowed_fallback(method_not_allowed)
        .route_layer(from_fn(audit::to_the_end))
        .route_layer(operators());
    let session_data = Router::new()
        .route("/session-data/decrypt", post(session_data::decrypt))
        .route("/session-data/verify", post(session_data::verify))
        .route("/session-data/sign", post(session_data::sign))
        .route("/session-data/check", post(session_data::check))
        .method_not_allowed_fallback(method_not_allowed)
        .route_layer(from_fn(audit::to_the_end));
    let web_pages = from_fn_with_state(state.clone(), web_pages::refused);
    health.merge(sessions).merge(session_data).merge(rest).layer(web_pages).with_state(state.clone())
}

/// For each part of the router before its layers, so that what asks for a credential asks first.
async fn method_not_allowed() -> Refusal {
    Refusal::MethodNotAllowed
}

/// Takes the listener's port now, so that a taken one is a clear error before anything starts.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    std::net::TcpListener::bind(address)
}
