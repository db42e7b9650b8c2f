//! Cases of group L that are about HTTP/2.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::case;
use super::http2::get;
use crate::harness::gateway::ROUTES;
use crate::harness::h2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PING, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, frame,
};
use crate::harness::{Config, Gateway, Recorder};

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

/// How much more is resident than before, in bytes. What was freed may stay with the process for a while.
fn growth(gateway: &Gateway, before: u64) -> u64 {
    gateway.process.resident_bytes().saturating_sub(before)
}

#[tokio::test]
async fn a_small_head_cannot_become_a_large_one() {
    let _case = case(
        "L10",
        "a head that is small on the wire and large once unpacked, by thousands of references to one remembered header or \
         by a cookie in crumbs, is refused, and holds no memory",
    );
    let (gateway, recorder) = Gateway::with_tls_before_recorder().await;
    let before = gateway.process.resident_bytes();
    let start = h2::block(&get(&[]));
    // Remembered as the newest of the table, and then named by one byte.
    let remembered = [&[0x40, 3][..], b"x-a", &h2::integer(3_900, 7, 0), &[b'v'; 3_900]].concat();
    let bomb = [&start[..], &remembered, &[0xbe; 10_000]].concat();
    let crumb = [&[0, 6][..], b"cookie", &[3], b"a=1"].concat();
    let crumbs = [&start[..], &crumb.repeat(4_000)].concat();
    for (what, block) in [("references", bomb), ("crumbs", crumbs)] {
        for _ in 0..4 {
            let mut raw = Raw::connect(&gateway, &[]).await;
            for stream in (1..200).step_by(2) {
                for (n, piece) in block.chunks(16_000).enumerate() {
                    let last = (n + 1) * 16_000 >= block.len();
                    let kind = if n == 0 { HEADERS } else { CONTINUATION };
                    let flags = if last { END_HEADERS } else { 0 } | if n == 0 { END_STREAM } else { 0 };
                    raw.write(kind, flags, stream, piece).await;
                }
            }
            let outcome = raw.outcome(1).await;
            assert!(!matches!(outcome, Outcome::Status(200..=399)), "{what}: {outcome:?}");
        }
        assert!(growth(&gateway, before) < 64 << 20, "{what}: {} bytes are held", growth(&gateway, before));
    }
    assert_eq!(recorder.seen().len(), 0);
    assert_eq!(h2::Client::connect(&gateway).await.get("/public/x", &[]).await.unwrap().status, 200);
}

#[tokio::test]
async fn large_heads_without_a_window_are_let_go() {
    let _case = case(
        "L11",
        "a hundred streams with heads as large as allowed, whose client leaves no window for the answers, are ended at \
         server.write_timeout, the connection at server.keepalive_timeout",
    );
    let recorder = Recorder::start().await;
    let limits = "[server]\nwrite_timeout = \"1s\"\nkeepalive_timeout = \"1s\"\n";
    let gateway = Gateway::start(Config::new(recorder.port, ROUTES).with_tls().with(limits)).await;
    recorder.answer_with([&b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n"[..], &[b'x'; 65536]].concat());
    let before = gateway.process.resident_bytes();
    let large = [b'v'; 15_000];
    let fields = get(&[(b"x-a", &large), (b"x-b", &large)]);
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(&gateway, &[(4, 0)]).await;
        for stream in (1..200).step_by(2) {
            let block = h2::block(&fields);
            raw.write(HEADERS, END_STREAM, stream, &block[..16_000]).await;
            raw.write(CONTINUATION, END_HEADERS, stream, &block[16_000..]).await;
        }
        held.push(raw);
    }
    for mut raw in held {
        assert!(raw.read_until(|frame| frame.kind == HEADERS).await.is_some());
        assert!(raw.read_until(|_| false).await.is_none(), "the connection ends");
    }
    assert!(growth(&gateway, before) < 192 << 20, "{} bytes are held", growth(&gateway, before));
}

#[tokio::test]
async fn a_connection_has_a_hundred_streams() {
    let _case =
        case("L13", "of five hundred streams at once on one connection a hundred are served, and no more");
    let (gateway, recorder) = Gateway::with_tls_before_recorder().await;
    // A service that does not answer keeps them open.
    recorder.answer_with("");
    let mut raw = Raw::connect(&gateway, &[]).await;
    let settings = raw.read_until(|frame| frame.kind == SETTINGS).await.unwrap();
    let most = settings.payload.chunks(6).find(|setting| setting[..2] == [0, 3]).unwrap();
    assert_eq!(most[2..], [0, 0, 0, 100]);
    for stream in (1..1000).step_by(2) {
        if !raw.headers(stream, true, &get(&[])).await {
            break;
        }
    }
    // The last one was not taken, or the connection ended over so many.
    let refused = raw.read_until(|frame| frame.kind == RST_STREAM && frame.stream > 900).await;
    assert!(refused.is_none_or(|frame| frame.payload == [0, 0, 0, 7]));
    assert!(recorder.seen().len() <= 100 && recorder.connections() <= 100, "{}", recorder.seen().len());
}

#[tokio::test]
async fn the_table_of_headers_stays_small() {
    let _case = case(
        "L14",
        "headers that push each other out of HPACK's table for ever, tables that are to be huge, endless numbers and \
         Huffman codes that unpack to much or to nothing cost no memory",
    );
    let (gateway, _recorder) = Gateway::with_tls_before_recorder().await;
    let before = gateway.process.resident_bytes();
    let start = h2::block(&get(&[]));
    let mut raw = Raw::connect(&gateway, &[]).await;
    for n in 0..2_000_u32 {
        let name = format!("x-{n:08}");
        let value = [b'a' + (n % 26) as u8; 3_000];
        let churn = [&[0x40, 10][..], name.as_bytes(), &h2::integer(value.len(), 7, 0), &value].concat();
        raw.write(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &[&start[..], &churn].concat()).await;
        assert_eq!(raw.outcome(2 * n + 1).await, Outcome::Status(200), "request {n}");
    }
    // Five bits for a letter: what is unpacked is half as large again.
    let huffman = [&start[..], &[0, 3], b"x-a", &h2::integer(15_000, 7, 0x80), &[0; 15_000]].concat();
    for (what, block, may_pass) in [
        ("a table of 4 GiB", [&[0x3f, 0xe0, 0xff, 0xff, 0xff, 0x0f][..], &start].concat(), false),
        ("a number without end", [&[0x7f][..], &[0xff; 200], &start].concat(), false),
        ("a reference to nothing", [&start[..], &[0xff, 0xff, 0x7f]].concat(), false),
        ("a name without end", [&start[..], &[0, 0x7f, 0xff, 0xff, 0xff, 0x07]].concat(), false),
        ("a code of the end", [&start[..], &[0, 3], b"x-a", &[0x84, 0xff, 0xff, 0xff, 0xff]].concat(), false),
        ("much in Huffman's code", huffman, true),
    ] {
        let mut raw = Raw::connect(&gateway, &[]).await;
        raw.write(HEADERS, END_HEADERS | END_STREAM, 1, &block).await;
        let outcome = raw.outcome(1).await;
        assert_eq!(outcome == Outcome::Status(200), may_pass, "{what}: {outcome:?}");
    }
    assert!(growth(&gateway, before) < 64 << 20, "{} bytes are held", growth(&gateway, before));
}

/// A post of a body that is to have five bytes.
fn post(path: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut fields = get(&[(b"content-length", b"5")]);
    fields[0].1 = b"POST";
    fields[3].1 = path;
    fields
}

/// A gateway whose clients may pause for a second, and whose only service, too.
async fn impatient(service: u16) -> Gateway {
    let mut config = Config::new(service, ROUTES).with_tls().with("[server]\nread_timeout = \"1s\"\n");
    config.upstreams.push_str("read_timeout = \"1s\"\nwrite_timeout = \"1s\"\n");
    Gateway::start(config).await
}

/// The half of the case of slow bodies that is about HTTP/2.
#[tokio::test]
async fn a_body_of_http2_that_stalls_ends() {
    let recorder = Recorder::start().await;
    let gateway = impatient(recorder.port).await;
    for (path, piece) in [(&b"/public/x"[..], &b""[..]), (b"/public/x", b"ab"), (b"/login", b"ab")] {
        let mut raw = Raw::connect(&gateway, &[]).await;
        raw.headers(1, false, &post(path)).await;
        raw.write(DATA, 0, 1, piece).await;
        assert_eq!(raw.outcome(1).await, Outcome::Status(408), "{} {}", path.escape_ascii(), piece.len());
    }
    assert_eq!(recorder.seen().len(), 0);
    // One that is slow, and goes on, is whole in the end: it takes longer than any of the limits.
    let mut raw = Raw::connect(&gateway, &[]).await;
    let fields: Vec<_> =
        post(b"/public/x").into_iter().filter(|(name, _)| *name != b"content-length").collect();
    raw.headers(1, false, &fields).await;
    for _ in 0..25 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        raw.write(DATA, 0, 1, b"a").await;
    }
    raw.write(DATA, END_STREAM, 1, b"").await;
    assert_eq!(raw.outcome(1).await, Outcome::Status(200));
    assert_eq!(recorder.last().body.len(), 25, "{:?}", recorder.seen());
}

/// The service has said all it has to say, and nothing else waits for the body.
#[tokio::test]
async fn a_body_that_stalls_behind_its_answer_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = impatient(listener.local_addr().unwrap().port()).await;
    let service = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        // The gateway lets go of it.
        while stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {}
    });
    let mut raw = Raw::connect(&gateway, &[]).await;
    raw.headers(1, false, &post(b"/public/x")).await;
    assert_eq!(raw.outcome(1).await, Outcome::Status(200));
    assert!(raw.read_until(|frame| frame.kind == RST_STREAM).await.is_some());
    tokio::time::timeout(Duration::from_secs(60), service).await.expect("the service is let go").unwrap();
}
