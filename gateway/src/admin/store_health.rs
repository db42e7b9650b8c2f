//! Whether the session store takes logins. To ask it is to write to it, so what it said is remembered for a while, and a
//! store that says nothing keeps nobody waiting: whoever looks after the gateway may look often.

use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth_core::session::{SessionStore, StoreError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long what a check found is believed.
const REMEMBERED: Duration = Duration::from_secs(1);

/// How long a store may take for a check and be well: far less than anybody waits for readiness.
const PATIENCE: Duration = Duration::from_millis(200);

type Check = Box<dyn Fn() -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>;

/// What is known of the store.
pub(crate) struct StoreHealth {
    check: Check,
    /// The last check, under way or over. There is never more than one at work.
    last: Mutex<Option<watch::Receiver<Found>>>,
    /// Whether the log says that it is in trouble.
    in_trouble: AtomicBool,
}

/// What a check has found up to now.
#[derive(Debug, Clone, Copy)]
enum Found {
    Nothing,
    /// Still nothing, and that is trouble.
    Late,
    Over {
        well: bool,
        at: Instant,
    },
}

impl StoreHealth {
    pub(crate) fn of(store: Arc<dyn SessionStore>) -> Arc<Self> {
        Self::with(Box::new(move || {
            let store = Arc::clone(&store);
            async move { store.check().await }.boxed()
        }))
    }

    fn with(check: Check) -> Arc<Self> {
        Arc::new(Self { check, last: Mutex::default(), in_trouble: AtomicBool::new(false) })
    }

    /// Whether it takes logins, as far as is known a moment from now.
    pub(super) async fn is_well(self: &Arc<Self>) -> bool {
        let mut check = self.last_check();
        let found = check.wait_for(|found| !matches!(found, Found::Nothing)).await;
        // A check that died has found nothing good.
        found.is_ok_and(|found| matches!(*found, Found::Over { well: true, .. }))
    }

    /// The one that is under way or fresh, or else a new one.
    fn last_check(self: &Arc<Self>) -> watch::Receiver<Found> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(check) = &*last {
            let counts = match *check.borrow() {
                Found::Over { at, .. } => at.elapsed() < REMEMBERED,
                Found::Nothing | Found::Late => check.has_changed().is_ok(),
            };
            if counts {
                return check.clone();
            }
        }
        let (found, check) = watch::channel(Found::Nothing);
        tokio::spawn(Arc::clone(self).run(found));
        last.insert(check).clone()
    }

    /// One check. It is a task of its own: who asked may go away, and another wait for it.
    async fn run(self: Arc<Self>, found: watch::Sender<Found>) {
        let mut check = (self.check)();
        let outcome = match timeout(PATIENCE, &mut check).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // Told when it is known: a store that is slow lets people log in.
                found.send_replace(Found::Late);
                check.await
            }
        };
        match &outcome {
            Ok(()) => self.tell_well(),
            Err(error) => self.tell_trouble(error),
        }
        found.send_replace(Found::Over { well: outcome.is_ok(), at: Instant::now() });
    }

    fn tell_trouble(&self, error: &dyn Display) {
        if !self.in_trouble.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "the session store is in trouble: nobody can log in");
        }
    }

    fn tell_well(&self) {
        if self.in_trouble.swap(false, Ordering::Relaxed) {
            tracing::info!("the session store takes logins again");
        }
    }
}

impl fmt::Debug for StoreHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHealth").field("last", &self.last).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    /// A store whose checks take so long, and fail where that is said; and how often it was asked.
    fn store(takes: Duration, fails: bool) -> (Arc<StoreHealth>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let health = StoreHealth::with(Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(takes).await;
                if fails { Err(StoreError::Full { limit: 1 }) } else { Ok(()) }
            }
            .boxed()
        }));
        (health, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_make_one_check_a_second() {
        for fails in [false, true] {
            let (health, asked) = store(PATIENCE / 2, fails);
            for round in 1..=3 {
                let answers = join_all((0..100).map(|_| health.is_well())).await;
                assert!(answers.iter().all(|well| *well != fails));
                advance(REMEMBERED / 2).await;
                assert_eq!(health.is_well().await, !fails);
                assert_eq!(asked.load(Ordering::Relaxed), round);
                advance(REMEMBERED).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_is_in_trouble_until_it_does() {
        let takes = Duration::from_secs(3600);
        let ((health, asked), began) = (store(takes, false), Instant::now());
        assert!(!health.is_well().await);
        assert_eq!(began.elapsed().as_millis(), PATIENCE.as_millis());
        advance(takes / 2).await;
        let again = Instant::now();
        assert!(!health.is_well().await);
        assert_eq!(again.elapsed(), Duration::ZERO, "the check that hangs says enough");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "one that hangs is not joined by others");
        sleep(takes / 2).await;
        assert!(health.is_well().await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_dies_is_no_good_sign_and_not_the_last() {
        let asked = AtomicUsize::new(0);
        let health = StoreHealth::with(Box::new(move || {
            let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { panic!("meant") } else { Ok(()) } }.boxed()
        }));
        assert!(!health.is_well().await);
        assert!(health.is_well().await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_and_went_away_takes_no_check_along() {
        let (health, asked) = store(PATIENCE / 2, false);
        assert!(timeout(Duration::from_millis(1), health.is_well()).await.is_err());
        assert!(health.is_well().await);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
