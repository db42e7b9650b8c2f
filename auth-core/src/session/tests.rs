//! What every store must do, asked of each of them.

use super::{EmbeddedStore, Ended, LoginSession, MemoryStore, SessionStore, StoreError};
use crate::{AppId, OpenId, SessionKey, Sid, UnionId};

/// A moment after the year 2001, in Unix seconds.
const NOW: u64 = 1_000_000_000;

/// A store and what must live as long as it.
struct Opened<S> {
    store: S,
    _kept_alive: Option<tempfile::TempDir>,
}

fn memory(sessions_max: u64) -> Opened<MemoryStore> {
    Opened { store: MemoryStore::new(sessions_max), _kept_alive: None }
}

fn embedded(sessions_max: u64) -> Opened<EmbeddedStore> {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path().join("sessions.redb"), sessions_max).unwrap();
    Opened { store, _kept_alive: Some(directory) }
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
        session_key: SessionKey::new("tiihtNczf5v6AKRyjwEUhQ==".into()).unwrap(),
        logged_in_at: NOW,
        expires_at: NOW + 3600,
    }
}

/// Runs each function, which takes a way to open a store, over every kind of store.
macro_rules! every_store {
    ($($sentence:ident)*) => {
        mod memory_store {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::memory).await })*
        }
        mod embedded_store {
            $(#[tokio::test] async fn $sentence() { super::$sentence(super::embedded).await })*
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
    a_full_store_says_so_and_takes_what_it_has_already
    a_full_store_makes_room_from_what_expired
    an_end_is_taken_when_the_store_is_full
    a_sweep_removes_what_has_passed_and_no_more_than_it_may
    a_store_shows_no_user_and_no_key
}

async fn a_session_reads_back_whole<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(9);
    let (with, mut without) = (session(1), session(2));
    without.unionid = None;
    opened.store.put(with.clone()).await.unwrap();
    opened.store.put(without.clone()).await.unwrap();
    for put in [with, without] {
        let got = opened.store.get(put.sid, NOW).await.unwrap().unwrap();
        assert_eq!(got.session_key.expose(), put.session_key.expose());
        // Debug shows every field but the key.
        assert_eq!(format!("{got:?}"), format!("{put:?}"));
    }
}

async fn an_unknown_session_is_none<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    assert!(open(9).store.get(sid(1), NOW).await.unwrap().is_none());
}

async fn a_session_is_gone_when_its_time_comes<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(9);
    opened.store.put(session(1)).await.unwrap();
    assert!(opened.store.get(sid(1), NOW + 3599).await.unwrap().is_some());
    assert!(opened.store.get(sid(1), NOW + 3600).await.unwrap().is_none());
}

async fn an_ended_session_is_gone_and_remembered<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(9);
    let end = Ended { sid: sid(1), until: NOW + 60 };
    opened.store.put(session(1)).await.unwrap();
    opened.store.put(session(2)).await.unwrap();
    opened.store.end(end).await.unwrap();
    assert!(opened.store.get(sid(1), NOW).await.unwrap().is_none());
    assert!(opened.store.get(sid(2), NOW).await.unwrap().is_some());
    assert_eq!(opened.store.ended(NOW).await.unwrap(), [end]);
}

async fn an_ended_session_cannot_be_put_back<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(9);
    opened.store.end(Ended { sid: sid(1), until: NOW + 60 }).await.unwrap();
    opened.store.put(session(1)).await.unwrap();
    assert!(opened.store.get(sid(1), NOW).await.unwrap().is_none());
}

async fn an_end_is_remembered_through_its_last_second<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(9);
    opened.store.end(Ended { sid: sid(1), until: NOW }).await.unwrap();
    assert_eq!(opened.store.sweep(NOW, 9).await.unwrap(), 0);
    assert_eq!(opened.store.ended(NOW).await.unwrap().len(), 1);
    assert_eq!(opened.store.ended(NOW + 1).await.unwrap(), []);
}

async fn of_two_ends_the_later_counts<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(9);
    for until in [NOW + 1, NOW + 9, NOW + 5] {
        opened.store.end(Ended { sid: sid(1), until }).await.unwrap();
    }
    assert_eq!(opened.store.ended(NOW).await.unwrap(), [Ended { sid: sid(1), until: NOW + 9 }]);
    assert_eq!(opened.store.sweep(NOW + 10, 9).await.unwrap(), 1);
}

async fn a_session_put_again_lives_by_its_new_expiry<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(9);
    opened.store.put(session(1)).await.unwrap();
    let mut longer = session(1);
    longer.expires_at = NOW + 7200;
    opened.store.put(longer).await.unwrap();
    assert_eq!(opened.store.sweep(NOW + 3600, 9).await.unwrap(), 0);
    assert!(opened.store.get(sid(1), NOW + 3600).await.unwrap().is_some());
}

async fn a_full_store_says_so_and_takes_what_it_has_already<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(2);
    opened.store.put(session(1)).await.unwrap();
    opened.store.check().await.unwrap();
    opened.store.put(session(2)).await.unwrap();
    assert!(matches!(opened.store.put(session(3)).await, Err(StoreError::Full { limit: 2 })));
    assert!(matches!(opened.store.check().await, Err(StoreError::Full { limit: 2 })));
    assert!(opened.store.get(sid(3), NOW).await.unwrap().is_none());
    opened.store.put(session(2)).await.unwrap();
}

async fn a_full_store_makes_room_from_what_expired<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(1);
    opened.store.put(session(1)).await.unwrap();
    let mut later = session(2);
    later.logged_in_at = NOW + 3600;
    later.expires_at = NOW + 7200;
    opened.store.put(later).await.unwrap();
    assert!(opened.store.get(sid(2), NOW + 3600).await.unwrap().is_some());
}

async fn an_end_is_taken_when_the_store_is_full<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(1);
    opened.store.put(session(1)).await.unwrap();
    opened.store.end(Ended { sid: sid(7), until: NOW + 60 }).await.unwrap();
    opened.store.end(Ended { sid: sid(1), until: NOW + 60 }).await.unwrap();
    opened.store.put(session(2)).await.unwrap();
}

async fn a_sweep_removes_what_has_passed_and_no_more_than_it_may<S: SessionStore>(
    open: fn(u64) -> Opened<S>,
) {
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

async fn a_store_shows_no_user_and_no_key<S: SessionStore>(open: fn(u64) -> Opened<S>) {
    let opened = open(9);
    opened.store.put(session(1)).await.unwrap();
    let shown = format!("{:?}", opened.store);
    assert!(!shown.contains("oGZUI0") && !shown.contains("tiihtN"), "{shown}");
}
