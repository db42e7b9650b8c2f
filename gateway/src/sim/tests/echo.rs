//! The echo service.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::*;
use crate::sim::calls::sha256_hex;

/// Sends `request` over a bare socket; the answer's JSON.
async fn raw(echo: &Server, request: &str) -> Value {
    let mut stream = TcpStream::connect(echo.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn the_mirror_shows_what_arrived_in_the_order_it_arrived() {
    let echo = start_echo().await;
    let shown = raw(
        &echo,
        "PUT /a/%2e?x=1&x=2 HTTP/1.1\r\nX-B: 1\r\nHost: h\r\nx_b: 2\r\nX-A: 3\r\nX-B: 4\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\nTrailer: x-wx-openid\r\n\r\n2\r\nhi\r\n0\r\nx-wx-openid: forged\r\n\r\n",
    )
    .await;
    let expected = json!({
        "method": "PUT", "path": "/a/%2e", "query": "x=1&x=2", "version": "HTTP/1.1",
        "headers": [
            ["x-b", "1"], ["x-b", "4"], ["host", "h"], ["x_b", "2"], ["x-a", "3"], ["connection", "close"],
            ["transfer-encoding", "chunked"], ["trailer", "x-wx-openid"],
        ],
        "body": "hi", "body_encoding": "utf-8", "body_bytes": 2, "body_truncated": false, "body_complete": true,
        "trailers": [["x-wx-openid", "forged"]],
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_body_that_is_no_text_is_base64_and_a_long_one_is_cut() {
    let echo = start_echo().await;
    let shown = json_of(echo.post("/").body(vec![0xff, 0]).send().await.unwrap()).await;
    assert_eq!((&shown["body"], &shown["body_encoding"]), (&json!("/wA="), &json!("base64")));
    let shown = json_of(echo.post("/").body("x".repeat(3_000_000)).send().await.unwrap()).await;
    assert_eq!((&shown["body_bytes"], &shown["body_truncated"]), (&json!(3_000_000), &json!(true)));
    assert_eq!(shown["body"].as_str().unwrap().len(), 1024 * 1024);
}

#[tokio::test]
async fn bytes_and_count_agree_behind_any_prefix() {
    let echo = start_echo().await;
    let answer = echo.get("/api/v1/bytes/200001").send().await.unwrap();
    assert_eq!(answer.headers()["content-length"], "200001");
    let bytes = answer.bytes().await.unwrap();
    assert!(bytes.iter().enumerate().all(|(index, byte)| usize::from(*byte) == index % 251));
    let counted = json_of(echo.post("/api/count").body(bytes.clone()).send().await.unwrap()).await;
    assert_eq!(counted, json!({ "body_bytes": 200_001, "sha256": sha256_hex(&bytes) }));
    assert_eq!(echo.get("/bytes/0").send().await.unwrap().bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn statuses_delays_and_resets_are_as_asked() {
    let echo = start_echo().await;
    for code in [204, 404, 503] {
        assert_eq!(echo.get(&format!("/x/status/{code}")).send().await.unwrap().status().as_u16(), code);
    }
    for path in ["/status/101", "/status/600", "/status/x", "/bytes/-1", "/delay/600001", "/events?n=x"] {
        assert_eq!(echo.get(path).send().await.unwrap().status(), 400, "{path}");
    }
    let start = Instant::now();
    assert_eq!(json_of(echo.get("/delay/120").send().await.unwrap()).await["path"], "/delay/120");
    assert!(start.elapsed() >= Duration::from_millis(120));
    assert!(echo.get("/reset").send().await.is_err());
}

#[tokio::test]
async fn events_come_one_by_one() {
    let echo = start_echo().await;
    let start = Instant::now();
    let mut answer = echo.get("/api/events?n=3&ms=100").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "id: 0\ndata: event 0\n\n");
    let mut rest = Vec::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        rest.extend_from_slice(&chunk);
    }
    assert_eq!(String::from_utf8(rest).unwrap(), "id: 1\ndata: event 1\n\nid: 2\ndata: event 2\n\n");
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_websocket_returns_messages_chooses_a_protocol_and_shows_its_handshake() {
    let echo = start_echo().await;
    let mut request =
        format!("{}/api/ws?room=1", echo.url.replace("http", "ws")).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat, token".parse().unwrap());
    let (mut socket, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    for message in [Message::text("hello"), Message::binary(vec![0, 255])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.send(Message::text("headers")).await.unwrap();
    let shown: Value =
        serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!((&shown["path"], &shown["query"]), (&json!("/api/ws"), &json!("room=1")));
    socket.close(None).await.unwrap();
    assert_ne!(echo.get("/ws").send().await.unwrap().status(), 200);
}
