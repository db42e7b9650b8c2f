//! `/_sim/…`: where a test or a developer says who logs in, what goes wrong and what time it is, and asks what arrived.

mod mint;
mod open_data;
mod script;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::input::{Input, Wrong};

/// Seconds by which one call may move the clock: ten years.
const ADVANCE_SECS_MAX: u64 = 10 * 366 * 24 * 3600;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(overview))
        .route("/codes", post(mint::login_code))
        .route("/phone-codes", post(mint::phone_code))
        .route("/encrypted-data", post(open_data::encrypted_data))
        .route("/faults", get(script::pending).post(script::add).delete(script::clear))
        .route("/calls", get(calls).delete(forget_calls))
        .route("/clock", post(advance_clock))
        .route("/reset", post(reset))
        .fallback(no_such_call)
        .method_not_allowed_fallback(no_such_call)
}

async fn overview(State(shared): State<Shared>) -> Json<Value> {
    let world = shared.lock();
    let apps: Vec<Value> = world
        .apps
        .iter()
        .map(|app| json!({ "appid": app.known.appid, "open_platform": app.known.open_platform }))
        .collect();
    Json(json!({
        "apps": apps,
        "now": world.now(),
        "code_ttl_secs": world.settings.code_ttl.as_secs(),
        "faults_pending": world.faults.pending().count(),
        "calls": world.calls.counts(),
    }))
}

async fn calls(State(shared): State<Shared>, input: Input) -> Result<Json<Value>, Wrong> {
    input.only(&["path"])?;
    let world = shared.lock();
    Ok(Json(json!({ "counts": world.calls.counts(), "calls": world.calls.list(input.text("path")?) })))
}

async fn forget_calls(State(shared): State<Shared>) -> Json<Value> {
    shared.lock().calls = super::calls::Calls::default();
    Json(json!({ "ok": true }))
}

async fn advance_clock(State(shared): State<Shared>, input: Input) -> Result<Json<Value>, Wrong> {
    input.only(&["advance_secs"])?;
    let hint = "send advance_secs=301 to outlive a code";
    let secs = input
        .count("advance_secs", 1, ADVANCE_SECS_MAX)?
        .ok_or_else(|| Wrong::new("advance_secs is missing", hint))?;
    let mut world = shared.lock();
    world.ahead_secs = world.ahead_secs.saturating_add(secs);
    Ok(Json(json!({ "now": world.now() })))
}

async fn reset(State(shared): State<Shared>) -> Json<Value> {
    shared.lock().reset();
    Json(json!({ "ok": true }))
}

async fn no_such_call() -> Wrong {
    Wrong::new(
        "no such control call",
        "POST codes, phone-codes, encrypted-data, faults, clock or reset; GET faults or calls; \
         DELETE faults or calls; all below /_sim/",
    )
}
