//! The mirror: a request as JSON.

use std::pin::Pin;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::request::Parts;
use serde_json::{Value, json};

/// Bytes of a body that are shown. What is longer is read to its end, counted, and cut.
const SHOWN_BYTES_MAX: usize = 1024 * 1024;

pub(super) async fn mirror(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut shown = Vec::new();
    let mut body_bytes = 0_u64;
    let read = read(body, |piece| {
        body_bytes += piece.len() as u64;
        let room = SHOWN_BYTES_MAX - shown.len();
        shown.extend_from_slice(&piece[..piece.len().min(room)]);
    })
    .await;

    let mut answer = show_head(&head);
    let (text, encoding) = match str::from_utf8(&shown) {
        Ok(text) => (text.to_owned(), "utf-8"),
        Err(_) => (STANDARD.encode(&shown), "base64"),
    };
    answer["body"] = text.into();
    answer["body_encoding"] = encoding.into();
    answer["body_bytes"] = body_bytes.into();
    answer["body_truncated"] = (body_bytes > shown.len() as u64).into();
    // A body that broke off is shown as far as it came.
    answer["body_complete"] = read.is_ok().into();
    answer["trailers"] = pairs(&read.unwrap_or_default());
    Json(answer).into_response()
}

/// Everything but the body. Names are in lower case; values of one name stand together, where the first one stood.
pub(super) fn show_head(head: &Parts) -> Value {
    json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "version": format!("{:?}", head.version),
        "headers": pairs(&head.headers),
    })
}

/// Hands each piece of a body to `take`; returns the trailers.
pub(super) async fn read(mut body: Body, mut take: impl FnMut(Bytes)) -> Result<HeaderMap, axum::Error> {
    let mut trailers = HeaderMap::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(piece) => take(piece),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok(trailers)
}

/// Values that are not UTF-8 are shown with replacement characters.
fn pairs(headers: &HeaderMap) -> Value {
    headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect()
}
