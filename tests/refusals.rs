//! Requests that are none: a clear refusal, one request at most, nothing at the service.

use crate::harness::{Config, Gateway, Recorder, exchange_all, gateway};

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let recorder = Recorder::start().await;
    let routes = format!(
        "{}\n[[route]]\npath = \"/small/*\"\nupstream = \"service\"\nauth = \"none\"\nbody_bytes_max = \"1KiB\"\n",
        gateway::ROUTES
    );
    let gateway = Gateway::start(Config::new(recorder.port, &routes)).await;
    let announced = gateway.post("/small/x").body("a".repeat(1025)).send().await.unwrap();
    assert_eq!(
        (announced.status().as_u16(), &announced.headers()["x-wxgate-error"]),
        (413, &"body_too_large".parse().unwrap())
    );
    assert!(recorder.seen().is_empty());
    let chunk = format!("400\r\n{}\r\n", "a".repeat(1024));
    let head = "POST /small/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let arriving = exchange_all(gateway.port, format!("{head}{chunk}{chunk}0\r\n\r\n")).await;
    assert!(arriving.starts_with("HTTP/1.1 413"), "{arriving}");
    assert!(recorder.seen().is_empty(), "the service was given a whole request: {:?}", recorder.last().head);
    assert_eq!(gateway.post("/small/x").body("a".repeat(1024)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_head_has_a_largest_size_and_a_longest_time() {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES);
    let gateway =
        Gateway::start(config.with("[server]\nheader_timeout = \"1s\"\nheader_bytes_max = \"8KiB\"\n")).await;
    let large = format!("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX-A: {}\r\n\r\n", "a".repeat(64 * 1024));
    let answer = exchange_all(gateway.port, large).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    // The first head and the next one on a kept-alive connection, each begun and never ended.
    for begin in ["", "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n"] {
        let answer =
            exchange_all(gateway.port, format!("{begin}GET /public/slow HTTP/1.1\r\nHost: gw")).await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), usize::from(!begin.is_empty()), "{answer}");
        assert!(answer.contains("HTTP/1.1 408") && answer.contains("head_timeout"), "{answer}");
    }
    assert!(recorder.seen().iter().all(|seen| seen.target() == "/public/x"));
    let long = format!("/public/{}", "a".repeat(9000));
    let config = Config::new(recorder.port, gateway::ROUTES);
    let gateway = Gateway::start(config).await;
    assert_eq!(gateway.get(&long).send().await.unwrap().status(), 414);
}

#[tokio::test]
async fn a_service_that_fails_is_told_apart_from_one_that_is_not_there() {
    let dead = crate::harness::free_port();
    let gateway = Gateway::start(Config::new(dead, gateway::ROUTES)).await;
    let answer = gateway.get("/public/x").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-wxgate-error"]),
        (503, &"upstream_unavailable".parse().unwrap())
    );

    assert_eq!(answer.headers()["retry-after"], "1");
    assert!(answer.headers().contains_key("x-request-id"));

    let recorder = Recorder::start().await;
    let mut config = Config::new(recorder.port, gateway::ROUTES);
    config.upstreams.push_str("read_timeout = \"500ms\"\n");
    let gateway = Gateway::start(config).await;
    for (answer, status, reason) in [
        ("", 504, "upstream_timeout"),
        ("garbage\r\n\r\n", 502, "upstream_failed"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            502,
            "upstream_failed",
        ),
    ] {
        recorder.answer_with(answer);
        let answered = gateway.get("/public/x").send().await.unwrap();
        let found = answered.headers().get("x-wxgate-error").map(|code| code.to_str().unwrap().to_owned());
        assert_eq!((answered.status().as_u16(), found.as_deref()), (status, Some(reason)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_done_is_not_sent_again() {
    let recorder = Recorder::start().await;
    let mut config = Config::new(recorder.port, gateway::ROUTES);
    config.upstreams.push_str("tries = 5\n");
    let gateway = Gateway::start(config).await;
    for (method, most) in [("GET", 2), ("DELETE", 1), ("PUT", 1), ("POST", 1)] {
        // A kept-alive connection is there, and the service closes it when the next request has come.
        recorder.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(gateway.get("/public/warm").send().await.unwrap().status(), 200);
        recorder.answer_with("CLOSE");
        let answer =
            gateway.client.request(method.parse().unwrap(), gateway.url("/public/die")).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-wxgate-error"]),
            (502, &"upstream_failed".parse().unwrap()),
            "{method}"
        );
        let sent = recorder
            .seen()
            .iter()
            .filter(|seen| seen.request_line().starts_with(&format!("{method} /public/die")))
            .count();
        assert!((1..=most).contains(&sent), "{method} was sent {sent} times");
    }
    assert!(gateway.process.log().contains("the upstream failed"));
}

#[tokio::test]
async fn a_clients_broken_body_is_the_clients_mistake() {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES).with("[server]\nread_timeout = \"500ms\"\n");
    let gateway = Gateway::start(config).await;
    let head = "POST /public/x HTTP/1.1\r\nHost: gw.test\r\n";
    for (rest, status, reason) in [
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", 400, "bad_framing"),
        ("Content-Length: 10\r\n\r\nhello", 408, "body_timeout"),
    ] {
        let answer = exchange_all(gateway.port, format!("{head}{rest}")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(reason),
            "{rest:?}: {answer}"
        );
    }
}
