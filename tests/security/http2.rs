//! Cases of several groups that are about HTTP/2 alone.

use super::case;
use crate::harness::Gateway;
use crate::harness::h2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PING, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, frame,
};

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

/// A request for `/public/x` that is in order.
fn get<'a>(more: &[(&'a [u8], &'a [u8])]) -> Fields<'a> {
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
         the stream; a service's connection that got part of such a request is never used again",
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
}

#[tokio::test]
async fn floods_end_the_connection() {
    let _case = case(
        "L12",
        "a client that resets its streams as fast as it opens them, makes the gateway reset them, or sends endless \
         continuations, pings, settings or empty frames, loses its connection; the others do not notice",
    );
    let (gateway, _recorder) = Gateway::with_tls_before_recorder().await;
    let before = gateway.process.resident_bytes();
    let head = h2::block(&get(&[]));
    let whole = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
    let open = |stream| frame(HEADERS, END_HEADERS, stream, &head);
    let reset = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    let once = frame(HEADERS, 0, 1, &head);
    // MadeYouReset: a window that overflows, and a window of nothing, are the gateway's to reset.
    let (much, nothing) = ([0x7f, 0xff, 0xff, 0xff], [0; 4]);
    type Round<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;
    let floods: [(&str, Round<'_>); 8] = [
        ("resets", Box::new(|n| [whole(2 * n + 1), reset(2 * n + 1)].concat())),
        ("resets of open streams", Box::new(|n| [open(2 * n + 1), reset(2 * n + 1)].concat())),
        (
            "windows that overflow",
            Box::new(|n| [open(2 * n + 1), frame(WINDOW_UPDATE, 0, 2 * n + 1, &much)].concat()),
        ),
        (
            "windows of nothing",
            Box::new(|n| [open(2 * n + 1), frame(WINDOW_UPDATE, 0, 2 * n + 1, &nothing)].concat()),
        ),
        ("continuations", Box::new(|n| if n == 0 { once.clone() } else { frame(CONTINUATION, 0, 1, &[]) })),
        ("pings", Box::new(|_| frame(PING, 0, 0, &[7; 8]))),
        ("settings", Box::new(|_| frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]))),
        ("empty data", Box::new(|n| if n == 0 { open(1) } else { frame(DATA, 0, 1, &[]) })),
    ];
    for (what, round) in floods {
        let mut raw = Raw::connect(&gateway, &[]).await;
        // Nothing is read, so that what the gateway answers heaps up, and writing fails once it has had enough.
        let mut ended = false;
        for batch in 0..2_000 {
            let bytes: Vec<_> = (0..100).flat_map(|n| round(batch * 100 + n)).collect();
            if !raw.write_bytes(&bytes).await {
                ended = true;
                break;
            }
        }
        // What needs an answer waits for the answer to be taken: it costs nothing while it waits.
        assert!(ended || matches!(what, "pings" | "settings"), "{what} go on for ever");
        assert_eq!(
            h2::Client::connect(&gateway).await.get("/public/x", &[]).await.unwrap().status,
            200,
            "{what}"
        );
    }
    let grown = gateway.process.resident_bytes().saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes are held");
}
