//! A code goes in, a token comes out.

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
