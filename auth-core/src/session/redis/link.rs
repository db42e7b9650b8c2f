//! The one connection for commands: made when it is first needed, shared by all, and made anew when it breaks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value, from_redis_value};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::error::RedisError;
use super::reach::{Connection, Reach};

/// How long after a failed attempt nobody tries again; doubled by each further one. Until then commands fail at once.
const BACK_OFF: Duration = Duration::from_millis(50);
/// The longest such pause: how soon a Redis that came back is noticed.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// Below this age a connection is kept that may be as good as any other: one to a cluster mends itself, one node at a time, and
/// making it anew for every command that fails would cost the nodes that are well; a master without replicas may be the only
/// one.
const AGE_MIN: Duration = Duration::from_secs(1);

/// Asks Redis, on a connection that all share.
pub(super) struct Link {
    reach: Reach,
    /// How long one question may take, with connecting and a second attempt.
    limit: Duration,
    /// For the log; shows no secret.
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    standing: Standing,
    /// How many attempts to connect have failed since the last that did not.
    failed: u32,
    /// How many connections there have been: tells which one a command failed on.
    made: u64,
}

#[derive(Default)]
enum Standing {
    #[default]
    Idle,
    Connecting(watch::Receiver<Option<Result<Live, RedisError>>>),
    Connected(Live),
    Failed {
        why: RedisError,
        again_at: Instant,
    },
}

/// A connection and how to tell it from the one before.
#[derive(Clone)]
struct Live {
    connection: Connection,
    number: u64,
    since: Instant,
    /// Closed with the runtime that drives the connection.
    runtime: watch::Receiver<()>,
}

impl Live {
    /// On the runtime of whoever asks, as the connection is.
    fn new(connection: Connection, number: u64) -> Self {
        let (driven, runtime) = watch::channel(());
        tokio::spawn(async move { driven.closed().await });
        Self { connection, number, since: Instant::now(), runtime }
    }

    /// Whether anybody drives it still.
    fn is_driven(&self) -> bool {
        self.runtime.has_changed().is_ok()
    }
}

impl Link {
    pub(super) fn new(reach: Reach, limit: Duration, name: String) -> Arc<Self> {
        Arc::new(Self { reach, limit, name, state: Mutex::default() })
    }

    pub(super) const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Asks, and once more on a new connection if this one was broken: every command here may be run twice.
    pub(super) async fn ask<T: FromRedisValue>(self: &Arc<Self>, command: &Cmd) -> Result<T, RedisError> {
        let mut used = None;
        let answer = timeout(self.limit, self.ask_twice(command, &mut used)).await;
        let answer = answer.unwrap_or(Err(RedisError::TooSlow(self.limit)));
        if let (Err(why), Some(number)) = (&answer, used) {
            self.give_up(number, why);
        }
        from_redis_value(answer?).map_err(|_| RedisError::Record)
    }

    /// Makes sure that what is read now is read from the master of now, by the connection with this number; else says why nobody
    /// can know.
    pub(super) async fn prove_current(self: &Arc<Self>) -> Result<u64, RedisError> {
        match self.prove_connection().await {
            // Another has taken over: the next connection leads there, if the Sentinels agree.
            Err(RedisError::NoMaster(_)) => self.prove_connection().await,
            proof => proof,
        }
    }

    async fn prove_connection(self: &Arc<Self>) -> Result<u64, RedisError> {
        let live = self.connection().await?;
        if let Connection::Master(_, host) = &live.connection
            && let Err(why) = self.reach.prove_current(host).await
        {
            self.give_up(live.number, &why);
            return Err(why);
        }
        Ok(live.number)
    }

    /// Whether the connection with this number is the one in use.
    pub(super) fn is_still(&self, number: u64) -> bool {
        matches!(&self.state().standing, Standing::Connected(live) if live.number == number)
    }

    async fn ask_twice(self: &Arc<Self>, command: &Cmd, used: &mut Option<u64>) -> Result<Value, RedisError> {
        let live = self.connection().await?;
        *used = Some(live.number);
        match live.connection.query(command).await {
            Err(why) if self.give_up(live.number, &why) => {
                let live = self.connection().await?;
                *used = Some(live.number);
                live.connection.query(command).await
            }
            answer => answer,
        }
    }

    /// The connection, or why there is none. Whoever comes first starts the attempt, all wait for it; it goes on when
    /// they have given up waiting.
    async fn connection(self: &Arc<Self>) -> Result<Live, RedisError> {
        let mut attempt = {
            let mut state = self.state();
            match &state.standing {
                Standing::Connected(live) if live.is_driven() => return Ok(live.clone()),
                Standing::Failed { why, again_at } if Instant::now() < *again_at => return Err(why.clone()),
                Standing::Connecting(attempt) if attempt.has_changed().is_ok() => attempt.clone(),
                // A closed attempt, or connection, died with the runtime that it ran on.
                _ => {
                    let (result, attempt) = watch::channel(None);
                    state.standing = Standing::Connecting(attempt.clone());
                    tokio::spawn(Arc::clone(self).attempt(result));
                    attempt
                }
            }
        };
        let result = attempt.wait_for(Option::is_some).await;
        let result = result.ok().and_then(|result| result.clone());
        result.unwrap_or_else(|| Err(RedisError::Unreachable("the attempt to connect was dropped".into())))
    }

    async fn attempt(self: Arc<Self>, result: watch::Sender<Option<Result<Live, RedisError>>>) {
        let connected = self.reach.connect().await;
        let mut state = self.state();
        let outcome = match connected {
            Ok(connection) => {
                if std::mem::take(&mut state.failed) > 0 {
                    tracing::info!(redis = self.name, "Redis is within reach again");
                }
                state.made += 1;
                let live = Live::new(connection, state.made);
                state.standing = Standing::Connected(live.clone());
                Ok(live)
            }
            Err(why) => {
                // Once a trouble: what fails because of it is logged where it fails.
                if state.failed == 0 {
                    tracing::warn!(redis = self.name, error = %why, "no connection to Redis");
                }
                let pause = (BACK_OFF * 2u32.saturating_pow(state.failed.min(8))).min(BACK_OFF_MAX);
                state.failed = state.failed.saturating_add(1);
                state.standing = Standing::Failed { why: why.clone(), again_at: Instant::now() + pause };
                Err(why)
            }
        };
        drop(state);
        // Nobody waits any more: then nobody needs to be told.
        let _ = result.send(Some(outcome));
    }

    /// Lets go of the connection with this number if `why` says that another could do better. Says whether it is gone.
    fn give_up(&self, number: u64, why: &RedisError) -> bool {
        let lonely = self.reach.has_sentinels() && why.is_for_want_of_replicas();
        if !lonely && !why.wants_another_connection() {
            return false;
        }
        let mut state = self.state();
        match &state.standing {
            Standing::Connected(live) if live.number == number => {
                if (lonely || self.reach.is_cluster()) && live.since.elapsed() < AGE_MIN {
                    return false;
                }
                tracing::debug!(redis = self.name, error = %why, "the connection to Redis broke");
                state.standing = Standing::Idle;
                true
            }
            // Somebody else was quicker.
            _ => true,
        }
    }

    /// Nothing panics while it is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}
