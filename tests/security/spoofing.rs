//! Group B: nobody but the gateway says who calls, in any spelling, on any route.

use std::collections::BTreeMap;

use serde_json::json;

use super::case;
use super::fixture::Fixture;
use crate::harness::{Config, Gateway, Recorder, SHOP, Script, Seen, exchange, gateway, h2};

/// How a request comes to the gateway.
#[derive(Debug, Clone, Copy)]
enum Transport {
    Http1,
    Http2,
}

const TRANSPORTS: [Transport; 2] = [Transport::Http1, Transport::Http2];

/// A path, whether a good token comes along, and whether the service then learns whose it is.
const WAYS: [(&str, bool, bool); 8] = [
    ("/api/x", true, true),
    ("/public/x", true, false),
    ("/public/x", false, false),
    ("/opt/x", true, true),
    ("/opt/x", false, false),
    ("/lenient/x", true, true),
    ("/lenient/x", false, false),
    ("/ws", true, true),
];

const WEBSOCKET: &str = "[[route]]\npath = \"/ws\"\nupstream = \"service\"\nwebsocket = true\n";
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Names that PHP, WSGI and the like read as `X-WX-OPENID`, and others that WeChat's platforms use beside it.
const SPELLINGS: [&str; 18] = [
    "X-WX-OPENID",
    "x-wx-openid",
    "X-Wx-OpenId",
    "X_WX_OPENID",
    "X-WX_OPENID",
    "x_wx-openid",
    "X.WX.OPENID",
    "X-WX.OPENID",
    "X~WX~OPENID",
    "X'WX'OPENID",
    "X!WX-OPENID",
    "XWXOPENID",
    "_X-WX-OPENID_",
    "X--WX--OPENID",
    "X-WX-FROM-OPENID",
    "X-WX-APPID",
    "X_WX_UNIONID",
    "X.WX.SOURCE",
];

struct Spoofer {
    front: Fixture,
    http2: h2::Client,
    /// What the service is told of the user.
    identity: BTreeMap<String, String>,
}

impl Spoofer {
    async fn start() -> Self {
        let front = Fixture::start_with_tls(&format!("{}{WEBSOCKET}", gateway::ROUTES)).await;
        let http2 = h2::Client::connect(&front.gateway).await;
        let seen = front.get_as_alice("/api/x").await.seen.expect("it comes through");
        let identity = identity(&seen);
        let names: Vec<_> = identity.keys().map(String::as_str).collect();
        assert_eq!(names, ["X_WX_APPID", "X_WX_OPENID", "X_WX_SOURCE", "X_WX_UNIONID"]);
        Self { front, http2, identity }
    }

    /// Sends these headers every way: the service is told the truth or nothing, once, and never what they say.
    async fn spoofs(&self, lines: &[(&str, &str)]) {
        for transport in TRANSPORTS {
            for (path, with_token, known) in WAYS {
                let seen = self.send(transport, path, with_token, lines).await;
                let which = format!("{transport:?} {path}, token: {with_token}, {lines:?}:\n{}", seen.head);
                assert!(!seen.head.contains("evil"), "{which}");
                let expected = if known { self.identity.clone() } else { BTreeMap::new() };
                assert_eq!(identity(&seen), expected, "{which}");
            }
        }
    }

    async fn send(&self, transport: Transport, path: &str, with_token: bool, lines: &[(&str, &str)]) -> Seen {
        let recorder = &self.front.recorder;
        let before = recorder.seen().len();
        match transport {
            Transport::Http1 => self.send_http1(path, with_token, lines).await,
            Transport::Http2 => self.send_http2(path, with_token, lines).await,
        }
        assert_eq!(recorder.seen().len(), before + 1, "{transport:?} {path} {lines:?}");
        recorder.last()
    }

    /// On the path of WebSockets a plain request: HTTP/2 opens none here.
    async fn send_http2(&self, path: &str, with_token: bool, lines: &[(&str, &str)]) {
        let bearer = format!("Bearer {}", self.front.token().await);
        let mut headers = lines.to_vec();
        if with_token {
            headers.insert(1, ("authorization", &bearer));
        }
        let answer = self.http2.get(path, &headers).await.unwrap();
        assert_eq!(answer.status, 200, "{path} {lines:?}");
    }

    /// The first line before the token, the others after it.
    async fn send_http1(&self, path: &str, with_token: bool, lines: &[(&str, &str)]) {
        let mut lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        if with_token {
            lines.insert(1, format!("Authorization: Bearer {}\r\n", self.front.token().await));
        }
        let mut status = 200;
        if path == "/ws" {
            lines.push(HANDSHAKE.to_owned());
            self.front.recorder.play_once(Script::after_head().accept_websocket());
            status = 101;
        }
        let request = format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{}\r\n", lines.concat());
        let answer = exchange(self.front.gateway.port, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
}

/// What a service of any kind reads as an identity.
fn identity(seen: &Seen) -> BTreeMap<String, String> {
    let mut folded = seen.folded();
    folded.retain(|name, _| name.replace('_', "").starts_with("XWX"));
    folded
}

#[tokio::test]
async fn no_spelling_of_an_identity_gets_through_on_any_route() {
    let spoofer = Spoofer::start().await;
    {
        let _case = case("B01", "an identity header that the client sends never reaches a service");
        spoofer.spoofs(&[("X-WX-OPENID", "evil")]).await;
    }
    {
        let _case = case("B02", "an identity header in another case, or sent twice, never reaches a service");
        for name in ["x-wx-openid", "X-Wx-OpenId", "x-WX-oPENID"] {
            spoofer.spoofs(&[(name, "evil"), (name, "evil2")]).await;
        }
        spoofer.spoofs(&[("X-WX-OPENID", "evil"), ("x-wx-openid", "evil")]).await;
    }
    {
        let _case = case(
            "B03",
            "an identity header with underscores is stripped: CGI, PHP and WSGI read it as the one with hyphens",
        );
        for name in ["X_WX_OPENID", "X-WX_OPENID", "x_wx-openid", "X_WX_UNIONID"] {
            spoofer.spoofs(&[(name, "evil")]).await;
        }
    }
    {
        let _case =
            case("B04", "an identity header with dots is stripped: some services read dots as underscores");
        for name in ["X.WX.OPENID", "X-WX.OPENID", "x.wx.appid"] {
            spoofer.spoofs(&[(name, "evil")]).await;
        }
    }
    {
        let _case = case(
            "B05",
            "an identity header is known by its letters and digits alone, whatever stands between them",
        );
        for name in
            ["X~WX~OPENID", "X'WX'OPENID", "X!WX-OPENID", "XWXOPENID", "X-W-X-OPEN-ID", "X--WX--OPENID"]
        {
            spoofer.spoofs(&[(name, "evil")]).await;
        }
    }
    {
        let _case = case(
            "B06",
            "it makes no difference whether an identity header stands before the token or after it",
        );
        spoofer.spoofs(&[("X-WX-OPENID", "evil"), ("X-WX-OPENID", "evil")]).await;
    }
    {
        let _case =
            case("B07", "an identity header that lists the true value beside another is removed, not merged");
        let list = format!("evil, {}", spoofer.identity["X_WX_OPENID"]);
        spoofer.spoofs(&[("X-WX-OPENID", &list)]).await;
    }
    {
        let _case = case("B20", "a WebSocket handshake tells the service the true identity alone");
        let lines = SPELLINGS.map(|name| (name, "evil"));
        let seen = spoofer.send(Transport::Http1, "/ws", true, &lines).await;
        assert!(!seen.head.contains("evil"), "{}", seen.head);
        assert_eq!(identity(&seen), spoofer.identity);
        assert_eq!((seen.one("upgrade"), seen.one("connection")), ("websocket", "Upgrade"));
    }
}

#[tokio::test]
async fn who_is_not_known_has_no_identity_at_all() {
    let spoofer = Spoofer::start().await;
    let front = &spoofer.front;
    {
        let _case = case("B08", "a route without authentication strips identity headers too");
        for path in ["/public/x", "/public"] {
            let lines = SPELLINGS.map(|name| (name, "evil"));
            let seen = spoofer.send(Transport::Http1, path, false, &lines).await;
            assert!(identity(&seen).is_empty() && !seen.head.contains("evil"), "{}", seen.head);
        }
    }
    {
        let _case = case(
            "B09",
            "an anonymous request on an optional route carries no identity header, not even a source",
        );
        let lines = SPELLINGS.map(|name| (name, "evil"));
        for path in ["/opt/x", "/lenient/x"] {
            let seen = spoofer.send(Transport::Http1, path, false, &lines).await;
            assert!(identity(&seen).is_empty() && !seen.head.contains("evil"), "{}", seen.head);
        }
    }
    {
        let _case = case("B10", "what the token does not say is absent, not left as the client sent it");
        let code = json!({ "appid": SHOP.appid, "user": "bob", "unionid": "" });
        let code = front.gateway.simulator.control("codes", code).await;
        let (status, answer) =
            front.gateway.login(json!({ "code": code["code"], "appid": SHOP.appid })).await;
        assert_eq!(status, 200, "{answer}");
        let request = front.gateway.get("/api/x").bearer_auth(answer["token"].as_str().unwrap());
        let request = request.header("X-WX-UNIONID", "evil").header("x_wx_unionid", "evil");
        assert_eq!(request.send().await.unwrap().status(), 200);
        let names: Vec<_> = identity(&front.recorder.last()).into_keys().collect();
        assert_eq!(names, ["X_WX_APPID", "X_WX_OPENID", "X_WX_SOURCE"]);
    }
}

#[tokio::test]
async fn the_names_are_the_configs_and_each_is_protected() {
    let _case = case(
        "B21",
        "every name that the config gives to an identity header, or protects, is stripped in every spelling on every route",
    );
    let recorder = Recorder::start().await;
    let identity =
        "[identity]\nopenid = \"X-User-Id\"\nenv_value = \"prod\"\nalso_protected = [\"X-User-Name\"]\n";
    let gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with(identity)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    for path in ["/api/x", "/public/x", "/opt/x"] {
        let mut request = gateway.get(path).bearer_auth(&token);
        for name in ["X_User.Id", "X.User_Name", "X_User.Name", "XUSERNAME", "X-WX-OPENID", "X-User-Name"] {
            request = request.header(name, "evil");
        }
        assert_eq!(request.send().await.unwrap().status(), 200);
        let seen = recorder.last();
        assert!(!seen.head.contains("evil"), "{}", seen.head);
        if path != "/public/x" {
            assert!(seen.one("x-user-id").starts_with('o'));
            assert_eq!((seen.one("x-wx-env"), seen.one("x-wx-appid")), ("prod", SHOP.appid));
            assert!(seen.all("x-wx-openid").is_empty());
        }
    }
}
