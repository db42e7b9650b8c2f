//! A client that does not wait for its answer.

use std::time::Instant;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::gateway::{ADMIN_TOKEN, ROUTES};
use crate::harness::{Config, Gateway, PATIENCE, Recorder, SHOP, tokens};

/// Asks for an end and goes away.
async fn end_and_close(gateway: &Gateway, sid: &str) {
    let mut connection = TcpStream::connect(("127.0.0.1", gateway.admin_port)).await.unwrap();
    let head = format!(
        "DELETE /sessions/{sid} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
}

/// Whether the log says who ended the session.
fn has_a_line(log: &str, sid: &str) -> bool {
    log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|line| {
        line["target"] == "wxgate::audit" && line["action"] == "sessions.end" && line["sid"] == sid
    })
}

#[tokio::test]
async fn a_session_that_ended_has_its_line_though_nobody_waited_for_the_answer() {
    let recorder = Recorder::start().await;
    // To end a session in a file takes as long as the disk does.
    let gateway = Gateway::start(
        Config::new(recorder.port, ROUTES).with_head("[log]\nlevel = \"off\"\n").with_operator(),
    )
    .await;
    let mut going = Vec::new();
    for _ in 0..60 {
        going.push(tokens::sid(&gateway.log_in(&SHOP, "alice").await));
    }
    let (began, mut ended) = (Instant::now(), 0);
    // A request that is dropped before anything was begun did nothing, and needs no line.
    while ended < 50 {
        for sid in &going {
            end_and_close(&gateway, sid).await;
        }
        for sid in std::mem::take(&mut going) {
            if gateway.operate("GET", &format!("/sessions/{sid}")).await.0 == 200 {
                going.push(sid);
                continue;
            }
            ended += 1;
            let since = Instant::now();
            while !has_a_line(&gateway.process.log(), &sid) {
                assert!(since.elapsed() < PATIENCE, "{sid} ended, and nobody says by whom");
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        assert!(began.elapsed() < PATIENCE, "{ended} sessions ended");
    }
}
