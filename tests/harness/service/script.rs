//! How a service answers: when it begins, and what it then does, step by step.

use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Seen;

/// One answer. When the last step is done the connection is ready for the next request.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(super) begin: Begin,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    AfterHead,
    AfterBody,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Send(Vec<u8>),
    AcceptWebSocket,
    Wait(Duration),
    WaitForBytes(usize),
    Silence,
    Close,
    Reset,
}

impl Script {
    /// Begins when the head of the request is there, whatever body follows. What comes during the steps is not lost.
    pub(crate) const fn after_head() -> Self {
        Self { begin: Begin::AfterHead, steps: Vec::new() }
    }

    /// Begins when the whole request is there.
    pub(crate) const fn after_body() -> Self {
        Self { begin: Begin::AfterBody, steps: Vec::new() }
    }

    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Sends `101` with the `Sec-WebSocket-Accept` that belongs to the request.
    pub(crate) fn accept_websocket(self) -> Self {
        self.then(Step::AcceptWebSocket)
    }

    /// Reads for so long.
    pub(crate) fn wait(self, time: Duration) -> Self {
        self.then(Step::Wait(time))
    }

    /// Reads until so many bytes have come after the head, or after the body, whichever the script begins after.
    pub(crate) fn wait_for_bytes(self, bytes: usize) -> Self {
        self.then(Step::WaitForBytes(bytes))
    }

    /// Says no more, and reads until the other side ends.
    pub(crate) fn silence(self) -> Self {
        self.then(Step::Silence)
    }

    /// Ends in order: nothing that was sent is lost.
    pub(crate) fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Ends with a reset.
    pub(crate) fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// The answer that takes a WebSocket handshake.
pub(super) fn accepting(request: &Seen) -> String {
    let accept = derive_accept_key(request.one("sec-websocket-key").as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}
