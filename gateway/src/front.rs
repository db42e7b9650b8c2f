//! The strict front of an HTTP/1 connection: it reads requests before pingora does and hands on only what has one reading.
//!
//! Each connection's stream is wrapped. A head is handed on whole, when it is complete and checked, and after it the bytes
//! of its own body and no more: what follows is held back until the proxy says that the request is over. So there is one
//! place that says where a request ends, limits hold for a head however it arrives, and pipelined requests are served in
//! turn. Instead of a head that is refused pingora gets [`REFUSED_HEAD`], and the proxy asks here for the reason: every
//! refusal has an answer and a line in the log.

mod head;
mod chunked;
mod tunnel;
mod io;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::fmt;
use std::future::Future;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::protocols::Stream;
use pingora::proxy::Session;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

use self::chunked::Chunked;
pub(crate) use self::head::is_token;
use self::head::{Framing, Head};
use self::tunnel::Tunnel;
pub(crate) use self::tunnel::{Close, Judge};
use crate::steps::authenticate::LastCaller;

/// How long and how large a request head may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// From the first byte to the last; on a new connection from its beginning.
    pub(crate) timeout: Duration,
    /// Request line and headers together.
    pub(crate) bytes_max: usize,
}

/// Why a request is not handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Refusal {
    /// Not as RFC 9112 writes a request head.
    Head = 1,
    /// No path, or a byte in it that no path has.
    Target,
    TargetTooLong,
    /// No host, two, or none that is one.
    Host,
    /// No length, or two.
    Framing,
    /// `CONNECT`: this is no tunnel.
    Connect,
    TooLarge,
    TimedOut,
}

impl Refusal {
    const ALL: [Self; 8] = [
        Self::Head,
        Self::Target,
        Self::TargetTooLong,
        Self::Host,
        Self::Framing,
        Self::Connect,
        Self::TooLarge,
        Self::TimedOut,
    ];
}

/// What pingora reads instead of a head that is refused. Nothing of the request is in it, so that nothing of it can be
/// logged or sent on; the body that it announces is whatever else the client sends.
const REFUSED_HEAD: &[u8] =
    b"- - HTTP/1.1\r\nHost: -\r\nConnection: close\r\nContent-Length: 1073741824\r\n\r\n";

/// The stream of one connection.
pub(crate) struct Front {
    io: Stream,
    limits: HeadLimits,
    at: At,
    head: Head,
    /// What was read and not yet handed on.
    held: Vec<u8>,
    /// How much of it may be handed on now.
    released: usize,
    deadline: Option<Pin<Box<Sleep>>>,
    unsent: Unsent,
    /// What the proxy said since the last read, see [`word`].
    word: AtomicU8,
    /// Who says how long an opened WebSocket goes on.
    judge: Mutex<Option<Judge>>,
    /// A [`Refusal`], or 0.
    refusal: AtomicU8,
    /// Kept here because this is what lives as long as the connection does.
    last_caller: LastCaller,
}

/// What may still wait in the socket's buffer, unsent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsent {
    Nothing,
    /// Written just now: more may follow at once, and go out with it.
    Fresh,
    /// Written some time ago.
    Stale,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum At {
    Head,
    Body(u64),
    Chunked(Chunked),
    /// The request is complete. Until its answer is, whatever comes waits.
    Between,
    /// An opened WebSocket: bytes are bytes.
    Tunnel(Tunnel),
    /// A refused request: whatever comes is thrown away by the reader.
    Refused,
}

/// What the proxy says of a connection, as bits.
mod word {
    /// The request is over, the next may come.
    pub(super) const OVER: u8 = 1;
    /// The service took the WebSocket.
    pub(super) const TUNNEL: u8 = 2;
    /// The answer is out; tell the client that nothing more comes.
    pub(super) const LAST: u8 = 4;
}

impl Front {
    pub(crate) fn new(io: Stream, limits: HeadLimits) -> Self {
        Self {
            io,
            limits,
            at: At::Head,
            head: Head::default(),
            held: Vec::new(),
            released: 0,
            // A client that says nothing at all has no more time than one that says a little.
            deadline: Some(Box::pin(tokio::time::sleep(limits.timeout))),
            unsent: Unsent::Nothing,
            word: AtomicU8::new(0),
            judge: Mutex::new(None),
            refusal: AtomicU8::new(0),
            last_caller: LastCaller::default(),
        }
    }

    /// None on HTTP/2, which has no such front: its frames have lengths.
    fn of(session: &Session) -> Option<&Self> {
        session.as_downstream().stream()?.as_any().downcast_ref()
    }

    /// Why the request, its head or its body, is refused.
    pub(crate) fn refusal(session: &Session) -> Option<Refusal> {
        let refusal = Self::of(session)?.refusal.load(Ordering::Relaxed);
        Refusal::ALL.into_iter().find(|known| *known as u8 == refusal)
    }

    /// Who called last on this connection; nothing is kept on HTTP/2.
    pub(crate) fn last_caller(session: &Session) -> Option<&LastCaller> {
        Self::of(session).map(|front| &front.last_caller)
    }

    /// A request is over: what comes now is the next head.
    pub(crate) fn request_is_over(session: &Session) {
        Self::say(session, word::OVER);
    }

    /// The service took the WebSocket: what comes now is a tunnel's, until `judge` ends it.
    pub(crate) fn tunnel_opens(session: &Session, judge: Judge) {
        if let Some(front) = Self::of(session) {
            *front.judge.lock().unwrap_or_else(PoisonError::into_inner) = Some(judge);
            Self::say(session, word::TUNNEL);
        }
    }

    /// The last answer of this connection is out: the client hears the end of it while it may still be sending.
    pub(crate) fn last_answer_is_out(session: &Session) {
        Self::say(session, word::LAST);
    }

    fn say(session: &Session, word: u8) {
        if let Some(front) = Self::of(session) {
            front.word.fetch_or(word, Ordering::Relaxed);
        }
    }

    /// Acts on what the proxy said.
    fn listen(&mut self, cx: &mut Context<'_>) {
        let word = *self.word.get_mut();
        if word == 0 {
            return;
        }
        if word & word::LAST != 0 && Pin::new(&mut *self.io).poll_shutdown(cx).is_pending() {
            return;
        }
        *self.word.get_mut() &= !word::LAST;
        if word & word::TUNNEL != 0 {
            *self.word.get_mut() &= !word::TUNNEL;
            if let Some(judge) = self.judge.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
                self.at = At::Tunnel(Tunnel::new(judge));
                self.released = self.held.len();
            }
        } else if word & word::OVER != 0 && matches!(self.at, At::Between) {
            *self.word.get_mut() = 0;
            self.at = At::Head;
            self.head = Head::default();
            self.deadline = None;
        }
    }

    /// pingora flushes an answer of known length when it is whole. What has come of one that pauses must not wait for the
    /// rest: when nothing more is written by the next time that this connection is looked at, it goes out.
    fn push_out(&mut self, cx: &mut Context<'_>) {
        match self.unsent {
            Unsent::Nothing => {}
            Unsent::Fresh => {
                self.unsent = Unsent::Stale;
                cx.waker().wake_by_ref();
            }
            Unsent::Stale => {
                // What fails here fails again with the next write, where pingora sees it.
                if Pin::new(&mut *self.io).poll_flush(cx).is_ready() {
                    self.unsent = Unsent::Nothing;
                }
            }
        }
    }

    /// Hands on what may be.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let bytes = self.released.min(buf.remaining());
        buf.put_slice(&self.held[..bytes]);
        self.held.drain(..bytes);
        self.released -= bytes;
        if self.held.is_empty() {
            // Much may have come at once, and the connection may be idle for long.
            self.held = Vec::new();
        }
    }

    /// Reads more of a head, and hands it on when it is complete.
    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<IoResult<()>> {
        if !self.held.is_empty() && self.look_at_held() {
            self.hand_on(buf);
            return Poll::Ready(Ok(()));
        }
        loop {
            let before = buf.filled().len();
            let Poll::Ready(read) = Pin::new(&mut *self.io).poll_read(cx, buf) else {
                return self.poll_deadline(cx, buf);
            };
            read?;
            let came = &buf.filled()[before..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.held.is_empty() {
                // The usual request: all of it came at once, and it passes where it lies.
                let looked = self.look(came);
                if let Ok(Some(own)) = looked {
                    self.held.extend_from_slice(&came[own..]);
                    buf.set_filled(before + own);
                    self.deadline = None;
                    return Poll::Ready(Ok(()));
                }
                self.held.extend_from_slice(came);
                buf.set_filled(before);
                if self.act(looked) {
                    self.hand_on(buf);
                    return Poll::Ready(Ok(()));
                }
            } else {
                self.held.extend_from_slice(came);
                buf.set_filled(before);
                if self.look_at_held() {
                    self.hand_on(buf);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// How many of the bytes since the head began are this request's; `None` while the head is not complete.
    fn look(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let complete = self.head.read(bytes)?;
        if complete.map_or(bytes.len(), |head| head.bytes) > self.limits.bytes_max {
            return Err(Refusal::TooLarge);
        }
        let Some(head) = complete else { return Ok(None) };
        Ok(Some(head.bytes + self.begin_body(head.body, &bytes[head.bytes..])?))
    }

    /// Whether there is something to hand on now.
    fn look_at_held(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        let looked = self.look(&held);
        self.held = held;
        self.act(looked)
    }

    fn act(&mut self, looked: Result<Option<usize>, Refusal>) -> bool {
        match looked {
            Ok(Some(own)) => self.released = own,
            Ok(None) => return false,
            Err(refusal) => self.refuse(refusal),
        }
        self.deadline = None;
        true
    }

    /// Pingora gets the head of no request, and whatever came of this one is gone.
    fn refuse(&mut self, refusal: Refusal) {
        *self.refusal.get_mut() = refusal as u8;
        self.at = At::Refused;
        self.held.clear();
        self.held.extend_from_slice(REFUSED_HEAD);
        self.released = self.held.len();
    }

    /// A head that began must end in time. A connection that never said a word just ends.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<IoResult<()>> {
        let begun = !self.held.is_empty();
        if begun || self.deadline.is_some() {
            let timeout = self.limits.timeout;
            let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            ready!(deadline.as_mut().poll(cx));
            self.deadline = None;
            if begun {
                self.refuse(Refusal::TimedOut);
                self.hand_on(buf);
            }
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// The head is complete: how many of the bytes behind it are its body's.
    fn begin_body(&mut self, body: Framing, behind: &[u8]) -> Result<usize, Refusal> {
        self.at = match body {
            Framing::Length(0) => At::Between,
            Framing::Length(length) => At::Body(length),
            Framing::Chunked => At::Chunked(Chunked::default()),
        };
        self.read_body(behind)
    }

    /// How many of these bytes are the present body's.
    fn read_body(&mut self, came: &[u8]) -> Result<usize, Refusal> {
        let (own, done) = match &mut self.at {
            At::Body(left) => {
                let own = came.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= own as u64;
                (own, *left == 0)
            }
            At::Chunked(chunked) => (chunked.read(came)?, chunked.is_done()),
            At::Between => (0, false),
            At::Head | At::Tunnel(_) | At::Refused => (came.len(), false),
        };
        if done {
            self.at = At::Between;
        }
        Ok(own)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<IoResult<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut *self.io).poll_read(cx, buf))?;
        match self.read_body(&buf.filled()[before..]) {
            Ok(own) => {
                self.held.extend_from_slice(&buf.filled()[before + own..]);
                buf.set_filled(before + own);
                Poll::Ready(Ok(()))
            }
            Err(refusal) => {
                *self.refusal.get_mut() = refusal as u8;
                self.at = At::Refused;
                buf.set_filled(before);
                Poll::Ready(Err(Error::from(ErrorKind::InvalidData)))
            }
        }
    }

    /// While an answer is under way the end of the connection is worth knowing; what else comes is the next request's.
    fn poll_between(&mut self, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        if !self.held.is_empty() {
            return Poll::Pending;
        }
        let mut space = [0; 512];
        let mut next = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut *self.io).poll_read(cx, &mut next))?;
        if next.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.held.extend_from_slice(next.filled());
        Poll::Pending
    }
}

/// Says nothing of what it holds: requests with their tokens.
impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("at", &self.at).field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl AsyncRead for Front {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<IoResult<()>> {
        let front = self.get_mut();
        front.listen(cx);
        front.push_out(cx);
        if front.released > 0 {
            front.hand_on(buf);
            return Poll::Ready(Ok(()));
        }
        match &mut front.at {
            At::Head => front.poll_head(cx, buf),
            At::Body(_) | At::Chunked(_) => front.poll_body(cx, buf),
            At::Between => front.poll_between(cx),
            At::Tunnel(tunnel) => {
                if let Poll::Ready(close) = tunnel.poll_close(cx) {
                    tunnel::say_goodbye(Pin::new(&mut *front.io), close, cx);
                    return Poll::Ready(Ok(()));
                }
                Pin::new(&mut *front.io).poll_read(cx, buf)
            }
            At::Refused => Pin::new(&mut *front.io).poll_read(cx, buf),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// With the client's end of the connection.
    async fn front() -> (Front, tokio::net::TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let stream = Box::new(pingora::protocols::l4::stream::Stream::from(stream));
        let limits = HeadLimits { timeout: Duration::from_secs(60), bytes_max: 1024 };
        (Front::new(stream, limits), client)
    }

    #[tokio::test]
    async fn what_came_too_early_takes_no_room_once_it_is_handed_on() {
        let (mut front, mut client) = front().await;
        let head = "POST / HTTP/1.1\r\nHost: a\r\n";
        let first = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        client.write_all(first.as_bytes()).await.unwrap();
        let mut buf = vec![0; 64 * 1024];
        front.read_exact(&mut buf[..first.len()]).await.unwrap();
        let next = format!("{head}Content-Length: 8000\r\n\r\n{}", "x".repeat(8000));
        client.write_all(format!("0\r\n\r\n{next}").as_bytes()).await.unwrap();
        assert_eq!(front.read(&mut buf).await.unwrap(), 5);
        assert!(!front.held.is_empty());
        *front.word.get_mut() = word::OVER;
        front.read_exact(&mut buf[..next.len()]).await.unwrap();
        assert!(matches!(front.at, At::Between), "{front:?}");
        assert_eq!(front.held.capacity(), 0);
    }

    #[tokio::test]
    async fn what_a_connection_holds_is_not_printed() {
        let (mut front, _client) = front().await;
        front.held = b"GET / HTTP/1.1\r\nAuthorization: Bearer abc".to_vec();
        let printed = format!("{front:?} {front:#?}");
        assert!(
            printed.contains("held: 41") && !printed.contains("Bearer") && !printed.contains("66, 101"),
            "{printed}"
        );
    }
}
