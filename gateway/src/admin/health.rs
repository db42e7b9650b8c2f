//! Whether the process lives, and whether new traffic should come to it.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::AdminState;

/// Whether new traffic should come here: every upstream has an address, who logged out is known, no end is near. A store in
/// trouble is told, and no reason to send nobody: tokens are verified without it, and other nodes may have the same trouble.
pub(super) async fn ready(State(state): State<AdminState>) -> Response {
    let Health { failing, degraded } = state.health().await;
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = json!({ "ready": failing.is_empty(), "failing": failing, "degraded": degraded });
    (status, Json(answer)).into_response()
}

/// What is not as it should be.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Parts that keep this node from being ready.
    pub(super) failing: Vec<&'static str>,
    /// Parts in trouble without which most requests are served.
    pub(super) degraded: Vec<&'static str>,
}

impl AdminState {
    pub(super) async fn health(&self) -> Health {
        let (snapshot, mut health) = (self.live.snapshot(), Health::default());
        let revocations = &snapshot.lasting.revocations;
        if self.draining.load(Ordering::Relaxed) {
            health.failing.push("draining");
        }
        if !self.store.is_well().await {
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
