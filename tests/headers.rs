//! What a service may believe of where a request came from.

use crate::harness::{Config, Gateway, Recorder, SHOP, exchange, gateway, h2};

#[tokio::test]
async fn where_a_request_came_from_is_told_by_the_gateway_alone() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let hearsay = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Uri",
        "X_Forwarded_For",
        "X.Forwarded.Proto",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Original-URI",
        "X-Rewrite-URL",
        "Forwarded",
        "X-Request-Id",
    ];
    let mut request = "GET /public/x HTTP/1.1\r\nHost: GW.test:8080\r\nUser-Agent: test\r\n".to_owned();
    for name in hearsay {
        request.push_str(&format!("{name}: 10.0.0.1evil\r\n"));
    }
    let answer = exchange(gateway.port, format!("{request}\r\n")).await;
    let seen = recorder.last();
    assert!(!seen.head.contains("evil"), "{}", seen.head);
    assert_eq!(seen.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen.one("x-real-ip"), "127.0.0.1");
    assert_eq!(seen.one("x-forwarded-proto"), "http");
    assert_eq!(seen.one("x-forwarded-host"), "gw.test:8080");
    assert_eq!(seen.one("host"), "gw.test:8080");
    assert_eq!(seen.one("user-agent"), "test");
    let id = seen.one("x-request-id");
    assert!(answer.contains(&format!("X-Request-Id: {id}")), "{answer}");
}

#[tokio::test]
async fn a_believed_proxy_tells_the_client_and_the_request_id() {
    let recorder = Recorder::start().await;
    let config =
        Config::new(recorder.port, gateway::ROUTES).with("[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n");
    let gateway = Gateway::start(config).await;
    let request = gateway.get("/public/x").header("X-Forwarded-For", "1.1.1.1, 203.0.113.7, 127.0.0.9");
    let request = request.header("X-Forwarded-Proto", "https").header("X-Request-Id", "nginx-1");
    assert_eq!(request.send().await.unwrap().status(), 200);
    let seen = recorder.last();
    assert_eq!(seen.one("x-real-ip"), "203.0.113.7");
    assert_eq!(seen.one("x-forwarded-for"), "203.0.113.7, 127.0.0.1");
    assert_eq!(seen.one("x-forwarded-proto"), "https");
    assert_eq!(seen.one("x-request-id"), "nginx-1");
}

#[tokio::test]
async fn a_request_of_http2_reaches_the_service_like_any_other() {
    let (gateway, recorder) = Gateway::with_tls_before_recorder().await;
    let token = format!("Bearer {}", gateway.log_in(&SHOP, "alice").await);
    gateway.get_as(token.trim_start_matches("Bearer "), "/api/x").await;
    let openid = recorder.last().one("x-wx-openid").to_owned();
    let client = h2::Client::connect(&gateway).await;
    let headers = [
        ("authorization", &*token),
        ("x-wx-openid", "evil"),
        ("x_wx_openid", "evil"),
        ("x-forwarded-proto", "http"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];
    let trailers = [("x-wx-openid", "evil"), ("x-sum", "1")];
    let answer = client.send("POST", "/api/a%62?c=%64", &headers, Some(b"body"), &trailers).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{\"ok\":true}"[..]));
    let seen = recorder.last();
    assert_eq!((seen.request_line(), &seen.body[..]), ("POST /api/ab?c=%64 HTTP/1.1", &b"body"[..]));
    assert_eq!((seen.one("host"), seen.one("cookie")), ("gw.test", "a=1; b=2"));
    assert_eq!((seen.one("x-wx-openid"), seen.one("x-forwarded-proto")), (&*openid, "https"));
    assert!(
        !seen.head.contains("evil") && seen.all("x-sum").is_empty() && seen.all("authorization").is_empty()
    );
    // Nothing of the trailers is left over on the service's connection, to become the start of the next request.
    assert_eq!(client.get("/public/next", &[]).await.unwrap().status, 200);
    assert_eq!(recorder.last().request_line(), "GET /public/next HTTP/1.1");
}
