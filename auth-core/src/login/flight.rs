//! One code, one exchange: parallel senders share it, late ones within the replay time get its answer again.
//!
//! A code works once, and client stacks retry by themselves. Without this, the retry of a lost answer would log the
//! user out of a login that worked.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use moka::sync::Cache;

use super::{Login, LoginError};
use crate::wechat::{ExchangeError, Spent};
use crate::{AppId, Clock, LoginCode};

/// How long a code's fate is remembered: twice the five minutes that WeChat lets a code live.
const MEMORY: Duration = Duration::from_secs(600);
/// How many codes are remembered.
const CODES_MAX: u64 = 200_000;

type Answer = Result<Arc<Login>, LoginError>;
type CodeDigest = [u8; 32];

/// An exchange that was begun.
#[derive(Clone)]
struct Flight {
    answer: Shared<BoxFuture<'static, Answer>>,
    /// When it ended, in Unix seconds.
    landed_at: Arc<OnceLock<u64>>,
}

pub(super) struct Flights {
    flights: Cache<CodeDigest, Flight>,
    replay_secs: u64,
    clock: Arc<dyn Clock>,
}

impl Flights {
    pub(super) fn new(replay: Duration, clock: Arc<dyn Clock>) -> Self {
        let flights = Cache::builder().max_capacity(CODES_MAX).time_to_live(MEMORY).build();
        Self { flights, replay_secs: replay.as_secs(), clock }
    }

    /// The answer for this code: of `exchange` if the code is new, else of the exchange begun for it before.
    pub(super) async fn join(
        &self,
        app: &AppId,
        code: &LoginCode,
        exchange: impl Future<Output = Answer> + Send + 'static,
    ) -> Answer {
        let digest = digest(app, code);
        let flight = self.flights.get_with(digest, || self.begin(digest, exchange));
        let ended_long_ago = |landed: &u64| self.clock.unix_secs() > landed.saturating_add(self.replay_secs);
        if flight.landed_at.get().is_some_and(ended_long_ago) {
            return Err(LoginError::CodeUsed);
        }
        flight.answer.await
    }

    /// Starts the exchange as a task of its own, which no client's departure can cancel half-way.
    fn begin(&self, digest: CodeDigest, exchange: impl Future<Output = Answer> + Send + 'static) -> Flight {
        let landed_at = Arc::new(OnceLock::new());
        let (flights, clock, landing) =
            (self.flights.clone(), Arc::clone(&self.clock), Arc::clone(&landed_at));
        let task = tokio::spawn(async move {
            let answer = exchange.await;
            if code_is_spent(&answer) {
                let _ = landing.set(clock.unix_secs());
            } else {
                // The code may still be good: the next sender tries again.
                flights.invalidate(&digest);
            }
            answer
        });
        let interrupted = LoginError::Wechat(ExchangeError::Interrupted);
        let answer = task.map(move |joined| joined.unwrap_or(Err(interrupted))).boxed().shared();
        Flight { answer, landed_at }
    }
}

fn code_is_spent(answer: &Answer) -> bool {
    match answer {
        Ok(_) | Err(LoginError::CodeUsed) => true,
        Err(LoginError::Wechat(error)) => error.code_spent() == Spent::Yes,
        Err(LoginError::Store(_)) => false,
    }
}

/// What stands for a code in memory: the code itself is a secret. Two apps may hand out the same code.
fn digest(app: &AppId, code: &LoginCode) -> CodeDigest {
    let mut context = Context::new(&SHA256);
    context.update(app.as_str().as_bytes());
    context.update(b"\0");
    context.update(code.expose().as_bytes());
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights").field("codes", &self.flights.entry_count()).finish_non_exhaustive()
    }
}
