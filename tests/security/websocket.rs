//! Group I: an upgrade is a request like any other until it is granted, and a tunnel only if both ends say so.

use serde_json::json;

use super::case;
use super::framing::{LAST, statuses};
use crate::harness::gateway::ROUTES;
use crate::harness::{Config, Connection, Gateway, Recorder, SHOP, Script, exchange, exchange_all, tokens};

const WEBSOCKETS: &str = r#"
[[route]]
path = "/ws"
upstream = "service"
websocket = true
[[route]]
path = "/open"
upstream = "service"
auth = "none"
websocket = true
[[route]]
path = "/rare"
upstream = "service"
auth = "none"
websocket = true
rate = { per = "address", limit = "2/h" }
"#;

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub(super) async fn start(head: &str, idle: &str) -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    let mut config = Config::new(recorder.port, &format!("{ROUTES}{WEBSOCKETS}")).with(head);
    config.upstreams.push_str(&format!("websocket_idle_timeout = \"{idle}\"\n"));
    (Gateway::start(config).await, recorder)
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{fields}\r\n")
}

/// Opens a WebSocket with whatever service the recorder plays, and reads the 101.
pub(super) async fn open(gateway: &Gateway, path: &str, fields: &str) -> Connection {
    let mut client = Connection::open(gateway.port).await;
    let answer = client.ask(get(path, &format!("{HANDSHAKE}{fields}"))).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    client
}

#[tokio::test]
async fn an_upgrade_changes_no_decision() {
    let (gateway, recorder) = start("", "10m").await;
    {
        let _case = case(
            "I01",
            "a request with an Upgrade header is routed, refused, limited and stripped as one without",
        );
        let upgrades = ["x", "websocket", "h2c", "TLS/1.0", "", "websocket, h2c"]
            .map(|value| format!("Connection: Upgrade\r\nUpgrade: {value}\r\nX-WX-OPENID: evil\r\n"));
        for upgrade in &upgrades {
            for (path, status) in
                [("/api/x", 401), ("/internal/x", 403), ("/nowhere", 404), ("/public/x", 200)]
            {
                let answer = exchange(gateway.port, get(path, upgrade)).await;
                assert_eq!(statuses(&answer), [status], "{path} {upgrade:?}: {answer}");
            }
            let seen = recorder.last();
            assert!(seen.all("upgrade").is_empty() && !seen.head.contains("evil"), "{}", seen.head);
        }
        assert_eq!(recorder.seen().len(), upgrades.len());
    }
    {
        let _case = case(
            "I02",
            "a WebSocket handshake without a valid token is refused before the service hears of it",
        );
        let before = recorder.connections();
        for token in ["", "Authorization: Bearer x\r\n", "Authorization: Bearer a.b.c\r\n"] {
            let answer = exchange(gateway.port, get("/ws", &format!("{HANDSHAKE}{token}"))).await;
            assert_eq!(statuses(&answer), [401], "{token:?}: {answer}");
        }
        assert_eq!(recorder.connections(), before);
    }
    {
        let _case = case("I03", "a token among the subprotocols is no token: it would be sent on and echoed");
        let token = gateway.log_in(&SHOP, "alice").await;
        let protocol = format!("{HANDSHAKE}Sec-WebSocket-Protocol: bearer, {token}\r\n");
        let answer = exchange(gateway.port, get("/ws", &protocol)).await;
        assert_eq!(statuses(&answer), [401], "{answer}");
        assert!(!answer.contains(&token));
    }
    {
        let _case = case("I10", "handshakes count in the rate of their route");
        recorder.play(Script::after_body().accept_websocket().silence());
        let _open = [open(&gateway, "/rare", "").await, open(&gateway, "/rare", "").await];
        let answer = exchange(gateway.port, get("/rare", HANDSHAKE)).await;
        assert_eq!(statuses(&answer), [429], "{answer}");
    }
}

#[tokio::test]
async fn a_tunnel_opens_where_both_ends_say_so() {
    let (gateway, recorder) = start("", "10m").await;
    {
        let _case = case(
            "I04",
            "where a route takes no WebSocket the service hears of none, and its 101 opens no tunnel",
        );
        recorder.play(
            Script::after_body().send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            ),
        );
        let smuggled = get("/internal/x", "");
        let answers =
            exchange_all(gateway.port, format!("{}{smuggled}{LAST}", get("/public/x", HANDSHAKE))).await;
        assert_eq!(statuses(&answers)[0], 502, "{answers}");
        assert!(recorder.seen().iter().all(|seen| seen.all("upgrade").is_empty()));
        let received = String::from_utf8_lossy(&recorder.received().concat()).into_owned();
        assert!(!received.contains("/internal"), "{received}");
    }
    {
        let _case = case("I09", "a 101 to a plain request is no answer");
        let answer = exchange(gateway.port, get("/open", "")).await;
        assert_eq!(statuses(&answer), [502], "{answer}");
    }
    {
        let _case = case("I13", "a 101 that does not answer this very handshake opens no tunnel");
        for wrong in [
            "Upgrade: websocket\r\nSec-WebSocket-Accept: d3Jvbmc=\r\n",
            "Upgrade: websocket\r\n",
            "Upgrade: other\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        ] {
            let answer =
                format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{wrong}\r\nframes");
            recorder.play(Script::after_body().send(answer).silence());
            let ended = recorder.ended();
            let answers = exchange_all(gateway.port, format!("{}frames", get("/open", HANDSHAKE))).await;
            assert_eq!(statuses(&answers), [502], "{wrong:?}: {answers}");
            assert!(!answers.contains("frames"), "{answers}");
            recorder.until(|recorder| recorder.ended() > ended).await;
            assert!(!recorder.received().concat().ends_with(b"frames"));
        }
    }
    {
        let _case = case(
            "I12",
            "half a handshake is refused: the two ends would not agree whether there is a tunnel",
        );
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let before = recorder.connections();
        for (request, status) in [
            (get("/open", &HANDSHAKE.replace("Connection: Upgrade\r\n", "")), 400),
            (get("/open", &HANDSHAKE.replace("Connection: Upgrade", "Connection: close")), 400),
            (get("/open", HANDSHAKE).replacen("GET", "POST", 1), 400),
            (
                get("/open", &format!("{HANDSHAKE}Content-Length: 10\r\n")).replacen("GET", "POST", 1)
                    + "0123456789",
                400,
            ),
            (get("/open", &HANDSHAKE.replace(key, "")), 400),
            (get("/open", &HANDSHAKE.replace(key, "Sec-WebSocket-Key: short\r\n")), 400),
            (get("/open", &format!("{HANDSHAKE}{key}")), 400),
            (get("/open", &HANDSHAKE.replace("13", "12")), 426),
            (get("/open", &HANDSHAKE.replace("Sec-WebSocket-Version: 13\r\n", "")), 426),
            (get("/open", HANDSHAKE).replacen("HTTP/1.1", "HTTP/1.0", 1), 400),
            (get("/open", &HANDSHAKE.replace("websocket", "websocket, h2c")), 400),
        ] {
            let answer = exchange(gateway.port, &request).await;
            assert_eq!(statuses(&answer), [status], "{request:?}: {answer}");
        }
        assert_eq!(recorder.connections(), before);
    }
}

#[tokio::test]
async fn a_tunnel_carries_bytes_and_ends_in_silence() {
    let _case =
        case("I07", "frames of any length pass as bytes and are not gathered, and a silent WebSocket ends");
    let (gateway, recorder) = start("", "1s").await;
    recorder
        .play(Script::after_body().accept_websocket().wait_for_bytes(14).send([0x82, 0x02, 1, 2]).silence());
    let mut client = open(&gateway, "/open", "").await;
    // The head of a frame of 2^62 bytes: if it were waited for, the service would never see it.
    client.send([0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).await;
    let rest = client.rest_bytes().await;
    assert_eq!(rest[..4], [0x82, 0x02, 1, 2]);
    assert!(recorder.received().concat().ends_with(&[0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]));
}

#[tokio::test]
async fn a_tunnel_ends_with_its_session() {
    let _case = case(
        "I05",
        "a WebSocket whose session ended or whose token expired is closed with 1008 within a second or so",
    );
    let (gateway, recorder) = start("[token]\nleeway = \"0s\"\n", "10m").await;
    recorder.play(Script::after_body().accept_websocket().silence());
    let (alice, bob) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "bob").await);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let mut goes_on = open(&gateway, "/ws", &bearer(&bob)).await;
    let mut ended = open(&gateway, "/ws", &bearer(&alice)).await;
    assert_eq!(gateway.post("/logout").bearer_auth(&alice).send().await.unwrap().status(), 204);
    let soon = tokens::signed(json!({ "exp": tokens::now() + 3 }));
    let mut expired = open(&gateway, "/ws", &bearer(&soon)).await;
    // RFC 6455 §5.5.1: a close frame with the code 1008.
    assert_eq!(ended.rest_bytes().await, [0x88, 0x02, 0x03, 0xf0]);
    assert_eq!(expired.rest_bytes().await, [0x88, 0x02, 0x03, 0xf0]);
    goes_on.send("still here").await;
    recorder.until(|recorder| recorder.received().iter().any(|bytes| bytes.ends_with(b"still here"))).await;
}

#[tokio::test]
async fn a_tunnel_is_told_that_the_gateway_goes_away() {
    let _case = case(
        "I08",
        "an open WebSocket outlives SIGTERM until the time to drain is over, and is then told so with 1001",
    );
    let (mut gateway, recorder) = start("[server]\ndrain_timeout = \"2s\"\n", "10m").await;
    recorder.play(Script::after_body().accept_websocket().silence());
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(open(&gateway, "/open", "").await);
    }
    gateway.process.signal("TERM");
    gateway.process.wait_for_log("draining").await;
    clients[0].send("still here").await;
    recorder.until(|recorder| recorder.received()[0].ends_with(b"still here")).await;
    for client in &mut clients {
        assert_eq!(client.rest_bytes().await, [0x88, 0x02, 0x03, 0xe9]);
    }
    assert!(gateway.process.end().await.success());
}
