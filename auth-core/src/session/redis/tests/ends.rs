//! What one node ends, the others hear: at once, and after whatever was in the way.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::super::RedisStore;
use super::servers::{DEADLINE, PACE, Server, settings, store};
use crate::session::tests::{NOW, session, sid};
use crate::session::{Ended, News, SessionStore};
use crate::{Clock, Sid, SystemClock};

fn ended(number: u8) -> Ended {
    Ended { sid: sid(number), until: NOW + 3600 }
}

pub(super) async fn next(news: &mut Receiver<News>) -> News {
    timeout(DEADLINE, news.recv()).await.expect("news in time").expect("it listens")
}

pub(super) async fn missed(news: &mut Receiver<News>) {
    while next(news).await != News::Missed {}
}

/// Does what a node does, until it knows of the end: takes what is told, and reads the log when told to.
async fn learns(store: &RedisStore, news: &mut Receiver<News>, wanted: Ended) {
    loop {
        match next(news).await {
            News::Ended(told) if told == wanted => return,
            News::Missed if store.ended(NOW).await.is_ok_and(|all| all.contains(&wanted)) => return,
            News::Ended(_) | News::Missed => {}
        }
    }
}

#[tokio::test]
async fn an_end_is_heard_on_another_node_within_a_second() {
    let server = Server::start(&[]);
    let (here, there) = (server.store(NOW), server.store(NOW));
    let mut news = there.subscribe().unwrap();
    missed(&mut news).await;
    let mut took = Vec::new();
    for number in 0..100_u128 {
        let end = Ended { sid: Sid::from_bytes(number.to_be_bytes()), until: NOW + 60 };
        let began = Instant::now();
        here.end(end).await.unwrap();
        while next(&mut news).await != News::Ended(end) {}
        took.push(began.elapsed());
    }
    took.sort_unstable();
    println!("an end was heard after {:?} (median), {:?} (longest)", took[50], took[99]);
    assert!(took[50] < Duration::from_secs(1), "{took:?}");
    // Written again, it is no news.
    here.end(Ended { sid: Sid::from_bytes(0_u128.to_be_bytes()), until: NOW + 60 }).await.unwrap();
    here.end(ended(7)).await.unwrap();
    assert_eq!(next(&mut news).await, News::Ended(ended(7)));
}

/// A store that reads the log anew after a reconnect, and otherwise not while a test runs.
fn patient(server: &Server) -> RedisStore {
    let mut patient = settings(&server.url());
    patient.reread = Duration::from_secs(3600);
    store(&patient, NOW)
}

#[tokio::test]
async fn an_end_made_while_a_node_was_cut_off_is_learnt() {
    let server = Server::start(&[]);
    let (here, there) = (server.store(NOW), patient(&server));
    let mut news = there.subscribe().unwrap();
    missed(&mut news).await;
    for number in 1..=10 {
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        here.end(ended(number)).await.unwrap();
        learns(&there, &mut news, ended(number)).await;
    }
}

#[tokio::test]
async fn an_end_that_was_never_published_is_learnt_all_the_same() {
    let server = Server::start(&[]);
    let mut watchful = settings(&server.url());
    watchful.reread = Duration::from_millis(100);
    let there = store(&watchful, NOW);
    let mut news = there.subscribe().unwrap();
    missed(&mut news).await;
    server.cli(&["ZADD", "wxg:ends", &ended(1).until.to_string(), &sid(1).to_string()]);
    learns(&there, &mut news, ended(1)).await;
}

#[tokio::test]
async fn ends_that_redis_lost_are_written_again() {
    let mut server = Server::start(&[]);
    let (here, there) = (patient(&server), patient(&server));
    let (mut here_news, mut there_news) = (here.subscribe().unwrap(), there.subscribe().unwrap());
    missed(&mut here_news).await;
    missed(&mut there_news).await;
    for number in 1..=3 {
        here.end(ended(number)).await.unwrap();
    }
    server.kill();
    server.restart();
    assert_eq!(server.cli(&["DBSIZE"]), "0", "nothing was saved");
    // A node that starts now reads them from the log.
    let late = server.store(NOW);
    let end = Instant::now() + DEADLINE;
    while late.ended(NOW).await.unwrap().len() < 3 {
        assert!(Instant::now() < end, "{:?}", late.ended(NOW).await);
        tokio::time::sleep(PACE).await;
    }
    late.put(session(2)).await.unwrap();
    assert!(late.get(sid(2), NOW).await.unwrap().is_none(), "the end stands beside the session too");
}

#[tokio::test]
async fn ends_that_redis_lost_unnoticed_are_written_again_in_time() {
    let server = Server::start(&[]);
    let mut watchful = settings(&server.url());
    watchful.reread = Duration::from_millis(100);
    let here = store(&watchful, NOW);
    let mut news = here.subscribe().unwrap();
    missed(&mut news).await;
    here.end(ended(1)).await.unwrap();
    server.cli(&["FLUSHALL"]);
    let end = Instant::now() + DEADLINE;
    while server.store(NOW).ended(NOW).await.unwrap() != [ended(1)] {
        assert!(Instant::now() < end, "the end stays lost");
        missed(&mut news).await;
    }
}

#[tokio::test]
async fn a_session_that_a_failover_brought_back_stays_ended() {
    let server = Server::start(&[]);
    let store = server.store(NOW);
    store.put(session(1)).await.unwrap();
    let key = format!("wxg:{{{}}}", sid(1));
    let record = server.cli(&["GET", &key]);
    store.end(ended(1)).await.unwrap();
    server.cli(&["SET", &key, &record]);
    assert!(store.get(sid(1), NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_listener_waits_for_a_redis_that_is_away() {
    let mut server = Server::start(&[]);
    server.kill();
    let store = server.store(NOW);
    let mut news = store.subscribe().unwrap();
    server.restart();
    missed(&mut news).await;
    store.end(ended(1)).await.unwrap();
    while next(&mut news).await != News::Ended(ended(1)) {}
}

#[tokio::test]
async fn a_listener_ends_with_its_receiver() {
    let server = Server::start(&[]);
    let store = server.store(NOW);
    let mut news = store.subscribe().unwrap();
    missed(&mut news).await;
    assert_eq!(server.cli(&["PUBSUB", "NUMSUB", "wxg:ended:0"]), "wxg:ended:0\n1");
    drop(news);
    let end = Instant::now() + DEADLINE;
    while server.cli(&["PUBSUB", "NUMSUB", "wxg:ended:0"]) != "wxg:ended:0\n0" {
        assert!(Instant::now() < end, "it listens though nobody wants to know");
        tokio::time::sleep(PACE).await;
    }
}

#[tokio::test]
async fn a_log_of_many_ends_is_read_whole() {
    const ENDS: u64 = 3000;
    let server = Server::start(&[]);
    let sids: Vec<String> =
        (0..ENDS).map(|number| Sid::from_bytes(u128::from(number).to_be_bytes()).to_string()).collect();
    for piece in sids.chunks(500) {
        let until = (NOW + 60).to_string();
        let mut arguments = vec!["ZADD", "wxg:ends"];
        arguments.extend(piece.iter().flat_map(|sid| [until.as_str(), sid.as_str()]));
        server.cli(&arguments);
    }
    assert_eq!(server.store(NOW).ended(NOW).await.unwrap().len() as u64, ENDS);
}

#[tokio::test]
async fn a_node_whose_clock_is_ahead_forgets_no_end_for_the_others() {
    let server = Server::start(&[]);
    let now = SystemClock.unix_secs();
    let (right, ahead) = (server.store(now), server.store(now + 86_400));
    let both = [Ended { sid: sid(1), until: now + 3600 }, Ended { sid: sid(2), until: now + 2 * 86_400 }];
    right.end(both[0]).await.unwrap();
    ahead.end(both[1]).await.unwrap();
    assert_eq!(ahead.sweep(now + 86_400, 9).await.unwrap(), 0);
    assert_eq!(right.ended(now).await.unwrap(), both);
}
