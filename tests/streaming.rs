//! Bodies flow: what has arrived is passed on, not collected.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Config, Gateway, SHOP, Script, gateway};

/// Reads from `stream` until what has come ends with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut piece = [0; 4096];
        let n = tokio::time::timeout(std::time::Duration::from_secs(20), stream.read(&mut piece)).await;
        let n = n.unwrap_or_else(|_| panic!("`{end}` does not come after {text:?}")).unwrap();
        assert!(n > 0, "the connection ended after {text:?}");
        text.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
    text
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(Config::new(service.local_addr().unwrap().port(), gateway::ROUTES)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    let request =
        format!("GET /api/events HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut upstream, _) = service.accept().await.unwrap();
    read_until(&mut upstream, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").await.contains("text/event-stream"));
    for n in 0..20 {
        // The next event is sent only once this one has come through.
        let event = format!("data: {n}\n\n");
        upstream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.unwrap();
        assert!(read_until(&mut client, "\r\n").await.contains(&event));
    }
    upstream.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut client, "0\r\n\r\n").await;
}

#[tokio::test]
async fn each_piece_of_an_upload_arrives_before_the_next_is_sent() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(Config::new(service.local_addr().unwrap().port(), gateway::ROUTES)).await;
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    let head = "POST /public/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut upstream, _) = service.accept().await.unwrap();
    read_until(&mut upstream, "\r\n\r\n").await;
    for n in 0..20 {
        let piece = format!("piece {n}");
        client.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await.unwrap();
        assert!(
            read_until(&mut upstream, "\r\n").await.contains(&piece)
                || read_until(&mut upstream, "\r\n").await.contains(&piece)
        );
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut upstream, "0\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn what_came_of_an_answer_of_known_length_does_not_wait_for_the_rest() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    recorder.play(Script::after_body().send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").silence());
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    client.write_all(b"GET /public/half HTTP/1.1\r\nHost: gw.test\r\n\r\n").await.unwrap();
    read_until(&mut client, "\r\n\r\nhello").await;
}
