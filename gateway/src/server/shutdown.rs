//! The end: readiness goes off, running requests finish, the process leaves as soon as the last one has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::in_flight::InFlight;
use crate::live::Live;
use crate::steps::log::AccessLog;

/// How often the requests under way are counted at the end.
const COUNT_EVERY: Duration = Duration::from_millis(20);

/// How long open WebSockets have to hear that the gateway goes away.
const GOODBYE: Duration = Duration::from_millis(1500);

/// How long a store that did not keep an end of a session may take to do it now.
const LAST_ENDS: Duration = Duration::from_secs(2);
/// How soon it is asked again meanwhile.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long the last log lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Waits for the signal to end, and ends.
pub(super) struct End {
    pub(super) draining: Arc<AtomicBool>,
    pub(super) leaving: Arc<AtomicBool>,
    pub(super) in_flight: InFlight,
    pub(super) last: Last,
    /// How long new requests are still taken after readiness went off.
    pub(super) delay: Duration,
    /// How long running requests may take after that.
    pub(super) timeout: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for End {
    /// SIGTERM ends gracefully, SIGINT at once.
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals cannot be received: only SIGKILL ends this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => self.leave("SIGINT"),
            _ = terminate.recv() => {}
        }
        tracing::info!(delay = ?self.delay, timeout = ?self.timeout, "SIGTERM: draining");
        self.draining.store(true, Ordering::Relaxed);
        tokio::select! {
            () = tokio::time::sleep(self.delay) => {}
            _ = interrupt.recv() => self.leave("SIGINT"),
        }
        // pingora closes the listeners when this returns, and then sleeps its grace period out, idle or not.
        let (in_flight, leaving) = (self.in_flight.clone(), Arc::clone(&self.leaving));
        let (last, impatient, timeout) = (self.last.clone(), self.last.clone(), self.timeout);
        std::thread::spawn(move || {
            wait_until_idle(&in_flight, timeout);
            // What is left may be WebSockets, which have a word for this.
            leaving.store(true, Ordering::Relaxed);
            wait_until_idle(&in_flight, GOODBYE);
            let cut = in_flight.count();
            if cut > 0 {
                tracing::warn!(requests = cut, "the time to drain is over: running requests are cut");
            }
            tracing::info!("drained");
            last.leave()
        });
        tokio::spawn(async move {
            interrupt.recv().await;
            tracing::info!("SIGINT while draining: ending at once");
            impatient.leave()
        });
        ShutdownSignal::GracefulTerminate
    }
}

impl End {
    fn leave(&self, why: &str) -> ! {
        tracing::info!("{why}: ending at once");
        self.last.leave()
    }
}

/// What must be done before the process is gone.
#[derive(Clone)]
pub(super) struct Last {
    pub(super) live: Live,
    pub(super) access_log: Option<Arc<AccessLog>>,
}

impl Last {
    fn leave(&self) -> ! {
        self.keep_ends();
        if let Some(access_log) = &self.access_log {
            access_log.finish(LAST_LINES);
        }
        std::process::exit(0)
    }

    /// Ends of sessions that the store has not kept are forgotten with this process.
    fn keep_ends(&self) {
        let snapshot = self.live.snapshot();
        if snapshot.login.ends_unkept() == 0 {
            return;
        }
        // On a thread of its own: this one may belong to a runtime, which cannot wait for another.
        let keeping = std::thread::spawn(move || -> std::io::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let keep = async {
                while snapshot.login.logout_pending().await.is_err() {
                    tokio::time::sleep(ASK_AGAIN_AFTER).await;
                }
            };
            let _ = runtime.block_on(async { tokio::time::timeout(LAST_ENDS, keep).await });
            // A name server that hangs is not waited for.
            runtime.shutdown_background();
            Ok(())
        });
        // What came of it shows in what is left.
        let _ = keeping.join();
        let lost = self.live.snapshot().login.ends_unkept();
        if lost > 0 {
            tracing::error!(
                sessions = lost,
                "ended sessions are forgotten: the store never kept their ends, so their tokens pass again after a start"
            );
        }
    }
}

fn wait_until_idle(in_flight: &InFlight, timeout: Duration) {
    let deadline = Instant::now() + timeout;
    // Twice in a row: a request may be between two counts, read but not begun.
    let mut idle = 0;
    while idle < 2 && Instant::now() < deadline {
        idle = if in_flight.count() == 0 { idle + 1 } else { 0 };
        std::thread::sleep(COUNT_EVERY);
    }
}
