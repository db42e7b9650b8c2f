//! When a service fails: who is told what, and what is asked again.

use crate::harness::{Config, Connection, Gateway, Recorder, Script, exchange, exchange_all, gateway};

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

/// The service closes a connection that it kept alive for one answer, as soon as it has done this with the next request.
async fn with_a_kept_connection(recorder: &Recorder, gateway: &Gateway, then: Script) {
    recorder.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(gateway.get("/public/warm").send().await.unwrap().status(), 200);
    recorder.play_once(then.close());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_continued_with_another() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let other = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nother\r\n0\r\n\r\n";
    for (framing, body) in [("Transfer-Encoding: chunked", "3\r\none\r\n"), ("Content-Length: 8", "one")] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}");
        with_a_kept_connection(&recorder, &gateway, Script::after_body().send(answer)).await;
        recorder.answer_with(other);
        let answered =
            exchange_all(gateway.port, "GET /public/breaks HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
        let got = answered.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(got, body, "{framing}");
    }
    let asked = recorder.seen().iter().filter(|seen| seen.target() == "/public/breaks").count();
    assert_eq!(asked, 2, "each was asked once");
}

#[tokio::test]
async fn a_request_whose_client_failed_is_not_sent_again() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let head = "GET /public/fails HTTP/1.1\r\nHost: gw.test\r\n";
    for (request, then) in [("\r\n", None), ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Some("z\r\n"))]
    {
        recorder.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(gateway.get("/public/warm").send().await.unwrap().status(), 200);
        let (seen, ended) = (recorder.connections(), recorder.ended());
        recorder.play(Script::after_head().silence());
        let before = recorder.seen().len();
        let mut client = Connection::open(gateway.port).await;
        client.send(format!("{head}{request}")).await;
        recorder.until(|recorder| recorder.seen().len() > before).await;
        if let Some(then) = then {
            client.send(then).await;
            assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
        }
        drop(client);
        recorder.until(|recorder| recorder.ended() > ended).await;
        // Whatever else is asked comes after it.
        recorder.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(gateway.get("/public/last").send().await.unwrap().status(), 200);
        assert_eq!(recorder.connections(), seen + 1, "one for the last request");
    }
    assert_eq!(recorder.seen().iter().filter(|seen| seen.target() == "/public/fails").count(), 2);
}

#[tokio::test]
async fn a_body_that_is_sent_again_counts_once() {
    let recorder = Recorder::start().await;
    let route = "[[route]]\npath = \"/public/*\"\nupstream = \"service\"\nauth = \"none\"\nbody_bytes_max = \"1KiB\"\n";
    let gateway = Gateway::start(Config::new(recorder.port, route)).await;
    with_a_kept_connection(&recorder, &gateway, Script::after_body()).await;
    let body = "x".repeat(700);
    let request = format!("GET /public/again HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 700\r\n\r\n{body}");
    let answer = exchange(gateway.port, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(recorder.last().body, body.as_bytes());
    assert_eq!(recorder.seen().iter().filter(|seen| seen.target() == "/public/again").count(), 2);
}

#[tokio::test]
async fn what_fails_after_100_continue_is_told() {
    let recorder = Recorder::start().await;
    let route = "[[route]]\npath = \"/public/*\"\nupstream = \"service\"\nauth = \"none\"\nbody_bytes_max = \"1KiB\"\n";
    let gateway = Gateway::start(Config::new(recorder.port, route)).await;
    let head = "POST /public/x HTTP/1.1\r\nHost: gw.test\r\nExpect: 100-continue\r\n";
    let go_on = || Script::after_head().send("HTTP/1.1 100 Continue\r\n\r\n");
    let too_large = format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(2048));
    for (then, body, reason) in [
        (go_on().close(), "", "502 Bad Gateway\r\nX-Wxgate-Error: upstream_failed"),
        (go_on(), "z\r\n", "400 Bad Request\r\nX-Wxgate-Error: bad_framing"),
        (go_on(), &too_large, "413 Payload Too Large\r\nX-Wxgate-Error: body_too_large"),
    ] {
        recorder.play_once(then);
        let mut client = Connection::open(gateway.port).await;
        let interim = client.ask(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
        assert!(interim.starts_with("HTTP/1.1 100 Continue\r\n"), "{interim}");
        client.send(body).await;
        let told = interim + &client.rest().await;
        assert!(told.contains(&format!("HTTP/1.1 {reason}")), "{told}");
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_one_answer() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    recorder.answer_with(format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let ask = async |version: &str| {
        let request = format!("GET /public/x HTTP/{version}\r\nHost: gw.test\r\nConnection: close\r\n\r\n");
        exchange_all(gateway.port, request).await
    };
    assert!(ask("1.1").await.starts_with("HTTP/1.1 103 "));
    assert!(ask("1.0").await.starts_with("HTTP/1.1 200 "));
}
