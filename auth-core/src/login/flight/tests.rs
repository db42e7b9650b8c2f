use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::session::StoreError;
use crate::wechat::Refusal;
use crate::{ManualClock, OpenId, SessionKey};

fn flights(codes: u64, replay: Duration) -> Flights {
    Flights::with_room(codes, replay, Arc::new(ManualClock::at(1_800_000_000)))
}

async fn join(
    flights: &Flights,
    code: &str,
    attempt: impl Future<Output = Attempt> + Send + 'static,
) -> Answer {
    let app = AppId::parse("wx1111111111111111").unwrap();
    flights.join(&app, &LoginCode::parse(code).unwrap(), |_| attempt).await
}

fn busy() -> LoginError {
    LoginError::Wechat(ExchangeError::Busy(Refusal { errcode: -1, rid: None }))
}

/// Ends a code without the making of a login.
fn spent() -> LoginError {
    LoginError::Wechat(ExchangeError::CodeSpent(Refusal { errcode: 40163, rid: None }))
}

fn refused(error: LoginError) -> Attempt {
    Attempt { answer: Err(error), unkept: None }
}

fn is_busy(answer: &Answer) -> bool {
    matches!(answer, Err(LoginError::Wechat(ExchangeError::Busy(_))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn however_many_send_a_code_again_one_attempt_flies_at_a_time() {
    const BUSY: usize = 5;
    for round in 0..300 {
        let flights = Arc::new(flights(1000, Duration::from_secs(60)));
        let (calls, flying) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let senders: Vec<_> = (0..16)
            .map(|_| {
                let (flights, calls, flying) =
                    (Arc::clone(&flights), Arc::clone(&calls), Arc::clone(&flying));
                tokio::spawn(async move {
                    let mut tries = 0;
                    loop {
                        let (calls, flying) = (Arc::clone(&calls), Arc::clone(&flying));
                        let attempt = async move {
                            assert_eq!(flying.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                            let call = calls.fetch_add(1, Ordering::SeqCst);
                            if call % 2 == 1 {
                                tokio::task::yield_now().await;
                            }
                            flying.fetch_sub(1, Ordering::SeqCst);
                            refused(if call < BUSY { busy() } else { spent() })
                        };
                        tries += 1;
                        if !is_busy(&join(&flights, "code-alice", attempt).await) {
                            return tries;
                        }
                    }
                })
            })
            .collect();
        for sender in senders {
            // An answer that left the code open is never given a second time: a new attempt follows it.
            let tries = sender.await.unwrap();
            assert!(tries <= BUSY + 1, "round {round}: {tries} tries");
        }
        assert_eq!(calls.load(Ordering::SeqCst), BUSY + 1, "round {round}");
    }
}

#[tokio::test]
async fn an_attempt_that_panics_leaves_the_code_open() {
    let flights = flights(1000, Duration::from_secs(60));
    let answer = join(&flights, "code-alice", async { panic!("on purpose") }).await;
    assert!(matches!(answer, Err(LoginError::Wechat(ExchangeError::Interrupted))));
    assert!(is_busy(&join(&flights, "code-alice", async { refused(busy()) }).await));
}

#[tokio::test]
async fn a_flood_of_codes_does_not_keep_a_new_one_from_being_remembered() {
    let flights = flights(4, Duration::from_secs(60));
    for _ in 0..3 {
        for code in ["code-anna", "code-bert", "code-carl", "code-dora"] {
            let _refused = join(&flights, code, async { refused(spent()) }).await;
        }
        flights.slots.run_pending_tasks();
    }
    let _refused = join(&flights, "code-alice", async { refused(spent()) }).await;
    flights.slots.run_pending_tasks();
    let again = join(&flights, "code-alice", async { refused(busy()) }).await;
    assert!(!is_busy(&again), "the code was asked about twice");
}

#[tokio::test]
async fn a_user_is_forgotten_after_the_replay_time() {
    let flights = flights(1000, Duration::from_millis(50));
    let user = Arc::new(WechatUser {
        openid: OpenId::parse("o-alice").unwrap(),
        unionid: None,
        session_key: SessionKey::new("tiihtNczf5v6AKRyjwEUhQ==".into()).unwrap(),
    });
    let held = Arc::downgrade(&user);
    let full = LoginError::Store(Arc::new(StoreError::Full { limit: 1 }));
    let attempt = async { Attempt { answer: Err(full), unkept: Some(user) } };
    assert!(matches!(join(&flights, "code-alice", attempt).await, Err(LoginError::Store(_))));
    assert!(held.upgrade().is_some());
    while held.upgrade().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let again = join(&flights, "code-alice", async { refused(busy()) }).await;
    assert!(matches!(again, Err(LoginError::CodeUsed)));
}
