//! One code, one session, whichever nodes it is sent to.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::redis::{Cluster, Server, Watched};
use crate::harness::tokens::sid;
use crate::harness::{Nodes, SHOP};

/// The session that the code makes on a node.
async fn session_of(nodes: &Nodes, node: usize, code: &str) -> String {
    let (status, answer) = nodes.log_in_with(node, code).await;
    assert_eq!(status, 200, "node {node}: {answer}");
    sid(answer["token"].as_str().unwrap())
}

async fn one_code_makes_one_session(redis: &str) {
    let nodes = Nodes::start(redis, "").await;
    let simulator = &nodes.all[0].simulator;
    for user in ["alice", "bob"] {
        let before = simulator.exchanges().await;
        let code = nodes.code(user).await;
        // Late enough that all have asked before it answers.
        simulator.fault(json!({ "kind": "slow", "after_ms": 300 })).await;
        let mut sessions = join_all((0..9).map(|n| session_of(&nodes, n % 3, &code))).await;
        for node in 0..3 {
            sessions.push(session_of(&nodes, node, &code).await);
        }
        assert!(sessions.iter().all(|session| *session == sessions[0]), "{sessions:?}");
        assert_eq!(simulator.exchanges().await, before + 1, "WeChat takes a code once");
        let other = session_of(&nodes, 2, &nodes.code(user).await).await;
        assert_ne!(other, sessions[0], "another code is another session");
    }
    // A code that came to nothing comes to nothing everywhere, and a session that ended is not handed out again.
    for node in 0..3 {
        assert_eq!(nodes.log_in_with(node, "no-code-of-wechat").await.1["error"], "code_invalid", "{node}");
    }
    let code = nodes.code("carol").await;
    let (_, answer) = nodes.log_in_with(0, &code).await;
    assert_eq!(nodes.log_out(1, answer["token"].as_str().unwrap()).await.0, 204);
    for node in 0..3 {
        assert_eq!(nodes.log_in_with(node, &code).await.1["error"], "code_used", "{node}");
    }
}

#[tokio::test]
async fn on_one_redis() {
    one_code_makes_one_session(&Server::start(&[]).url()).await;
}

#[tokio::test]
async fn on_a_redis_that_sentinels_watch() {
    one_code_makes_one_session(&Watched::start(1).url()).await;
}

#[tokio::test]
async fn on_a_cluster() {
    one_code_makes_one_session(&Cluster::start().url()).await;
}

#[tokio::test]
async fn a_code_that_another_node_is_at_is_not_counted_as_wechats_fault() {
    let redis = Server::start(&[]);
    let mut nodes =
        Nodes::start(&redis.url(), "[wechat]\nconnect_timeout = \"500ms\"\ntimeout = \"3s\"\n").await;
    let code = nodes.code("alice").await;
    let before = nodes.all[0].simulator.exchanges().await;
    nodes.all[0].simulator.fault(json!({ "kind": "slow", "after_ms": 600_000 })).await;
    let body = json!({ "code": code, "appid": SHOP.appid });
    let hung = tokio::spawn(nodes.all[0].post("/login").json(&body).send());
    while nodes.all[0].simulator.exchanges().await == before {
        tokio::task::yield_now().await;
    }
    // It can tell nobody what came of the code.
    nodes.all[0].process.signal("KILL");
    nodes.all[0].process.end().await;
    assert!(hung.await.unwrap().is_err());
    let (status, answer) = nodes.log_in_with(1, &code).await;
    assert_eq!((status, &answer["error"]), (503, &json!("wechat_busy")), "{answer}");
    let metrics = nodes.all[1].metrics().await;
    let line = "wxgate_logins_total{app=\"shop\",result=\"elsewhere\",errcode=\"\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}
