//! The transport of the public listeners: what happens to a connection before HTTP is read from it.
//!
//! pingora listens on plain TCP everywhere. Whether a connection speaks TLS is told by the address it came in on; the
//! handshake is ours, because its certificates, its time limit and its refusals are.

mod admission;
mod certificates;
mod pace;
mod stalled;
mod stream;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::tls::ALPN;
use pingora::protocols::{Ssl as _, Stream};
use pingora::proxy::Session;
use pingora::server::ShutdownWatch;

pub(crate) use admission::{Admission, Limits, UnderWay};
pub(crate) use certificates::Certificates;
pub(crate) use stalled::{Unstalled, limited_elsewhere, piece_came, stalls_since};

use crate::config::Certificate;
use crate::front::{Front, HeadLimits};
use crate::metrics::{Closed, ConnectionMetrics};
use admission::{Member, Place};
use certificates::Served;
use pace::Paced;
use stream::Connection;

/// What the transport is told by the config.
#[derive(Debug)]
pub(crate) struct Transport {
    /// The listeners that speak TLS; all others do not.
    pub(crate) tls: Vec<SocketAddr>,
    pub(crate) certificates: Certificates,
    pub(crate) admission: Arc<Admission>,
    /// What new connections go by.
    pub(crate) patience: ArcSwap<Patience>,
    pub(crate) metrics: ConnectionMetrics,
}

/// How long a connection may keep the gateway waiting, and how much it may send before it has said what it wants.
#[derive(Debug)]
pub(crate) struct Patience {
    pub(crate) head: HeadLimits,
    /// How long writing to a connection may stand still.
    pub(crate) write_timeout: Duration,
}

/// Takes each connection, and hands it to `app` when it is ready for HTTP.
#[derive(Debug)]
pub(crate) struct Connections<A> {
    pub(crate) app: Arc<A>,
    pub(crate) transport: Arc<Transport>,
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Connections<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let place = self.transport.admit(&stream)?;
        let served = async {
            // Boxed: the handshake is long over while the connection still lives.
            let connection = Box::pin(self.transport.establish(stream, &place)).await?;
            let stream: Stream = match connection.selected_alpn_proto() {
                // HTTP/2 has limits of its own, and no head that a stream could see.
                Some(ALPN::H2) => Box::new(connection),
                _ => Box::new(Front::new(Box::new(connection), self.transport.patience.load().head)),
            };
            self.app.process_new(stream, shutdown).await
        };
        place.hold(served).await
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

impl Transport {
    /// Takes over a new config for the connections to come.
    pub(crate) fn reconfigure(&self, limits: Limits, patience: Patience, certificates: Vec<Certificate>) {
        self.admission.limit(limits);
        self.patience.store(Arc::new(patience));
        self.certificates.replace(certificates);
    }

    fn admit(&self, stream: &Stream) -> Option<Place> {
        let digest = stream.get_socket_digest()?;
        // A socket without its other end is gone.
        self.admission.enter(digest.peer_addr()?.as_inet()?.ip())
    }

    /// Makes `stream` ready for HTTP; none if that fails, and then the connection has ended.
    async fn establish(&self, stream: Stream, place: &Place) -> Option<Connection> {
        // And without its own address nobody can tell whether it must be TLS.
        let local = *stream.get_socket_digest()?.local_addr()?.as_inet()?;
        let patience = self.patience.load_full();
        let socket = Paced::new(stream, patience.write_timeout, self.metrics.clone());
        let member = Arc::clone(place.member());
        if !self.tls.iter().any(|listener| covers(*listener, local)) {
            return Some(Connection::plain(socket, Facts { member, tls: None }));
        }
        // A handshake is as much a wait for the client as a request head is.
        let limit = patience.head.timeout;
        let failed =
            match tokio::time::timeout(limit, tls::accept(socket, &self.certificates, local.ip())).await {
                Ok(Ok((stream, served))) => {
                    let facts = Facts { member, tls: Some(TlsFacts { served }) };
                    return Some(Connection::tls(stream, facts, limit));
                }
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
        self.metrics.closed(Closed::Handshake);
        tracing::debug!(error = %failed, "a TLS handshake failed");
        None
    }
}

/// Whether a connection that came in at `local` came to this listener.
fn covers(listener: SocketAddr, local: SocketAddr) -> bool {
    let every = listener.ip().is_unspecified() && listener.is_ipv4() == local.is_ipv4();
    listener.port() == local.port() && (every || listener.ip() == local.ip())
}

/// What is known of the connection that a request came on. It travels with pingora's digest of the connection, the one
/// thing that requests of both protocols can see of it.
#[derive(Debug)]
pub(crate) struct Facts {
    member: Arc<Member>,
    tls: Option<TlsFacts>,
}

/// What the handshake settled.
#[derive(Debug)]
struct TlsFacts {
    served: Arc<Served>,
}

impl Facts {
    /// Of the connection that `session` came on.
    pub(crate) fn of(session: &Session) -> Option<&Self> {
        let digest = session.as_downstream().digest()?.proxy_digest.as_ref()?;
        digest.user_data.as_ref()?.downcast_ref()
    }

    /// Begins a request on it; none if it has just been told to make room for another.
    pub(crate) fn begin(&self) -> Option<UnderWay> {
        self.member.begin()
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether a request for `host` may come on this connection: over TLS only for whom its certificate is, whatever was
    /// named in the handshake.
    pub(crate) fn may_carry(&self, host: &str) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.served.is_for(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_known_by_its_address() {
        for (listener, local, is) in [
            ("0.0.0.0:8443", "10.0.0.7:8443", true),
            ("0.0.0.0:8443", "10.0.0.7:8080", false),
            ("10.0.0.7:8443", "10.0.0.7:8443", true),
            ("10.0.0.8:8443", "10.0.0.7:8443", false),
            ("[::]:8443", "[2001:db8::7]:8443", true),
            // A listener on every IPv6 address takes IPv4 as well, and sees it like this.
            ("[::]:8443", "[::ffff:10.0.0.7]:8443", true),
            ("[::]:8443", "10.0.0.7:8443", false),
        ] {
            let (listener, local) = (listener.parse().unwrap(), local.parse().unwrap());
            assert_eq!(covers(listener, local), is, "{listener} {local}");
        }
    }
}
