//! Group H: sessions and logout.

use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::case;
use crate::harness::{Config, Gateway, MERCHANT, Recorder, SHOP, gateway, run, secret, wxgate};

/// Status and reason.
async fn asked(gateway: &Gateway, token: &str, path: &str) -> (u16, String) {
    let answer = gateway.get_as(token, path).await;
    let reason = answer.headers().get("x-wxgate-error").map(|code| code.to_str().unwrap().to_owned());
    (answer.status().as_u16(), reason.unwrap_or_default())
}

#[tokio::test]
async fn a_session_ends_with_its_time_and_a_logout_is_never_a_mistake() {
    let _end = case(
        "H03",
        "a token ends with its time, which is how long a session may be idle, and no session outlives its lifetime: after \
         that it is 401 on every route and endpoint, and nothing renews it",
    );
    let _logout = case(
        "H07",
        "logging out is idempotent: twice, and with a token that has expired, it is 204; only what is no token of ours \
         is 401; there is no cookie to clear",
    );
    let recorder = Recorder::start().await;
    let times = "[token]\nttl = \"1s\"\nleeway = \"0s\"\n[session]\nlifetime = \"1s\"\n";
    let gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with(times)).await;
    let (first, second) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "alice").await);
    let begun = Instant::now();
    while asked(&gateway, &second, "/api/x").await.0 == 200 {
        assert!(begun.elapsed().as_secs() < 30, "the token does not end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let seen = recorder.seen().len();
    for token in [&first, &second] {
        for path in ["/api/x", "/opt/x", "/merchant/x", "/session"] {
            assert_eq!(asked(&gateway, token, path).await, (401, "token_expired".to_owned()), "{path}");
        }
        let refused = gateway.get_as(token, "/api/x").await;
        assert!(!refused.headers().contains_key("x-session-token"), "{:?}", refused.headers());
        for time in ["first", "second"] {
            let answer = gateway.post("/logout").bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), 204, "{time}");
            assert!(!answer.headers().contains_key("set-cookie"), "{:?}", answer.headers());
        }
    }
    assert_eq!(recorder.seen().len(), seen);
    for wrong in ["garbage", "a.b.c", &format!("{first}x")] {
        assert_eq!(gateway.post("/logout").bearer_auth(wrong).send().await.unwrap().status(), 401, "{wrong}");
    }
}

#[tokio::test]
async fn a_store_in_trouble_refuses_logins_and_logs_nobody_out() {
    let _case = case(
        "H11",
        "a full store refuses the next login with 503 and its sessions go on, as with a Redis that is away or stands still \
         (`tests/nodes/trouble.rs`); a damaged file does not start and is left as it is",
    );
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES).with("[store]\nsessions_max = 1\n");
    let gateway = Gateway::start(config).await;
    let alice = gateway.log_in(&SHOP, "alice").await;
    let body = json!({ "code": gateway.simulator.code(&SHOP, "bob").await, "appid": SHOP.appid });
    for _ in 0..2 {
        let (status, answer) = gateway.login(body.clone()).await;
        assert_eq!((status, &answer["error"]), (503, &json!("store_unavailable")), "{answer}");
        assert_eq!(asked(&gateway, &alice, "/api/x").await.0, 200);
        assert_eq!(asked(&gateway, &alice, "/session").await.0, 200);
    }
    // There is room again: the code was not lost with the failure.
    assert_eq!(gateway.post("/logout").bearer_auth(&alice).send().await.unwrap().status(), 204);
    assert_eq!(gateway.login(body).await.0, 200);
    assert_eq!(gateway.simulator.exchanges().await, 2);

    // Nothing said about the store: a file.
    let mut gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with_head("")).await;
    gateway.log_in(&SHOP, "alice").await;
    gateway.process.signal("TERM");
    gateway.process.end().await;
    let (file, damaged) = (gateway.folder.path().join("wxgate.redb"), b"not a store at all".repeat(1000));
    std::fs::write(&file, &damaged).unwrap();
    let mut again = wxgate();
    again.current_dir(gateway.folder.path()).args(["run", "--config", "wxgate.toml"]);
    again.env("SECRET_shop", SHOP.secret).env("SECRET_merchant", MERCHANT.secret);
    let ended = run(&mut again);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("wxgate.redb"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), damaged);
}

#[tokio::test]
async fn a_session_lives_as_long_as_its_key_and_its_app_are_in_the_config() {
    let _case = case(
        "H15",
        "after a rotation tokens of the old key pass while it is listed; without the key, or without the app, they are \
         401, although their sessions are in the store",
    );
    let recorder = Recorder::start().await;
    let routes = "[[route]]\npath = \"/api/*\"\nupstream = \"service\"\n";
    let mut gateway = Gateway::start(Config::new(recorder.port, routes).with_head("")).await;
    let (shop, merchant) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&MERCHANT, "alice").await);
    let next_key = secret("W2vTj8sQx5Lk9ZmB3cJ7dHf1gPa4eYn0Rr6UuCio");
    std::fs::write(gateway.folder.path().join("next"), next_key).unwrap();
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    let (old, next) = ("{ kid = \"test\", file = \"key\" }", "{ kid = \"next\", file = \"next\" }");
    let rotated = config.replace(old, &format!("{next}, {old}"));
    assert_ne!(rotated, config);

    std::fs::write(gateway.config_path(), &rotated).unwrap();
    gateway.restart("TERM").await;
    let signed_next = gateway.log_in(&SHOP, "alice").await;
    let header = URL_SAFE_NO_PAD.decode(signed_next.split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["kid"], "next");
    for token in [&shop, &merchant, &signed_next] {
        assert_eq!(asked(&gateway, token, "/api/x").await.0, 200);
        assert_eq!(asked(&gateway, token, "/session").await.0, 200);
    }

    let without_app = rotated.split("[app.merchant]").next().unwrap().to_owned()
        + rotated
            .split("[app.merchant]")
            .nth(1)
            .unwrap()
            .split_once("\n[")
            .map(|(_, rest)| ["[", rest].concat())
            .unwrap()
            .as_str();
    std::fs::write(gateway.config_path(), &without_app).unwrap();
    gateway.restart("TERM").await;
    assert_eq!(asked(&gateway, &shop, "/api/x").await.0, 200);
    assert_eq!(asked(&gateway, &merchant, "/api/x").await, (401, "token_wrong_app".to_owned()));

    std::fs::write(gateway.config_path(), rotated.replace(&format!("{next}, {old}"), next)).unwrap();
    gateway.restart("TERM").await;
    let seen = recorder.seen().len();
    for token in [&shop, &merchant] {
        assert_eq!(asked(&gateway, token, "/api/x").await, (401, "token_key_unknown".to_owned()));
    }
    assert_eq!(recorder.seen().len(), seen);
    assert_eq!(asked(&gateway, &signed_next, "/api/x").await.0, 200);
}
