//! A master, its replica, and three Sentinels that watch them.

use std::time::{Duration, Instant};

use super::super::RedisSettings;
use super::ends::missed;
use super::servers::{DEADLINE, PACE, Server, Watched, settings, store};
use crate::Sid;
use crate::session::tests::{NOW, session};
use crate::session::{Ended, News, SessionStore};

#[tokio::test]
async fn a_failover_is_followed_and_loses_no_end() {
    let mut redis = Watched::start(3);
    let url = redis.url();
    let (here, there) = (store(&settings(&url), NOW), store(&settings(&url), NOW));
    let (mut news, _here_news) = (there.subscribe().unwrap(), here.subscribe().unwrap());
    missed(&mut news).await;
    here.put(session(1)).await.unwrap();

    let ended = |number: u128| Ended { sid: Sid::from_bytes(number.to_be_bytes()), until: NOW + 3600 };
    let mut made = Vec::new();
    for number in 0..10 {
        here.end(ended(number)).await.unwrap();
        made.push(ended(number));
    }
    redis.master.kill();
    // Commands run on; what fails is tried again later, as a node does.
    let (mut number, mut failed, began) = (10, 0, Instant::now());
    while made.len() < 20 {
        assert!(began.elapsed() < DEADLINE, "no master for {:?}", began.elapsed());
        match here.end(ended(number)).await {
            Ok(()) => made.push(ended(number)),
            Err(_) => failed += 1,
        }
        number += 1;
        tokio::time::sleep(PACE).await;
    }
    println!("after the master's death {failed} commands failed, for {:?}", began.elapsed());
    here.check().await.unwrap();
    let mut news_of = Vec::new();
    while !made.iter().all(|end| news_of.contains(end)) {
        assert!(began.elapsed() < DEADLINE, "heard of {} of {}", news_of.len(), made.len());
        match tokio::time::timeout(DEADLINE, news.recv()).await.unwrap().unwrap() {
            News::Ended(end) => news_of.push(end),
            News::Missed => news_of.extend(there.ended(NOW).await.unwrap_or_default()),
        }
    }

    // The old master comes back as what it was, and is not believed.
    redis.master.restart();
    here.put(session(9)).await.unwrap();
    assert!(redis.replica.cli(&["EXISTS", &format!("wxg:{{{}}}", session(9).sid)]) == "1");
}

#[tokio::test]
async fn a_master_that_steps_down_costs_no_command() {
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let sentinel = Server::sentinel(old.port, 1, "");
    let store = store(&settings(&format!("redis-sentinel://127.0.0.1:{}/shop", sentinel.port)), NOW);
    store.check().await.unwrap();
    let port = new.port.to_string();
    sentinel.cli(&["SENTINEL", "REMOVE", "shop"]);
    sentinel.cli(&["SENTINEL", "MONITOR", "shop", "127.0.0.1", &port, "1"]);
    old.cli(&["REPLICAOF", "127.0.0.1", &port]);
    store.put(session(1)).await.unwrap();
    assert_eq!(new.cli(&["EXISTS", &format!("wxg:{{{}}}", session(1).sid)]), "1");
}

/// The old master lives on, cut off from the Sentinels, and answers those who were connected to it.
#[tokio::test]
async fn a_master_that_was_replaced_unawares_is_left() {
    let old = Server::start(&[]);
    let new = Server::replica(old.port);
    let mut sentinels = [1, 2, 3].map(|_| Server::sentinel(old.port, 2, ""));
    let [one, two, three] = sentinels.each_ref().map(|sentinel| sentinel.port);
    let url = format!("redis-sentinel://127.0.0.1:{one},127.0.0.1:{two},127.0.0.1:{three}/shop");
    let often = RedisSettings { reread: Duration::from_millis(200), ..settings(&url) };
    let (stays, writes) = (store(&often, NOW), store(&settings(&url), NOW));
    let mut news = stays.subscribe().unwrap();
    missed(&mut news).await;
    stays.check().await.unwrap();
    writes.check().await.unwrap();

    let ended = |number: u128| Ended { sid: Sid::from_bytes(number.to_be_bytes()), until: NOW + 3600 };
    let port = new.port.to_string();
    new.cli(&["REPLICAOF", "NO", "ONE"]);
    old.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    for sentinel in &sentinels {
        sentinel.cli(&["SENTINEL", "REMOVE", "shop"]);
        sentinel.cli(&["SENTINEL", "MONITOR", "shop", "127.0.0.1", &port, "2"]);
    }
    let elsewhere = store(&settings(&url), NOW);
    elsewhere.end(ended(1)).await.unwrap();
    assert_eq!(stays.ended(NOW).await.unwrap(), [ended(1)]);
    // Who was listening listens to the new one.
    let began = Instant::now();
    for number in 2.. {
        elsewhere.end(ended(number)).await.unwrap();
        let heard = tokio::time::timeout(PACE, async {
            while !matches!(news.recv().await.unwrap(), News::Ended(_)) {}
        });
        if heard.await.is_ok() {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "nothing is heard from the new master");
    }
    // Who writes learns of it by a refusal.
    while let Err(why) = writes.put(session(9)).await {
        assert!(began.elapsed() < DEADLINE, "{why}");
        tokio::time::sleep(PACE).await;
    }
    assert_eq!(new.cli(&["EXISTS", &format!("wxg:{{{}}}", session(9).sid)]), "1");

    // One Sentinel of three may be the one that is cut off: what is read is not taken for the truth, and logins go on.
    sentinels[0].kill();
    sentinels[1].kill();
    let why = stays.ended(NOW).await.unwrap_err().to_string();
    assert!(why.contains("too few Sentinels"), "{why}");
    stays.put(session(10)).await.unwrap();
    sentinels[2].kill();
    assert!(stays.ended(NOW).await.is_err());
    stays.put(session(11)).await.unwrap();
}

#[tokio::test]
async fn a_replica_that_a_sentinel_names_is_not_taken_for_a_master() {
    let master = Server::start(&[]);
    let replica = Server::replica(master.port);
    let sentinel = Server::sentinel(replica.port, 1, "");
    let store = store(&settings(&format!("redis-sentinel://127.0.0.1:{}/shop", sentinel.port)), NOW);
    let why = store.check().await.unwrap_err().to_string();
    assert!(why.contains("a replica"), "{why}");
}

#[tokio::test]
async fn what_no_sentinel_knows_is_said() {
    let master = Server::start(&[]);
    let sentinel = Server::sentinel(master.port, 1, "");
    let other = store(&settings(&format!("redis-sentinel://127.0.0.1:{}/other", sentinel.port)), NOW);
    let why = other.check().await.unwrap_err().to_string();
    assert!(why.contains("that name is not known"), "{why}");
    let dead = super::servers::free_port();
    let url = format!("redis-sentinel://127.0.0.1:{dead},127.0.0.1:{}/shop", sentinel.port);
    store(&settings(&url), NOW).check().await.unwrap();
}

#[tokio::test]
async fn sentinels_may_have_a_password_of_their_own() {
    let master = Server::start(&["--requirepass", "of-redis"]);
    let sentinel =
        Server::sentinel(master.port, 1, "sentinel auth-pass shop of-redis\nrequirepass of-sentinel");
    let url = format!("redis-sentinel://:of-redis@127.0.0.1:{}/shop", sentinel.port);
    let why = store(&settings(&url), NOW).check().await.unwrap_err();
    assert!(!format!("{why} {why:?}").contains("of-redis"), "{why}");
    let url = format!("{url}?db=2&sentinel_password=of-sentinel");
    store(&settings(&url), NOW).put(session(1)).await.unwrap();
    let keys = master.cli(&["-a", "of-redis", "--no-auth-warning", "-n", "2", "DBSIZE"]);
    assert_eq!(keys, "3");
}
