//! What every store must do, asked of each of them.

use std::sync::Arc;
use std::time::Duration;

use super::redis::tests::servers::Server;
use super::{
    Claim, CodeDigest, EmbeddedStore, Ended, LoginSession, MemoryStore, Seal, SessionStore, StoreError,
};
use crate::{AppId, LoginCode, OpenId, SessionKey, Sid, UnionId};

/// A moment after the year 2001, in Unix seconds.
pub(super) const NOW: u64 = 1_000_000_000;

/// A store and what must live as long as it.
struct Opened {
    store: Arc<dyn SessionStore>,
    _kept_alive: Option<Box<dyn std::any::Any>>,
}

/// A way to open an empty store for so many sessions.
type Open = fn(u64) -> Opened;

fn memory(sessions_max: u64) -> Opened {
    Opened { store: Arc::new(MemoryStore::new(sessions_max)), _kept_alive: None }
}

fn embedded(sessions_max: u64) -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let store = EmbeddedStore::open(path, sessions_max, Seal::ephemeral()).unwrap();
    Opened { store: Arc::new(store), _kept_alive: Some(Box::new(directory)) }
}

/// Redis counts no sessions: how many it takes is set there, in bytes.
fn redis(_: u64) -> Opened {
    let server = Server::start(&[]);
    let store = Arc::new(server.store(NOW));
    Opened { store, _kept_alive: Some(Box::new(server)) }
}

pub(super) fn sid(number: u8) -> Sid {
    Sid::from_bytes([number; Sid::BYTES])
}

/// A session that lives for an hour.
pub(crate) fn session(number: u8) -> LoginSession {
    LoginSession {
        sid: sid(number),
        app: AppId::parse("wx4f4bc4dec97d474b").unwrap(),
        openid: OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").unwrap(),
        unionid: Some(UnionId::parse("ocMvos6NjeKLIBqg5Mr9QjxrP1FA").unwrap()),
        session_key: SessionKey::new("tiihtNczf5v6AKRyjwEUhQ==".into()),
        logged_in_at: NOW,
        expires_at: NOW + 3600,
    }
}

pub(super) fn key_of(session: &LoginSession) -> Option<&str> {
    session.session_key.as_ref().map(SessionKey::expose)
}

/// Runs each function, which takes a way to open a store, over every kind of store; what stands behind `of one node`,
/// over those that count their sessions and remove them.
macro_rules! every_store {
    ($($sentence:ident)* ; of one node $($counted:ident)*) => {
        mod memory_store {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::memory).await })*
            $(#[tokio::test] async fn $counted() { super::$counted(super::memory).await })*
        }
        mod embedded_store {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::embedded).await })*
            $(#[tokio::test] async fn $counted() { super::$counted(super::embedded).await })*
        }
        mod redis_store {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::redis).await })*
        }
    };
}

every_store! {
    a_session_reads_back_whole
    an_unknown_session_is_none
    a_session_is_gone_when_its_time_comes
    an_ended_session_is_gone_and_remembered
    an_ended_session_cannot_be_put_back
    an_end_is_remembered_through_its_last_second
    of_two_ends_the_later_counts
    a_session_put_again_lives_by_its_new_expiry
    a_store_shows_no_user_and_no_key
    a_session_without_a_readable_key_is_kept_too
    the_sessions_of_a_user_are_found_the_newest_first
    the_sessions_of_a_user_across_apps_are_found_the_newest_first
    only_sessions_that_live_are_found
    a_session_put_again_is_found_once_and_where_it_belongs
    ; of one node
    a_full_store_says_so_and_takes_what_it_has_already
    a_full_store_makes_room_from_what_expired
    an_end_is_taken_when_the_store_is_full
    a_sweep_removes_what_has_passed_and_no_more_than_it_may
    a_swept_session_is_not_found
    a_store_of_one_node_leaves_codes_to_it_and_has_no_news
}

async fn a_session_reads_back_whole(open: Open) {
    let opened = open(9);
    let (with, mut without) = (session(1), session(2));
    without.unionid = None;
    opened.store.put(with.clone()).await.unwrap();
    opened.store.put(without.clone()).await.unwrap();
    for put in [with, without] {
        let got = opened.store.get(put.sid, NOW).await.unwrap().unwrap();
        assert_eq!(key_of(&got), key_of(&put));
        // Debug shows every field but the key.
        assert_eq!(format!("{got:?}"), format!("{put:?}"));
    }
}

async fn an_unknown_session_is_none(open: Open) {
    assert!(open(9).store.get(sid(1), NOW).await.unwrap().is_none());
}

async fn a_session_is_gone_when_its_time_comes(open: Open) {
    let opened = open(9);
    opened.store.put(session(1)).await.unwrap();
    assert!(opened.store.get(sid(1), NOW + 3599).await.unwrap().is_some());
    assert!(opened.store.get(sid(1), NOW + 3600).await.unwrap().is_none());
}

async fn an_ended_session_is_gone_and_remembered(open: Open) {
    let opened = open(9);
    let end = Ended { sid: sid(1), until: NOW + 60 };
    opened.store.put(session(1)).await.unwrap();
    opened.store.put(session(2)).await.unwrap();
    opened.store.end(end).await.unwrap();
    assert!(opened.store.get(sid(1), NOW).await.unwrap().is_none());
    assert!(opened.store.get(sid(2), NOW).await.unwrap().is_some());
    assert_eq!(opened.store.ended(NOW).await.unwrap(), [end]);
}

async fn an_ended_session_cannot_be_put_back(open: Open) {
    let opened = open(9);
    opened.store.end(Ended { sid: sid(1), until: NOW + 60 }).await.unwrap();
    opened.store.put(session(1)).await.unwrap();
    assert!(opened.store.get(sid(1), NOW).await.unwrap().is_none());
}

async fn an_end_is_remembered_through_its_last_second(open: Open) {
    let opened = open(9);
    opened.store.end(Ended { sid: sid(1), until: NOW }).await.unwrap();
    assert_eq!(opened.store.sweep(NOW, 9).await.unwrap(), 0);
    assert_eq!(opened.store.ended(NOW).await.unwrap().len(), 1);
    assert_eq!(opened.store.ended(NOW + 1).await.unwrap(), []);
}

async fn of_two_ends_the_later_counts(open: Open) {
    let opened = open(9);
    for until in [NOW + 1, NOW + 9, NOW + 5] {
        opened.store.end(Ended { sid: sid(1), until }).await.unwrap();
    }
    assert_eq!(opened.store.ended(NOW).await.unwrap(), [Ended { sid: sid(1), until: NOW + 9 }]);
    assert_eq!(opened.store.sweep(NOW + 10, 9).await.unwrap(), 1);
}

async fn a_session_put_again_lives_by_its_new_expiry(open: Open) {
    let opened = open(9);
    opened.store.put(session(1)).await.unwrap();
    let mut longer = session(1);
    longer.expires_at = NOW + 7200;
    opened.store.put(longer).await.unwrap();
    assert_eq!(opened.store.sweep(NOW + 3600, 9).await.unwrap(), 0);
    assert!(opened.store.get(sid(1), NOW + 3600).await.unwrap().is_some());
}

async fn a_full_store_says_so_and_takes_what_it_has_already(open: Open) {
    let opened = open(2);
    opened.store.put(session(1)).await.unwrap();
    opened.store.check().await.unwrap();
    opened.store.put(session(2)).await.unwrap();
    assert!(matches!(opened.store.put(session(3)).await, Err(StoreError::Full { limit: 2 })));
    assert!(matches!(opened.store.check().await, Err(StoreError::Full { limit: 2 })));
    assert!(opened.store.get(sid(3), NOW).await.unwrap().is_none());
    opened.store.put(session(2)).await.unwrap();
}

async fn a_full_store_makes_room_from_what_expired(open: Open) {
    let opened = open(1);
    opened.store.put(session(1)).await.unwrap();
    let mut later = session(2);
    later.logged_in_at = NOW + 3600;
    later.expires_at = NOW + 7200;
    opened.store.put(later).await.unwrap();
    assert!(opened.store.get(sid(2), NOW + 3600).await.unwrap().is_some());
}

async fn an_end_is_taken_when_the_store_is_full(open: Open) {
    let opened = open(1);
    opened.store.put(session(1)).await.unwrap();
    opened.store.end(Ended { sid: sid(7), until: NOW + 60 }).await.unwrap();
    opened.store.end(Ended { sid: sid(1), until: NOW + 60 }).await.unwrap();
    opened.store.put(session(2)).await.unwrap();
}

async fn a_sweep_removes_what_has_passed_and_no_more_than_it_may(open: Open) {
    let opened = open(9);
    for number in 1..=4 {
        let mut each = session(number);
        each.expires_at = NOW + u64::from(number);
        opened.store.put(each).await.unwrap();
    }
    opened.store.end(Ended { sid: sid(8), until: NOW + 2 }).await.unwrap();
    assert_eq!(opened.store.sweep(NOW, 9).await.unwrap(), 0);
    // Three sessions and one end have passed.
    assert_eq!(opened.store.sweep(NOW + 3, 2).await.unwrap(), 2);
    assert_eq!(opened.store.sweep(NOW + 3, 9).await.unwrap(), 2);
    assert_eq!(opened.store.sweep(NOW + 3, 9).await.unwrap(), 0);
    assert!(opened.store.get(sid(4), NOW).await.unwrap().is_some());
    assert_eq!(opened.store.ended(0).await.unwrap(), []);
}

async fn a_store_shows_no_user_and_no_key(open: Open) {
    let opened = open(9);
    opened.store.put(session(1)).await.unwrap();
    let shown = format!("{:?}", opened.store);
    assert!(!shown.contains("oGZUI0") && !shown.contains("tiihtN"), "{shown}");
}

async fn a_session_without_a_readable_key_is_kept_too(open: Open) {
    let opened = open(9);
    let mut without = session(1);
    without.session_key = None;
    opened.store.put(without).await.unwrap();
    assert!(opened.store.get(sid(1), NOW).await.unwrap().unwrap().session_key.is_none());
}

/// A session of this user, logged in so many seconds after the start.
fn of(number: u8, app: char, openid: &str, unionid: Option<&str>, secs: u64) -> LoginSession {
    let mut of = session(number);
    of.app = AppId::parse(&format!("wx{}", app.to_string().repeat(16))).unwrap();
    of.openid = OpenId::parse(openid).unwrap();
    of.unionid = unionid.map(|unionid| UnionId::parse(unionid).unwrap());
    of.logged_in_at += secs;
    of
}

/// Which sessions the store finds for this user, by their numbers.
async fn found(store: &Arc<dyn SessionStore>, app: char, openid: &str, now: u64, limit: usize) -> Vec<u8> {
    let whose = of(0, app, openid, None, 0);
    let found = store.of_user(&whose.app, &whose.openid, now, limit).await.unwrap();
    assert!(found.iter().all(|found| found.app == whose.app && found.openid == whose.openid));
    found.iter().map(|found| found.sid.as_bytes()[0]).collect()
}

async fn found_across(store: &Arc<dyn SessionStore>, unionid: &str, now: u64, limit: usize) -> Vec<u8> {
    let found = store.of_unionid(&UnionId::parse(unionid).unwrap(), now, limit).await.unwrap();
    found.iter().map(|found| found.sid.as_bytes()[0]).collect()
}

async fn the_sessions_of_a_user_are_found_the_newest_first(open: Open) {
    let opened = open(99);
    for (number, app, openid, secs) in [
        (1, '1', "oAlice", 10),
        (2, '1', "oAlice", 30),
        (3, '1', "oAlice", 20),
        (4, '1', "oAlic", 40),
        (5, '1', "oAlice2", 40),
        (6, '2', "oAlice", 40),
        (7, '1', "oBob", 40),
    ] {
        opened.store.put(of(number, app, openid, Some("u"), secs)).await.unwrap();
    }
    assert_eq!(found(&opened.store, '1', "oAlice", NOW, 99).await, [2, 3, 1]);
    assert_eq!(found(&opened.store, '1', "oAlice", NOW, 3).await, [2, 3, 1]);
    assert_eq!(found(&opened.store, '1', "oAlice", NOW, 2).await, [2, 3]);
    assert!(found(&opened.store, '1', "oAlice", NOW, 0).await.is_empty());
    assert!(found(&opened.store, '1', "oCarol", NOW, 99).await.is_empty());
    let whose = of(0, '1', "oAlice", None, 0);
    let newest = opened.store.of_user(&whose.app, &whose.openid, NOW, 1).await.unwrap().remove(0);
    let put = of(2, '1', "oAlice", Some("u"), 30);
    assert_eq!((key_of(&newest), format!("{newest:?}")), (key_of(&put), format!("{put:?}")));
}

async fn the_sessions_of_a_user_across_apps_are_found_the_newest_first(open: Open) {
    let opened = open(99);
    for (number, app, openid, unionid, secs) in [
        (1, '1', "oAlice", Some("uAlice"), 10),
        (2, '2', "oOther", Some("uAlice"), 30),
        (3, '3', "oThird", Some("uAlice"), 20),
        (4, '1', "oAlice", None, 40),
        (5, '1', "uAlice", None, 40),
        (6, '1', "oBob", Some("uBob"), 40),
    ] {
        opened.store.put(of(number, app, openid, unionid, secs)).await.unwrap();
    }
    assert_eq!(found_across(&opened.store, "uAlice", NOW, 99).await, [2, 3, 1]);
    assert_eq!(found_across(&opened.store, "uAlice", NOW, 2).await, [2, 3]);
    assert!(found_across(&opened.store, "oAlice", NOW, 99).await.is_empty());
}

async fn only_sessions_that_live_are_found(open: Open) {
    let opened = open(99);
    for number in 1..=4 {
        let mut each = of(number, '1', "oAlice", Some("uAlice"), number.into());
        each.expires_at = NOW + 100 * u64::from(number);
        opened.store.put(each).await.unwrap();
    }
    opened.store.end(Ended { sid: sid(3), until: NOW + 900 }).await.unwrap();
    for (now, live) in
        [(NOW, vec![4, 2, 1]), (NOW + 100, vec![4, 2]), (NOW + 399, vec![4]), (NOW + 400, vec![])]
    {
        assert_eq!(found(&opened.store, '1', "oAlice", now, 99).await, live);
        assert_eq!(found_across(&opened.store, "uAlice", now, 99).await, live);
    }
    // Those that expired take no place of those that live.
    assert_eq!(found(&opened.store, '1', "oAlice", NOW + 100, 1).await, [4]);
}

async fn a_session_put_again_is_found_once_and_where_it_belongs(open: Open) {
    let opened = open(99);
    opened.store.put(of(1, '1', "oAlice", Some("uAlice"), 0)).await.unwrap();
    opened.store.put(of(1, '1', "oAlice", Some("uAlice"), 5)).await.unwrap();
    assert_eq!(found(&opened.store, '1', "oAlice", NOW, 99).await, [1]);
    opened.store.put(of(1, '2', "oBob", None, 5)).await.unwrap();
    assert!(found(&opened.store, '1', "oAlice", NOW, 99).await.is_empty());
    assert!(found_across(&opened.store, "uAlice", NOW, 99).await.is_empty());
    assert_eq!(found(&opened.store, '2', "oBob", NOW, 99).await, [1]);
}

async fn a_swept_session_is_not_found(open: Open) {
    let opened = open(99);
    opened.store.put(of(1, '1', "oAlice", Some("uAlice"), 0)).await.unwrap();
    assert_eq!(opened.store.sweep(NOW + 3600, 9).await.unwrap(), 1);
    // Under the same id, so that a place in an index that was left behind would show it.
    opened.store.put(of(1, '1', "oBob", Some("uBob"), 0)).await.unwrap();
    assert!(found(&opened.store, '1', "oAlice", NOW, 99).await.is_empty());
    assert!(found_across(&opened.store, "uAlice", NOW, 99).await.is_empty());
}

/// Not for a store that nodes share.
async fn a_store_of_one_node_leaves_codes_to_it_and_has_no_news(open: Open) {
    let opened = open(9);
    let app = AppId::parse("wx4f4bc4dec97d474b").unwrap();
    let digest = CodeDigest::of(&app, &LoginCode::parse("code-alice").unwrap());
    let lasts = Duration::from_secs(60);
    for outcome in [Some(sid(1)), None] {
        assert_eq!(opened.store.claim(digest, NOW, lasts).await.unwrap(), Claim::Yours);
        opened.store.settle(digest, outcome, lasts).await.unwrap();
    }
    assert_eq!(opened.store.claim(digest, NOW, lasts).await.unwrap(), Claim::Yours);
    assert!(opened.store.subscribe().is_none());
}
