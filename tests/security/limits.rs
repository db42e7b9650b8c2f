//! Group L: what one client may take of time, memory and connections.

use std::collections::BTreeSet;

use super::case;
use super::framing::{LAST, statuses};
use crate::harness::gateway::ROUTES;
use crate::harness::{Config, Connection, Gateway, Recorder, exchange, exchange_all};

const SMALL: &str = r#"
[[route]]
path = "/small/*"
upstream = "service"
auth = "none"
body_bytes_max = "1KiB"
"#;

async fn start(head: &str) -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    (Gateway::start(Config::new(recorder.port, &format!("{ROUTES}{SMALL}")).with(head)).await, recorder)
}

#[tokio::test]
async fn a_head_has_a_time_and_a_size() {
    let (gateway, recorder) = start("[server]\nheader_timeout = \"1s\"\nheader_bytes_max = \"8KiB\"\n").await;
    {
        let _case = case(
            "L01",
            "a head that comes slowly is refused when its time is over, on a new connection and on a kept one",
        );
        for (before, expected) in
            [("", &[408][..]), ("GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n", &[200, 408])]
        {
            let mut client = Connection::open(gateway.port).await;
            client.send(format!("{before}GET /public/slow HTTP/1.1\r\n")).await;
            // A little now and then buys no more time.
            let dripping = async {
                loop {
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                    client.send("X").await;
                }
            };
            let dripped = tokio::time::timeout(std::time::Duration::from_secs(2), dripping).await;
            assert!(dripped.is_err());
            let answers = client.rest().await;
            assert_eq!(statuses(&answers), expected, "{answers}");
        }
        // Who says nothing at all is left without a word.
        assert_eq!(Connection::open(gateway.port).await.rest().await, "");
        assert!(recorder.seen().iter().all(|seen| seen.target() == "/public/x"));
        gateway.process.wait_for_line(|line| line.contains("head_timeout")).await;
    }
    {
        let large = |bytes: usize| {
            format!("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX-A: {}\r\n\r\n{LAST}", "a".repeat(bytes))
        };
        assert_eq!(statuses(&exchange_all(gateway.port, large(8 * 1024 - 100)).await), [200, 200]);
        for bytes in [8 * 1024, 64 * 1024, 2 << 20] {
            assert_eq!(statuses(&exchange_all(gateway.port, large(bytes)).await), [431], "{bytes}");
        }
        gateway.process.wait_for_line(|line| line.contains("head_too_large")).await;
    }
    {
        let _case = case(
            "L08",
            "a token of a million dots or a login of ten thousand brackets is refused for its size, not worked on",
        );
        let dots = |count: usize| {
            format!(
                "GET /api/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {}\r\n\r\n",
                ".".repeat(count)
            )
        };
        assert_eq!(statuses(&exchange(gateway.port, dots(7000)).await), [401]);
        assert_eq!(statuses(&exchange_all(gateway.port, dots(1_000_000)).await), [431]);
        let deep = format!("{{\"code\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let answer = gateway
            .post("/login")
            .header("content-type", "application/json")
            .body(deep)
            .send()
            .await
            .unwrap();
        assert!(matches!(answer.status().as_u16(), 400 | 413), "{}", answer.status());
        assert_eq!(gateway.simulator.exchanges().await, 0);
    }
}

#[tokio::test]
async fn a_body_has_a_time_and_a_size() {
    let (gateway, recorder) = start("[server]\nread_timeout = \"1s\"\n").await;
    let post = |path: &str, rest: &str| format!("POST {path} HTTP/1.1\r\nHost: gw.test\r\n{rest}");
    {
        let _case =
            case("L02", "a body that stands still ends its request, at the gateway and at the service");
        let answers = exchange_all(gateway.port, post("/public/x", "Content-Length: 10\r\n\r\nhello")).await;
        assert_eq!(statuses(&answers), [408], "{answers}");
        assert!(answers.contains("body_timeout"));
        let chunked = post("/public/x", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        assert_eq!(statuses(&exchange_all(gateway.port, chunked).await), [408]);
        recorder.until(|recorder| recorder.ended() == 2).await;
    }
    {
        let _case = case(
            "L05",
            "an announced body that never comes is waited for no longer than any other, and its place is free again",
        );
        let answers = exchange_all(gateway.port, post("/public/x", "Content-Length: 1000000\r\n\r\n")).await;
        assert_eq!(statuses(&answers), [408], "{answers}");
        let answers = exchange_all(gateway.port, post("/login", "Content-Length: 100\r\n\r\n{")).await;
        assert_eq!(statuses(&answers), [408], "{answers}");
        recorder.until(|recorder| recorder.ended() == recorder.connections()).await;
    }
    assert!(recorder.seen().is_empty(), "the service was given a whole request: {:?}", recorder.seen());
    {
        let _case = case(
            "L06",
            "a body over its route's limit is refused, announced or not, and the service is given no whole request",
        );
        let announced = post("/small/x", &format!("Content-Length: 1025\r\n\r\n{}", "a".repeat(1025)));
        let connections = recorder.connections();
        let answers = exchange_all(gateway.port, announced).await;
        assert_eq!(statuses(&answers), [413], "{answers}");
        assert_eq!(recorder.connections(), connections);
        let chunk = format!("400\r\n{}\r\n", "a".repeat(1024));
        let arriving =
            post("/small/x", &format!("Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"));
        let answers = exchange_all(gateway.port, arriving).await;
        assert_eq!(statuses(&answers), [413], "{answers}");
        recorder.until(|recorder| recorder.ended() == recorder.connections()).await;
        assert!(recorder.seen().is_empty(), "the service was given a whole request: {:?}", recorder.seen());
        let fits = post("/small/x", &format!("Content-Length: 1024\r\n\r\n{}", "a".repeat(1024)));
        assert_eq!(statuses(&exchange(gateway.port, fits).await), [200]);
    }
}

#[tokio::test]
async fn a_refused_upload_is_not_read_to_its_end() {
    let _case = case("L04", "a refused upload of 10 GiB is answered at once and read for a moment only");
    let (gateway, recorder) = Gateway::before_recorder().await;
    let mut client = Connection::open(gateway.port).await;
    client
        .send(format!("POST /api/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {}\r\n\r\n", 10_u64 << 30))
        .await;
    let sent = client.send_until_closed(&[b'a'; 64 * 1024]).await;
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert_eq!(statuses(&client.rest().await), [401]);
    assert_eq!(recorder.connections(), 0);
}

#[tokio::test]
async fn what_clients_make_up_becomes_no_metric() {
    let _case = case(
        "L18",
        "labels of metrics come from the config: made-up paths, hosts, methods and codes add none",
    );
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let series = async || {
        let metrics = gateway.metrics().await;
        metrics.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let ask = async |n: usize| {
        let requests = [
            format!("GET /nowhere/{n} HTTP/1.1\r\nHost: gw.test\r\n\r\n"),
            format!("GET /public/{n} HTTP/1.1\r\nHost: h{n}.test\r\n\r\n"),
            format!("M{n} /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n"),
            format!("GET /api/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {n}.{n}.{n}\r\n\r\n"),
            format!("GET /public/x\u{b}{n} HTTP/1.1\r\nHost: gw.test\r\n\r\n"),
        ];
        for request in requests {
            exchange(gateway.port, request).await;
        }
    };
    ask(0).await;
    // A request is counted when its answer is out.
    let mut before = series().await;
    while !before.iter().any(|series| series.contains("status=\"400\"")) {
        before = series().await;
    }
    for n in 1..100 {
        ask(n).await;
    }
    assert_eq!(series().await, before);
}
