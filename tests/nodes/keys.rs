//! A key is changed on one node after the other, and nobody notices.

use auth_core::keys::{Algorithm, generate};
use secrecy::ExposeSecret;

use super::{Load, QUIET};
use crate::harness::Nodes;
use crate::harness::gateway::write_key_file;
use crate::harness::redis::Server;
use crate::reload::{IN_FORCE, change};

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_node_by_node_without_a_refused_request() {
    let redis = Server::start(&[]);
    let nodes = Nodes::start(&redis.url(), QUIET).await;
    let new_key = generate(Algorithm::Es256);
    let (old, new) = ("{ kid = \"test\", file = \"key\" }", "{ kid = \"new\", file = \"new\" }");
    let lists = [old.to_owned(), format!("{old}, {new}"), format!("{new}, {old}"), new.to_owned()];
    for gateway in &nodes.all {
        write_key_file(&gateway.folder.path().join("new"), new_key.expose_secret());
    }
    // First it verifies everywhere, then it signs.
    let of_before = nodes.log_in(0, "alice").await;
    for step in [1, 2] {
        for node in 0..3 {
            let tokens = [nodes.log_in((node + 1) % 3, "bob").await, of_before.clone()];
            let load = Load::start(&nodes, &tokens);
            change(&nodes.all[node], IN_FORCE, |text| text.replace(&lists[step - 1], &lists[step])).await;
            nodes.all_pass(&nodes.log_in(node, "carol").await).await;
            assert!(load.stop().await > 0);
        }
    }
    // It is retired everywhere when no token of it is left.
    let signed_new = nodes.log_in(1, "alice").await;
    for node in 0..3 {
        let load = Load::start(&nodes, std::slice::from_ref(&signed_new));
        change(&nodes.all[node], IN_FORCE, |text| text.replace(&lists[2], &lists[3])).await;
        load.stop().await;
    }
    let gone = vec![(401, "token_key_unknown".to_owned()); 3];
    assert_eq!(nodes.all_say(&of_before, "/api/x").await, gone);
    // A session goes on where its token was changed, and its end is everybody's.
    assert_eq!(nodes.log_out(2, &signed_new).await.0, 204);
    nodes.all_refuse(&signed_new).await;
}
