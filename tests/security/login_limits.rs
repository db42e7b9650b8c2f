//! Group G, the limits: what a flood of logins may cost.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Config, Gateway, MERCHANT, Recorder, SHOP, exchange, exchange_from, gateway, secret};

use super::case;
use super::login::{login, of_shop};

#[tokio::test]
async fn a_flood_of_logins_costs_wechat_little() {
    let recorder = Recorder::start().await;
    let config =
        Config::new(recorder.port, gateway::ROUTES).with("[server]\ntrusted_proxies = [\"127.0.9.0/24\"]\n");
    let gateway = Gateway::start(config).await;
    let _case = case(
        "G14",
        "a flood of logins is stopped before WeChat is asked: by the client's real address with no setting at all, by one \
         question for one code, and by a budget for each app, whose refusal leaves the code as good as it was",
    );
    one_address_is_limited_with_no_setting_at_all(&gateway).await;
    one_code_is_one_question(&gateway).await;
    an_app_waits_for_its_budget().await;
    a_refused_code_gets_in_later().await;
}

async fn one_address_is_limited_with_no_setting_at_all(gateway: &Gateway) {
    let started = Instant::now();
    let mut passed = 0;
    for n in 0..1000 {
        let lines =
            format!("X-Forwarded-For: 10.0.{}.{}\r\nContent-Type: application/json\r\n", n / 250, n % 250);
        let body = of_shop(&format!("made-up-code-{n}")).to_string();
        let answer = exchange(gateway.port, login(&lines, &body)).await;
        if answer.contains("rate_limited") {
            assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("etry-"), "{answer}");
        } else {
            assert!(answer.contains("code_invalid"), "{answer}");
            passed += 1;
        }
    }
    // The burst of a minute, and what became free again meanwhile: ten a second.
    let most = 600 + 10 * (started.elapsed().as_secs() as usize + 1);
    assert!((600..=most).contains(&passed), "{passed} of 1000 passed, {most} at most");
    assert_eq!(gateway.simulator.exchanges().await, passed);
}

async fn one_code_is_one_question(gateway: &Gateway) {
    gateway.simulator.control("reset", json!({})).await;
    let body = of_shop(&gateway.simulator.code(&SHOP, "alice").await).to_string();
    let askers = (0..50).map(|n| {
        let lines = format!("X-Forwarded-For: 10.3.{n}.1\r\nContent-Type: application/json\r\n");
        let (request, port) = (login(&lines, &body), gateway.port);
        async move { exchange_from("127.0.9.9", port, request).await }
    });
    let answers = join_all(askers).await;
    let body_of = |answer: &String| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    let tokens: HashSet<_> = answers
        .iter()
        .map(|answer| {
            let body: Value = serde_json::from_str(&body_of(answer)).unwrap();
            secret(body["token"].as_str().unwrap_or_else(|| panic!("{answer}")))
        })
        .collect();
    assert_eq!((tokens.len(), gateway.simulator.exchanges().await), (1, 1));
}

/// What an app is refused over its budget is not lost.
async fn an_app_waits_for_its_budget() {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES).with("[login]\nbudget = \"3/h\"\n");
    let gateway = Gateway::start(config).await;
    let mut codes = Vec::new();
    for n in 0..4 {
        codes.push(gateway.simulator.code(&SHOP, &format!("user-{n}")).await);
    }
    for code in &codes[..3] {
        assert_eq!(gateway.login(of_shop(code)).await.0, 200);
    }
    // Repeated, since a refusal must not be taken for the code's end.
    for _ in 0..2 {
        let answer = gateway.post("/login").json(&of_shop(&codes[3])).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-wxgate-error"]),
            (429, &"login_budget".parse().unwrap())
        );
        let wait: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=1201).contains(&wait), "{wait}");
    }
    assert_eq!(gateway.simulator.exchanges().await, 3, "WeChat was not asked");
    // An answer from memory costs no budget, and another app has its own.
    assert_eq!(gateway.login(of_shop(&codes[0])).await.0, 200);
    gateway.log_in(&MERCHANT, "alice").await;
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("wxgate_logins_total{app=\"shop\",result=\"over_budget\",errcode=\"\"} 2"),
        "{metrics}"
    );
    assert!(metrics.contains("wxgate_wechat_seconds_count 4\n"), "{metrics}");
    gateway.process.wait_for_line(|line| line.contains("\"denied.reason\":\"login_budget\"")).await;
    let at_wechat = gateway.simulator.exchange(&SHOP, &codes[3]).await;
    secret(at_wechat["session_key"].as_str().unwrap_or_else(|| panic!("the code was spent: {at_wechat}")));
}

async fn a_refused_code_gets_in_later() {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES).with("[login]\nbudget = \"1/s\"\n");
    let gateway = Gateway::start(config).await;
    let mut bodies = Vec::new();
    for n in 0..20 {
        bodies.push(of_shop(&gateway.simulator.code(&SHOP, &format!("user-{n}")).await));
    }
    // More at once than a second has room for.
    let answers = join_all(bodies.iter().map(|body| gateway.login(body.clone()))).await;
    let refused = answers.iter().position(|(status, _)| *status == 429);
    let body = &bodies[refused.unwrap_or_else(|| panic!("none was refused: {answers:?}"))];
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (status, answer) = gateway.login(body.clone()).await;
        if status == 200 {
            return;
        }
        assert_eq!((status, &answer["error"]), (429, &json!("login_budget")));
        assert!(Instant::now() < deadline, "the code goes on being refused");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn limits_that_are_turned_off_are_off() {
    let recorder = Recorder::start().await;
    let config =
        Config::new(recorder.port, gateway::ROUTES).with("[login]\nrate = \"off\"\nbudget = \"off\"\n");
    let gateway = Gateway::start(config).await;
    let request = login("Content-Type: application/json\r\n", r#"{"code":"short"}"#);
    for _ in 0..700 {
        assert!(exchange(gateway.port, &request).await.starts_with("HTTP/1.1 400 "));
    }
}
