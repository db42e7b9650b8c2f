//! Redis is away, slow, full, read-only, or wants a password.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::super::{RedisStore, StoreError};
use super::ends::{missed, next};
use super::servers::{DEADLINE, PACE, Server, settings, store};
use super::{HOUR, digest, rights};
use crate::session::tests::{NOW, session, sid};
use crate::session::{Claim, Ended, News, SessionStore};

/// What a check says, when it says what is wrong.
async fn wrong(store: &RedisStore) -> String {
    store.check().await.expect_err("something is wrong").to_string()
}

/// Checks until all is well.
async fn mended(store: &RedisStore) {
    let end = Instant::now() + DEADLINE;
    while let Err(why) = store.check().await {
        assert!(Instant::now() < end, "{why}");
        tokio::time::sleep(PACE).await;
    }
}

#[tokio::test]
async fn a_password_opens_and_is_never_shown() {
    let server = Server::start(&["--requirepass", "hunter2-hunter2"]);
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}", server.port);
    let open = |login: &str| store(&settings(&url(login)), NOW);
    open(":hunter2-hunter2@").put(session(1)).await.unwrap();
    open("default:hunter2-hunter2@").check().await.unwrap();
    for (login, code) in
        [("", "NOAUTH"), (":swordfish@", "WRONGPASS"), ("nobody:hunter2-hunter2@", "WRONGPASS")]
    {
        let refused = open(login);
        let why = refused.put(session(2)).await.unwrap_err();
        assert!(why.to_string().contains(code), "{login}: {why}");
        let shown = format!("{why} {why:?} {refused:?} {:?}", settings(&url(login)));
        assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
    }
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough() {
    let server = Server::start(&[]);
    let rule = [&["ACL", "SETUSER", "gateway", "on", ">hunter2"], &rights()[..]].concat();
    server.cli(&rule);
    let url = |password| format!("redis://gateway:{password}@127.0.0.1:{}/0", server.port);
    let store = store(&settings(&url("hunter2")), NOW);
    let mut news = store.subscribe().unwrap();
    missed(&mut news).await;
    let one = session(1);
    store.check().await.unwrap();
    store.put(one.clone()).await.unwrap();
    assert_eq!(store.of_user(&one.app, &one.openid, NOW, 9).await.unwrap().len(), 1);
    assert_eq!(store.claim(digest("code-one"), NOW, HOUR).await.unwrap(), Claim::Yours);
    store.settle(digest("code-one"), None, HOUR).await.unwrap();
    store.settle(digest("code-one"), Some(sid(1)), HOUR).await.unwrap();
    store.end(Ended { sid: sid(1), until: NOW }).await.unwrap();
    while !matches!(next(&mut news).await, News::Ended(_)) {}
    assert_eq!(store.ended(NOW).await.unwrap().len(), 1);
    assert_eq!(store.sweep(NOW + 1, 9).await.unwrap(), 1);
    assert_eq!(server.cli(&["ACL", "LOG"]), "", "nothing was refused");
    server.cli(&["ACL", "SETUSER", "gateway", "-zadd"]);
    let why = store.put(session(2)).await.unwrap_err().to_string();
    assert!(why.contains("NOPERM") || why.contains("ERR"), "{why}");
}

#[tokio::test]
async fn a_redis_that_may_evict_is_warned_of() {
    for (policy, warned) in [("allkeys-lru", true), ("noeviction", false)] {
        let server = Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", policy]);
        let store = server.store(NOW);
        store.inner.warn_of_eviction().await;
        assert_eq!(store.inner.warned_of_eviction.load(Ordering::Relaxed), warned, "{policy}");
    }
}

#[tokio::test]
async fn a_redis_that_is_away_fails_commands_at_once_and_is_found_again() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = server.store(NOW);
    store.put(session(1)).await.unwrap();
    server.kill();
    let began = Instant::now();
    assert!(matches!(store.put(session(2)).await, Err(StoreError::Failed(_))));
    assert!(wrong(&store).await.contains("out of reach"));
    assert!(store.get(sid(1), NOW).await.is_err() && store.ended(NOW).await.is_err());
    assert!(store.claim(digest("code-one"), NOW, HOUR).await.is_err());
    // Five commands, each with a limit of a second.
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    server.restart();
    mended(&store).await;
    assert!(store.get(sid(1), NOW).await.unwrap().is_some());
    assert!(store.get(sid(2), NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_store_opens_while_redis_is_away() {
    let mut server = Server::start(&[]);
    server.kill();
    let store = server.store(NOW);
    assert!(wrong(&store).await.contains("out of reach"));
    server.restart();
    mended(&store).await;
}

#[tokio::test]
async fn a_redis_that_stands_still_costs_no_more_than_the_limit() {
    let server = Server::start(&[]);
    let mut impatient = settings(&server.url());
    impatient.command = Duration::from_millis(200);
    let store = store(&impatient, NOW);
    store.check().await.unwrap();
    server.signal("-STOP");
    let began = Instant::now();
    let asked = (0..50).map(|_| store.check());
    let answers = futures_util::future::join_all(asked);
    let answers = timeout(DEADLINE, answers).await.expect("each has a limit");
    assert!(answers.iter().all(Result::is_err));
    assert!(wrong(&store).await.contains("did not answer"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    server.signal("-CONT");
    mended(&store).await;
}

#[tokio::test]
async fn a_connection_that_closed_while_nobody_looked_costs_no_login() {
    let server = Server::start(&[]);
    let store = server.store(NOW);
    for number in 1..=20 {
        server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        store.put(session(number)).await.unwrap();
    }
}

#[tokio::test]
async fn out_of_memory_a_login_fails_and_an_end_is_taken() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let store = server.store(NOW);
    store.put(session(1)).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let why = store.put(session(2)).await.unwrap_err().to_string();
    assert!(why.contains("OOM"), "{why}");
    assert!(wrong(&store).await.contains("OOM"));
    for number in [1, 7] {
        store.end(Ended { sid: sid(number), until: NOW + 60 }).await.unwrap();
    }
    assert_eq!(store.ended(NOW).await.unwrap().len(), 2);
    assert!(store.get(sid(1), NOW).await.unwrap().is_none());
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    store.put(session(7)).await.unwrap();
    assert!(store.get(sid(7), NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_is_no_master_any_more_is_not_written_to() {
    let (master, server) = (Server::start(&[]), Server::start(&[]));
    let store = server.store(NOW);
    store.check().await.unwrap();
    server.cli(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    assert!(wrong(&store).await.contains("READONLY"));
    assert!(store.put(session(1)).await.is_err());
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    mended(&store).await;
}

#[tokio::test]
async fn what_redis_says_of_a_command_it_does_not_know_stays_out_of_the_error() {
    let server = Server::start(&["--rename-command", "EVAL", ""]);
    let why = server.store(NOW).put(session(1)).await.unwrap_err();
    let shown = format!("{why} {why:?}");
    assert!(shown.contains("ERR") && !shown.contains("oGZUI0"), "{shown}");
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_can_be_ended() {
    let server = Server::start(&[]);
    let store = server.store(NOW);
    for record in ["", "{}", "x", r#"{"v":2}"#] {
        server.cli(&["SET", &format!("wxg:{{{}}}", sid(1)), record]);
        let why = store.get(sid(1), NOW).await.unwrap_err().to_string();
        assert!(why.contains("cannot be read"), "{record}: {why}");
    }
    store.end(Ended { sid: sid(1), until: NOW + 60 }).await.unwrap();
    assert!(store.get(sid(1), NOW).await.unwrap().is_none());
}
