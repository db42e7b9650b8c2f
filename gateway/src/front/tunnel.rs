//! An opened WebSocket: bytes are bytes, for as long as its caller may go on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::Sleep;

/// How often it is looked whether a WebSocket may go on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a WebSocket ends, as its close code says (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Close {
    /// The gateway goes away: connect anew.
    GoingAway = 1001,
    /// The token has expired or the session has ended: log in anew.
    NoLongerAllowed = 1008,
    /// Whether the session has ended cannot be known now: connect anew later.
    TryAgainLater = 1013,
}

/// Says why a WebSocket must end now; `None` while it may go on.
pub(crate) struct Judge(Box<dyn Fn() -> Option<Close> + Send + Sync>);

impl Judge {
    pub(crate) fn new(judge: impl Fn() -> Option<Close> + Send + Sync + 'static) -> Self {
        Self(Box::new(judge))
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

#[derive(Debug)]
pub(super) struct Tunnel {
    judge: Judge,
    next_look: Pin<Box<Sleep>>,
}

impl Tunnel {
    pub(super) fn new(judge: Judge) -> Self {
        Self { judge, next_look: Box::pin(tokio::time::sleep(LOOK_EVERY)) }
    }

    /// Ready when the WebSocket must end.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        while self.next_look.as_mut().poll(cx).is_ready() {
            if let Some(close) = (self.judge.0)() {
                return Poll::Ready(close);
            }
            let next = tokio::time::Instant::now() + LOOK_EVERY;
            self.next_look.as_mut().reset(next);
        }
        Poll::Pending
    }
}

/// Sends a close frame as far as it goes at once. In the midst of another frame it is garbage, and the end all the same.
pub(super) fn say_goodbye(io: Pin<&mut (impl AsyncWrite + ?Sized)>, close: Close, cx: &mut Context<'_>) {
    let [high, low] = (close as u16).to_be_bytes();
    // FIN and the opcode of a close, two bytes of payload, not masked (RFC 6455 §5.2, §5.5.1).
    let _ = io.poll_write(cx, &[0x88, 0x02, high, low]);
}
