//! Sessions outlive the process.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Config, Gateway, Recorder, SHOP, gateway, secret};

async fn with_embedded_store() -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    // Nothing said about the store: a file beside the config.
    (Gateway::start(Config::new(recorder.port, gateway::ROUTES).with_head("")).await, recorder)
}

/// How often the file of the sessions holds this text.
fn in_the_store(gateway: &Gateway, text: &str) -> usize {
    let file = std::fs::read(gateway.folder.path().join("wxgate.redb")).unwrap();
    file.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

async fn session_of(gateway: &Gateway, token: &str) -> (u16, Value) {
    let answer = gateway.get_as(token, "/session").await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_restarted_gateway_knows_its_sessions_and_who_logged_out() {
    let (mut gateway, recorder) = with_embedded_store().await;
    let (alice, bob) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "bob").await);
    assert_eq!(gateway.post("/logout").bearer_auth(&bob).send().await.unwrap().status(), 204);
    assert!(in_the_store(&gateway, "\"openid\":\"") >= 1, "no session was found in the store");
    // A session_key is 16 bytes in base64.
    assert_eq!(in_the_store(&gateway, "==\""), 0, "a session_key is in the store in clear");
    assert_eq!(in_the_store(&gateway, "session_key"), 0, "a session_key is in the store in clear");
    for signal in ["TERM", "KILL", "INT"] {
        gateway.restart(signal).await;
        let (status, session) = session_of(&gateway, &alice).await;
        assert_eq!(status, 200, "{signal}: {session}");
        assert!(
            session["session_expires_in"].is_u64(),
            "{signal}: the session is not in the store: {session}"
        );
        assert_eq!(gateway.get_as(&alice, "/api/x").await.status(), 200, "{signal}");
        let seen = recorder.seen().len();
        assert_eq!(session_of(&gateway, &bob).await.1["error"], "session_ended", "{signal}");
        assert_eq!(gateway.get_as(&bob, "/api/x").await.status(), 401, "{signal}");
        assert_eq!(recorder.seen().len(), seen, "{signal}");
    }
}

#[tokio::test]
async fn killed_during_logins_it_holds_every_session_whose_token_was_handed_out() {
    let (mut gateway, _recorder) = with_embedded_store().await;
    for round in 0..5 {
        let mut codes = Vec::new();
        for n in 0..200 {
            codes.push(gateway.simulator.code(&SHOP, &format!("user-{round}-{n}")).await);
        }
        let client = gateway.client.clone();
        let url = gateway.url("/login");
        let logins: Vec<_> = codes
            .chunks(25)
            .map(|codes| {
                let (client, url, codes) = (client.clone(), url.clone(), codes.to_vec());
                tokio::spawn(async move {
                    let mut tokens = Vec::new();
                    for code in codes {
                        let body = json!({ "code": code, "appid": SHOP.appid });
                        let Ok(answer) = client.post(&url).json(&body).send().await else { break };
                        let Ok(answer) = answer.json::<Value>().await else { break };
                        tokens.push(secret(answer["token"].as_str().expect("a token")));
                    }
                    tokens
                })
            })
            .collect();
        // Some have their token, most are under way.
        let at_least = 10 + round * 10;
        while !gateway.metrics().await.lines().any(|line| {
            line.starts_with("wxgate_logins_total")
                && line.contains("result=\"ok\"")
                && line.rsplit(' ').next().unwrap().parse::<usize>().unwrap() >= at_least
        }) {}
        gateway.process.signal("KILL");
        gateway.process.end().await;
        gateway.start_again().await;
        let mut handed_out = 0;
        for login in logins {
            for token in login.await.unwrap() {
                handed_out += 1;
                let (status, session) = session_of(&gateway, &token).await;
                assert!(
                    status == 200 && session["session_expires_in"].is_u64(),
                    "round {round}: {status} {session}"
                );
            }
        }
        assert!(
            handed_out > 0 && handed_out < 200,
            "round {round}: {handed_out} tokens: not killed in between"
        );
    }
}

#[tokio::test]
async fn a_second_gateway_on_the_same_store_does_not_start() {
    let (gateway, _recorder) = with_embedded_store().await;
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    let other = config
        .replace(&gateway.port.to_string(), &crate::harness::free_port().to_string())
        .replace(&gateway.admin_port.to_string(), &crate::harness::free_port().to_string());
    std::fs::write(gateway.folder.path().join("second.toml"), other).unwrap();
    let mut second = crate::harness::wxgate();
    second.current_dir(gateway.folder.path()).args(["run", "--config", "second.toml"]);
    second.env("SECRET_shop", SHOP.secret).env("SECRET_merchant", crate::harness::MERCHANT.secret);
    let ended = crate::harness::run(&mut second);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("wxgate.redb"), "{said}");
}

#[tokio::test]
async fn running_requests_finish_before_the_end() {
    let service = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = service.local_addr().unwrap().port();
    let mut gateway = Gateway::start(Config::new(port, gateway::ROUTES)).await;
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    client.write_all(b"GET /public/slow HTTP/1.1\r\nHost: gw.test\r\n\r\n").await.unwrap();
    let (mut upstream, _) = service.accept().await.unwrap();
    gateway.process.signal("TERM");
    // Readiness goes off first; the private listener still answers.
    let off = AtomicBool::new(false);
    while !off.load(Ordering::Relaxed) {
        let ready = gateway.client.get(gateway.admin_url("/readyz")).send().await.unwrap();
        off.store(ready.status() == 503, Ordering::Relaxed);
    }
    assert!(gateway.process.ended().is_none());
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"done"), "{}", answer.escape_ascii());
    assert!(gateway.process.end().await.success());
    let line = gateway.process.stdout();
    assert!(
        line.contains("\"path\":\"/public/slow\"") && line.contains("\"status\":200"),
        "the last line was lost: {line}"
    );
}

#[tokio::test]
async fn a_second_signal_ends_a_gateway_that_drains() {
    let service = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = service.local_addr().unwrap().port();
    let mut gateway =
        Gateway::start(Config::new(port, gateway::ROUTES).with("[server]\ndrain_timeout = \"1h\"\n")).await;
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    client.write_all(b"GET /public/slow HTTP/1.1\r\nHost: gw.test\r\n\r\n").await.unwrap();
    let _held = service.accept().await.unwrap();
    gateway.process.signal("TERM");
    while TcpStream::connect(("127.0.0.1", gateway.port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(gateway.process.ended().is_none());
    gateway.process.signal("INT");
    gateway.process.end().await;
}
