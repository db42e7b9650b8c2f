//! A web page that a browser shows may send requests here. It cannot choose the `Host` of a name that is not loopback's,
//! nor hide its origin.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AdminState;
use super::refusal::Refusal;

/// Refuses what a page may have sent.
pub(super) async fn refused(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin");
    // A target with a host of its own is a proxy's request (RFC 9112 §3.2.2), and nobody's business here.
    let foreign = request.uri().authority().is_some();
    // On other addresses a name cannot be known to be ours; there a credential is asked for, which no page has.
    let local = !state.on_loopback || names_loopback(headers);
    if !local || foreign || elsewhere || headers.contains_key(header::ORIGIN) {
        return Refusal::WebPage.into_response();
    }
    next.run(request).await
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host =
        hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok()).unwrap_or("");
    let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "[::1]")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|v4| v4.is_loopback())
}
