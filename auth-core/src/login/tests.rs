use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::keys::Key;
use crate::session::{Claim, Ended, MemoryStore, News};
use crate::verify::{Policy, Verifier};
use crate::wechat::Refusal;
use crate::{AppId, AppSecret, ManualClock, OpenId, SessionKey, TokenError, UnionId};

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

/// Keeps sessions in memory, unless told to fail; for several nodes, where it has a place for their codes.
#[derive(Debug)]
struct Flaky {
    store: MemoryStore,
    fails: AtomicBool,
    /// Whether it fails to keep ends, and does all else.
    keeps_no_end: AtomicBool,
    /// The one session whose end it fails to keep.
    keeps_no_end_of: Mutex<Option<Sid>>,
    /// Whether it never says which ends it remembers.
    hangs: AtomicBool,
    codes: Option<Mutex<HashMap<CodeDigest, Claim>>>,
}

impl Flaky {
    fn working(&self) -> Result<&MemoryStore, StoreError> {
        let fails = self.fails.load(Ordering::SeqCst);
        if fails { Err(StoreError::Failed("on purpose".into())) } else { Ok(&self.store) }
    }
}

#[async_trait]
impl SessionStore for Flaky {
    async fn put(&self, session: LoginSession) -> Result<(), StoreError> {
        self.working()?.put(session).await
    }
    async fn get(&self, sid: Sid, now: u64) -> Result<Option<LoginSession>, StoreError> {
        self.working()?.get(sid, now).await
    }
    async fn end(&self, ended: Ended) -> Result<(), StoreError> {
        let fails = *self.keeps_no_end_of.lock().unwrap() == Some(ended.sid);
        if fails || self.keeps_no_end.load(Ordering::SeqCst) {
            return Err(StoreError::Failed("on purpose".into()));
        }
        self.working()?.end(ended).await
    }
    async fn ended(&self, now: u64) -> Result<Vec<Ended>, StoreError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.working()?.ended(now).await
    }
    async fn sweep(&self, now: u64, limit: usize) -> Result<usize, StoreError> {
        self.working()?.sweep(now, limit).await
    }
    async fn check(&self) -> Result<(), StoreError> {
        self.working()?.check().await
    }
    async fn of_user(
        &self,
        app: &AppId,
        openid: &OpenId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError> {
        self.working()?.of_user(app, openid, now, limit).await
    }
    async fn of_unionid(
        &self,
        unionid: &UnionId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError> {
        self.working()?.of_unionid(unionid, now, limit).await
    }
    fn subscribe(&self) -> Option<mpsc::Receiver<News>> {
        None
    }
    async fn claim(&self, digest: CodeDigest, _: u64, _: Duration) -> Result<Claim, StoreError> {
        let Some(codes) = &self.codes else { return Ok(Claim::Yours) };
        self.working()?;
        let mut codes = codes.lock().unwrap();
        let claim = codes.get(&digest).copied().unwrap_or(Claim::Yours);
        codes.entry(digest).or_insert(Claim::Taken);
        Ok(claim)
    }
    async fn settle(&self, digest: CodeDigest, session: Option<Sid>, _: Duration) -> Result<(), StoreError> {
        let Some(codes) = &self.codes else { return Ok(()) };
        self.working()?;
        let mut codes = codes.lock().unwrap();
        match session {
            Some(sid) => drop(codes.insert(digest, Claim::Made(sid))),
            None => drop(codes.remove(&digest)),
        }
        Ok(())
    }
}

fn refusal(errcode: i64) -> Refusal {
    Refusal { errcode, rid: None }
}

struct Bench {
    wechat: Arc<Scripted>,
    store: Arc<Flaky>,
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
    let keys = KeyRing::new(vec![Key::parse("k1", &[7; 32]).unwrap()]).unwrap();
    let store = MemoryStore::new(100_000);
    let store = Arc::new(Flaky {
        store,
        fails: AtomicBool::default(),
        keeps_no_end: AtomicBool::default(),
        keeps_no_end_of: Mutex::default(),
        hangs: AtomicBool::default(),
        codes: None,
    });
    node(wechat, store, clock, keys)
}

/// A node with revocations of its own, over what it may share with others.
fn node(wechat: Arc<Scripted>, store: Arc<Flaky>, clock: Arc<ManualClock>, keys: KeyRing) -> Bench {
    let revocations = Arc::new(Revocations::default());
    let settings = LoginSettings {
        issuer: "wxgate".into(),
        token_ttl: Duration::from_secs(7200),
        session_lifetime: Duration::from_secs(86400),
        replay: Duration::from_secs(60),
        exchange_timeout: Duration::from_millis(300),
    };
    let service = Arc::new(LoginService::new(
        settings,
        keys.clone(),
        Arc::clone(&wechat) as _,
        Arc::clone(&store) as _,
        Arc::clone(&revocations),
        Arc::clone(&clock) as _,
    ));
    Bench { wechat, store, clock, revocations, keys, service }
}

impl Bench {
    fn calls(&self) -> usize {
        self.wechat.calls.load(Ordering::SeqCst)
    }
    fn answer_next(&self, answer: ExchangeError) {
        self.wechat.answers.lock().unwrap().push_back(Err(answer));
    }
    fn store_fails(&self, fails: bool) {
        self.store.fails.store(fails, Ordering::SeqCst);
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
    let policy = Policy {
        issuer: "wxgate".into(),
        apps: [app('1').appid].into(),
        leeway_secs: 5,
        session_lifetime_secs: 86400,
        cache_entries: 10,
    };
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

#[tokio::test]
async fn a_session_that_was_not_kept_can_be_kept_within_a_minute_without_another_exchange() {
    let b = bench(1);
    b.store_fails(true);
    for _ in 0..2 {
        assert!(matches!(b.login("code-alice").await, Err(LoginError::Store(_))));
        b.clock.advance(30);
    }
    b.store_fails(false);
    let login = b.login("code-alice").await.unwrap();
    assert_eq!((b.calls(), login.caller.openid.as_str()), (1, "o-code-alice"));
    assert!(b.service.session(&login.caller).await.unwrap().is_some());
    assert_eq!(b.login("code-alice").await.unwrap().caller.sid, login.caller.sid);
}

#[tokio::test]
async fn a_session_that_was_not_kept_for_a_minute_needs_a_new_code() {
    let b = bench(1);
    b.store_fails(true);
    for _ in 0..2 {
        // That the store failed again does not make it last longer.
        assert!(matches!(b.login("code-alice").await, Err(LoginError::Store(_))));
        b.clock.advance(31);
    }
    b.store_fails(false);
    assert!(matches!(b.login("code-alice").await, Err(LoginError::CodeUsed)));
    assert_eq!(b.calls(), 1);
}

#[tokio::test]
async fn a_code_whose_session_was_logged_out_is_used() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    b.service.logout(&login.caller).await.unwrap();
    assert!(matches!(b.login("code-alice").await, Err(LoginError::CodeUsed)));
    assert_eq!(b.calls(), 1);
}

#[tokio::test]
async fn a_logout_that_was_not_kept_is_kept_when_asked_again() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    b.store_fails(true);
    assert!(b.service.logout(&login.caller).await.is_err());
    assert!(b.revocations.contains(&login.caller.sid), "it is in force all the same");
    assert!(b.service.logout_pending().await.is_err());
    b.store_fails(false);
    assert!(b.store.ended(NOW).await.unwrap().is_empty());
    b.service.logout_pending().await.unwrap();
    assert_eq!(b.store.ended(NOW).await.unwrap()[0].sid, login.caller.sid);
    // Nothing is left to ask the store for.
    b.store_fails(true);
    b.service.logout_pending().await.unwrap();
}

#[tokio::test]
async fn an_end_that_cannot_be_kept_keeps_no_other_from_being_kept() {
    let b = bench(1);
    let mut sids = Vec::new();
    b.store.keeps_no_end.store(true, Ordering::SeqCst);
    for code in ["code-alice", "code-bobby", "code-carol"] {
        sids.push(b.login(code).await.unwrap().caller.sid);
        assert!(b.service.end_session(sids[sids.len() - 1]).await.is_err());
    }
    b.store.keeps_no_end.store(false, Ordering::SeqCst);
    for bad in &sids {
        *b.store.keeps_no_end_of.lock().unwrap() = Some(*bad);
        assert_eq!(b.service.logout_pending().await.is_err(), b.service.ends_unkept() > 0);
        assert!(b.service.ends_unkept() <= 1);
    }
    assert_eq!((b.service.ends_unkept(), b.store.ended(NOW).await.unwrap().len()), (0, 3));
}

#[tokio::test]
async fn a_logout_that_was_not_kept_is_kept_by_the_sweep() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    b.store_fails(true);
    assert!(b.service.logout(&login.caller).await.is_err());
    assert!(b.service.sweep().await.is_err());
    b.store_fails(false);
    b.service.sweep().await.unwrap();
    assert_eq!(b.store.ended(NOW).await.unwrap()[0].sid, login.caller.sid);
}

#[tokio::test]
async fn a_sweep_removes_all_that_has_expired() {
    let b = bench(1);
    let ends = 2 * SWEEP_PIECE + 1;
    for n in 0..ends as u128 {
        let ended = Ended { sid: Sid::from_bytes(n.to_be_bytes()), until: NOW - 1 };
        b.store.end(ended).await.unwrap();
    }
    assert_eq!(b.service.sweep().await.unwrap(), ends);
}

mod ends;
mod nodes;

#[tokio::test]
async fn an_end_is_remembered_until_every_token_of_the_session_has_ended() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    // The token's last second: a successor that was made just now, from its successor, has a whole life before it.
    b.clock.advance(7199);
    b.service.logout(&login.caller).await.unwrap();
    let last_end = NOW + 7199 + 7200;
    b.clock.set(last_end + 60);
    b.service.sweep().await.unwrap();
    assert!(b.revocations.contains(&login.caller.sid), "a token within the leeway would pass again");
    assert_eq!(b.store.ended(last_end).await.unwrap()[0].sid, login.caller.sid);
    b.clock.set(last_end + 200);
    b.service.sweep().await.unwrap();
    assert!(b.revocations.is_empty());
}

#[tokio::test]
async fn a_login_says_when_it_was() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    assert_eq!(login.caller.logged_in_at, Some(NOW));
}
