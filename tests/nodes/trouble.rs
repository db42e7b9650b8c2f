//! Redis is away: nobody is logged out, nobody is kept waiting, and everybody who should know is told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Load, QUIET};
use crate::harness::gateway::ROUTES;
use crate::harness::redis::{DEADLINE, PACE, Server};
use crate::harness::{Config, Gateway, Nodes, Recorder};

/// Trouble shows soon.
const SOON: &str = "redis_reread = \"1s\"\nredis_stale_after = \"2s\"\n";

/// What is written is there after a restart.
const LASTING: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn said(times: usize, status: u16, reason: &str) -> Vec<(u16, String)> {
    vec![(status, reason.to_owned()); times]
}

/// Waits until every node says so of a token.
async fn until_all_say(nodes: &Nodes, token: &str, path: &str, status: u16, reason: &str) {
    let (began, wanted) = (Instant::now(), said(nodes.all.len(), status, reason));
    loop {
        let said = nodes.all_say(token, path).await;
        if said == wanted {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "{path}: {said:?}");
        tokio::time::sleep(PACE).await;
    }
}

/// Waits until every node says that nothing is in trouble.
async fn until_all_well(nodes: &Nodes) {
    let (began, well) = (Instant::now(), json!({ "ready": true, "failing": [], "degraded": [] }));
    for node in 0..nodes.all.len() {
        loop {
            let readiness = nodes.readiness(node).await;
            if readiness == (200, well.clone()) {
                break;
            }
            assert!(began.elapsed() < DEADLINE, "{readiness:?}");
            tokio::time::sleep(PACE).await;
        }
    }
}

/// What the metrics say of the store: whether it takes logins, and how long ago it was read.
async fn of_the_store(nodes: &Nodes, node: usize) -> (u64, u64) {
    let metrics = nodes.all[node].metrics().await;
    let number = |name: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
    };
    (number("wxgate_store_ready"), number("wxgate_revocations_age_seconds"))
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_goes_and_comes_back_and_nobody_who_is_in_notices() {
    let mut redis = Server::start(&LASTING);
    let nodes = Nodes::start(&redis.url(), &format!("{SOON}{QUIET}")).await;
    let (alice, bob) = (nodes.log_in(0, "alice").await, nodes.log_in(1, "bob").await);
    assert_eq!(nodes.log_out(0, &bob).await.0, 204);
    nodes.all_refuse(&bob).await;
    let load = Load::start(&nodes, std::slice::from_ref(&alice));
    for gone in ["dead", "standing still"] {
        until_all_say(&nodes, &alice, "/strict/x", 200, "").await;
        until_all_well(&nodes).await;
        match gone {
            "dead" => redis.kill(),
            _ => redis.signal("-STOP"),
        }
        let codes = [nodes.code("carol").await, nodes.code("dave").await, nodes.code("erin").await];
        for (node, code) in codes.iter().enumerate() {
            let (status, answer) = nodes.log_in_with(node, code).await;
            assert_eq!((status, &answer["error"]), (503, &json!("store_unavailable")), "{gone}: {answer}");
        }
        until_all_say(&nodes, &alice, "/strict/x", 503, "revocations_stale").await;
        assert_eq!(nodes.all_say(&alice, "/session").await, said(3, 200, ""));
        assert_eq!(nodes.all_say(&bob, "/api/x").await, said(3, 401, "session_ended"));
        for node in 0..3 {
            let degraded = json!({ "ready": true, "failing": [], "degraded": ["store", "revocations"] });
            assert_eq!(nodes.readiness(node).await, (200, degraded), "{gone}");
            let (ready, age) = of_the_store(&nodes, node).await;
            assert!(ready == 0 && age >= 2, "{gone}: {ready}, {age} s");
        }

        match gone {
            "dead" => redis.restart(),
            _ => redis.signal("-CONT"),
        }
        until_all_say(&nodes, &alice, "/strict/x", 200, "").await;
        until_all_well(&nodes).await;
        for node in 0..3 {
            assert_eq!(of_the_store(&nodes, node).await.0, 1, "{gone}");
        }
        // The codes were left unspent.
        for (node, code) in codes.iter().enumerate() {
            let (status, answer) = nodes.log_in_with(node, code).await;
            assert_eq!(status, 200, "{gone}: {answer}");
        }
    }
    assert_eq!(nodes.all_say(&bob, "/api/x").await, said(3, 401, "session_ended"));
    eprintln!("{} requests were let through meanwhile", load.stop().await);
    // Told once a trouble, and that it is over.
    for gateway in &nodes.all {
        let log = gateway.process.log();
        for line in ["no connection to Redis", "Redis is within reach again"] {
            assert!((1..=2).contains(&log.matches(line).count()), "{line}:\n{log}");
        }
        for line in ["may be missing here", "is known here again"] {
            assert_eq!(log.matches(line).count(), 2, "{line}:\n{log}");
        }
    }
}

#[tokio::test]
async fn a_node_that_starts_without_redis_comes_up_and_says_what_it_cannot_know() {
    let mut redis = Server::start(&LASTING);
    let mut nodes = Nodes::start(&redis.url(), SOON).await;
    let (alice, bob) = (nodes.log_in(0, "alice").await, nodes.log_in(0, "bob").await);
    assert_eq!(nodes.log_out(0, &bob).await.0, 204);
    redis.kill();
    nodes.all[1].process.signal("TERM");
    nodes.all[1].process.end().await;
    nodes.all[1].start_again_unready().await;

    let (status, readiness) = nodes.readiness(1).await;
    assert_eq!((status, &readiness["failing"]), (503, &json!(["revocations"])), "{readiness}");
    assert_eq!(readiness["degraded"], json!(["store"]));
    // Each route has chosen: to believe the token, or to wait until it can be known.
    for token in [&alice, &bob] {
        assert_eq!(nodes.ask(1, token, "/api/x").await, (200, String::new()));
        assert_eq!(nodes.ask(1, token, "/strict/x").await, (503, "revocations_stale".to_owned()));
    }
    let (status, answer) = nodes.log_in_with(1, &nodes.code("carol").await).await;
    assert_eq!((status, &answer["error"]), (503, &json!("store_unavailable")), "{answer}");

    redis.restart();
    nodes.all_ready().await;
    // Ready means that it knows.
    assert_eq!(nodes.ask(1, &bob, "/api/x").await, (401, "session_ended".to_owned()));
    nodes.all_refuse(&bob).await;
    until_all_say(&nodes, &alice, "/strict/x", 200, "").await;
    assert_eq!(nodes.log_in_with(1, &nodes.code("carol").await).await.0, 200);
}

#[tokio::test]
async fn readiness_waits_for_no_redis_that_hangs_and_logs_it_once() {
    let (redis, recorder) = (Server::start(&LASTING), Recorder::start().await);
    let patient = "redis_command_timeout = \"10s\"\nredis_stale_after = \"60s\"\n";
    let store = format!("[store]\nredis = {{ env = \"REDIS_URL\" }}\n{patient}");
    let config = Config::new(recorder.port, ROUTES).with_head(&store);
    let gateway = Gateway::start(config.with_variable("REDIS_URL", redis.url())).await;
    let ask = async |path: &str| {
        let asked = gateway.client.get(gateway.admin_url(path)).timeout(Duration::from_secs(8)).send();
        asked.await.expect("it answers before Redis has").text().await.unwrap()
    };
    let until = async |degraded: Value| {
        let (began, mut asked) = (Instant::now(), 0);
        loop {
            let ready: Value = serde_json::from_str(&ask("/readyz").await).unwrap();
            assert_eq!(ready["ready"], true, "{ready}");
            asked += 1;
            if ready["degraded"] == degraded {
                return asked;
            }
            assert!(began.elapsed() < DEADLINE, "{ready}");
            tokio::time::sleep(PACE).await;
        }
    };
    let logged = |line: &str| gateway.process.log().matches(line).count();
    redis.signal("-STOP");
    until(json!(["store"])).await;
    let trouble = "the session store is in trouble";
    gateway.process.wait_for_log(trouble).await;
    let told = logged(trouble);
    for _ in 0..20 {
        assert_eq!(until(json!(["store"])).await, 1, "each answer says it");
        assert!(ask("/metrics").await.contains("wxgate_store_ready 0\n"));
    }
    assert_eq!(logged(trouble), told, "the log says it once");
    redis.signal("-CONT");
    until(json!([])).await;
    gateway.process.wait_for_log("the session store takes logins again").await;
}
