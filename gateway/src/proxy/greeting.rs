//! Before the first step: who sends this, and what their connection may cost.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;

use http::header::HeaderValue;
use pingora::proxy::Session;

use super::Proxy;
use crate::address;
use crate::config::Server;
use crate::connection::Facts;
use crate::context::{Context, RequestId};

impl Proxy {
    /// Who sends this, before anything else is known of it.
    pub(super) fn greet(&self, session: &mut Session, context: &mut Context) {
        let snapshot = std::sync::Arc::clone(&context.snapshot);
        let server = &snapshot.server;
        let peer = session.client_addr().and_then(|address| address.as_inet()).map(SocketAddr::ip);
        context.peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).to_canonical();
        context.client = context.peer;
        if Facts::of(session).is_some_and(Facts::is_tls) {
            context.proto = "https";
        }
        if !server.trusted_proxies.is_empty() && address::is_trusted(context.peer, &server.trusted_proxies) {
            let headers = &session.req_header().headers;
            let forwarded = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
            let forwarded: Vec<_> = forwarded.collect();
            context.client = address::client(context.peer, forwarded.into_iter(), &server.trusted_proxies);
            // Two lines are the client's and the proxy's own, and nobody knows which is which.
            let mut proto = headers.get_all("x-forwarded-proto").iter();
            if let (Some(proto), None) = (proto.next(), proto.next())
                && proto == "https"
            {
                context.proto = "https";
            }
            if let Some(id) = headers.get("x-request-id").and_then(|id| RequestId::parse(id.as_bytes())) {
                context.request_id = id;
            }
        }
        set_limits(session, server, self.draining.load(Ordering::Relaxed));
    }
}

/// The limits of this request's connection. pingora's own decision to close it is never undone.
fn set_limits(session: &mut Session, server: &Server, draining: bool) {
    if draining {
        session.set_keepalive(None);
    } else if session.get_keepalive().is_some() {
        session.set_keepalive(Some(server.keepalive_timeout.as_secs().max(1)));
    }
    session.set_read_timeout(Some(server.read_timeout));
    session.set_write_timeout(Some(server.write_timeout));
    // Such a client takes a `103` for the answer (RFC 9110 §15.2).
    let is_http_10 = session.req_header().version == http::Version::HTTP_10;
    session.set_ignore_info_resp(is_http_10);
}
