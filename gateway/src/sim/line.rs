//! A TCP connection that can be cut: the only way to answer a request with a reset is to own the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Connections open at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;

/// How long running requests may take after shutdown was asked for.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Serves `app` until `shutdown` ends, then at most [`GRACE`] longer: a scripted ten-minute answer must not keep the
/// program alive. Handlers find their connection as `ConnectInfo<Line>`.
pub(super) async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (asked, was_asked) = oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        // Nobody listens only when serving has already ended.
        let _ = asked.send(());
    };
    let lines = Lines { listener, permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
    let serving = axum::serve(lines, app.into_make_service_with_connect_info::<Line>());
    tokio::select! {
        ended = serving.with_graceful_shutdown(shutdown) => ended,
        () = async { let _ = was_asked.await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// A handle on one connection.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<AtomicBool>);

impl Line {
    /// Whatever is written next is not sent: the peer gets a reset instead. Call it before returning an answer.
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        Self(Arc::clone(&stream.io().cut))
    }
}

/// Accepts connections as [`CuttableStream`]s.
struct Lines {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Listener for Lines {
    type Io = CuttableStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, Self::Addr) {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        // The trait's own accept of a TcpListener waits and tries again when files run out.
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        let _ = stream.set_nodelay(true);
        (CuttableStream { stream, cut: Arc::default(), _permit: permit }, addr)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

struct CuttableStream {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
    /// Gives the place back when the connection ends. The semaphore is never closed, so it is always there.
    _permit: Option<OwnedSemaphorePermit>,
}

impl CuttableStream {
    /// The stream to write to, or, once cut, an error that makes the server drop the connection.
    fn uncut(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        let this = self.get_mut();
        if this.cut.load(Ordering::Acquire) {
            // Without lingering, dropping the socket sends RST instead of FIN.
            this.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(Pin::new(&mut this.stream))
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.uncut()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.uncut()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.uncut()?.poll_shutdown(cx)
    }
}
