//! Cases of group L that are about whole connections.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::case;
use crate::harness::gateway::ROUTES;
use crate::harness::h2::{HEADERS, RST_STREAM, Raw};
use crate::harness::hello::ClientHello;
use crate::harness::tls::{Hello, TlsConnection};
use crate::harness::{Config, Gateway, Recorder, h2};

const GET: &[u8] = b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";

/// A gateway with these lines in its `[server]`, over TLS as well.
async fn start(server: &str) -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, ROUTES).with_tls().with(&format!("[server]\n{server}\n"));
    let gateway = Gateway::start(config).await;
    // Whoever looked whether it listens has gone.
    open_connections(&gateway, 0).await;
    (gateway, recorder)
}

/// Waits until so many connections are open.
async fn open_connections(gateway: &Gateway, wanted: usize) {
    metric(gateway, &format!("wxgate_connections {wanted}")).await;
}

/// Waits until the metrics have this line.
async fn metric(gateway: &Gateway, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let metrics = gateway.metrics().await;
        if metrics.lines().any(|known| known == line) {
            return;
        }
        assert!(Instant::now() < deadline, "never {line} in\n{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn closed_for(reason: &str, count: usize) -> String {
    format!("wxgate_connections_closed_total{{reason=\"{reason}\"}} {count}")
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Whether a request on this connection is answered with 200; false when it was closed.
async fn is_served(stream: &mut TcpStream) -> bool {
    if stream.write_all(GET).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"ok\":true}") {
        match tokio::time::timeout(Duration::from_secs(60), stream.read_buf(&mut answer)).await {
            Ok(Ok(0) | Err(_)) => return false,
            Ok(Ok(_)) => {}
            Err(_) => panic!("neither an answer nor an end"),
        }
    }
    answer.starts_with(b"HTTP/1.1 200 ")
}

/// Waits until the other side closes, in whatever way.
async fn is_closed(stream: &mut TcpStream) {
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut Vec::new())).await;
    assert!(read.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn connections_are_counted() {
    let _case = case(
        "L09",
        "at the limit of all connections the one that has been idle longest makes room, and if none is idle the new one \
         is closed; one address gets no more than its share",
    );
    let (gateway, recorder) = start("connections_max = 4").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(gateway.port).await;
        assert!(is_served(&mut stream).await);
        held.push(stream);
    }
    // Silent from the start, over TLS, and idle for less long than the others.
    let _silent = connect(gateway.tls_port()).await;
    open_connections(&gateway, 4).await;
    // The first is used again: now the second has been idle longest.
    assert!(is_served(&mut held[0]).await);
    let mut fifth = connect(gateway.port).await;
    assert!(is_served(&mut fifth).await);
    is_closed(&mut held[1]).await;
    metric(&gateway, &closed_for("made_room", 1)).await;
    assert!(is_served(&mut held[0]).await && is_served(&mut held[2]).await && is_served(&mut fifth).await);
    // All are busy: a request of each is at a service that does not answer.
    let mut busy = Vec::new();
    let before = recorder.seen().len();
    recorder.answer_with("");
    for n in 0..4 {
        let mut stream = connect(gateway.port).await;
        stream.write_all(GET).await.unwrap();
        busy.push(stream);
        while recorder.seen().len() <= before + n {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    is_closed(&mut connect(gateway.port).await).await;
    metric(&gateway, &closed_for("full", 1)).await;
    open_connections(&gateway, 4).await;

    let (gateway, _recorder) = start("connections_per_address_max = 3").await;
    let mut held: Vec<_> = Vec::new();
    for port in [gateway.port, gateway.tls_port(), gateway.port] {
        held.push(connect(port).await);
    }
    open_connections(&gateway, 3).await;
    is_closed(&mut connect(gateway.port).await).await;
    is_closed(&mut connect(gateway.tls_port()).await).await;
    metric(&gateway, &closed_for("per_address", 2)).await;
    drop(held.pop());
    open_connections(&gateway, 2).await;
    assert!(is_served(&mut connect(gateway.port).await).await);

    let behind_proxy = "connections_per_address_max = 1\ntrusted_proxies = [\"127.0.0.1\"]";
    let (gateway, _recorder) = start(behind_proxy).await;
    let mut held = [connect(gateway.port).await, connect(gateway.port).await];
    assert!(is_served(&mut held[0]).await && is_served(&mut held[1]).await);
}

#[tokio::test]
async fn a_handshake_has_a_time_limit() {
    let _case = case(
        "L16",
        "a client that stops in the middle of a TLS handshake, or after it before it has said that it speaks HTTP/2, is \
         cut at server.header_timeout",
    );
    let (gateway, _recorder) = start("header_timeout = \"300ms\"").await;
    let hello = ClientHello { name: Some(b"gw.test"), ..ClientHello::default() }.record();
    for (what, bytes) in [
        ("nothing", &[][..]),
        ("half a record", &hello[..3]),
        ("half a hello", &hello[..60]),
        ("a hello", &hello),
    ] {
        let mut stream = connect(gateway.tls_port()).await;
        stream.write_all(bytes).await.unwrap();
        is_closed(&mut stream).await;
        open_connections(&gateway, 0).await;
        assert!(gateway.process.log().lines().all(|line| !line.contains("panicked")), "{what}");
    }
    metric(&gateway, &closed_for("handshake", 4)).await;
    for bytes in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let hello = Hello::to("gw.test").alpn(&["h2"]);
        let mut connection = TlsConnection::open(&gateway, hello).await.unwrap();
        connection.stream.write_all(bytes).await.unwrap();
        connection.stream.flush().await.unwrap();
        open_connections(&gateway, 0).await;
    }
}

/// An answer larger than every buffer on its way.
fn large_answer() -> Vec<u8> {
    let length = 64 << 20;
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes(), vec![b'x'; length]].concat()
}

#[tokio::test]
async fn who_does_not_take_the_answer_is_cut() {
    let _case = case(
        "L03",
        "a client that does not read its answer, or gives an HTTP/2 stream no window for it, loses the connection or \
         the stream at server.write_timeout",
    );
    let (gateway, recorder) = start("write_timeout = \"500ms\"").await;
    recorder.answer_with(large_answer());
    let mut plain = connect(gateway.port).await;
    plain.write_all(GET).await.unwrap();
    let mut tls = TlsConnection::open(&gateway, Hello::to("gw.test")).await.unwrap();
    tls.stream.write_all(GET).await.unwrap();
    tls.stream.flush().await.unwrap();
    while recorder.seen().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    open_connections(&gateway, 0).await;

    // No window for the stream, then one for each stream and none for the connection beyond the first 64 KiB.
    for windows in [0, 1 << 30] {
        let mut raw = Raw::connect(&gateway, &[(4, windows)]).await;
        raw.headers(1, true, &get()).await;
        assert!(raw.read_until(|frame| frame.kind == HEADERS).await.is_some());
        let end = raw.read_until(|frame| frame.kind == RST_STREAM).await;
        assert!(end.is_some(), "the stream ends, and the connection may go on");
    }
    // Windows without end, but nothing is read from the socket.
    let mut raw = Raw::connect(&gateway, &[(4, 0x7fff_ffff)]).await;
    raw.write(h2::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]).await;
    raw.headers(1, true, &get()).await;
    open_connections(&gateway, 0).await;
}

fn get() -> [(&'static [u8], &'static [u8]); 4] {
    [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"gw.test"), (b":path", b"/public/x")]
}
