//! Group B: headers that end with one connection, and what a client may do with them.

use super::case;
use super::fixture::Fixture;
use crate::harness::{Outcome, gateway};

/// A GET as a user who is logged in, with more header lines.
async fn get(front: &Fixture, path: &str, lines: &str) -> Outcome {
    let token = front.token().await;
    front
        .send(format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\n{lines}\r\n"))
        .await
}

#[tokio::test]
async fn a_connection_header_cannot_take_the_identity_away() {
    let _case = case("B12", "what `Connection` names is the client's: the gateway's own headers stay");
    let front = Fixture::start(gateway::ROUTES).await;
    for lines in [
        "Connection: X-WX-OPENID\r\n",
        "connection: close, x-wx-openid\r\n",
        "Connection: keep-alive\r\nConnection: X-WX-OPENID\r\n",
        "Connection: X-WX-APPID, keep-alive\r\n",
        "Connection: X-Request-Id, X-Real-IP, X_WX_OPENID\r\n",
    ] {
        let seen = get(&front, "/api/x", lines).await.seen.unwrap_or_else(|| panic!("{lines:?} is refused"));
        let names =
            ["x-wx-openid", "x-wx-appid", "x-wx-source", "x-request-id", "x-real-ip", "x-forwarded-for"];
        for name in names {
            seen.one(name);
        }
        assert!(!seen.all("connection").concat().to_lowercase().contains('x'), "{}", seen.head);
    }
}

#[tokio::test]
async fn a_connection_header_names_few_fields_and_none_that_matters() {
    let _case = case(
        "B13",
        "a `Connection` that names a field which must reach the service, no field at all or too many is refused",
    );
    let front = Fixture::start(gateway::ROUTES).await;
    let many = (0..300).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(", ");
    for named in [
        "Host",
        "close, hOST",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        ":authority",
        ":path",
        "\"X-WX-OPENID\"",
        "x y",
        "x\u{e9}",
        &many,
    ] {
        let outcome = get(&front, "/api/x", &format!("Connection: {named}\r\n")).await;
        assert_eq!((outcome.way(), outcome.error()), ((400, None), Some("bad_connection")), "{named}");
    }
    let lines = "Connection: a\r\n".repeat(10);
    assert_eq!(
        get(&front, "/api/x", &lines).await.error(),
        Some("bad_connection"),
        "one in each of ten lines"
    );

    for (named, framing, body) in [
        ("Content-Length", "Content-Length: 5", "hello"),
        ("Transfer-Encoding", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let head =
            format!("POST /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: {named}\r\n{framing}\r\n\r\n");
        let outcome = front.send(format!("{head}{body}")).await;
        let seen = outcome.seen.unwrap_or_else(|| panic!("{named}: {}", outcome.answer));
        assert_eq!(seen.body, b"hello", "{named}: a body without its length is another request");
        assert_eq!(
            seen.all("content-length").len() + seen.all("transfer-encoding").len(),
            1,
            "{}",
            seen.head
        );
    }

    for named in ["Authorization", "Cookie", "X-Forwarded-Prefix", "X-Request-Id"] {
        let seen = get(&front, "/api/x", &format!("Cookie: a=1\r\nConnection: {named}\r\n")).await.seen;
        let seen = seen.unwrap_or_else(|| panic!("{named} is refused"));
        assert!(seen.one("x-wx-openid").starts_with('o'), "{named}: the verdict stands");
        seen.one("x-request-id");
        assert_eq!(
            get(&front, "/internal/x", &format!("Connection: {named}\r\n")).await.status,
            403,
            "{named}"
        );
        let without = format!("GET /api/x HTTP/1.1\r\nHost: gw.test\r\nConnection: {named}\r\n\r\n");
        assert_eq!(front.send(without).await.status, 401, "{named}");
    }
}

#[tokio::test]
async fn what_belongs_to_one_connection_stays_on_it() {
    let front = Fixture::start(gateway::ROUTES).await;
    {
        let _case = case("B14", "trailers of a request are dropped: no header can arrive late");
        let token = front.token().await;
        let seen = front
            .send(format!(
                "POST /api/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\nTrailer: X-WX-OPENID\r\n\
                 Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-WX-OPENID: evil\r\nX_WX_OPENID: evil\r\n\r\n"
            ))
            .await
            .seen
            .expect("it comes through");
        assert_eq!((&*seen.body, &*seen.trailers), (&b"hello"[..], ""));
        assert!(seen.all("trailer").is_empty() && seen.one("x-wx-openid").starts_with('o'), "{}", seen.head);
        let received = front.recorder.received().concat();
        assert!(!received.windows(4).any(|bytes| bytes == b"evil"), "{}", received.escape_ascii());
    }
    {
        let _case = case("B15", "hop-by-hop headers and the credentials of a proxy are not passed on");
        let lines = "Proxy-Connection: evil\r\nKeep-Alive: evil=5\r\nTE: trailers, deflate\r\nProxy-Authorization: evil\r\n\
                     Proxy-Authenticate: evil\r\nUpgrade: h2c\r\nHTTP2-Settings: evil\r\nConnection: Upgrade, HTTP2-Settings, TE\r\n";
        let seen = get(&front, "/api/x", lines).await.seen.expect("it comes through");
        assert!(!seen.head.contains("evil"), "{}", seen.head);
        for name in ["te", "upgrade", "proxy-connection", "keep-alive", "connection"] {
            assert!(seen.all(name).is_empty(), "{name}:\n{}", seen.head);
        }
    }
}
