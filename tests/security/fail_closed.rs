//! Group J: what breaks inside costs one request, and lets nobody in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, ProxyHttp, Session};
use pingora::proxy::http_proxy_service;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use tokio::sync::Notify;

use super::case;
use crate::harness::{Config, Gateway, Recorder, SHOP, exchange_all, free_port, gateway, root};

/// A proxy whose checks panic, and whose way to a service would be open.
struct Panicking {
    checked: Arc<AtomicUsize>,
    chosen: Arc<AtomicUsize>,
}

#[async_trait]
impl ProxyHttp for Panicking {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        self.checked.fetch_add(1, Ordering::SeqCst);
        assert!(session.req_header().uri.path() != "/panic", "a panic that the test asked for");
        session.respond_error(401).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        self.chosen.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(HttpPeer::new("127.0.0.1:9", false, String::new())))
    }
}

struct WhenTold(Arc<Notify>);

#[async_trait]
impl ShutdownSignalWatch for WhenTold {
    async fn recv(&self) -> ShutdownSignal {
        self.0.notified().await;
        ShutdownSignal::FastShutdown
    }
}

#[tokio::test]
async fn a_panic_in_a_check_costs_one_request_and_opens_nothing() {
    let _case = case(
        "J05",
        "what pingora makes of a panic in a filter, since the gateway has none to call up: the connection closes \
         unanswered, no service is chosen, the process serves on; the release build unwinds for it",
    );
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["profile"]["release"]["panic"].as_str(), Some("unwind"));
    let (checked, chosen, told) =
        (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
    let proxy = Panicking { checked: Arc::clone(&checked), chosen: Arc::clone(&chosen) };
    let (port, end) = (free_port(), WhenTold(Arc::clone(&told)));
    let conf = ServerConf {
        threads: 1,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let served = std::thread::spawn(move || {
        let mut server = Server::new_with_opt_and_conf(None, conf);
        server.bootstrap();
        let mut service = http_proxy_service(&server.configuration, proxy);
        service.add_tcp(&format!("127.0.0.1:{port}"));
        server.add_service(service);
        server.run(RunArgs { shutdown_signal: Box::new(end) });
    });
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        let panicked = exchange_all(port, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(panicked, "", "an answer came out of a panic");
        let next = exchange_all(port, "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(next.starts_with("HTTP/1.1 401"), "{next}");
    }
    assert_eq!((checked.load(Ordering::SeqCst), chosen.load(Ordering::SeqCst)), (6, 0));
    told.notify_one();
    tokio::task::spawn_blocking(move || served.join().unwrap()).await.unwrap();
}

/// Pieces of which the headers of the flood are made: what the steps look at, and what they should not trip over.
const NAMES: [&str; 22] = [
    "Authorization",
    "authorization",
    "X-Token",
    "token",
    "Cookie",
    "X-WX-OPENID",
    "x_wx_openid",
    "X-WX-CODE",
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Forwarded",
    "Referer",
    "X-Request-Id",
    "TE",
    "Trailer",
    "Host",
    "Proxy-Authorization",
    "Keep-Alive",
];
const PIECES: [&str; 20] = [
    "Bearer ",
    "bearer\t",
    "Basic ",
    "TOKEN",
    "TOKEN",
    "eyJhbGciOiJub25lIn0",
    ".",
    "..",
    ",",
    ";",
    "=",
    "\"",
    "close",
    "keep-alive",
    "websocket",
    "13",
    "127.0.0.1",
    "[::1]:99999",
    "%00",
    "\u{fffd}",
];
const PATHS: [&str; 12] = [
    "/api/x",
    "/opt/x",
    "/lenient/x",
    "/public/x",
    "/merchant/x",
    "/internal/x",
    "/login",
    "/logout",
    "/session",
    "/query?token=TOKEN",
    "/ws",
    "/nowhere",
];

/// Made-up numbers that are the same in every run (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.next(of.len())]
    }

    /// A request without a body.
    fn request(&mut self, token: &str) -> Vec<u8> {
        let method = self.one(&["GET", "GET", "GET", "HEAD", "DELETE", "OPTIONS", "BREW"]);
        let mut request =
            format!("{method} {} HTTP/1.1\r\nConnection: close\r\n", self.one(&PATHS)).into_bytes();
        if self.next(8) > 0 {
            request.extend(b"Host: gw.test\r\n");
        }
        for _ in 0..self.next(8) {
            request.extend([self.one(&NAMES), ": "].concat().bytes());
            for _ in 0..self.next(6) {
                request.extend(self.one(&PIECES).bytes());
            }
            if self.next(12) == 0 {
                let length = self.next(40);
                request.extend(
                    (0..length)
                        .map(|_| u8::try_from(self.next(256)).unwrap())
                        .filter(|b| !b"\r\n".contains(b)),
                );
            }
            request.extend(b"\r\n");
        }
        request.extend(b"\r\n");
        let text = request.escape_ascii().to_string();
        if text.contains("TOKEN") { replaced(&request, token.as_bytes()) } else { request }
    }
}

fn replaced(request: &[u8], token: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = request;
    while let Some(at) = rest.windows(5).position(|bytes| bytes == b"TOKEN") {
        out.extend([&rest[..at], token].concat());
        rest = &rest[at + 5..];
    }
    [out, rest.to_vec()].concat()
}

#[tokio::test]
async fn no_headers_bring_a_check_down() {
    let _case = case(
        "J06",
        "two thousand requests with headers made at random, from the words that the checks look for and from any \
         bytes: none fails inside, and no identity reaches the service but the token's",
    );
    let recorder = Recorder::start().await;
    let routes = format!(
        "{}\n[[route]]\npath = \"/query\"\nupstream = \"service\"\ntoken_in_query = true\n[[route]]\npath = \"/ws\"\n\
         upstream = \"service\"\nwebsocket = true\n",
        gateway::ROUTES
    );
    let config = Config::new(recorder.port, &routes)
        .with("[token]\nheaders = [\"authorization\", \"x-token\", \"token\"]\n[server]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let gateway = Gateway::start(config).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    gateway.get_as(&token, "/api/x").await;
    let openid = recorder.last().one("x-wx-openid").to_owned();
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut answered = std::collections::BTreeMap::<String, usize>::new();
    for n in 0..2000 {
        let request = numbers.request(&token);
        let answer = exchange_all(gateway.port, &request).await;
        let status = answer.get(..12).unwrap_or_default().to_owned();
        let failed = answer.is_empty() || status.contains(" 5");
        assert!(!failed, "request {n} {}: {answer}", request.escape_ascii());
        *answered.entry(status).or_default() += 1;
    }
    assert!(answered.len() >= 6, "too much of one kind: {answered:?}");
    let seen = recorder.seen();
    assert!(seen.len() > 100, "{answered:?}");
    for seen in seen {
        let claimed: Vec<_> =
            seen.head.lines().filter(|line| line.to_ascii_lowercase().starts_with("x-wx-openid")).collect();
        assert!(
            claimed.iter().all(|line| *line == format!("x-wx-openid: {openid}")) && claimed.len() < 2,
            "{}",
            seen.head
        );
    }
    assert_eq!(gateway.get_as(&token, "/api/x").await.status(), 200);
}
