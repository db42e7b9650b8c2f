//! Ends: how long they are remembered, whom the operator ends, and what other nodes say.

use super::*;

const SESSION: u64 = 86_400;
const TTL: u64 = 7200;
const MARGIN: u64 = 120;

/// Whether this session has ended, and until when the store remembers that.
async fn until(b: &Bench, sid: Sid) -> Option<u64> {
    let ended = b.store.ended(0).await.unwrap();
    let ended = ended.iter().find(|ended| ended.sid == sid);
    assert_eq!(ended.is_some(), b.revocations.contains(&sid));
    ended.map(|ended| ended.until)
}

/// A session as another login, of any user, left it in the store.
async fn kept(b: &Bench, number: u128, app: char, openid: &str, unionid: Option<&str>) -> Sid {
    let session = LoginSession {
        sid: Sid::from_bytes(number.to_be_bytes()),
        app: super::app(app).appid,
        openid: OpenId::parse(openid).unwrap(),
        unionid: unionid.map(|unionid| UnionId::parse(unionid).unwrap()),
        session_key: None,
        logged_in_at: NOW,
        expires_at: NOW + SESSION,
    };
    let sid = session.sid;
    b.store.put(session).await.unwrap();
    sid
}

#[tokio::test]
async fn a_logout_is_remembered_until_no_token_of_the_session_is_valid() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    // The token is nearly over: one minted in its place a moment ago is not.
    b.clock.advance(TTL - 1);
    b.service.logout(&login.caller).await.unwrap();
    assert_eq!(until(&b, login.caller.sid).await, Some(NOW + TTL - 1 + TTL + MARGIN));

    // Made when tokens lived longer than now.
    let mut old = b.login("code-bobby").await.unwrap().caller.clone();
    old.expires_at = NOW + 10 * TTL;
    b.service.logout(&old).await.unwrap();
    assert_eq!(until(&b, old.sid).await, Some(NOW + 10 * TTL + MARGIN));

    // Made when sessions lived longer, as they may again.
    let mut cut = b.login("code-carol").await.unwrap().caller.clone();
    cut.signed_until = NOW + 50 * TTL;
    b.service.logout(&cut).await.unwrap();
    assert_eq!(until(&b, cut.sid).await, Some(NOW + 50 * TTL + MARGIN));
}

#[tokio::test]
async fn the_operator_ends_one_session_however_often() {
    let b = bench(1);
    let (alice, bob) = (b.login("code-alice").await.unwrap(), b.login("code-bobby").await.unwrap());
    assert_eq!(b.service.end_session(alice.caller.sid).await.unwrap(), 1);
    assert_eq!(until(&b, alice.caller.sid).await, Some(NOW + SESSION + MARGIN));
    assert_eq!(until(&b, bob.caller.sid).await, None);
    assert_eq!(b.service.end_session(alice.caller.sid).await.unwrap(), 0);
    assert!(b.revocations.contains(&alice.caller.sid));
}

#[tokio::test]
async fn a_session_that_the_store_does_not_know_is_ended_for_as_long_as_any_token_lives() {
    let b = bench(1);
    let sid = Sid::from_bytes([9; Sid::BYTES]);
    assert_eq!(b.service.end_session(sid).await.unwrap(), 0);
    assert_eq!(until(&b, sid).await, Some(NOW + 30 * 86_400 + MARGIN));
}

#[tokio::test]
async fn the_operator_ends_all_sessions_of_a_user_of_one_app() {
    let b = bench(1);
    let mut alice = Vec::new();
    // More than are ended at a time.
    for number in 0..300 {
        alice.push(kept(&b, number, '1', "oAlice", None).await);
    }
    let others =
        [kept(&b, 1000, '1', "oBob", None).await, kept(&b, 1001, '2', "oAlice", Some("uAlice")).await];
    let (app, openid) = (app('1').appid, OpenId::parse("oAlice").unwrap());
    assert_eq!(b.service.end_user(&app, &openid).await.unwrap(), 300);
    for sid in alice {
        assert_eq!(until(&b, sid).await, Some(NOW + SESSION + MARGIN));
    }
    for sid in others {
        assert_eq!(until(&b, sid).await, None);
    }
    assert_eq!(b.service.end_user(&app, &openid).await.unwrap(), 0);
}

#[tokio::test]
async fn the_operator_ends_all_sessions_of_a_user_across_apps() {
    let b = bench(1);
    let alice =
        [kept(&b, 1, '1', "oAlice", Some("uAlice")).await, kept(&b, 2, '2', "oOther", Some("uAlice")).await];
    let bob = kept(&b, 3, '1', "oBob", Some("uBob")).await;
    let unionid = UnionId::parse("uAlice").unwrap();
    assert_eq!(b.service.end_unionid(&unionid).await.unwrap(), 2);
    for sid in alice {
        assert!(until(&b, sid).await.is_some());
    }
    assert_eq!(until(&b, bob).await, None);
    assert_eq!(b.service.end_unionid(&unionid).await.unwrap(), 0);
}

#[tokio::test]
async fn an_end_by_the_operator_that_was_not_kept_is_in_force_and_is_kept_by_the_sweep() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    b.store_fails(true);
    assert!(b.service.end_session(login.caller.sid).await.is_err());
    assert!(b.revocations.contains(&login.caller.sid));
    b.store_fails(false);
    b.service.sweep().await.unwrap();
    assert!(until(&b, login.caller.sid).await.is_some());
}

#[tokio::test]
async fn all_sessions_of_a_user_are_over_here_when_the_first_of_them_cannot_be_kept() {
    let b = bench(1);
    let mut alice = Vec::new();
    for number in 0..5 {
        alice.push(kept(&b, number, '1', "oAlice", Some("uAlice")).await);
    }
    let (app, openid) = (app('1').appid, OpenId::parse("oAlice").unwrap());
    b.store_fails(true);
    assert!(matches!(b.service.end_user(&app, &openid).await, Err(EndError::Unread(_))));
    assert!(b.revocations.is_empty(), "whose sessions they are was not known");
    b.store_fails(false);
    b.store.keeps_no_end.store(true, Ordering::SeqCst);
    assert!(matches!(b.service.end_user(&app, &openid).await, Err(EndError::Unkept(_))));
    assert!(alice.iter().all(|sid| b.revocations.contains(sid)));
    b.store.keeps_no_end.store(false, Ordering::SeqCst);
    b.service.sweep().await.unwrap();
    for sid in alice {
        assert!(until(&b, sid).await.is_some());
    }
}

#[tokio::test]
async fn a_later_end_never_shortens_an_earlier_one() {
    let b = bench(1);
    let login = b.login("code-alice").await.unwrap();
    b.store_fails(true);
    assert!(b.service.end_session(login.caller.sid).await.is_err());
    assert!(b.service.logout(&login.caller).await.is_err());
    b.store_fails(false);
    b.service.logout_pending().await.unwrap();
    assert_eq!(until(&b, login.caller.sid).await, Some(NOW + 30 * 86_400 + MARGIN));
    b.revocations.sweep(NOW + 30 * 86_400);
    assert!(b.revocations.contains(&login.caller.sid));
}

/// Waits until the condition holds; a test that waits in vain is ended from outside.
async fn comes_true(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_other_nodes_end_is_ended_here() {
    let b = bench(1);
    let (tell, news) = mpsc::channel(8);
    let service = Arc::clone(&b.service);
    let follower = tokio::spawn(async move { service.follower().follow(news).await });
    let ended = |number| Ended { sid: Sid::from_bytes([number; Sid::BYTES]), until: NOW + 100 };

    tell.send(News::Ended(ended(1))).await.unwrap();
    comes_true(|| b.revocations.contains(&ended(1).sid)).await;

    // Ended while nothing was heard; the store says so when it can be read.
    b.store.end(ended(2)).await.unwrap();
    b.store_fails(true);
    tell.send(News::Missed).await.unwrap();
    tell.send(News::Ended(ended(3))).await.unwrap();
    comes_true(|| b.revocations.contains(&ended(3).sid)).await;
    assert!(!b.revocations.contains(&ended(2).sid));
    b.store_fails(false);
    comes_true(|| b.revocations.contains(&ended(2).sid)).await;

    drop(tell);
    follower.await.unwrap();
}

#[tokio::test]
async fn what_is_told_does_not_wait_for_what_is_read() {
    let b = bench(1);
    b.store.hangs.store(true, Ordering::SeqCst);
    let (tell, news) = mpsc::channel(8);
    let service = Arc::clone(&b.service);
    let follower = tokio::spawn(async move { service.follower().follow(news).await });
    let ended = Ended { sid: Sid::from_bytes([1; Sid::BYTES]), until: NOW + 100 };
    tell.send(News::Missed).await.unwrap();
    tell.send(News::Ended(ended)).await.unwrap();
    comes_true(|| b.revocations.contains(&ended.sid)).await;
    drop(tell);
    follower.await.unwrap();
}
