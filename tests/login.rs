//! A code goes in, a token comes out.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Config, Gateway, MERCHANT, Recorder, SHOP, gateway, secret};

#[tokio::test]
async fn a_code_is_taken_as_json_as_text_as_a_form_and_in_a_header() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let appid = SHOP.appid;
    let page = format!("https://servicewechat.com/{appid}/12/page-frame.html");
    for form in [
        "json",
        "json, appid from the page",
        "text",
        "text under wx.request's content type",
        "form",
        "header",
    ] {
        let code = gateway.simulator.code(&SHOP, "alice").await;
        let login = gateway.post("/login");
        let login = match form {
            "json" => login.json(&json!({ "code": code, "appid": appid })),
            "json, appid from the page" => login.json(&json!({ "code": code })).header("Referer", &page),
            "text" => login.body(code).header("Content-Type", "text/plain").header("Referer", &page),
            "text under wx.request's content type" => {
                login.body(code).header("Content-Type", "application/json").header("Referer", &page)
            }
            "form" => login.form(&[("code", code.as_str()), ("appid", appid)]),
            _ => login.header("X-WX-Code", code).header("Referer", &page),
        };
        let answer = login.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{form}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let answer: Value = answer.json().await.unwrap();
        let token = secret(answer["token"].as_str().unwrap());
        assert_eq!(
            (&answer["token_type"], &answer["expires_in"]),
            (&json!("Bearer"), &json!(7200)),
            "{form}"
        );
        let mut keys: Vec<_> = answer.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["expires_in", "token", "token_type"], "{form}");

        assert_eq!(gateway.get_as(&token, "/api/x").await.status(), 200, "{form}");
        assert_eq!(recorder.last().one("x-wx-appid"), appid, "{form}");
    }
}

#[tokio::test]
async fn the_app_is_the_named_one_else_the_pages_else_the_only_one() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let shop = gateway.log_in(&SHOP, "alice").await;
    let merchant = gateway.log_in(&MERCHANT, "alice").await;
    let mut openids = Vec::new();
    for (token, app) in [(&shop, &SHOP), (&merchant, &MERCHANT)] {
        assert_eq!(gateway.get_as(token, "/api/x").await.status(), 200);
        assert_eq!(recorder.last().one("x-wx-appid"), app.appid);
        openids.push(recorder.last().one("x-wx-openid").to_owned());
    }
    assert_ne!(openids[0], openids[1], "one user has an openid for each app");

    let before = gateway.simulator.exchanges().await;
    let code = gateway.simulator.code(&SHOP, "alice").await;
    let refused = |status: u16, code: &str, answer: (u16, Value)| {
        assert_eq!((answer.0, &answer.1["error"]), (status, &json!(code)), "{}", answer.1);
    };
    refused(400, "app_not_named", gateway.login(json!({ "code": code })).await);
    refused(400, "app_unknown", gateway.login(json!({ "code": code, "appid": "wx3333333333333333" })).await);
    refused(
        400,
        "app_unknown",
        gateway.login(json!({ "code": code, "appid": SHOP.appid.to_uppercase() })).await,
    );
    assert_eq!(gateway.simulator.exchanges().await, before, "no guess was sent to WeChat");
    // Nothing was lost: the code is still good.
    assert_eq!(gateway.login(json!({ "code": code, "appid": SHOP.appid })).await.0, 200);

    let recorder = Recorder::start().await;
    let mut config = Config::new(recorder.port, gateway::ROUTES).with("[login]\nopenid_in_answer = true\n");
    config.apps = config.apps.split("[app.merchant]").next().unwrap().to_owned();
    config.routes = config.routes.replace("apps = [\"merchant\"]", "");
    let one_app = Gateway::start(config).await;
    let code = one_app.simulator.code(&SHOP, "alice").await;
    let (status, answer) = one_app.login(json!({ "code": code })).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["openid"], json!(openids[0]));
}

#[tokio::test]
async fn fifty_parallel_logins_with_one_code_are_one_call_and_one_session() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    gateway.simulator.fault(json!({ "kind": "slow", "after_ms": 300 })).await;
    let body = json!({ "code": gateway.simulator.code(&SHOP, "alice").await, "appid": SHOP.appid });
    let answers = join_all((0..50).map(|_| gateway.login(body.clone()))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let tokens: HashSet<_> = answers.iter().map(|(_, answer)| answer["token"].as_str().unwrap()).collect();
    assert_eq!((tokens.len(), gateway.simulator.exchanges().await), (1, 1));
    assert!(gateway.metrics().await.contains("wxgate_wechat_seconds_count 1\n"));
}

#[tokio::test]
async fn a_lost_answer_can_be_fetched_again() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let code = gateway.simulator.code(&SHOP, "alice").await;
    let body = json!({ "code": code, "appid": SHOP.appid });
    gateway.simulator.fault(json!({ "kind": "slow", "after_ms": 200 })).await;
    // The client goes away while WeChat is being asked.
    let text = body.to_string();
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    while gateway.simulator.exchanges().await == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    let (status, first) = gateway.login(body.clone()).await;
    assert_eq!(status, 200, "{first}");
    let (_, again) = gateway.login(body).await;
    assert_eq!((&again["token"], gateway.simulator.exchanges().await), (&first["token"], 1));
}

#[tokio::test]
async fn what_cannot_be_a_code_is_refused_before_wechat_is_asked() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    for (code, reason) in [
        (json!("abc&appid=evil&secret=x"), "code_malformed"),
        (json!("abcdefgh%26grant_type=x"), "code_malformed"),
        (json!("abcdefgh#b"), "code_malformed"),
        (json!("abcdefgh b+c"), "code_malformed"),
        (json!("abcdefgh\r\nX: y"), "code_malformed"),
        (json!("abcdefgh\u{0}"), "code_malformed"),
        (json!("码码码码"), "code_malformed"),
        (json!("short"), "code_malformed"),
        (json!("a".repeat(129)), "code_malformed"),
        (json!("the code is a mock one"), "code_mock"),
        (json!(""), "code_missing"),
        (json!(null), "bad_body"),
        (json!(5), "bad_body"),
        (json!(["abcdefgh"]), "bad_body"),
    ] {
        let (status, answer) = gateway.login(json!({ "code": code, "appid": SHOP.appid })).await;
        assert_eq!((status, &answer["error"]), (400, &json!(reason)), "{code}");
    }
    for (content_type, body, status) in [
        ("application/json", "{", 400),
        ("application/json", "[]", 400),
        ("application/json", r#"{"code":"abcdefgh","code":"ijklmnop"}"#, 400),
        ("application/json", r#"{}"#, 400),
        ("multipart/form-data; boundary=x", "--x--", 415),
        ("application/x-www-form-urlencoded", "code=abcdefgh&code=ijklmnop", 400),
    ] {
        let answer =
            gateway.post("/login").header("Content-Type", content_type).body(body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{content_type} {body}");
    }
    let big = gateway.post("/login").body("a".repeat(1024 * 1024)).send().await;
    assert!(big.is_err() || big.unwrap().status() == 413);
    assert_eq!(gateway.get("/login").send().await.unwrap().status(), 405);
    assert_eq!(gateway.simulator.exchanges().await, 0);
}

#[tokio::test]
async fn the_exchange_carries_four_parameters_and_the_secret_goes_through_no_proxy() {
    // The harness sets HTTP_PROXY and HTTPS_PROXY to a closed port for every gateway.
    let (gateway, _recorder) = Gateway::before_recorder().await;
    gateway.log_in(&SHOP, "alice").await;
    let calls = gateway.simulator.calls().await;
    let mut parameters: Vec<_> =
        calls[0]["parameters"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    parameters.sort_unstable();
    assert_eq!(parameters, ["appid", "grant_type", "js_code", "secret"]);
}

#[tokio::test]
async fn a_login_looks_at_no_other_users_token() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let alice = gateway.log_in(&SHOP, "alice").await;
    let code = gateway.simulator.code(&SHOP, "bob").await;
    let login =
        gateway.post("/login").json(&json!({ "code": code, "appid": SHOP.appid })).bearer_auth(&alice);
    let answer: Value = login.send().await.unwrap().json().await.unwrap();
    let bob = secret(answer["token"].as_str().unwrap());
    gateway.get_as(&alice, "/api/x").await;
    let alices = recorder.last().one("x-wx-openid").to_owned();
    gateway.get_as(&bob, "/api/x").await;
    assert_ne!(recorder.last().one("x-wx-openid"), alices);
}
