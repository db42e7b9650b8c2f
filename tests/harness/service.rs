//! A service behind the gateway that keeps every byte it receives, the only oracle of what reached it, and answers as
//! its script says: early, late, wrongly framed, with too much, or not at all.

mod seen;
mod script;
mod wire;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub(crate) use script::Script;
pub(crate) use seen::Seen;

use super::process::PATIENCE;
use script::{Begin, Step};
use wire::{Ended, Wire};

/// Answers each request with 200 and a short JSON body, keeping connections alive, until it is told otherwise.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) port: u16,
    kept: Arc<Mutex<Kept>>,
    changed: Arc<Notify>,
}

struct Kept {
    seen: Vec<Seen>,
    /// One for each connection, in the order in which they came.
    received: Vec<Vec<u8>>,
    /// How many connections the other side has ended.
    ended: usize,
    standing: Script,
    /// For the next requests, before the standing one holds again.
    next: VecDeque<Script>,
}

const CLOSE: &[u8] = b"CLOSE";
const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Kept {
            seen: Vec::new(),
            received: Vec::new(),
            ended: 0,
            standing: Script::after_body().send(OK),
            next: VecDeque::new(),
        };
        let recorder = Self { port, kept: Arc::new(Mutex::new(kept)), changed: Arc::default() };
        let accepting = recorder.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = accepting.change(|kept| {
                    kept.received.push(Vec::new());
                    kept.received.len() - 1
                });
                tokio::spawn(accepting.clone().serve(Wire::new(stream, accepting.clone(), connection)));
            }
        });
        recorder
    }

    /// From now on answers are these bytes; `CLOSE` closes the connection instead.
    pub(crate) fn answer_with(&self, bytes: impl AsRef<[u8]>) {
        let script = Script::after_body();
        self.play(if bytes.as_ref() == CLOSE { script.close() } else { script.send(bytes) });
    }

    /// From now on every request is answered so.
    pub(crate) fn play(&self, script: Script) {
        self.change(|kept| kept.standing = script);
    }

    /// The next request, or the next after those that this was said of before, is answered so; then it is as it was.
    pub(crate) fn play_once(&self, script: Script) {
        self.change(|kept| kept.next.push_back(script));
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.kept.lock().unwrap().seen.clone()
    }

    #[track_caller]
    pub(crate) fn last(&self) -> Seen {
        self.kept.lock().unwrap().seen.last().expect("a request reached the service").clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.kept.lock().unwrap().received.len()
    }

    /// Every byte that came, connection by connection.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().received.clone()
    }

    /// How many requests and how many bytes came so far.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let kept = self.kept.lock().unwrap();
        (kept.seen.len(), kept.received.iter().map(Vec::len).sum())
    }

    /// How many connections the gateway has ended.
    pub(crate) fn ended(&self) -> usize {
        self.kept.lock().unwrap().ended
    }

    /// Waits until something holds of what came.
    pub(crate) async fn until(&self, wanted: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if wanted(self) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "the service waits in vain; it saw {:#?}", self.seen());
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let result = change(&mut self.kept.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    async fn serve(self, mut wire: Wire) {
        while self.serve_one(&mut wire).await.is_ok() {}
    }

    async fn serve_one(&self, wire: &mut Wire) -> Result<(), Ended> {
        let mut request = wire.read_head().await?;
        let script = self.change(|kept| kept.next.pop_front().unwrap_or_else(|| kept.standing.clone()));
        match script.begin {
            Begin::AfterHead => {
                let at = self.change(|kept| {
                    kept.seen.push(request.clone());
                    kept.seen.len() - 1
                });
                play(&script.steps, &request, wire).await?;
                wire.read_body(&mut request).await?;
                self.change(|kept| kept.seen[at] = request);
            }
            Begin::AfterBody => {
                wire.read_body(&mut request).await?;
                self.change(|kept| kept.seen.push(request.clone()));
                play(&script.steps, &request, wire).await?;
            }
        }
        Ok(())
    }
}

async fn play(steps: &[Step], request: &Seen, wire: &mut Wire) -> Result<(), Ended> {
    for step in steps {
        match step {
            Step::Send(bytes) => wire.send(bytes).await?,
            Step::AcceptWebSocket => wire.send(script::accepting(request).as_bytes()).await?,
            Step::Wait(time) => wire.read_for(*time).await?,
            Step::WaitForBytes(bytes) => wire.read_until(*bytes).await?,
            Step::Silence => wire.read_for(Duration::MAX).await?,
            Step::Close => return Err(wire.close().await),
            Step::Reset => return Err(wire.reset()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
