//! Three masters, between which slots move, and one replica that is promoted.

use std::time::Instant;

use futures_util::future::join_all;

use super::super::RedisStore;
use super::ends::missed;
use super::servers::{Cluster, DEADLINE, Server, redis_cli, settings, store};
use super::{HOUR, digest, rights};
use crate::Sid;
use crate::session::tests::{NOW, session};
use crate::session::{Claim, Ended, LoginSession, News, SessionStore};

fn numbered(number: u128) -> LoginSession {
    LoginSession { sid: Sid::from_bytes(number.to_be_bytes()), ..session(1) }
}

async fn all_there(store: &RedisStore, numbers: std::ops::Range<u128>) {
    for session in numbers.map(numbered) {
        let got = store.get(session.sid, NOW).await.unwrap();
        assert!(got.is_some(), "{} is gone", session.sid);
    }
}

#[tokio::test]
async fn sessions_live_on_all_nodes_and_follow_their_slots() {
    let cluster = Cluster::start();
    let (nodes, url) = (&cluster.nodes, cluster.url());
    let more = ["+cluster|slots", "+asking"];
    let rule = [&["ACL", "SETUSER", "gateway", "on", ">hunter2"], &rights()[..], &more].concat();
    nodes.iter().for_each(|node| assert_eq!(node.cli(&rule), "OK"));
    let url = url.replace("://", "://gateway:hunter2@");
    // One of the nodes is enough to find the others.
    let (here, there) = (
        store(&settings(&url), NOW),
        store(&settings(&format!("redis-cluster://gateway:hunter2@127.0.0.1:{}", nodes[2].port)), NOW),
    );
    let mut news = there.subscribe().unwrap();
    missed(&mut news).await;
    for session in (0..60).map(numbered) {
        here.put(session).await.unwrap();
    }
    for node in nodes {
        assert_ne!(node.cli(&["DBSIZE"]), "0", "every node keeps some");
    }
    all_there(&there, 0..60).await;
    let one = session(1);
    assert_eq!(there.of_user(&one.app, &one.openid, NOW, 99).await.unwrap().len(), 60);
    assert_eq!(here.claim(digest("code-one"), NOW, HOUR).await.unwrap(), Claim::Yours);
    assert_eq!(there.claim(digest("code-one"), NOW, HOUR).await.unwrap(), Claim::Taken);
    here.check().await.unwrap();
    let end = Ended { sid: numbered(0).sid, until: NOW + 60 };
    here.end(end).await.unwrap();
    loop {
        match tokio::time::timeout(DEADLINE, news.recv()).await.unwrap() {
            Some(News::Ended(heard)) => break assert_eq!(heard, end),
            told => assert_eq!(told, Some(News::Missed)),
        }
    }

    // A third of the slots moves to another node, under commands.
    let id = |node: &Server| node.cli(&["CLUSTER", "MYID"]);
    let (from, to, port) = (id(&nodes[0]), id(&nodes[1]), format!("127.0.0.1:{}", nodes[0].port));
    let moving = tokio::task::spawn_blocking(move || {
        redis_cli(&[
            "--cluster",
            "reshard",
            &port,
            "--cluster-from",
            &from,
            "--cluster-to",
            &to,
            "--cluster-slots",
            "5000",
            "--cluster-yes",
        ])
    });
    let mut written = 60;
    while !moving.is_finished() {
        here.put(numbered(written)).await.unwrap();
        assert!(there.get(numbered(written).sid, NOW).await.unwrap().is_some());
        written += 1;
    }
    moving.await.unwrap();
    println!("{} sessions were put while slots moved", written - 60);
    all_there(&here, 1..written).await;
    all_there(&there, 1..written).await;
    assert!(there.get(end.sid, NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_replica_that_is_promoted_is_found() {
    let mut cluster = Cluster::start();
    let _replica = cluster.replica();
    let store = store(&settings(&cluster.url()), NOW);
    for session in (0..30).map(numbered) {
        store.put(session).await.unwrap();
    }
    cluster.nodes[0].kill();
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < DEADLINE, "{}", cluster.nodes[1].cli(&["CLUSTER", "NODES"]));
        let answers = join_all((30..60).map(|number| store.put(numbered(number)))).await;
        if answers.iter().all(Result::is_ok) {
            break;
        }
    }
    println!("the promoted replica was found after {:?}", began.elapsed());
    all_there(&store, 30..60).await;
    store.check().await.unwrap();
}
