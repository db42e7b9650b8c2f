//! What the store remembers of ended sessions, put in force here: at the start, and while other nodes end them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use super::LoginService;
use crate::Clock;
use crate::revocation::Revocations;
use crate::session::{News, SessionStore, StoreError};

/// How long after a failure the store is asked again for the ends that were missed.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How many ends are put in force before whatever else is to be done has its turn.
const PIECE: usize = 4096;

/// Puts in force what ended elsewhere or before. It outlives every config, and holds nothing of one.
#[derive(Debug)]
pub struct Follower {
    store: Arc<dyn SessionStore>,
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock>,
}

impl LoginService {
    /// For the store and the revocations of this service.
    pub fn follower(&self) -> Follower {
        Follower {
            store: Arc::clone(&self.inner.store),
            revocations: Arc::clone(&self.inner.revocations),
            clock: Arc::clone(&self.inner.clock),
        }
    }
}

impl Follower {
    /// Takes over what the store remembers of ended sessions; says how many. Called before the first request, and by
    /// [`follow`](Self::follow).
    pub async fn recall(&self) -> Result<usize, StoreError> {
        let asked_at = Instant::now();
        let ended = self.store.ended(self.clock.unix_secs()).await?;
        for piece in ended.chunks(PIECE) {
            piece.iter().for_each(|one| self.revocations.insert(*one));
            tokio::task::yield_now().await;
        }
        self.revocations.read(asked_at);
        Ok(ended.len())
    }

    /// Puts in force what other nodes end, until they fall silent for good; a task of its own, beside the requests. `news`
    /// comes from the store's [`subscribe`](SessionStore::subscribe).
    pub async fn follow(&self, news: mpsc::Receiver<News>) {
        let missed = Notify::new();
        // What was ended before `news` began.
        missed.notify_one();
        // Side by side: what is heard does not wait for a log of a million ends to be read.
        tokio::select! {
            () = self.hear(news, &missed) => {}
            () = self.read(&missed) => {}
        }
    }

    /// Takes what is told, until nobody is left to tell.
    async fn hear(&self, mut news: mpsc::Receiver<News>, missed: &Notify) {
        while let Some(next) = news.recv().await {
            match next {
                News::Ended(ended) => self.revocations.insert(ended),
                News::Missed => missed.notify_one(),
            }
        }
    }

    /// Reads what was missed, again and again until that succeeds. Trouble is told once, and its end.
    async fn read(&self, missed: &Notify) {
        loop {
            missed.notified().await;
            let mut failed = false;
            loop {
                match self.recall().await {
                    Ok(ended) if failed => {
                        tracing::info!(ended, "what ended on other nodes is known here again");
                        break;
                    }
                    Ok(ended) => {
                        tracing::debug!(ended, "ends that may have been missed were read from the store");
                        break;
                    }
                    Err(error) if !failed => tracing::warn!(
                        %error,
                        "ends of sessions on other nodes may be missing here: the store cannot be read"
                    ),
                    Err(_) => {}
                }
                failed = true;
                sleep(ASK_AGAIN_AFTER).await;
            }
        }
    }
}
