//! What a service may believe: nobody but the gateway tells it who calls.

use crate::harness::{Config, Gateway, Recorder, SHOP, exchange, gateway, h2};

/// Names that PHP, WSGI and the like read as `X-WX-OPENID`, and those that WeChat's platforms use beside it.
const SPELLINGS: [&str; 14] = [
    "X-WX-OPENID",
    "x-wx-openid",
    "X_WX_OPENID",
    "X-WX_OPENID",
    "x_wx-openid",
    "X.WX.OPENID",
    "X~WX~OPENID",
    "X'WX'OPENID",
    "X!WX-OPENID",
    "XWXOPENID",
    "_X-WX-OPENID_",
    "X-WX-FROM-OPENID",
    "X-WX-UNIONID",
    "X-WX-SOURCE",
];

#[tokio::test]
async fn no_spelling_of_an_identity_gets_through_on_any_route() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    gateway.get_as(&token, "/api/x").await;
    let openid = recorder.last().one("x-wx-openid").to_owned();
    for path in ["/api/x", "/opt/x", "/public/x", "/lenient/x"] {
        for bearer in [Some(&token), None] {
            if path == "/api/x" && bearer.is_none() {
                continue;
            }
            let mut request = format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n");
            for name in SPELLINGS {
                request.push_str(&format!("{name}: evil\r\n{name}: evil, {openid}\r\n"));
            }
            if let Some(token) = bearer {
                request.push_str(&format!("Authorization: Bearer {token}\r\n"));
            }
            let answer = exchange(gateway.port, format!("{request}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            let seen = recorder.last();
            assert!(!seen.head.contains("evil"), "{path}:\n{}", seen.head);
            let knows = bearer.is_some() && path != "/public/x";
            let folded = seen.folded().contains_key("X_WX_OPENID");
            assert_eq!(folded, knows, "{path}:\n{}", seen.head);
            assert_eq!(seen.all("x-wx-source").len(), usize::from(knows), "{path}");
            if knows {
                assert_eq!(seen.one("x-wx-openid"), openid);
            }
        }
    }
}

#[tokio::test]
async fn a_connection_header_cannot_take_the_identity_away() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    for connection in
        ["X-WX-OPENID", "close, x-wx-openid", "keep-alive, X-WX-APPID", "X-Request-Id", "Authorization"]
    {
        let request = format!(
            "GET /api/x HTTP/1.1\r\nHost: gw.test\r\nConnection: {connection}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let answer = exchange(gateway.port, request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{connection}: {answer}");
        let seen = recorder.last();
        for name in ["x-wx-openid", "x-wx-appid", "x-request-id", "x-forwarded-for"] {
            seen.one(name);
        }
        assert!(
            seen.all("connection").iter().all(|value| value.eq_ignore_ascii_case("keep-alive")),
            "{}",
            seen.head
        );
    }
}

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
async fn the_names_are_the_configs_and_each_is_protected() {
    let recorder = Recorder::start().await;
    let identity =
        "[identity]\nopenid = \"X-User-Id\"\nenv_value = \"prod\"\nalso_protected = [\"X-User-Name\"]\n";
    let gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with(identity)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let request =
        gateway.get("/api/x").bearer_auth(&token).header("X_User.Id", "evil").header("X.User_Name", "evil");
    assert_eq!(request.header("X-WX-OPENID", "evil").send().await.unwrap().status(), 200);
    let seen = recorder.last();
    assert!(!seen.head.contains("evil"), "{}", seen.head);
    assert!(seen.one("x-user-id").starts_with('o'));
    assert_eq!(seen.one("x-wx-env"), "prod");
    assert_eq!(seen.one("x-wx-appid"), SHOP.appid);
}

#[tokio::test]
async fn a_service_cannot_speak_for_the_gateway() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    recorder.answer_with(
        "HTTP/1.1 401 Unauthorized\r\nX-WX-OPENID: oB\r\nx_wx_openid: oB\r\nX-Wxgate-Error: token_expired\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\n{}",
    );
    let answer = gateway.get("/public/x").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let names: Vec<_> = answer.headers().keys().map(|name| name.as_str()).collect();
    assert!(!names.iter().any(|name| name.contains("wx")), "{names:?}");
    assert_eq!(answer.headers()["set-cookie"], "a=1");
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
