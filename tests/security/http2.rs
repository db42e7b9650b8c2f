//! Cases of several groups that are about HTTP/2 alone.

use super::case;
use crate::harness::h2::{self, DATA, END_STREAM, Outcome, Raw};
use crate::harness::{Config, Gateway, Recorder};

pub(super) type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

/// A request for `/public/x` that is in order.
pub(super) fn get<'a>(more: &[(&'a [u8], &'a [u8])]) -> Fields<'a> {
    let mut fields = vec![
        (&b":method"[..], &b"GET"[..]),
        (b":scheme", b"https"),
        (b":authority", b"gw.test"),
        (b":path", b"/public/x"),
    ];
    fields.extend(more);
    fields
}

/// The same with another value of one pseudo-header.
fn with<'a>(name: &[u8], value: &'a [u8]) -> Fields<'a> {
    let mut fields = get(&[]);
    fields.iter_mut().find(|(known, _)| *known == name).expect("a pseudo-header").1 = value;
    fields
}

/// Sends a head on a connection of its own.
async fn outcome(gateway: &Gateway, fields: &[(&[u8], &[u8])]) -> Outcome {
    let mut raw = Raw::connect(gateway, &[]).await;
    raw.headers(1, true, fields).await;
    raw.outcome(1).await
}

#[tokio::test]
async fn a_malformed_head_reaches_nobody() {
    let _case = case(
        "B28",
        "what HTTP/2 forbids in a head (doubled or missing pseudo-headers, a Host that differs from :authority, capital \
         letters, connection headers, control characters) ends the stream or is answered with 400",
    );
    let (gateway, recorder) = Gateway::with_tls_before_recorder().await;
    assert_eq!(outcome(&gateway, &get(&[(b"te", b"trailers")])).await, Outcome::Status(200));
    let without =
        |name: &[u8]| get(&[]).into_iter().filter(|(known, _)| *known != name).collect::<Fields<'_>>();
    let late = [get(&[(b"x-first", b"1")]), vec![(&b":path"[..], &b"/public/x"[..])]].concat();
    for (what, fields) in [
        ("doubled :path", get(&[(b":path", b"/api/x")])),
        (":path behind a header", late),
        ("an unknown pseudo-header", get(&[(b":protocol2", b"x")])),
        (":status in a request", get(&[(b":status", b"200")])),
        ("no :path", without(b":path")),
        ("no :method", without(b":method")),
        ("no :scheme", without(b":scheme")),
        ("no host at all", without(b":authority")),
        ("another Host", get(&[(b"host", b"b.test")])),
        ("two Hosts", get(&[(b"host", b"gw.test"), (b"host", b"gw.test")])),
        ("user in :authority", with(b":authority", b"a@gw.test")),
        ("empty :authority", with(b":authority", b"")),
        ("capital letters", get(&[(b"X-WX-OPENID", b"evil")])),
        ("connection", get(&[(b"connection", b"x-wx-openid")])),
        ("keep-alive", get(&[(b"keep-alive", b"1")])),
        ("proxy-connection", get(&[(b"proxy-connection", b"close")])),
        ("upgrade", get(&[(b"upgrade", b"websocket")])),
        ("te: gzip", get(&[(b"te", b"gzip")])),
        ("empty :path", with(b":path", b"")),
        (":path without a slash", with(b":path", b"public/x")),
        (":path in absolute form", with(b":path", b"https://gw.test/public/x")),
        (":path *", with(b":path", b"*")),
        ("a space in :path", with(b":path", b"/public/x y")),
        ("a line break in :path", with(b":path", b"/public/x\r\ny: z")),
        ("a line break in a value", get(&[(b"x-a", b"1\r\nx-wx-openid: evil")])),
        ("a NUL in a value", get(&[(b"x-a", b"1\0")])),
        ("a colon in a name", get(&[(b"x-wx-openid: evil\r\nx-a", b"1")])),
        ("a space in a name", get(&[(b"x-wx-openid ", b"evil")])),
        ("an empty name", get(&[(b"", b"evil")])),
    ] {
        let outcome = outcome(&gateway, &fields).await;
        let refused = matches!(outcome, Outcome::Reset | Outcome::Closed | Outcome::Status(400));
        assert!(refused, "{what}: {outcome:?}");
    }
    assert_eq!(recorder.seen().len(), 1);
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says() {
    let _case = case(
        "D19",
        "an HTTP/2 body that is longer or shorter than its content-length, or a head that would split in HTTP/1, ends \
         the stream; a service's connection that got part of such a request is never used again; empty pieces of a body \
         do not end it, or end it twice",
    );
    let (gateway, recorder) = Gateway::with_tls_before_recorder().await;
    let post = |fields: Fields<'static>| {
        let mut post = with(b":method", b"POST");
        post.extend(fields);
        post
    };
    for (what, fields, body) in [
        ("three bytes of five", post(vec![(b"content-length", b"5")]), Some("abc")),
        ("nine bytes of five", post(vec![(b"content-length", b"5")]), Some("abcdefghi")),
        ("none of five", post(vec![(b"content-length", b"5")]), None),
        ("two lengths", post(vec![(b"content-length", b"3"), (b"content-length", b"4")]), Some("abc")),
        ("no number", post(vec![(b"content-length", b"+3")]), Some("abc")),
        ("a transfer coding", post(vec![(b"transfer-encoding", b"chunked")]), Some("0\r\n\r\n")),
        ("a request line in :path", with(b":path", b"/public HTTP/1.1\r\nX: y"), None),
        ("a header in a value", post(vec![(b"x-a", b"b\r\nx-c: d")]), Some("abc")),
    ] {
        let mut raw = Raw::connect(&gateway, &[]).await;
        raw.headers(1, body.is_none(), &fields).await;
        if let Some(body) = body {
            raw.write(DATA, END_STREAM, 1, body.as_bytes()).await;
        }
        let outcome = raw.outcome(1).await;
        let refused = matches!(outcome, Outcome::Reset | Outcome::Closed | Outcome::Status(400));
        assert!(refused, "{what}: {outcome:?}");
        // Whatever the service got of it, the next request is whole, and its own.
        let before = recorder.seen().len();
        let client = h2::Client::connect(&gateway).await;
        let answer = client.send("POST", "/public/after", &[], Some(b"whole"), &[]).await.unwrap();
        assert_eq!(answer.status, 200, "{what}");
        let seen = recorder.seen();
        assert_eq!(seen.len(), before + 1, "{what}");
        assert_eq!(
            (seen[before].target(), &seen[before].body[..]),
            ("/public/after", &b"whole"[..]),
            "{what}"
        );
    }
    assert!(recorder.seen().iter().all(|seen| seen.target() == "/public/after"));
    // Pieces of nothing, in the middle and at the end, are no end of the body and no second end.
    let mut raw = Raw::connect(&gateway, &[]).await;
    for stream in [1, 3, 5] {
        raw.headers(stream, false, &with(b":method", b"POST")).await;
        for piece in ["", "ab", "", "c"] {
            raw.write(DATA, 0, stream, piece.as_bytes()).await;
        }
        raw.write(DATA, END_STREAM, stream, b"").await;
        assert_eq!(raw.outcome(stream).await, Outcome::Status(200));
        let last = recorder.last();
        assert_eq!((last.request_line(), &last.body[..]), ("POST /public/x HTTP/1.1", &b"abc"[..]));
    }
    let answer = h2::Client::connect(&gateway).await.get("/public/after", &[]).await.unwrap();
    assert_eq!((answer.status, recorder.last().target()), (200, "/public/after"));
    assert!(recorder.seen().iter().all(|seen| seen.request_line().ends_with(" HTTP/1.1")));
}

#[tokio::test]
async fn an_extended_connect_opens_nothing() {
    let _case = case(
        "I11",
        "a WebSocket asked for by HTTP/2's extended CONNECT, and a CONNECT of any other kind, is refused: no check of an \
         upgrade is passed by",
    );
    let recorder = Recorder::start().await;
    let routes = "[[route]]\npath = \"/*\"\nupstream = \"service\"\nauth = \"none\"\nwebsocket = true\n";
    let gateway = Gateway::start(Config::new(recorder.port, routes).with_tls()).await;
    let connect =
        |more: &[(&'static [u8], &'static [u8])]| [&[(&b":method"[..], &b"CONNECT"[..])], more].concat();
    let authority: (&[u8], &[u8]) = (b":authority", b"gw.test");
    let whole = [authority, (b":scheme", b"https"), (b":path", b"/ws")];
    for (what, fields) in [
        (
            "websocket",
            connect(
                &[&whole[..], &[(b":protocol", b"websocket"), (b"sec-websocket-version", b"13")]].concat(),
            ),
        ),
        ("another protocol", connect(&[&whole[..], &[(b":protocol", b"connect-udp")]].concat())),
        ("with a path", connect(&whole)),
        ("a tunnel", connect(&[authority])),
        ("a tunnel elsewhere", connect(&[(b":authority", b"127.0.0.1:22")])),
    ] {
        let outcome = outcome(&gateway, &fields).await;
        let refused = matches!(outcome, Outcome::Reset | Outcome::Closed | Outcome::Status(400 | 405 | 421));
        assert!(refused, "{what}: {outcome:?}");
    }
    assert_eq!((recorder.seen().len(), recorder.connections()), (0, 0));
}
