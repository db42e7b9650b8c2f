//! What is counted, for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::AdminState;
use super::refusal::Refusal;

pub(super) async fn metrics(State(state): State<AdminState>) -> Response {
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
        Err(_) => Refusal::Internal.into_response(),
    }
}
