//! A master dies and its replica takes over, while people come, stay and leave.

use std::time::{Duration, Instant};

use super::{Load, QUIET};
use crate::harness::Nodes;
use crate::harness::redis::{Cluster, DEADLINE, Watched};

/// Logs people in on one node and out on another, before, while and after `fail` takes the master away, until that works
/// again and goes on working. Nobody who stayed is refused, and nobody who left is let in: on no node, and not on one that
/// starts then.
async fn nobody_is_thrown_out_or_let_in(nodes: &mut Nodes, fail: impl FnOnce()) {
    let load = Load::start(nodes, &[nodes.log_in(0, "carol").await, nodes.log_in(1, "dave").await]);
    let mut leaving = Vec::new();
    for n in 0..40 {
        leaving.push(nodes.log_in(n % 3, &format!("user-{n}")).await);
    }
    let mut left = leaving.split_off(20);
    for (n, token) in left.iter().enumerate() {
        assert_eq!(nodes.log_out(n % 3, token).await.0, 204);
    }
    fail();
    let (began, mut refused) = (Instant::now(), 0);
    for (n, token) in leaving.iter().enumerate() {
        while nodes.log_out(n % 3, token).await.0 != 204 {
            refused += 1;
            assert!(began.elapsed() < DEADLINE, "no master after {:?}", began.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let out = began.elapsed();
    while nodes.log_in_with(0, &nodes.code("erin").await).await.0 != 200 {
        assert!(began.elapsed() < DEADLINE, "no login after {:?}", began.elapsed());
    }
    eprintln!("{refused} logouts were told to try again; all were through after {out:?}");
    left.append(&mut leaving);
    for token in &left {
        nodes.all_refuse(token).await;
    }
    nodes.all_ready().await;
    let late = nodes.add().await;
    for token in &left {
        assert_eq!(nodes.ask(late, token, "/api/x").await.1, "session_ended");
    }
    eprintln!("{} requests of those who stayed were answered meanwhile", load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sentinel() {
    let mut redis = Watched::start(3);
    let mut nodes = Nodes::start(&redis.url(), QUIET).await;
    nobody_is_thrown_out_or_let_in(&mut nodes, || redis.master.kill()).await;
    assert!(redis.replica.cli(&["ROLE"]).starts_with("master"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster() {
    let mut redis = Cluster::start();
    let replica = redis.replica();
    let mut nodes = Nodes::start(&redis.url(), QUIET).await;
    nobody_is_thrown_out_or_let_in(&mut nodes, || redis.nodes[0].kill()).await;
    assert!(replica.cli(&["ROLE"]).starts_with("master"));
}
