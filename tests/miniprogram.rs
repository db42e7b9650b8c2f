//! The mini program's helper, over its double of `wx` and then over a real gateway.

use std::process::Command;

use crate::harness::{Gateway, SHOP, root, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_helper_logs_in_once_and_repeats_once() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=tap", "test.js"]).current_dir(root().join("examples/miniprogram"));
    node.env("WXGATE", gateway.url("")).env("SIMULATOR", gateway.simulator.url()).env("APPID", SHOP.appid);
    let output = tokio::task::spawn_blocking(move || run(&mut node)).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("all of it over a real gateway"), "{said}");
    assert_eq!(recorder.seen().len(), 4, "three requests, and one after the logout");
}
