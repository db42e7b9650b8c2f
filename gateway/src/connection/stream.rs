//! The stream of a connection, plain or TLS, as pingora wants it.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::Response;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{ALPN, SslDigest};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::Facts;
use super::pace::Paced;

/// The stream of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    io: Io,
    alpn: ALPN,
    tls: Option<Arc<SslDigest>>,
    facts: Arc<ProxyDigest>,
    /// What a client of HTTP/2 still owes before its first frame.
    preface: Option<Preface>,
}

#[derive(Debug)]
enum Io {
    Plain(Paced),
    Tls(Box<TlsStream<Paced>>),
}

/// pingora waits for it without end.
#[derive(Debug)]
struct Preface {
    bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

/// RFC 9113 §3.4.
const PREFACE_BYTES: usize = 24;

impl Connection {
    pub(super) fn plain(socket: Paced, known: Facts) -> Self {
        Self { io: Io::Plain(socket), alpn: ALPN::H1, tls: None, facts: facts(known), preface: None }
    }

    /// `limit`: how long a client of HTTP/2 may take until it says so.
    pub(super) fn tls(stream: TlsStream<Paced>, known: Facts, limit: Duration) -> Self {
        let settled = stream.get_ref().1;
        let h2 = settled.alpn_protocol() == Some(b"h2");
        let suite = settled.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let version = settled.protocol_version().and_then(|version| version.as_str());
        // That there is one is how pingora knows of TLS.
        let digest =
            SslDigest::new(suite.unwrap_or_default(), version.unwrap_or_default(), None, None, Vec::new());
        Self {
            io: Io::Tls(Box::new(stream)),
            alpn: if h2 { ALPN::H2 } else { ALPN::H1 },
            tls: Some(Arc::new(digest)),
            facts: facts(known),
            preface: h2
                .then(|| Preface { bytes: PREFACE_BYTES, deadline: Box::pin(tokio::time::sleep(limit)) }),
        }
    }

    /// What lies below TLS.
    fn socket(&self) -> &Stream {
        match &self.io {
            Io::Plain(socket) => &socket.io,
            Io::Tls(stream) => &stream.get_ref().0.io,
        }
    }
}

/// pingora's place for the answer of a CONNECT proxy is the one through which a request of either protocol finds what is
/// known of its connection; to a client there is no such proxy.
fn facts(facts: Facts) -> Arc<ProxyDigest> {
    let nothing = ResponseHeader::from(Response::new(()).into_parts().0);
    Arc::new(ProxyDigest::new(Box::new(nothing), Some(Box::new(facts))))
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        let before = buf.filled().len();
        let read = match &mut connection.io {
            Io::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Io::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        };
        if let Some(preface) = &mut connection.preface {
            preface.bytes = preface.bytes.saturating_sub(buf.filled().len() - before);
            if preface.bytes == 0 {
                connection.preface = None;
            } else if read.is_pending() && preface.deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        match &mut self.io {
            Io::Plain(socket) => Shutdown::shutdown(&mut *socket.io).await,
            Io::Tls(stream) => {
                if let Err(error) = stream.shutdown().await {
                    tracing::debug!(%error, "a TLS connection did not end as it should");
                }
            }
        }
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.socket().id()
    }
}

impl Ssl for Connection {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.tls.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(self.alpn.clone())
    }
}

/// Nobody peeks: only HTTP/2 without TLS would.
impl Peek for Connection {}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.socket().get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.socket().get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.socket().get_write_pending_time()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.facts))
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.socket().get_socket_digest()
    }
}
