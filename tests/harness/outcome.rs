//! What came of one request: what the client was told, and what reached the service.

use super::{Gateway, Recorder, Seen, exchange};

pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) answer: String,
    pub(crate) seen: Option<Seen>,
}

impl Outcome {
    /// Sends one request over a connection of its own. A refusal of the gateway's own must have left the service alone, down
    /// to the last byte, and must name its reason.
    pub(crate) async fn of(gateway: &Gateway, recorder: &Recorder, request: impl AsRef<[u8]>) -> Self {
        let request = request.as_ref();
        let (requests, bytes) = recorder.counts();
        let answer = exchange(gateway.port, request).await;
        assert!(answer.starts_with("HTTP/1.1 "), "no answer to {}: {answer:?}", request.escape_ascii());
        let (requests_now, bytes_now) = recorder.counts();
        let mut outcome = Self::told(answer);
        outcome.seen = (requests_now > requests).then(|| recorder.last());
        if outcome.seen.is_none() {
            assert_eq!(bytes_now, bytes, "{} reached the service in part", request.escape_ascii());
            let reason = outcome.error();
            assert!(reason.is_some(), "no reason for {}:\n{}", request.escape_ascii(), outcome.answer);
        }
        outcome
    }

    /// What an answer says; of the service nothing is known.
    pub(crate) fn told(answer: String) -> Self {
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, answer, seen: None }
    }

    /// A header of the answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.answer.split("\r\n\r\n").next()?;
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The reason code of the gateway's own refusal.
    pub(crate) fn error(&self) -> Option<&str> {
        self.header("x-wxgate-error")
    }

    /// The status, and the target that the service saw if it saw one.
    pub(crate) fn way(&self) -> (u16, Option<&str>) {
        (self.status, self.seen.as_ref().map(Seen::target))
    }
}
