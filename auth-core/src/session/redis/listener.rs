//! What other nodes do: heard over pub/sub, which is quick and may lose, and read again from the log, which is neither.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::Inner;
use super::address::Host;
use super::error::RedisError;
use crate::Sid;
use crate::session::{Ended, News};

/// How many news may wait for whoever subscribed. Beyond that nothing is read until they are taken.
const NEWS_MAX: usize = 1024;

/// How often a silent connection is asked whether it is still one.
const PING: Duration = Duration::from_secs(3);

/// The pauses between attempts to listen.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The receiver is gone: nobody wants news any more.
struct Unheard;

/// Listens until the receiver is dropped.
pub(super) fn start(inner: Arc<Inner>) -> mpsc::Receiver<News> {
    let (news, receiver) = mpsc::channel(NEWS_MAX);
    let listener = Listener { inner, news };
    tokio::spawn(async move {
        tokio::select! {
            _ = listener.listen() => {}
            _ = listener.tick() => {}
            () = listener.news.closed() => {}
        }
    });
    receiver
}

struct Listener {
    inner: Arc<Inner>,
    news: mpsc::Sender<News>,
}

impl Listener {
    /// Tells what is published, and after each new connection that something may have been missed.
    async fn listen(&self) -> Result<(), Unheard> {
        let mut pause = PAUSE;
        loop {
            match self.inner.link.reach().listen(&self.inner.keys.channel()).await {
                Ok((heard, master)) => {
                    tracing::debug!("listening for ended sessions");
                    self.tell(News::Missed).await?;
                    let why = tokio::select! {
                        why = self.hear(heard) => why?,
                        why = self.outlive(master) => why,
                        never = self.after_connecting() => match never {},
                    };
                    tracing::warn!(
                        error = %why,
                        "Redis tells no ended sessions any more: until it does, they are read now and then, when it can be \
                         reached"
                    );
                    pause = PAUSE;
                }
                Err(why) => {
                    tracing::debug!(error = %why, "cannot listen for ended sessions");
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            sleep(pause).await;
        }
    }

    /// What a new connection is the time for; then nothing, for ever. Nobody who listens waits for it.
    async fn after_connecting(&self) -> Infallible {
        self.inner.warn_of_eviction().await;
        self.inner.end_recent_again().await;
        std::future::pending().await
    }

    /// Waits until the Sentinels name another master than this: a master that they lost may go on publishing what nobody else
    /// hears.
    async fn outlive(&self, master: Option<Host>) -> RedisError {
        let Some(master) = master else { return std::future::pending().await };
        loop {
            sleep(self.inner.reread).await;
            if let Err(why @ RedisError::NoMaster(_)) = self.inner.link.reach().prove_current(&master).await {
                return why;
            }
        }
    }

    /// Tells what is published until the connection breaks.
    async fn hear(&self, heard: PubSub) -> Result<RedisError, Unheard> {
        let (mut asks, mut messages) = heard.split();
        let limit = self.inner.command;
        loop {
            match timeout(PING, messages.next()).await {
                Ok(Some(message)) => match read(message.get_payload_bytes()) {
                    Some(ended) => self.tell(News::Ended(ended)).await?,
                    None => self.tell(News::Missed).await?,
                },
                Ok(None) => return Ok(RedisError::Unreachable("the connection was closed".into())),
                Err(_) => match timeout(limit, asks.ping::<redis::Value>()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(why)) => return Ok(why.into()),
                    Err(_) => return Ok(RedisError::TooSlow(limit)),
                },
            }
        }
    }

    /// Says from time to time that something may have been missed: publishing promises nothing, even when all is well.
    async fn tick(&self) -> Result<(), Unheard> {
        let every = self.inner.reread;
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell(News::Missed).await?;
            self.inner.end_recent_again().await;
        }
    }

    async fn tell(&self, news: News) -> Result<(), Unheard> {
        self.news.send(news).await.map_err(|_| Unheard)
    }
}

/// `sid until`, as the script `LOG` writes it.
fn read(message: &[u8]) -> Option<Ended> {
    let (sid, until) = std::str::from_utf8(message).ok()?.split_once(' ')?;
    Some(Ended { sid: Sid::parse(sid).ok()?, until: until.parse().ok()? })
}
