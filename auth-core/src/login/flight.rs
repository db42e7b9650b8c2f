//! One code, one exchange: parallel senders share it, late ones within the replay time get its answer again.
//!
//! A code works once, and client stacks retry by themselves. Without this, the retry of a lost answer would log the
//! user out of a login that worked.

use std::future::Future;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{Login, LoginError};
use crate::session::CodeDigest;
use crate::wechat::{ExchangeError, Spent, WechatUser};
use crate::{AppId, Clock, LoginCode};

/// How long a code's fate is remembered: twice the five minutes that WeChat lets a code live.
const MEMORY: Duration = Duration::from_secs(600);
/// How many codes are remembered. A flood of others makes room by forgetting who was asked about longest ago.
const CODES_MAX: u64 = 200_000;

pub(super) type Answer = Result<Arc<Login>, LoginError>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// How an attempt ended.
pub(super) struct Attempt {
    pub(super) answer: Answer,
    /// Whom WeChat named, where the session could not be kept: another attempt goes on from here.
    pub(super) unkept: Option<Arc<WechatUser>>,
}

/// What is known of a code.
#[derive(Default)]
enum Fate {
    /// It may be good: nobody has asked yet, or who asked did not learn.
    #[default]
    Open,
    /// An attempt is under way.
    Flying(Flight),
    /// It led to this, at this time in Unix seconds.
    Over(Answer, u64),
    /// WeChat spent it and named a user, whose session could not be kept.
    Unkept(Unkept),
}

/// A user whose session waits for the store.
#[derive(Clone)]
struct Unkept {
    /// A timer holds the user, for the replay time and no longer.
    user: Weak<WechatUser>,
    /// When WeChat named the user, in Unix seconds.
    since: u64,
}

/// Where the fate of one code stands. The lock is held to look and to change, never while an attempt runs: whoever
/// finds a code open makes it `Flying` before anybody else can look.
#[derive(Default)]
struct Slot(Mutex<Fate>);

impl Slot {
    /// No change leaves a fate half made, so what a panicking thread left behind is still whole.
    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Flights {
    /// The least recently asked about goes first. moka's own choice, by frequency, turns new keys away when it is full:
    /// a flood of made-up codes would leave the real ones without a memory.
    slots: Cache<CodeDigest, Arc<Slot>>,
    replay: Duration,
    clock: Arc<dyn Clock>,
}

impl Flights {
    pub(super) fn new(replay: Duration, clock: Arc<dyn Clock>) -> Self {
        Self::with_room(CODES_MAX, replay, clock)
    }

    fn with_room(codes: u64, replay: Duration, clock: Arc<dyn Clock>) -> Self {
        let slots = Cache::builder()
            .max_capacity(codes)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(MEMORY)
            .build();
        Self { slots, replay, clock }
    }

    /// The answer for this code: the one it had, the one it is about to have, or that of a new `attempt`. An attempt is
    /// given the user, if WeChat named one before.
    pub(super) async fn join<A, F>(&self, app: &AppId, code: &LoginCode, attempt: A) -> Answer
    where
        A: FnOnce(Option<Arc<WechatUser>>) -> F,
        F: Future<Output = Attempt> + Send + 'static,
    {
        let slot = self.slots.get_with(CodeDigest::of(app, code), Arc::default);
        match self.board(&slot, attempt) {
            Ok(flight) => flight.await,
            Err(answer) => answer,
        }
    }

    /// The flight to wait for, or the answer that needs none.
    fn board<A, F>(&self, slot: &Arc<Slot>, attempt: A) -> Result<Flight, Answer>
    where
        A: FnOnce(Option<Arc<WechatUser>>) -> F,
        F: Future<Output = Attempt> + Send + 'static,
    {
        let mut fate = slot.fate();
        let late = |since: u64| self.clock.unix_secs() > since.saturating_add(self.replay.as_secs());
        let (user, unkept) = match &*fate {
            Fate::Flying(flight) => return Ok(flight.clone()),
            Fate::Over(_, at) if late(*at) => return Err(Err(LoginError::CodeUsed)),
            Fate::Over(answer, _) => return Err(answer.clone()),
            Fate::Unkept(unkept) => match unkept.user.upgrade() {
                Some(user) if !late(unkept.since) => (Some(user), Some(unkept.clone())),
                _ => return Err(Err(LoginError::CodeUsed)),
            },
            Fate::Open => (None, None),
        };
        let flight = self.start(slot, attempt(user), unkept);
        *fate = Fate::Flying(flight.clone());
        Ok(flight)
    }

    /// Starts the attempt as a task of its own, which no client's departure can cancel half-way.
    fn start(
        &self,
        slot: &Arc<Slot>,
        attempt: impl Future<Output = Attempt> + Send + 'static,
        before: Option<Unkept>,
    ) -> Flight {
        let (slot, clock, replay) = (Arc::clone(slot), Arc::clone(&self.clock), self.replay);
        let task = tokio::spawn(async move {
            // Made here, not outside: dropping it locks the slot, which the spawning thread holds.
            let mut landing = Landing { slot, fate: before.clone().map_or(Fate::Open, Fate::Unkept) };
            let Attempt { answer, unkept } = attempt.await;
            landing.fate = match (before, unkept) {
                // The time runs from the exchange: another failure does not prolong it.
                (Some(before), Some(_)) => Fate::Unkept(before),
                (None, Some(user)) => Fate::Unkept(hold(user, replay, clock.unix_secs())),
                (_, None) if code_is_spent(&answer) => {
                    Fate::Over(answer.clone(), login_time(&answer).unwrap_or_else(|| clock.unix_secs()))
                }
                // The code may still be good: the next sender tries again.
                (_, None) => Fate::Open,
            };
            answer
        });
        let interrupted = LoginError::Wechat(ExchangeError::Interrupted);
        task.map(move |joined| joined.unwrap_or(Err(interrupted))).boxed().shared()
    }
}

/// Ends a flight, also one that panics: no fate stays `Flying` with nobody at work. It is dropped before anybody
/// learns the answer, so that who sends the code again upon it finds the new fate.
struct Landing {
    slot: Arc<Slot>,
    fate: Fate,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let flown = mem::replace(&mut *self.slot.fate(), mem::take(&mut self.fate));
        // Not under the lock: it may hold the last of a flight.
        drop(flown);
    }
}

/// Keeps the user in memory for the replay time, and no longer.
fn hold(user: Arc<WechatUser>, replay: Duration, since: u64) -> Unkept {
    let unkept = Unkept { user: Arc::downgrade(&user), since };
    tokio::spawn(async move {
        tokio::time::sleep(replay).await;
        drop(user);
    });
    unkept
}

/// When the login was made, on whatever node: its replay time runs from there.
fn login_time(answer: &Answer) -> Option<u64> {
    answer.as_ref().ok().map(|login| login.caller.issued_at)
}

fn code_is_spent(answer: &Answer) -> bool {
    match answer {
        Ok(_) | Err(LoginError::CodeUsed) => true,
        Err(LoginError::Wechat(error)) => error.code_spent() == Spent::Yes,
        Err(LoginError::AtAnotherNode | LoginError::Store(_)) => false,
    }
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights").field("codes", &self.slots.entry_count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
