//! Many at once.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Gateway, SHOP};

#[tokio::test]
async fn a_thousand_connections_are_kept_alive_and_each_answer_is_its_own() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let mut tokens = Vec::new();
    for n in 0..20 {
        tokens.push(gateway.log_in(&SHOP, &format!("user-{n}")).await);
    }
    let (port, tokens) = (gateway.port, Arc::new(tokens));
    let connections = join_all((0..1000).map(|_| TcpStream::connect(("127.0.0.1", port)))).await;
    let clients = connections.into_iter().enumerate().map(|(n, stream)| {
        let (mut stream, tokens) = (stream.unwrap(), Arc::clone(&tokens));
        tokio::spawn(async move {
            for round in 0..5 {
                let user = (n + round) % tokens.len();
                let request = format!(
                    "GET /api/{n}/{round}/user-{user} HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {}\r\n\r\n",
                    tokens[user]
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(b"{\"ok\":true}") {
                    let mut piece = [0; 4096];
                    let read = stream.read(&mut piece).await.unwrap();
                    assert!(read > 0, "{n}/{round}: closed after {}", answer.escape_ascii());
                    answer.extend_from_slice(&piece[..read]);
                }
            }
        })
    });
    for client in join_all(clients).await {
        client.unwrap();
    }
    let seen = recorder.seen();
    assert_eq!(seen.len(), 5000);
    // One openid for each user, whatever connection carried it.
    let mut by_user = std::collections::HashMap::new();
    for request in &seen {
        let user = request.target().rsplit('/').next().unwrap().to_owned();
        let openid = request.one("x-wx-openid").to_owned();
        assert_eq!(by_user.entry(user).or_insert_with(|| openid.clone()), &openid);
    }
    assert_eq!(by_user.len(), 20);
    assert!(
        recorder.connections() <= 1100,
        "{} connections to the service for 5000 requests",
        recorder.connections()
    );
}

#[tokio::test]
async fn connections_to_the_service_are_kept_alive() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    for n in 0..100 {
        assert_eq!(gateway.get(&format!("/public/{n}")).send().await.unwrap().status(), 200);
    }
    // Two workers may each open one of their own.
    assert!(recorder.connections() <= 4, "{}", recorder.connections());
}
