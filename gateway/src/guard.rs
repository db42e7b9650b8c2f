//! A limit on request heads that pingora does not have: how long one may take in all, and how many bytes it may have.
//!
//! Each HTTP/1 connection's stream is wrapped. While a head is expected the guard counts; the proxy tells it when one
//! has been read, and when the next may come.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{ALPN, SslDigest, TlsRef};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::proxy::Session;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::steps::authenticate::LastCaller;

/// How long and how large a request head may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// From the first byte to the last.
    pub(crate) timeout: Duration,
    /// Request line and headers together.
    pub(crate) bytes_max: usize,
}

/// Puts a [`HeadGuard`] round each connection before `app` sees it.
#[derive(Debug)]
pub(crate) struct Guarded<A> {
    pub(crate) app: Arc<A>,
    pub(crate) limits: HeadLimits,
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Guarded<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // HTTP/2 has limits of its own, and no head that a stream could see.
        let stream = match stream.selected_alpn_proto() {
            Some(ALPN::H2) => stream,
            _ => Box::new(HeadGuard::new(stream, self.limits)),
        };
        self.app.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}

/// The stream of one connection, with limits while a request head is read from it.
#[derive(Debug)]
pub(crate) struct HeadGuard {
    io: Stream,
    limits: HeadLimits,
    in_head: AtomicBool,
    head_bytes: AtomicUsize,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Kept here because this is what lives as long as the connection does.
    last_caller: LastCaller,
}

impl HeadGuard {
    fn new(io: Stream, limits: HeadLimits) -> Self {
        Self {
            io,
            limits,
            in_head: AtomicBool::new(true),
            head_bytes: AtomicUsize::new(0),
            deadline: None,
            last_caller: LastCaller::default(),
        }
    }

    fn of(session: &Session) -> Option<&Self> {
        session.as_downstream().stream()?.as_any().downcast_ref()
    }

    /// A head has been read: what comes now is a body.
    pub(crate) fn head_ends(session: &Session) {
        if let Some(guard) = Self::of(session) {
            guard.in_head.store(false, Ordering::Relaxed);
        }
    }

    /// Who called last on this connection; nothing is kept on HTTP/2.
    pub(crate) fn last_caller(session: &Session) -> Option<&LastCaller> {
        Self::of(session).map(|guard| &guard.last_caller)
    }

    /// A request is over: what comes now is the next head.
    pub(crate) fn head_begins(session: &Session) {
        if let Some(guard) = Self::of(session) {
            guard.head_bytes.store(0, Ordering::Relaxed);
            guard.in_head.store(true, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for HeadGuard {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut *guard.io).poll_read(cx, buf);
        if !guard.in_head.load(Ordering::Relaxed) {
            guard.deadline = None;
            return read;
        }
        let bytes = buf.filled().len() - before;
        let so_far = guard.head_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if bytes > 0 {
            if so_far == bytes {
                // The first bytes of a head: a deadline that is still here was the last head's.
                guard.deadline = None;
            }
            // The bytes of a body that came along count too, up to one buffer: a limit may be generous, not porous.
            let too_large = so_far > guard.limits.bytes_max && so_far > bytes;
            return if too_large { Poll::Ready(Err(io::ErrorKind::InvalidData.into())) } else { read };
        }
        if read.is_pending() && so_far > 0 {
            let timeout = guard.limits.timeout;
            let deadline = guard.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            if deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for HeadGuard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for HeadGuard {
    async fn shutdown(&mut self) {
        Shutdown::shutdown(&mut *self.io).await;
    }
}

impl UniqueID for HeadGuard {
    fn id(&self) -> UniqueIDType {
        self.io.id()
    }
}

impl Ssl for HeadGuard {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.io.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.io.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.io.selected_alpn_proto()
    }
}

#[async_trait]
impl Peek for HeadGuard {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.io.try_peek(buf).await
    }
}

impl GetTimingDigest for HeadGuard {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.io.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.io.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.io.get_write_pending_time()
    }
}

impl GetProxyDigest for HeadGuard {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.io.get_proxy_digest()
    }
}

impl GetSocketDigest for HeadGuard {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.io.get_socket_digest()
    }
}
