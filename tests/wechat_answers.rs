//! What WeChat may answer, and what a client is told.

use serde_json::json;

use crate::harness::{Config, Gateway, Recorder, SHOP, gateway};

async fn impatient() -> Gateway {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES);
    Gateway::start(config.with("[wechat]\nconnect_timeout = \"500ms\"\ntimeout = \"2s\"\n")).await
}

#[tokio::test]
async fn every_errcode_has_its_status_and_reason() {
    let gateway = impatient().await;
    let rows: &[(i64, u16, &str)] = &[
        (40029, 401, "code_invalid"),
        (42003, 401, "code_invalid"),
        (40163, 401, "code_used"),
        (41008, 400, "code_missing"),
        (40226, 403, "user_blocked"),
        (50002, 403, "user_limited"),
        (45011, 429, "wechat_quota"),
        (45009, 503, "wechat_quota"),
        (40013, 502, "gateway_misconfigured"),
        (40125, 502, "gateway_misconfigured"),
        (40164, 502, "gateway_misconfigured"),
        (40243, 502, "gateway_misconfigured"),
        (41002, 502, "gateway_misconfigured"),
        (41004, 502, "gateway_misconfigured"),
        (40002, 502, "gateway_misconfigured"),
        (48001, 502, "gateway_misconfigured"),
        (48004, 502, "gateway_misconfigured"),
        (50004, 502, "gateway_misconfigured"),
        (50007, 502, "gateway_misconfigured"),
        (61003, 502, "gateway_misconfigured"),
        (40090, 502, "gateway_misconfigured"),
        (40188, 502, "wechat_unexpected"),
        (99999, 502, "wechat_unexpected"),
    ];
    for (errcode, status, reason) in rows {
        gateway.simulator.fault(json!({ "kind": "errcode", "code": errcode })).await;
        let code = gateway.simulator.code(&SHOP, "alice").await;
        let (answered, answer) = gateway.login(json!({ "code": code, "appid": SHOP.appid })).await;
        assert_eq!((answered, answer["error"].as_str().unwrap()), (*status, *reason), "{errcode}: {answer}");
        assert!(answer["request_id"].is_string());
        let metrics = gateway.metrics().await;
        let label =
            if *errcode == 99999 || *errcode == 40188 { "other".to_owned() } else { errcode.to_string() };
        assert!(metrics.contains(&format!("errcode=\"{label}\"")), "{errcode} is not counted in\n{metrics}");
    }
    let log = gateway.process.log();
    assert!(log.contains("40125") && log.contains("rid"), "the operator finds errcode and rid in\n{log}");
}

#[tokio::test]
async fn a_quota_says_when_to_come_back() {
    let gateway = impatient().await;
    gateway.simulator.fault(json!({ "kind": "errcode", "code": 45011 })).await;
    let code = gateway.simulator.code(&SHOP, "alice").await;
    let answer =
        gateway.post("/login").json(&json!({ "code": code, "appid": SHOP.appid })).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "60");
    assert_eq!(answer.headers()["x-wxgate-error"], "wechat_quota");
}

#[tokio::test]
async fn odd_but_right_answers_are_understood() {
    let gateway = impatient().await;
    for kind in ["legacy", "extra_fields", "bom"] {
        gateway.simulator.fault(json!({ "kind": kind })).await;
        gateway.log_in(&SHOP, "alice").await;
    }
    // Busy once: nothing was spent, the exchange is tried again.
    gateway.simulator.control("reset", json!({})).await;
    gateway.simulator.fault(json!({ "kind": "busy" })).await;
    gateway.log_in(&SHOP, "alice").await;
    assert_eq!(gateway.simulator.exchanges().await, 2);
}

#[tokio::test]
async fn an_answer_lost_after_the_code_was_spent_is_not_asked_for_again() {
    let gateway = impatient().await;
    gateway.simulator.fault(json!({ "kind": "reset" })).await;
    let code = gateway.simulator.code(&SHOP, "alice").await;
    let body = json!({ "code": code, "appid": SHOP.appid });
    assert_eq!(gateway.login(body.clone()).await.0, 502);
    assert_eq!(
        gateway.simulator.exchanges().await,
        1,
        "nobody knows whether the code is spent: no blind replay"
    );
    let (status, answer) = gateway.login(body).await;
    assert_eq!((status, &answer["error"]), (401, &json!("code_used")), "{answer}");
}

#[tokio::test]
async fn wechat_out_of_reach_costs_logins_only() {
    let recorder = Recorder::start().await;
    let mut gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    let closed = format!("http://127.0.0.1:{}", crate::harness::free_port());
    std::fs::write(gateway.config_path(), config.replace(&gateway.simulator.url(), &closed)).unwrap();
    gateway.restart("TERM").await;
    let (status, answer) = gateway.login(json!({ "code": "abcdefghijklmnop", "appid": SHOP.appid })).await;
    assert_eq!((status, &answer["error"]), (503, &json!("wechat_unreachable")));
    assert_eq!(gateway.get_as(&token, "/api/x").await.status(), 200);
}
