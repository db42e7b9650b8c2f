//! Group B: header lines that are none, values that are no text, and names that the gateway itself uses.

use super::case;
use super::fixture::Fixture;
use crate::harness::{Config, Gateway, Outcome, Recorder, exchange_all, gateway};

/// Requests to a public route whose head holds these bytes after the `Host` line.
async fn with_lines(front: &Fixture, lines: &[u8]) -> Outcome {
    front.send([b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n", lines, b"\r\n"].concat()).await
}

async fn refuses(front: &Fixture, all: &[&[u8]]) {
    for lines in all {
        let outcome = with_lines(front, lines).await;
        assert_eq!(outcome.way(), (400, None), "{}", lines.escape_ascii());
    }
}

#[tokio::test]
async fn a_line_that_is_no_header_is_refused() {
    let front = Fixture::start(gateway::ROUTES).await;
    {
        let _case = case("B16", "a folded line is refused: to some readers it is a header of its own");
        refuses(
            &front,
            &[
                b"X-Foo: a\r\n X-WX-OPENID: evil\r\n",
                b"X-Foo: a\r\n\tX-WX-OPENID: evil\r\n",
                b"Authorization: Bearer\r\n x\r\n",
                b"X-Foo:\r\n a\r\n",
            ],
        )
        .await;
        let folded_host = front.send("GET /public/x HTTP/1.1\r\nHost: gw\r\n .test\r\n\r\n").await;
        assert_eq!(folded_host.way(), (400, None));
    }
    {
        let _case = case(
            "B17",
            "a bare CR or LF and a NUL are refused: no reader may see a line where another sees none",
        );
        refuses(
            &front,
            &[
                b"X-Foo: a\rX-WX-OPENID: evil\r\n",
                b"X-Foo: a\nX-WX-OPENID: evil\r\n",
                b"X-Foo: a\x00b\r\n",
                b"X-Foo: a\n",
                b"\nX-Foo: a\r\n",
            ],
        )
        .await;
        let bare = front.send("GET /public/x HTTP/1.1\nHost: gw.test\n\n").await;
        assert_eq!(bare.way(), (400, None));
    }
    {
        let _case = case("B27", "a header without a name, a colon or with a space before it is refused");
        refuses(
            &front,
            &[
                b": x\r\n",
                b"X-WX-OPENID : evil\r\n",
                b"X-WX-OPENID\t: evil\r\n",
                b"X-WX-OPENID\r\n",
                b"X WX: evil\r\n",
                b"X-\xc3\xa9: evil\r\n",
                b"X(WX): evil\r\n",
            ],
        )
        .await;
        let first = front.send("GET /public/x HTTP/1.1\r\n X-Y: z\r\nHost: gw.test\r\n\r\n").await;
        assert_eq!(first.way(), (400, None));
    }
}

#[tokio::test]
async fn a_value_that_is_no_text_opens_nothing() {
    let _case =
        case("B18", "a credential or a host with bytes that are no text is a bad one, never a missing one");
    let front = Fixture::start(gateway::ROUTES).await;
    for path in ["/api/x", "/opt/x"] {
        for value in [&b"Bearer \xff"[..], b"\xff", b"Bearer a.\x80.c", b"Basic \xfe"] {
            let request = [
                b"GET ",
                path.as_bytes(),
                b" HTTP/1.1\r\nHost: gw.test\r\nAuthorization: ",
                value,
                b"\r\n\r\n",
            ];
            let outcome = front.send(request.concat()).await;
            let expected = ((401, None), Some("token_malformed"));
            assert_eq!((outcome.way(), outcome.error()), expected, "{path} {}", value.escape_ascii());
        }
    }
    let host = front.send(b"GET /public/x HTTP/1.1\r\nHost: gw.te\xffst\r\n\r\n").await;
    assert_eq!((host.way(), host.error()), ((400, None), Some("bad_host")));
    let other = with_lines(&front, b"X-Ver: \xff\x80\r\n").await;
    assert_eq!(other.way(), (200, Some("/public/x")), "it is the service's own business");
    let received = front.recorder.received().concat();
    assert!(received.windows(3).any(|bytes| bytes == b" \xff\x80"), "{}", received.escape_ascii());
}

#[tokio::test]
async fn a_service_cannot_speak_for_the_gateway() {
    let _case = case(
        "B22",
        "identity headers and the gateway's own error header are stripped from a service's answer",
    );
    let (gateway, recorder) = Gateway::before_recorder().await;
    recorder.answer_with(
        "HTTP/1.1 401 Unauthorized\r\nX-WX-OPENID: oB\r\nx_wx_openid: oB\r\nX-WX-SESSION-KEY: k\r\n\
         X-Wxgate-Error: token_expired\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\n{}",
    );
    let answer = gateway.get("/public/x").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let names: Vec<_> = answer.headers().keys().map(|name| name.as_str()).collect();
    assert!(!names.iter().any(|name| name.contains("wx")), "{names:?}");
    assert_eq!(answer.headers()["set-cookie"], "a=1");
}

#[tokio::test]
async fn no_header_stands_for_what_the_gateway_decided() {
    let _case = case(
        "B23",
        "no decision is read from a header: what a client says of the path, route or caller is nothing",
    );
    let front = Fixture::start(gateway::ROUTES).await;
    let names = [
        "X-Gateway-Original-Path",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-Uri",
        "X-Forwarded-Prefix",
        "X-Wxgate-Route",
        "X-Wxgate-Path",
        "X-Wxgate-Caller",
        "X-Route",
        "X-Auth",
        "X-Authenticated",
    ];
    let lines: String = names.iter().map(|name| format!("{name}: /public\r\n")).collect();
    for (path, status) in [("/api/secret", 401), ("/internal/x", 403), ("/nowhere", 404)] {
        let outcome = front.send(format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n")).await;
        assert_eq!(outcome.way(), (status, None), "{path}");
    }
    let seen = with_lines(&front, lines.as_bytes()).await.seen.expect("it comes through");
    assert!(!seen.head.to_lowercase().contains("wxgate"), "{}", seen.head);
}

#[tokio::test]
async fn a_head_has_a_largest_size() {
    let _case = case("B29", "too many or too large headers are refused, and cost no memory");
    let front = Fixture::start(gateway::ROUTES).await;
    let before = front.gateway.process.resident_bytes();
    let many: String = (0..257).map(|n| format!("x-{n}: a\r\n")).collect();
    let one = format!("X-Large: {}\r\n", "a".repeat(100 << 10));
    let all = format!("X-Large: {}\r\n", "a".repeat(11 << 10)).repeat(100);
    for _ in 0..10 {
        for lines in [&many, &one, &all] {
            let request = format!("GET /public/x HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n");
            let status = Outcome::told(exchange_all(front.gateway.port, request).await).status;
            // Over the limit of the whole head, that may be the end of the connection.
            let refused = matches!(status, 400 | 431);
            assert!(refused, "{status} for {} bytes", lines.len());
        }
    }
    assert!(front.recorder.received().is_empty(), "something reached the service");
    let grown = front.gateway.process.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}

#[tokio::test]
async fn a_request_id_is_short_and_plain_or_the_gateways_own() {
    let _case = case(
        "B32",
        "a request id is taken over from a trusted proxy only, and only if it is short and has no character that could mean anything in a log",
    );
    let recorder = Recorder::start().await;
    let trusting = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let trusting = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with(trusting)).await;
    let wary = Gateway::start(Config::new(recorder.port, gateway::ROUTES)).await;
    let long = "a".repeat(65);
    let longer = "a".repeat(30 << 10);
    for (id, taken) in [
        ("0af7651916cd43dd-8448.eb_2", true),
        (&long[1..], true),
        (&long, false),
        (&longer, false),
        ("a\"b", false),
        ("a b", false),
        ("a\\nb", false),
        ("a\u{e9}", false),
        ("<script>", false),
        ("", false),
    ] {
        for (gateway, taken) in [(&trusting, taken), (&wary, false)] {
            let request = format!("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX-Request-Id: {id}\r\n\r\n");
            let outcome = Outcome::of(gateway, &recorder, request).await;
            let told = outcome.header("x-request-id").expect("an id").to_owned();
            assert_eq!(told == id, taken, "{id:?} became {told:?}");
            assert!(told.len() <= 64, "{told}");
            assert_eq!(outcome.seen.expect("it comes through").one("x-request-id"), told);
        }
    }
}
