//! Bodies that are streamed: events, bytes, and the counting of an upload.

use std::convert::Infallible;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{StatusCode, header};
use serde_json::json;

use super::mirror::read;
use super::wrong;
use crate::sim::calls::hex;
use crate::sim::input::parse_form;

const EVENTS_MAX: u64 = 100_000;
const EVENT_GAP_MS_MAX: u64 = 600_000;
const BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// A piece of `/bytes/{n}`: a multiple of [`PERIOD`], so that every piece begins alike.
const PIECE_BYTES: usize = PERIOD * 256;
/// Byte `i` is `i % 251`: a prime, so that a shifted or repeated block shows.
const PERIOD: usize = 251;

/// `?n=` events (default 3), `?ms=` milliseconds before each but the first (default 100), numbered from 0.
pub(super) fn events(query: &str) -> Response {
    let query = parse_form(query);
    let number = |name: &str, default: u64, max: u64| match query.iter().find(|(given, _)| given == name) {
        None => Some(default),
        Some((_, value)) => value.parse().ok().filter(|number| *number <= max),
    };
    let (Some(count), Some(gap_ms)) = (number("n", 3, EVENTS_MAX), number("ms", 100, EVENT_GAP_MS_MAX))
    else {
        return wrong("/events takes n up to 100000 and ms up to 600000");
    };
    let events = stream::unfold(0, move |index| async move {
        if index >= count {
            return None;
        }
        if index > 0 {
            tokio::time::sleep(Duration::from_millis(gap_ms)).await;
        }
        Some((Ok::<_, Infallible>(format!("id: {index}\ndata: event {index}\n\n")), index + 1))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(events)).into_response()
}

/// `number` bytes with their length announced.
pub(super) fn bytes(number: &str) -> Response {
    let Some(total) = number.parse().ok().filter(|total| *total <= BYTES_MAX) else {
        return wrong("/bytes/{n} takes 0 to 68719476736 bytes");
    };
    let piece: Bytes = (0..PIECE_BYTES).map(|index| (index % PERIOD) as u8).collect();
    let pieces = stream::unfold(total, move |left: u64| {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let next = (size > 0).then(|| (Ok::<_, Infallible>(piece.slice(..size)), left - size as u64));
        std::future::ready(next)
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, total.to_string()),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

/// Reads the body as it comes and answers how long it was and its SHA-256.
pub(super) async fn count(body: Body) -> Response {
    let mut sum = Context::new(&SHA256);
    let mut body_bytes = 0_u64;
    let read = read(body, |piece| {
        body_bytes += piece.len() as u64;
        sum.update(&piece);
    });
    if read.await.is_err() {
        return (StatusCode::BAD_REQUEST, "the body broke off").into_response();
    }
    Json(json!({ "body_bytes": body_bytes, "sha256": hex(sum.finish().as_ref()) })).into_response()
}
