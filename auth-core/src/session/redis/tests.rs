//! What Redis does beyond what every store does, with real servers: trouble, several nodes, Sentinel, Cluster, TLS.

mod cluster;
mod ends;
mod sentinel;
pub(in crate::session) mod servers;
mod tls;
mod trouble;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use self::servers::{Cluster, DEADLINE, Server, settings, store};
use crate::session::tests::{NOW, session, sid};
use crate::session::{Claim, CodeDigest, Ended, LoginSession, SessionStore};
use crate::{AppId, LoginCode, OpenId};

const HOUR: Duration = Duration::from_secs(3600);

fn digest(code: &str) -> CodeDigest {
    let app = AppId::parse("wx4f4bc4dec97d474b").unwrap();
    CodeDigest::of(&app, &LoginCode::parse(code).unwrap())
}

/// What a user of Redis needs, as the head of [`super`] has it.
fn rights() -> Vec<&'static str> {
    let head = include_str!("../redis.rs");
    let rule = head.split("on >PASSWORD").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let words: Vec<_> = rule.split_whitespace().filter(|word| *word != "//!").collect();
    assert!(words.contains(&"+eval"), "{words:?}");
    words
}

/// The sessions as numbers.
fn numbers(sessions: &[LoginSession]) -> Vec<u8> {
    sessions.iter().map(|session| session.sid.as_bytes()[0]).collect()
}

#[tokio::test]
async fn every_key_is_where_the_schema_says_and_passes() {
    let server = Server::start(&[]);
    let store = server.store(NOW);
    store.put(session(1)).await.unwrap();
    store.put(session(2)).await.unwrap();
    store.end(Ended { sid: sid(2), until: NOW + 60 }).await.unwrap();
    store.claim(digest("code-one"), NOW, HOUR).await.unwrap();
    store.check().await.unwrap();

    let (one, two) = (sid(1), sid(2));
    let check = server.cli(&["PTTL", "wxg:check:{0}"]).parse::<i64>().unwrap();
    assert!((-2..=1000).contains(&check), "{check}");
    let claim = server.cli(&["KEYS", "wxg:c:*"]);
    let expected = [
        (format!("wxg:{{{one}}}"), 3660),
        (format!("wxg:{{{two}}}:end"), 120),
        ("wxg:ends".to_owned(), 86_520),
        ("wxg:u:{wx4f4bc4dec97d474b:oGZUI0egBJY1zhBYw2KhdUfwVJJE}".to_owned(), 90_060),
        ("wxg:n:{ocMvos6NjeKLIBqg5Mr9QjxrP1FA}".to_owned(), 90_060),
        (claim, 3600),
    ];
    let all = server.cli(&["KEYS", "*"]);
    let found: BTreeSet<&str> = all.lines().filter(|key| !key.starts_with("wxg:check:")).collect();
    assert_eq!(found, expected.iter().map(|(key, _)| key.as_str()).collect());
    for (key, secs) in &expected {
        let left = server.cli(&["TTL", key]).parse::<i64>().unwrap();
        assert!((secs - 59..=*secs).contains(&left), "{key}: {left} s");
    }
}

#[tokio::test]
async fn no_session_key_is_in_redis_in_clear() {
    let server = Server::start(&[]);
    server.store(NOW).put(session(1)).await.unwrap();
    let record = server.cli(&["GET", &format!("wxg:{{{}}}", sid(1))]);
    assert!(record.contains("sealed_key") && !record.contains("tiihtN"), "{record}");
    // Under another session it opens nothing, and the session stands.
    server.cli(&["SET", &format!("wxg:{{{}}}", sid(2)), &record]);
    let moved = server.store(NOW).get(sid(2), NOW).await.unwrap().unwrap();
    assert!(moved.session_key.is_none());
}

#[tokio::test]
async fn a_login_and_an_end_of_one_moment_leave_no_session() {
    let server = Server::start(&[]);
    let (here, there) = (server.store(NOW), server.store(NOW));
    for number in 1..=100 {
        let (put, end) = (session(number), Ended { sid: sid(number), until: NOW + 60 });
        let (put, end) = tokio::join!(here.put(put), there.end(end));
        put.unwrap();
        end.unwrap();
        assert_eq!(server.cli(&["EXISTS", &format!("wxg:{{{}}}", sid(number))]), "0", "{number}");
    }
}

#[test]
fn a_store_outlives_the_runtime_that_it_connected_on() {
    let (server, cluster) = (Server::start(&[]), Cluster::start());
    for url in [server.url(), cluster.url()] {
        let store = store(&settings(&url), NOW);
        for number in 1..=3 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(store.put(session(number))).unwrap();
        }
    }
}

#[tokio::test]
async fn two_prefixes_know_nothing_of_each_other() {
    let server = Server::start(&[]);
    let mut other = settings(&server.url());
    other.prefix = "test:2".to_owned();
    let (one, other) = (server.store(NOW), store(&other, NOW));
    one.put(session(1)).await.unwrap();
    one.end(Ended { sid: sid(2), until: NOW + 60 }).await.unwrap();
    assert!(other.get(sid(1), NOW).await.unwrap().is_none());
    assert_eq!(other.ended(NOW).await.unwrap(), []);
    for wrong in ["", "a{b", "a b", "ö", &"a".repeat(33)] {
        let mut settings = settings(&server.url());
        settings.prefix = wrong.to_owned();
        assert!(super::Keys::new(&settings.prefix, 0).is_err(), "{wrong:?} passed");
    }
}

#[tokio::test]
async fn the_sessions_of_a_user_are_told_newest_first() {
    let server = Server::start(&[]);
    let store = server.store(NOW);
    let one = session(1);
    for (number, logged_in_at, lives) in
        [(1, NOW, 60), (2, NOW + 2, 3600), (3, NOW + 1, 3600), (4, NOW + 3, 3600)]
    {
        let expires_at = NOW + lives;
        store.put(LoginSession { logged_in_at, expires_at, ..session(number) }).await.unwrap();
    }
    let mut stranger = session(5);
    stranger.openid = OpenId::parse("somebody-else").unwrap();
    store.put(stranger.clone()).await.unwrap();

    let of_user =
        async |now, limit| numbers(&store.of_user(&one.app, &one.openid, now, limit).await.unwrap());
    assert_eq!(of_user(NOW, 9).await, [4, 2, 3, 1]);
    assert_eq!(of_user(NOW, 2).await, [4, 2]);
    assert_eq!(of_user(NOW + 60, 9).await, [4, 2, 3]);
    store.end(Ended { sid: sid(4), until: NOW + 60 }).await.unwrap();
    assert_eq!(of_user(NOW, 2).await, [2, 3]);
    // Whoever is gone in another way is filtered: here the record, with a node that died before it could do more.
    server.cli(&["DEL", &format!("wxg:{{{}}}", sid(2))]);
    assert_eq!(of_user(NOW, 1).await, [3]);

    let unionid = one.unionid.clone().unwrap();
    assert_eq!(numbers(&store.of_unionid(&unionid, NOW, 9).await.unwrap()), [3, 5, 1]);
    let of_stranger = store.of_user(&stranger.app, &stranger.openid, NOW, 9).await.unwrap();
    assert_eq!(numbers(&of_stranger), [5]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_session_from_who_ends_them() {
    let server = Server::start(&[]);
    let store = server.store(NOW);
    let one = session(1);
    for number in [1, 2, 3] {
        store.put(session(number)).await.unwrap();
    }
    // As a version to come may write it.
    server.cli(&["SET", &format!("wxg:{{{}}}", sid(2)), r#"{"v":2}"#]);
    let found = store.of_user(&one.app, &one.openid, NOW, 9).await.unwrap();
    assert_eq!(numbers(&found), [3, 2, 1]);
    let unread = found.iter().find(|session| session.sid == sid(2)).unwrap();
    assert_eq!((&unread.openid, unread.expires_at), (&one.openid, one.expires_at));
    let unionid = one.unionid.clone().unwrap();
    assert_eq!(numbers(&store.of_unionid(&unionid, NOW, 9).await.unwrap()), [3, 1]);
    // When all others have ended, nobody is told that these were all.
    for number in [1, 3] {
        store.end(Ended { sid: sid(number), until: NOW + 60 }).await.unwrap();
    }
    assert!(store.of_unionid(&unionid, NOW, 9).await.is_err());
    store.end(Ended { sid: sid(2), until: NOW + 60 }).await.unwrap();
    assert_eq!(store.of_unionid(&unionid, NOW, 9).await.unwrap().len(), 0);
    assert_eq!(store.of_user(&one.app, &one.openid, NOW, 9).await.unwrap().len(), 0);
}

#[tokio::test]
async fn an_index_forgets_what_has_expired() {
    let server = Server::start(&[]);
    server.store(NOW).put(LoginSession { expires_at: NOW + 60, ..session(1) }).await.unwrap();
    let later = NOW + 61;
    let next = LoginSession { logged_in_at: later, expires_at: later + 60, ..session(2) };
    server.store(later).put(next).await.unwrap();
    let index = "wxg:u:{wx4f4bc4dec97d474b:oGZUI0egBJY1zhBYw2KhdUfwVJJE}";
    assert_eq!(server.cli(&["ZRANGE", index, "0", "-1"]), format!("{later}:{}", sid(2)));
}

#[tokio::test]
async fn a_sweep_empties_the_log_of_ends_in_pieces() {
    let server = Server::start(&[]);
    let store = server.store(NOW);
    for number in 1..=5 {
        store.end(Ended { sid: sid(number), until: NOW + u64::from(number) }).await.unwrap();
    }
    assert_eq!(store.sweep(NOW + 1, 9).await.unwrap(), 0);
    assert_eq!(store.sweep(NOW + 5, 3).await.unwrap(), 3);
    assert_eq!(store.sweep(NOW + 5, 9).await.unwrap(), 1);
    assert_eq!(store.sweep(NOW + 5, 9).await.unwrap(), 0);
    assert_eq!(store.ended(0).await.unwrap(), [Ended { sid: sid(5), until: NOW + 5 }]);
}

#[tokio::test]
async fn one_code_is_one_nodes_and_makes_one_session() {
    let server = Server::start(&[]);
    let (one, other) = (server.store(NOW), server.store(NOW));
    let code = digest("code-one");
    assert_eq!(one.claim(code, NOW, HOUR).await.unwrap(), Claim::Yours);
    assert_eq!(other.claim(code, NOW, HOUR).await.unwrap(), Claim::Taken);
    // Asked again after an answer that was lost.
    assert_eq!(one.claim(code, NOW, HOUR).await.unwrap(), Claim::Yours);
    // What is not its own it cannot give back.
    other.settle(code, None, HOUR).await.unwrap();
    assert_eq!(other.claim(code, NOW, HOUR).await.unwrap(), Claim::Taken);
    one.settle(code, None, HOUR).await.unwrap();
    assert_eq!(other.claim(code, NOW, HOUR).await.unwrap(), Claim::Yours);
    other.settle(code, Some(sid(1)), HOUR).await.unwrap();
    for node in [&one, &other] {
        assert_eq!(node.claim(code, NOW, HOUR).await.unwrap(), Claim::Made(sid(1)));
    }
    assert_eq!(one.claim(digest("code-two"), NOW, HOUR).await.unwrap(), Claim::Yours);
}

#[tokio::test]
async fn of_many_nodes_one_gets_the_code() {
    let server = Server::start(&[]);
    let stores: Vec<_> = (0..8).map(|_| server.store(NOW)).collect();
    let claims = stores.iter().map(|store| store.claim(digest("code-one"), NOW, HOUR));
    let claims = futures_util::future::try_join_all(claims).await.unwrap();
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Yours).count(), 1, "{claims:?}");
}

#[tokio::test]
async fn a_claim_passes_with_its_node() {
    let server = Server::start(&[]);
    let (one, other) = (server.store(NOW), server.store(NOW));
    let code = digest("code-one");
    one.claim(code, NOW, Duration::from_millis(50)).await.unwrap();
    let end = Instant::now() + DEADLINE;
    while other.claim(code, NOW, HOUR).await.unwrap() != Claim::Yours {
        assert!(Instant::now() < end, "the claim of a node that is gone stays");
    }
}

#[tokio::test]
async fn a_socket_of_this_machine_is_an_address() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("redis.sock").display().to_string();
    let _server = Server::start(&["--unixsocket", &socket]);
    let store = store(&settings(&format!("redis+unix://{socket}?db=3")), NOW);
    store.put(session(1)).await.unwrap();
    assert!(store.get(sid(1), NOW).await.unwrap().is_some());
}
