//! A session that ends on one node ends on all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Load;
use crate::harness::redis::{Cluster, DEADLINE, PACE, Server};
use crate::harness::tokens::{now, sid};
use crate::harness::{Connection, Nodes, Script, secret};

/// Nothing is read anew unless a connection was.
const TOLD_ONLY: &str = "redis_reread = \"5m\"\nredis_stale_after = \"10m\"\n";

#[tokio::test]
async fn who_logs_out_on_one_node_is_refused_on_all() {
    let password = secret("hunter2-hunter2");
    let user = format!("gateway on >{password} ~wxg:* &wxg:* +@all");
    let user: Vec<_> = ["--user"].into_iter().chain(user.split(' ')).collect();
    let redis = Server::start(&user);
    let url = redis.url().replace("://", &format!("://gateway:{password}@"));
    let mut nodes = Nodes::start(&url, TOLD_ONLY).await;
    let (mut ended, mut longest) = (Vec::new(), Duration::ZERO);
    for round in 0..12 {
        let (here, there) = (round % 3, (round + 1) % 3);
        let (phone, tablet) = (nodes.log_in(here, "alice").await, nodes.log_in(there, "alice").await);
        // Now every node remembers both.
        for token in [&phone, &tablet, &phone] {
            nodes.all_pass(token).await;
        }
        if round >= 6 {
            // Whatever is published from now on may be heard, or read later, or both.
            redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
        assert_eq!(nodes.log_out(there, &phone).await, (204, String::new()));
        longest = longest.max(nodes.all_refuse(&phone).await);
        nodes.all_pass(&tablet).await;
        ended.push(phone);
    }
    eprintln!("the last node refused after {longest:?} at most");

    // So do one that starts later, and one that starts again.
    let late = nodes.add().await;
    nodes.all[1].restart("KILL").await;
    let seen = nodes.recorder.seen().len();
    for token in &ended {
        for node in [late, 1] {
            assert_eq!(nodes.ask(node, token, "/api/x").await.1, "session_ended");
            assert_eq!(nodes.ask(node, token, "/session").await.1, "session_ended");
        }
    }
    assert_eq!(nodes.recorder.seen().len(), seen);
}

#[tokio::test]
async fn what_an_operator_ends_on_one_node_ends_on_all() {
    let redis = Cluster::start();
    let nodes = Nodes::start(&redis.url(), TOLD_ONLY).await;
    let [first, second, third] = [0, 1, 2].map(|node| nodes.log_in(node, "alice"));
    let (first, second, third, bob) = (first.await, second.await, third.await, nodes.log_in(0, "bob").await);
    for token in [&first, &second, &third, &bob] {
        nodes.all_pass(token).await;
    }
    let one = format!("/sessions/{}", sid(&first));
    assert_eq!(nodes.all[1].operate("DELETE", &one).await, (200, json!({ "ended": 1 })));
    nodes.all_refuse(&first).await;
    nodes.all_pass(&second).await;
    let who: Value = nodes.all[0].get_as(&second, "/session").await.json().await.unwrap();
    let all = format!("/sessions?app=shop&openid={}", who["openid"].as_str().unwrap());
    assert_eq!(nodes.all[2].operate("DELETE", &all).await, (200, json!({ "ended": 2 })));
    nodes.all_refuse(&second).await;
    nodes.all_refuse(&third).await;
    nodes.all_pass(&bob).await;
    nodes.all_pass(&nodes.log_in(1, "alice").await).await;
}

#[tokio::test]
async fn an_open_websocket_closes_when_its_session_ends_on_another_node() {
    let redis = Server::start(&[]);
    let nodes = Nodes::start(&redis.url(), TOLD_ONLY).await;
    let (alice, bob) = (nodes.log_in(0, "alice").await, nodes.log_in(0, "bob").await);
    nodes.recorder.play(Script::after_body().accept_websocket().silence());
    let mut ended = Connection::websocket(nodes.all[1].port, &alice).await;
    let mut goes_on = Connection::websocket(nodes.all[2].port, &bob).await;
    assert_eq!(nodes.log_out(0, &alice).await.0, 204);
    // RFC 6455 §5.5.1: a close frame with the code 1008.
    assert_eq!(ended.rest_bytes().await, [0x88, 0x02, 0x03, 0xf0]);
    goes_on.send("still here").await;
    let heard = |bytes: &Vec<u8>| bytes.ends_with(b"still here");
    nodes.recorder.until(|recorder| recorder.received().iter().any(heard)).await;
}

#[tokio::test]
async fn an_end_that_nobody_was_told_of_is_read_from_the_log() {
    let redis = Server::start(&[]);
    let nodes = Nodes::start(&redis.url(), "redis_reread = \"1s\"\n").await;
    let token = nodes.log_in(0, "alice").await;
    nodes.all_pass(&token).await;
    // As a node writes it, but for the message.
    redis.cli(&["ZADD", "wxg:ends", &(now() + 7200).to_string(), &sid(&token)]);
    nodes.all_refuse(&token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_lost_with_its_memory_stays_ended() {
    let mut redis = Server::start(&[]);
    let mut nodes = Nodes::start(&redis.url(), &format!("{TOLD_ONLY}{}", super::QUIET)).await;
    let (before, meanwhile) = (nodes.log_in(0, "alice").await, nodes.log_in(0, "bob").await);
    let load = Load::start(&nodes, &[nodes.log_in(0, "carol").await, nodes.log_in(1, "carol").await]);
    nodes.all_pass(&meanwhile).await;
    assert_eq!(nodes.log_out(0, &before).await.0, 204);
    nodes.all_refuse(&before).await;

    redis.kill();
    // In force where it was asked for, and said to be no more than that.
    assert_eq!(nodes.log_out(0, &meanwhile).await, (503, "store_unavailable".to_owned()));
    assert_eq!(nodes.ask(0, &meanwhile, "/api/x").await.1, "session_ended");
    assert_eq!(nodes.all_say(&before, "/api/x").await, vec![(401, "session_ended".to_owned()); 3]);
    redis.restart();

    // Nothing was saved. The node where they ended writes both down, the second without being asked again.
    let took = nodes.all_refuse(&meanwhile).await;
    eprintln!("a logout that Redis did not take was in force everywhere {took:?} after its return");
    let in_the_log = |token: &str| !redis.cli(&["ZSCORE", "wxg:ends", &sid(token)]).is_empty();
    let end = Instant::now() + DEADLINE;
    while !(in_the_log(&before) && in_the_log(&meanwhile)) {
        assert!(Instant::now() < end, "{}", redis.cli(&["ZRANGE", "wxg:ends", "0", "-1"]));
        tokio::time::sleep(PACE).await;
    }
    let late = nodes.add().await;
    for token in [&before, &meanwhile] {
        assert_eq!(nodes.ask(late, token, "/api/x").await.1, "session_ended");
    }
    let asked = load.stop().await;
    eprintln!("{asked} requests of others were answered meanwhile");
}

/// A logout that Redis does not take stays in force with the process; it is told when it leaves before Redis is back.
#[tokio::test]
async fn a_node_that_leaves_keeps_its_last_ends_or_says_that_it_cannot() {
    let mut redis = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut nodes = Nodes::start(&redis.url(), TOLD_ONLY).await;
    const FORGOTTEN: &str = "ended sessions are forgotten";
    for (node, comes_back) in [(0, true), (1, false)] {
        let token = nodes.log_in(node, "alice").await;
        redis.kill();
        assert_eq!(nodes.log_out(node, &token).await, (503, "store_unavailable".to_owned()));
        assert_eq!(nodes.ask(node, &token, "/api/x").await.1, "session_ended");
        if comes_back {
            redis.restart();
        }
        nodes.all[node].process.signal("TERM");
        nodes.all[node].process.end().await;
        let log = nodes.all[node].process.log();
        assert_eq!(log.contains(FORGOTTEN), !comes_back, "{log}");
        if comes_back {
            nodes.all[node].start_again().await;
            assert_eq!(nodes.ask(node, &token, "/api/x").await.1, "session_ended");
        } else {
            assert!(log.contains("sessions=1") || log.contains("\"sessions\":1"), "{log}");
        }
    }
}
