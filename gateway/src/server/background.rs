//! What happens beside the requests: names are looked up, expired sessions go, log lines are written out.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::time::MissedTickBehavior;

use crate::live::Live;
use crate::snapshot::Snapshot;
use crate::steps::log::AccessLog;

/// How often server names are looked up.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);
/// How often expired sessions are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often ends of sessions that the store did not keep are tried again: so soon they are in force on other nodes and
/// after a restart, once the store is back.
const KEEP_ENDS_EVERY: Duration = Duration::from_secs(1);
/// How long a log line may wait for others.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// Before the first request: who logged out stays logged out, and every upstream has its addresses.
pub(super) fn first_look(snapshot: &Snapshot) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let looked = runtime.block_on(async {
        match snapshot.login.follower().recall().await {
            Ok(ended) => tracing::info!(ended, "sessions that ended before their time were recalled"),
            // A store that several nodes share may come later: tokens are verified without it.
            Err(error) if !snapshot.lasting.revocations.were_read() => tracing::warn!(
                %error,
                "the session store cannot be read: until it can, nobody can log in, and sessions that were ended pass \
                 where `on_store_down` is \"allow\""
            ),
            Err(error) => return Err(error).context("the session store cannot be read"),
        }
        snapshot.upstreams.resolve().await;
        Ok(())
    });
    // A name server that hangs is not waited for.
    runtime.shutdown_background();
    looked
}

/// Looks up names, sweeps out sessions, and keeps their ends.
pub(super) struct Upkeep {
    pub(super) live: Live,
}

#[async_trait]
impl BackgroundService for Upkeep {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        // Side by side: neither a slow name server nor a long sweep keeps the other waiting, or the end.
        let until_shutdown = async {
            tokio::select! {
                () = self.resolve() => {}
                () = self.sweep() => {}
                _ = shutdown.changed() => {}
            }
        };
        // Goes on while requests drain: they log out, too.
        tokio::join!(until_shutdown, self.keep_ends());
    }
}

impl Upkeep {
    async fn resolve(&self) {
        // The first look was before the start.
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + RESOLVE_EVERY, RESOLVE_EVERY);
        loop {
            tick.tick().await;
            self.live.snapshot().upstreams.resolve().await;
        }
    }

    async fn keep_ends(&self) {
        let mut tick = tokio::time::interval(KEEP_ENDS_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.live.snapshot().login.logout_pending().await {
                // Told by the sweep: this is asked too often.
                tracing::debug!(%error, "ends of sessions are still not kept");
            }
        }
    }

    async fn sweep(&self) {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        loop {
            tick.tick().await;
            match self.live.snapshot().login.sweep().await {
                Ok(0) => {}
                Ok(swept) => tracing::debug!(swept, "expired sessions were removed"),
                Err(error) => {
                    tracing::warn!(%error, "expired sessions could not be removed, or logouts not be kept");
                }
            }
        }
    }
}

/// Puts in force what other nodes end. Goes on while requests drain: they are judged, too.
pub(super) struct Follow(pub(super) Live);

#[async_trait]
impl BackgroundService for Follow {
    async fn start(&self, _shutdown: ShutdownWatch) {
        // What ends a session here is the same under every config; the first is not held on to.
        let (follower, news) = {
            let snapshot = self.0.snapshot();
            (snapshot.login.follower(), snapshot.lasting.store.subscribe())
        };
        if let Some(news) = news {
            follower.follow(news).await;
            tracing::error!("the session store tells nothing more of what other nodes end");
        }
    }
}

/// Writes out the access log. Goes on while requests drain; the end of the process flushes once more.
pub(super) struct Flush(pub(super) Arc<AccessLog>);

#[async_trait]
impl BackgroundService for Flush {
    async fn start(&self, _shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(FLUSH_EVERY);
        loop {
            tick.tick().await;
            self.0.flush();
        }
    }
}
