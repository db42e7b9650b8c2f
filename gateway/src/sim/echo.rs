//! The echo service: a backend that shows what reached it. `wxgate dev` and the end-to-end tests put it behind the
//! gateway.
//!
//! Only the end of a path counts, so that it can stand behind any prefix:
//!
//! | path ends in | answer |
//! |---|---|
//! | `/ws` | WebSocket echo |
//! | `/events?n=3&ms=100` | server-sent events |
//! | `/bytes/{n}` | `n` bytes |
//! | `/count` | length and SHA-256 of the request body |
//! | `/status/{code}` | that status |
//! | `/delay/{ms}` | the mirror, late |
//! | `/reset` | a TCP reset |
//! | anything else | the mirror: the request as JSON |

mod mirror;
mod streams;
mod websocket;

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::net::TcpListener;

use super::line::{self, Line};

/// Longest `/delay/{ms}`.
const DELAY_MS_MAX: u64 = 600_000;

/// Serves the echo service until `shutdown` ends, then at most [`line::GRACE`] longer.
///
/// # Errors
/// What the listener reports.
pub(crate) async fn serve_echo(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    line::serve(listener, Router::new().fallback(echo), shutdown).await
}

async fn echo(ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let mut from_end = path.rsplit('/');
    let (last, before) = (from_end.next().unwrap_or_default(), from_end.next());
    match (before, last) {
        (Some(_), "ws") => websocket::echo(request).await,
        (Some(_), "events") => streams::events(request.uri().query().unwrap_or_default()),
        (Some(_), "count") => streams::count(request.into_body()).await,
        (Some(_), "reset") => {
            line.cut();
            StatusCode::OK.into_response()
        }
        (Some("bytes"), number) => streams::bytes(number),
        (Some("status"), code) => status(code),
        (Some("delay"), ms) => delay(ms, request).await,
        _ => mirror::mirror(request).await,
    }
}

fn status(code: &str) -> Response {
    // 1xx are not final answers, and above 599 there is nothing.
    match code.parse().ok().filter(|code| (200..600).contains(code)).map(StatusCode::from_u16) {
        Some(Ok(status)) => status.into_response(),
        _ => wrong("/status/{code} takes 200 to 599"),
    }
}

async fn delay(ms: &str, request: Request) -> Response {
    match ms.parse() {
        Ok(ms) if ms <= DELAY_MS_MAX => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            mirror::mirror(request).await
        }
        _ => wrong("/delay/{ms} takes 0 to 600000 milliseconds"),
    }
}

fn wrong(text: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, text).into_response()
}
