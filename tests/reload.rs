//! A changed config while the gateway runs: taken over whole, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use auth_core::keys::{Algorithm, generate};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::harness::gateway::{ROUTES, write_key_file};
use crate::harness::tls::{Certificates, Hello, TlsConnection};
use crate::harness::{Config, Connection, Gateway, MERCHANT, Recorder, SHOP, Script};

pub(crate) const IN_FORCE: &str = "the changed config is in force";
const NOT_TAKEN: &str = "the changed config is not taken over";

/// Changes the config file and tells the gateway; waits until its log says `what` once more.
pub(crate) async fn change(gateway: &Gateway, what: &str, change: impl FnOnce(String) -> String) {
    let before = gateway.process.log().matches(what).count();
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    // As an editor or a mounted volume does it: nobody reads half a file.
    let fresh = gateway.folder.path().join("fresh.toml");
    std::fs::write(&fresh, change(text)).unwrap();
    std::fs::rename(fresh, gateway.config_path()).unwrap();
    gateway.process.signal("HUP");
    gateway.process.wait_for_log_times(what, before + 1).await;
}

async fn status(gateway: &Gateway, path: &str) -> u16 {
    gateway.get(path).send().await.unwrap().status().as_u16()
}

const ADDED: &str = "\n[[route]]\npath = \"/added/*\"\nupstream = \"service\"\nauth = \"none\"\n";

#[tokio::test]
async fn a_changed_file_is_in_force_without_a_restart() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    assert_eq!(status(&gateway, "/added/x").await, 404);
    change(&gateway, IN_FORCE, |text| text + ADDED).await;
    assert_eq!(status(&gateway, "/added/x").await, 200);
    // Without a signal, too: somebody looks now and then.
    let text = std::fs::read_to_string(gateway.config_path()).unwrap().replace("/added/*", "/moved/*");
    std::fs::write(gateway.config_path(), text).unwrap();
    gateway.process.wait_for_log_times(IN_FORCE, 2).await;
    assert_eq!((status(&gateway, "/added/x").await, status(&gateway, "/moved/x").await), (404, 200));
    assert!(gateway.metrics().await.contains("wxgate_config_reloads_total{result=\"ok\"} 2"));
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_is_told_with_its_line() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    change(&gateway, NOT_TAKEN, |text| text + &ADDED.replace("service", "servce")).await;
    let log = gateway.process.log();
    assert!(log.contains("did you mean") && log.contains("servce"), "{log}");
    assert_eq!((status(&gateway, "/added/x").await, status(&gateway, "/public/x").await), (404, 200));
    assert!(gateway.metrics().await.contains("wxgate_config_reloads_total{result=\"refused\"} "));
    // What a running process cannot change is said, and the rest waits for it.
    change(&gateway, NOT_TAKEN, |text| {
        text.replace("servce", "service").replace("workers = 2", "workers = 3")
    })
    .await;
    assert!(gateway.process.log().contains("these need a restart: server.workers"));
    // Asked again, it says so again.
    change(&gateway, NOT_TAKEN, |text| text).await;
    assert_eq!(status(&gateway, "/added/x").await, 404);
    change(&gateway, IN_FORCE, |text| text.replace("workers = 3", "workers = 2")).await;
    assert_eq!(status(&gateway, "/added/x").await, 200);
}

#[tokio::test]
async fn a_key_is_rotated_without_a_lost_login() {
    let recorder = Recorder::start().await;
    let routes = format!("{ROUTES}\n[[route]]\npath = \"/ws\"\nupstream = \"service\"\nwebsocket = true\n");
    let gateway = Gateway::start(Config::new(recorder.port, &routes)).await;
    let old = gateway.log_in(&SHOP, "alice").await;
    recorder.play_once(Script::after_body().accept_websocket().silence());
    let mut socket = Connection::websocket(gateway.port, &old).await;
    assert_eq!(gateway.get_as(&old, "/api/x").await.status(), 200);
    let new_key = generate(Algorithm::Es256);
    write_key_file(&gateway.folder.path().join("new"), new_key.expose_secret());
    let keys = |list: &str| format!("keys = [{list}]");
    let (one, two) = ("{ kid = \"test\", file = \"key\" }", "{ kid = \"new\", file = \"new\" }");
    change(&gateway, IN_FORCE, |text| text.replace(&keys(one), &keys(&format!("{two}, {one}")))).await;
    // Both verify, the new one signs.
    let new = gateway.log_in(&SHOP, "bob").await;
    for token in [&old, &new] {
        assert_eq!(gateway.get_as(token, "/api/x").await.status(), 200);
    }
    let jwks: Value = gateway.get("/.well-known/jwks.json").send().await.unwrap().json().await.unwrap();
    assert_eq!(jwks["keys"][0]["kid"], "new");
    // The old one is retired: its tokens end at once, remembered or not, on old connections and on new ones.
    change(&gateway, IN_FORCE, |text| text.replace(&keys(&format!("{two}, {one}")), &keys(two))).await;
    assert_eq!(gateway.get_as(&old, "/api/x").await.status(), 401);
    assert_eq!(gateway.get_as(&new, "/api/x").await.status(), 200);
    // RFC 6455 §5.5.1: a close frame with the code 1008.
    assert_eq!(socket.rest_bytes().await, [0x88, 0x02, 0x03, 0xf0]);
}

#[tokio::test]
async fn what_was_counted_goes_on_being_counted() {
    let recorder = Recorder::start().await;
    let routes = format!(
        "{ROUTES}\n[[route]]\npath = \"/few/*\"\nupstream = \"service\"\nauth = \"none\"\nrate = {{ per = \"address\", limit = \"2/h\" }}\n"
    );
    let gateway = Gateway::start(Config::new(recorder.port, &routes)).await;
    let token = gateway.log_in(&MERCHANT, "alice").await;
    assert_eq!((status(&gateway, "/few/x").await, status(&gateway, "/few/x").await), (200, 200));
    assert_eq!(gateway.post("/logout").bearer_auth(&token).send().await.unwrap().status(), 204);
    change(&gateway, IN_FORCE, |text| text + ADDED).await;
    assert_eq!(status(&gateway, "/few/x").await, 429);
    assert_eq!(gateway.get_as(&token, "/api/x").await.status(), 401);
    assert!(
        gateway
            .metrics()
            .await
            .contains("wxgate_requests_total{route=\"/few/*\",status=\"200\",outcome=\"proxied\"} 2")
    );
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(Config::new(recorder.port, ROUTES).with_tls()).await;
    let mut before = TlsConnection::open(&gateway, Hello::to("gw.test")).await.unwrap();
    let get = "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    assert!(before.ask(get).await.starts_with("HTTP/1.1 200"));
    let mut renewed = Certificates::of(&[&["gw.test", "a.test", "*.a.test"], &["b.test"]]);
    renewed.port = gateway.tls.as_ref().unwrap().port;
    renewed.write(gateway.folder.path());
    change(&gateway, IN_FORCE, |text| text).await;
    // Who was connected stays so; who comes anew trusts the new one only.
    assert!(before.ask(get).await.starts_with("HTTP/1.1 200"));
    assert!(
        TlsConnection::open(&gateway, Hello::to("gw.test")).await.is_err(),
        "the old certificate is still shown"
    );
    let mut gateway = gateway;
    gateway.tls = Some(renewed);
    let mut after = TlsConnection::open(&gateway, Hello::to("gw.test")).await.unwrap();
    assert!(after.ask(get).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_hundred_changes_under_load_fail_no_request() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let gateway = Arc::new(gateway);
    let token = Arc::new(gateway.log_in(&SHOP, "alice").await);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (gateway, token) = (Arc::clone(&gateway), Arc::clone(&token));
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = gateway.get_as(&token, "/api/x").await;
                    assert_eq!(answer.status(), 200, "{:?}", answer.headers());
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for n in 0..100 {
        change(&gateway, IN_FORCE, |text| {
            let text = text.split("\n# change ").next().unwrap().to_owned();
            format!("{text}\n# change {n}\n{ADDED}")
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(asked.load(Ordering::Relaxed) > 100);
    assert_eq!(status(&gateway, "/added/x").await, 200);
}
