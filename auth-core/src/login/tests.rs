use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;
use crate::keys::Key;
use crate::session::MemoryStore;
use crate::verify::{Policy, Verifier};
use crate::wechat::Refusal;
use crate::{AppId, AppSecret, ManualClock, OpenId, SessionKey, TokenError};

const NOW: u64 = 1_800_000_000;

/// Stands in for WeChat: answers from a script, counts the calls, can be held back.
#[derive(Debug)]
struct Scripted {
    calls: AtomicUsize,
    answers: Mutex<VecDeque<Result<(), ExchangeError>>>,
    gate: Semaphore,
}

#[async_trait]
impl CodeExchange for Scripted {
    async fn exchange(&self, _: &WechatApp, code: &LoginCode) -> Result<WechatUser, ExchangeError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let _turn = self.gate.acquire().await;
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
        answer.map(|()| WechatUser {
            openid: OpenId::parse(&format!("o-{}", code.expose())).unwrap(),
            unionid: None,
            session_key: SessionKey::new("tiihtNczf5v6AKRyjwEUhQ==".into()).unwrap(),
        })
    }
}

fn refusal(errcode: i64) -> Refusal {
    Refusal { errcode, rid: None }
}

struct Bench {
    wechat: Arc<Scripted>,
    clock: Arc<ManualClock>,
    revocations: Arc<Revocations>,
    keys: KeyRing,
    service: Arc<LoginService>,
}

fn bench(turns: usize) -> Bench {
    let wechat = Arc::new(Scripted {
        calls: AtomicUsize::new(0),
        answers: Mutex::default(),
        gate: Semaphore::new(turns),
    });
    let clock = Arc::new(ManualClock::at(NOW));
    let revocations = Arc::new(Revocations::default());
    let keys = KeyRing::new(vec![Key::parse("k1", &[7; 32]).unwrap()]).unwrap();
    let settings = LoginSettings {
        issuer: "wxgate".into(),
        token_ttl: Duration::from_secs(7200),
        session_lifetime: Duration::from_secs(86400),
        replay: Duration::from_secs(60),
    };
    let store = Arc::new(MemoryStore::new(1000));
    let service = Arc::new(LoginService::new(
        settings,
        keys.clone(),
        Arc::clone(&wechat) as _,
        store,
        Arc::clone(&revocations),
        Arc::clone(&clock) as _,
    ));
    Bench { wechat, clock, revocations, keys, service }
}

impl Bench {
    fn calls(&self) -> usize {
        self.wechat.calls.load(Ordering::SeqCst)
    }
    fn answer_next(&self, answer: ExchangeError) {
        self.wechat.answers.lock().unwrap().push_back(Err(answer));
    }
    async fn login(&self, code: &str) -> Result<Arc<Login>, LoginError> {
        self.service.login(&app('1'), LoginCode::parse(code).unwrap()).await
    }
}

fn app(digit: char) -> WechatApp {
    let appid = AppId::parse(&format!("wx{}", digit.to_string().repeat(16))).unwrap();
    WechatApp { appid, secret: AppSecret::new("s".repeat(32)).unwrap() }
}

#[tokio::test]
async fn a_code_becomes_a_session_and_a_token_that_verifies() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    let policy =
        Policy { issuer: "wxgate".into(), apps: [app('1').appid].into(), leeway_secs: 5, cache_entries: 10 };
    let verifier =
        Verifier::new(b.keys.clone(), policy, Arc::clone(&b.revocations), Arc::clone(&b.clock) as _, |_| ());
    let verified = verifier.verify(login.token.expose()).unwrap();
    assert_eq!(verified.caller, login.caller);
    assert_eq!(verified.caller.openid.as_str(), "o-code-alice");
    let session = b.service.session(&verified.caller).await.unwrap().unwrap();
    assert_eq!((session.sid, session.expires_at), (login.caller.sid, NOW + 86400));

    b.service.logout(&verified.caller).await.unwrap();
    assert_eq!(verifier.verify(login.token.expose()).map(|_| ()), Err(TokenError::SessionEnded));
    assert!(b.service.session(&verified.caller).await.unwrap().is_none());
}

#[tokio::test]
async fn fifty_parallel_senders_of_one_code_share_one_exchange() {
    let b = Arc::new(bench(0));
    let senders: Vec<_> = (0..50)
        .map(|_| {
            let b = Arc::clone(&b);
            tokio::spawn(async move { b.login("code-alice").await.unwrap().caller.sid })
        })
        .collect();
    b.wechat.gate.add_permits(1);
    let mut sids = Vec::new();
    for sender in senders {
        sids.push(sender.await.unwrap());
    }
    sids.dedup();
    assert_eq!((sids.len(), b.calls()), (1, 1));
}

#[tokio::test]
async fn a_lost_answer_can_be_fetched_again_within_a_minute() {
    let b = bench(1);
    let first = b.login("code-alice").await.unwrap();
    b.clock.advance(60);
    assert_eq!(b.login("code-alice").await.unwrap().token.expose(), first.token.expose());
    b.clock.advance(1);
    assert!(matches!(b.login("code-alice").await, Err(LoginError::CodeUsed)));
    assert_eq!(b.calls(), 1);
}

#[tokio::test]
async fn a_sender_that_goes_away_loses_nothing() {
    let b = Arc::new(bench(0));
    let leaving = {
        let b = Arc::clone(&b);
        tokio::spawn(async move { b.login("code-alice").await.map(|_| ()) })
    };
    while b.calls() == 0 {
        tokio::task::yield_now().await;
    }
    leaving.abort();
    b.wechat.gate.add_permits(1);
    b.login("code-alice").await.unwrap();
    assert_eq!(b.calls(), 1);
}

#[tokio::test]
async fn a_refused_code_is_not_asked_about_again() {
    let b = bench(1);
    b.answer_next(ExchangeError::CodeRejected(refusal(40029)));
    for _ in 0..2 {
        assert!(matches!(
            b.login("code-wrong").await,
            Err(LoginError::Wechat(ExchangeError::CodeRejected(_)))
        ));
    }
    assert_eq!(b.calls(), 1);
}

#[tokio::test]
async fn a_code_that_may_still_be_good_can_be_tried_again() {
    let b = bench(1);
    b.answer_next(ExchangeError::Busy(refusal(-1)));
    assert!(b.login("code-alice").await.is_err());
    b.login("code-alice").await.unwrap();
    assert_eq!(b.calls(), 2);
}

#[tokio::test]
async fn the_same_code_of_two_apps_is_two_codes() {
    let b = bench(1);
    let code = || LoginCode::parse("code-alice").unwrap();
    let one = b.service.login(&app('1'), code()).await.unwrap();
    let two = b.service.login(&app('2'), code()).await.unwrap();
    assert_ne!(one.caller.sid, two.caller.sid);
    assert_eq!((one.caller.app.clone(), two.caller.app.clone()), (app('1').appid, app('2').appid));
}
