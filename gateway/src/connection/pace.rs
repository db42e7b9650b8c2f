//! A client must take its answer: how long writing to one connection may stand still.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::metrics::{Closed, ConnectionMetrics};

/// The socket of a connection, below TLS. Time in which the client takes nothing is used up for good, and what it takes
/// gives some back: so a client that takes a byte now and then cannot hold a connection, and one that is merely slow can.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) io: Stream,
    /// The longest standstill.
    most: Duration,
    left: Duration,
    waiting: Option<Waiting>,
    metrics: ConnectionMetrics,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    /// Boxed: hardly a connection ever waits.
    end: Pin<Box<Sleep>>,
}

/// What a byte gives back: a second for each KiB, in round numbers.
const GIVEN_PER_BYTE: Duration = Duration::from_millis(1);

impl Paced {
    pub(super) const fn new(io: Stream, most: Duration, metrics: ConnectionMetrics) -> Self {
        Self { io, most, left: most, waiting: None, metrics }
    }

    /// Looks at what came of a write: `taken` are the bytes of one that went on.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        taken: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &written {
            Poll::Ready(Ok(done)) => {
                if let Some(waiting) = self.waiting.take() {
                    self.left = self.left.saturating_sub(waiting.since.elapsed());
                }
                if self.left < self.most {
                    let given = GIVEN_PER_BYTE.saturating_mul(u32::try_from(taken(done)).unwrap_or(u32::MAX));
                    self.left = self.most.min(self.left.saturating_add(given));
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let left = self.left;
                let waiting = self.waiting.get_or_insert_with(|| Waiting {
                    since: Instant::now(),
                    end: Box::pin(tokio::time::sleep(left)),
                });
                if waiting.end.as_mut().poll(cx).is_ready() {
                    self.metrics.closed(Closed::SlowReader);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }
}

impl AsyncRead for Paced {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let paced = self.get_mut();
        let written = Pin::new(&mut paced.io).poll_write(cx, buf);
        paced.judge(cx, written, |bytes| *bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let paced = self.get_mut();
        let written = Pin::new(&mut paced.io).poll_write_vectored(cx, bufs);
        paced.judge(cx, written, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let paced = self.get_mut();
        let flushed = Pin::new(&mut paced.io).poll_flush(cx);
        paced.judge(cx, flushed, |()| 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let paced = self.get_mut();
        let ended = Pin::new(&mut paced.io).poll_shutdown(cx);
        paced.judge(cx, ended, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const MOST: Duration = Duration::from_secs(60);

    fn pair() -> (Paced, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1024);
        (Paced::new(Box::new(ours), MOST, ConnectionMetrics::new(&mut Registry::default())), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut() {
        let (mut paced, _theirs) = pair();
        let started = Instant::now();
        let failed = paced.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_does_not_hold_a_connection() {
        let (mut paced, mut theirs) = pair();
        let started = Instant::now();
        let reading = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(59)).await;
                if let Err(error) = theirs.read_u8().await {
                    return error;
                }
            }
        });
        assert_eq!(paced.write_all(&[0; 4096]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(61), "{:?}", started.elapsed());
        drop(paced);
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_but_goes_on_is_served() {
        let (mut paced, mut theirs) = pair();
        let reading = tokio::spawn(async move {
            let (mut taken, mut piece) = (0, [0; 1024]);
            while taken < 256 * 1024 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                taken += theirs.read(&mut piece).await.unwrap();
            }
        });
        paced.write_all(&[0; 256 * 1024]).await.unwrap();
        reading.await.unwrap();
    }
}
