//! What services do with the `session_key` of users: through the real program, with a simulator in WeChat's place.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::gateway::{ROUTES, write_key_file};
use crate::harness::{App, Config, Gateway, MERCHANT, Recorder, SHOP, Simulator, exchange, secret};

const OPERATOR: &str = "operators-own-credential-8Qx2Lw7Rt5Vy1";
const ORDER: &str = "credential-of-the-service-order-4Hn9Kd3Sg6";
const EVERY: &str = "credential-of-the-service-every-7Bv5Mz1Cf8";
const NO_APP: &str = "credential-of-the-service-noapp-2Jp6Xq9Tw4";

const SECTIONS: &str = r#"
[login]
openid_in_answer = true
[admin]
token = { env = "OPERATOR" }
[admin.service.order]
token = { env = "ORDER" }
apps = ["shop"]
[admin.service.every]
token = { env = "EVERY" }
checks = "3/h"
[admin.service.noapp]
token = { env = "NO_APP" }
apps = []
"#;

/// A login through the gateway.
struct User {
    app: &'static str,
    token: String,
    openid: String,
}

impl User {
    /// The fields that name the user, and these.
    fn and(&self, more: Value) -> Value {
        merged(json!({ "appid": self.app, "openid": self.openid }), more)
    }

    fn sid(&self) -> String {
        let claims = URL_SAFE_NO_PAD.decode(self.token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["sid"].as_str().unwrap().to_owned()
    }
}

fn merged(mut fields: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    fields.as_object_mut().unwrap().extend(more);
    fields
}

fn config(recorder: &Recorder) -> Config {
    let config = Config::new(recorder.port, ROUTES).with(SECTIONS);
    let config = config.with_variable("OPERATOR", secret(OPERATOR)).with_variable("ORDER", secret(ORDER));
    config.with_variable("EVERY", secret(EVERY)).with_variable("NO_APP", secret(NO_APP))
}

async fn start() -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    (Gateway::start(config(&recorder)).await, recorder)
}

async fn log_in_with(gateway: &Gateway, app: &App, code: &str) -> User {
    let (status, answer) = gateway.login(json!({ "code": code, "appid": app.appid })).await;
    assert_eq!(status, 200, "{answer}");
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    User { app: app.appid, token: text("token"), openid: text("openid") }
}

async fn log_in(gateway: &Gateway, app: &App, user: &str) -> User {
    let code = gateway.simulator.code(app, user).await;
    log_in_with(gateway, app, &code).await
}

/// A login of which the test knows the `session_key`, so that it is looked for in the logs.
async fn log_in_with_known_key(gateway: &Gateway, user: &str) -> (User, String) {
    let (ours, past) = (gateway.simulator.code(&SHOP, user).await, gateway.simulator.code(&SHOP, user).await);
    let user = log_in_with(gateway, &SHOP, &ours).await;
    let answer = gateway.simulator.exchange(&SHOP, &past).await;
    (user, secret(answer["session_key"].as_str().unwrap()))
}

/// What `alice`'s client gets from WeChat: `encryptedData`, `iv`, `rawData`, `signature`.
async fn from_wechat(simulator: &Simulator, more: Value) -> Value {
    simulator.control("encrypted-data", merged(json!({ "appid": SHOP.appid, "user": "alice" }), more)).await
}

async fn ask(gateway: &Gateway, token: &str, what: &str, body: &Value) -> (u16, Value) {
    let request = gateway.client.post(gateway.admin_url(&format!("/session-data/{what}"))).bearer_auth(token);
    let answer = request.json(body).send().await.unwrap();
    let (status, code) = (answer.status().as_u16(), answer.headers().get("x-wxgate-error").cloned());
    assert_eq!(answer.headers()["cache-control"], "no-store", "{what}");
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(
        code.map(|code| code.to_str().unwrap().to_owned()),
        answer["error"].as_str().map(str::to_owned)
    );
    (status, answer)
}

/// Status and code of a refusal.
async fn refused(gateway: &Gateway, token: &str, what: &str, body: &Value) -> (u16, String) {
    let (status, answer) = ask(gateway, token, what, body).await;
    assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
    (status, answer["error"].as_str().unwrap_or_else(|| panic!("{status}: {answer}")).to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn open_data_is_opened_for_a_user_and_for_a_session() {
    let (gateway, _recorder) = start().await;
    let (alice, _key) = log_in_with_known_key(&gateway, "alice").await;
    let data =
        from_wechat(&gateway.simulator, json!({ "data": { "stepInfoList": [{ "step": 100 }] } })).await;
    for whose in [alice.and(json!({})), json!({ "sid": alice.sid() })] {
        // What the client got may be passed on whole.
        let (status, answer) = ask(&gateway, ORDER, "decrypt", &merged(whose, data.clone())).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["data"]["stepInfoList"], json!([{ "step": 100 }]));
        assert_eq!(answer["data"]["watermark"]["appid"], SHOP.appid);
        assert!(answer["sealed_at"].is_u64(), "{answer}");
        assert_eq!((&answer["appid"], &answer["openid"]), (&json!(SHOP.appid), &json!(alice.openid)));
    }
    let info = from_wechat(&gateway.simulator, json!({})).await;
    let (status, answer) = ask(&gateway, ORDER, "decrypt", &alice.and(info)).await;
    assert_eq!((status, &answer["data"]["openId"]), (200, &json!(alice.openid)), "{answer}");
}

#[tokio::test]
async fn a_key_that_another_login_replaced_is_told_apart() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let before = from_wechat(&gateway.simulator, json!({})).await;
    // wx.login on another device, whose code has not come here.
    let code = gateway.simulator.code(&SHOP, "alice").await;
    let data = from_wechat(&gateway.simulator, json!({})).await;
    assert_eq!(
        refused(&gateway, ORDER, "decrypt", &alice.and(data.clone())).await,
        is(409, "session_key_stale")
    );
    assert_eq!(
        refused(&gateway, ORDER, "verify", &alice.and(data.clone())).await,
        is(409, "signature_wrong")
    );
    // It comes: what was sealed with the new key opens, for the first device as well; so does what is still on its way.
    log_in_with(&gateway, &SHOP, &code).await;
    for data in [data, before.clone()] {
        for what in ["decrypt", "verify"] {
            assert_eq!(ask(&gateway, ORDER, what, &alice.and(data.clone())).await.0, 200, "{what}");
            let of_session = merged(json!({ "sid": alice.sid() }), data.clone());
            assert_eq!(ask(&gateway, ORDER, what, &of_session).await.0, 200, "{what}");
        }
    }
    // A session that has ended takes its key with it.
    gateway.post("/logout").bearer_auth(&alice.token).send().await.unwrap();
    assert_eq!(refused(&gateway, ORDER, "decrypt", &alice.and(before)).await, is(409, "session_key_stale"));
}

#[tokio::test]
async fn what_is_not_open_data_is_malformed() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let data = from_wechat(&gateway.simulator, json!({})).await;
    let (sealed, iv) = (data["encryptedData"].as_str().unwrap(), data["iv"].as_str().unwrap());
    for (sealed, iv) in
        [("!", iv), ("AAAA", iv), ("", iv), (sealed, "AAAA"), (sealed, ""), (&sealed[4..], iv)]
    {
        let body = alice.and(json!({ "encryptedData": sealed, "iv": iv }));
        assert_eq!(
            refused(&gateway, ORDER, "decrypt", &body).await,
            is(400, "open_data_malformed"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn data_of_another_app_or_another_user_is_refused() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let watermark = json!({ "appid": MERCHANT.appid, "timestamp": 1 });
    let data = from_wechat(&gateway.simulator, json!({ "data": { "watermark": watermark } })).await;
    assert_eq!(refused(&gateway, ORDER, "decrypt", &alice.and(data)).await, is(409, "session_key_stale"));
    let bob = log_in(&gateway, &SHOP, "bob").await;
    for names in [json!({ "openId": bob.openid }), json!({ "unionId": bob.openid })] {
        let data = from_wechat(&gateway.simulator, json!({ "data": names })).await;
        let refusal = refused(&gateway, ORDER, "decrypt", &alice.and(data)).await;
        assert_eq!(refusal, is(403, "open_data_of_another_user"), "{names}");
    }
    // The data of one user does not open for another.
    let data = from_wechat(&gateway.simulator, json!({})).await;
    assert_eq!(refused(&gateway, ORDER, "decrypt", &bob.and(data)).await, is(409, "session_key_stale"));
}

#[tokio::test]
async fn raw_data_is_verified_to_the_byte() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let data = from_wechat(&gateway.simulator, json!({})).await;
    let (status, answer) = ask(&gateway, ORDER, "verify", &alice.and(data.clone())).await;
    assert_eq!((status, &answer["valid"]), (200, &json!(true)), "{answer}");
    let raw = data["rawData"].as_str().unwrap();
    for (raw_data, signature) in [
        (format!("{raw} "), data["signature"].clone()),
        (raw.replace("language", "Language"), data["signature"].clone()),
        (raw.to_owned(), json!("75e81ceda165f4ffa64f4068af58c64b8f54b88c")),
        (raw.to_owned(), json!("")),
    ] {
        let body = alice.and(json!({ "rawData": raw_data, "signature": signature }));
        assert_eq!(refused(&gateway, ORDER, "verify", &body).await, is(409, "signature_wrong"), "{body}");
    }
}

#[tokio::test]
async fn a_message_is_signed_with_the_newest_key_and_the_key_is_shown_nowhere() {
    let (gateway, _recorder) = start().await;
    let (alice, key) = log_in_with_known_key(&gateway, "alice").await;
    for message in ["", r#"{"foo":"bar"}"#, "微信"] {
        let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message.as_bytes());
        let expected: String = expected.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let (status, answer) = ask(&gateway, ORDER, "sign", &alice.and(json!({ "message": message }))).await;
        let wanted = json!({ "signature": expected, "sig_method": "hmac_sha256", "appid": SHOP.appid, "openid": alice.openid });
        assert_eq!((status, &answer), (200, &wanted));
        assert!(!answer.to_string().contains(&key), "{answer}");
    }
    for what in ["decrypt", "verify", "check"] {
        let data = from_wechat(&gateway.simulator, json!({})).await;
        let (status, answer) = ask(&gateway, ORDER, what, &alice.and(data)).await;
        assert!(status == 200 && !answer.to_string().contains(&key), "{what}: {answer}");
    }
    // The log is searched for the key when the gateway ends.
}

/// How often each path of WeChat's API was asked.
async fn asked(gateway: &Gateway, path: &str) -> usize {
    gateway.simulator.calls().await.iter().filter(|call| call["path"] == path).count()
}

#[tokio::test]
async fn wechat_is_asked_whether_the_key_is_current() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let check = async |current: bool| {
        let (status, answer) = ask(&gateway, ORDER, "check", &alice.and(json!({}))).await;
        assert_eq!((status, &answer["current"]), (200, &json!(current)), "{answer}");
    };
    check(true).await;
    gateway.simulator.code(&SHOP, "alice").await;
    check(false).await;
    // One token for both, and the simulator gives the same to whoever has the AppSecret: it is looked for in the log.
    assert_eq!(asked(&gateway, "/cgi-bin/stable_token").await, 1);
    let question = json!({ "grant_type": "client_credential", "appid": SHOP.appid, "secret": SHOP.secret });
    let request = gateway.client.post(format!("{}/cgi-bin/stable_token", gateway.simulator.url()));
    let token: Value = request.json(&question).send().await.unwrap().json().await.unwrap();
    secret(token["access_token"].as_str().unwrap());
    assert_eq!(asked(&gateway, "/cgi-bin/token").await, 0, "a fetch that ends the token of others");
    // A token that WeChat does not take any more is fetched anew, once.
    gateway.simulator.fault(json!({ "kind": "errcode", "code": 42001, "path": "/wxa/checksession" })).await;
    check(false).await;
    assert_eq!(asked(&gateway, "/cgi-bin/stable_token").await, 3);
}

#[tokio::test]
async fn a_check_that_fails_says_why_and_answers_neither_yes_nor_no() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let check = "/wxa/checksession";
    for (fault, refusal) in [
        (json!({ "kind": "busy", "times": 2, "path": check }), is(503, "wechat_busy")),
        (json!({ "kind": "errcode", "code": 45009, "path": check }), is(503, "wechat_quota")),
        (json!({ "kind": "errcode", "code": 48001, "path": check }), is(502, "gateway_misconfigured")),
        (
            json!({ "kind": "errcode", "code": 42001, "times": 2, "path": check }),
            is(502, "gateway_misconfigured"),
        ),
        (
            json!({ "kind": "errcode", "code": 40125, "path": "/cgi-bin/stable_token" }),
            is(502, "gateway_misconfigured"),
        ),
        (json!({ "kind": "errcode", "code": 12345, "path": check }), is(502, "wechat_unexpected")),
        (json!({ "kind": "empty", "path": check }), is(502, "wechat_unexpected")),
        (json!({ "kind": "html_502", "path": check }), is(502, "wechat_unexpected")),
        (json!({ "kind": "half_body", "path": check }), is(502, "wechat_interrupted")),
    ] {
        gateway.simulator.fault(fault.clone()).await;
        assert_eq!(refused(&gateway, ORDER, "check", &alice.and(json!({}))).await, refusal, "{fault}");
        // What was left of the fault must not meet the next.
        gateway.client.delete(format!("{}/_sim/faults", gateway.simulator.url())).send().await.unwrap();
    }
    assert_eq!(ask(&gateway, ORDER, "check", &alice.and(json!({}))).await.0, 200);
}

#[tokio::test]
async fn one_service_does_not_use_up_the_quota_at_wechat() {
    let (gateway, _recorder) = start().await;
    let (alice, shopkeeper) =
        (log_in(&gateway, &SHOP, "alice").await, log_in(&gateway, &MERCHANT, "alice").await);
    for _ in 0..3 {
        assert_eq!(ask(&gateway, EVERY, "check", &alice.and(json!({}))).await.0, 200);
    }
    let body = alice.and(json!({}));
    assert_eq!(refused(&gateway, EVERY, "check", &body).await, is(429, "rate_limited"));
    assert_eq!(asked(&gateway, "/wxa/checksession").await, 3);
    // Another service, another app, and what does not ask WeChat are not held up.
    assert_eq!(ask(&gateway, ORDER, "check", &body).await.0, 200);
    assert_eq!(ask(&gateway, EVERY, "check", &shopkeeper.and(json!({}))).await.0, 200);
    assert_eq!(ask(&gateway, EVERY, "sign", &alice.and(json!({ "message": "" }))).await.0, 200);
}

#[tokio::test]
async fn a_service_asks_about_users_of_its_apps_alone() {
    let (gateway, _recorder) = start().await;
    let (alice, shopkeeper) =
        (log_in(&gateway, &SHOP, "alice").await, log_in(&gateway, &MERCHANT, "alice").await);
    let message = json!({ "message": "" });
    let nobody = json!({ "appid": MERCHANT.appid, "openid": "oNobodyWithThisNameEverCame1" });
    let unknown = json!({ "appid": "wx3333333333333333", "openid": alice.openid });
    for (token, whose) in [
        (ORDER, shopkeeper.and(json!({}))),
        (ORDER, json!({ "sid": shopkeeper.sid() })),
        // Nor whether there is such a user.
        (ORDER, nobody),
        (NO_APP, alice.and(json!({}))),
        (EVERY, unknown),
    ] {
        for what in ["decrypt", "verify", "sign", "check"] {
            let refusal = refused(&gateway, token, what, &merged(whose.clone(), message.clone())).await;
            assert_eq!(refusal, is(403, "app_not_allowed"), "{what} {whose}");
        }
    }
    for whose in [alice.and(message.clone()), shopkeeper.and(message)] {
        assert_eq!(ask(&gateway, EVERY, "sign", &whose).await.0, 200, "{whose}");
    }
}

#[tokio::test]
async fn without_a_live_session_there_is_no_key() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let message = json!({ "message": "" });
    let nobody = json!({ "appid": SHOP.appid, "openid": "oNobodyWithThisNameEverCame1", "message": "" });
    let no_sid = json!({ "sid": URL_SAFE_NO_PAD.encode([9; 16]), "message": "" });
    for whose in [nobody, no_sid] {
        assert_eq!(refused(&gateway, ORDER, "sign", &whose).await, is(404, "no_session"), "{whose}");
    }
    let of_session = json!({ "sid": alice.sid(), "message": "" });
    assert_eq!(ask(&gateway, ORDER, "sign", &of_session).await.0, 200);
    // A second device goes on, and the session of the first opens nothing more.
    let second = log_in(&gateway, &SHOP, "alice").await;
    gateway.post("/logout").bearer_auth(&alice.token).send().await.unwrap();
    assert_eq!(refused(&gateway, ORDER, "sign", &of_session).await, is(404, "no_session"));
    assert_eq!(ask(&gateway, ORDER, "sign", &alice.and(message.clone())).await.0, 200);
    gateway.post("/logout").bearer_auth(&second.token).send().await.unwrap();
    assert_eq!(refused(&gateway, ORDER, "sign", &alice.and(message)).await, is(404, "no_session"));
}

#[tokio::test]
async fn a_key_that_cannot_be_read_any_more_is_told_and_the_next_login_mends_it() {
    let recorder = Recorder::start().await;
    let mut gateway = Gateway::start(config(&recorder).with_head(SECTIONS)).await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let body = alice.and(json!({ "message": "" }));
    gateway.restart("TERM").await;
    assert_eq!(ask(&gateway, ORDER, "sign", &body).await.0, 200);
    gateway.process.signal("TERM");
    gateway.process.end().await;
    let key = gateway.folder.path().join("store.key");
    std::fs::remove_file(&key).unwrap();
    write_key_file(&key, "mQ3xW8vT2kR6yB1nZ5cJ9dH4gL7pS0fAeUiOqXwKtYs=");
    gateway.start_again().await;
    assert_eq!(gateway.get_as(&alice.token, "/api/x").await.status(), 200, "the login stands");
    for what in ["sign", "check"] {
        assert_eq!(refused(&gateway, ORDER, what, &body).await, is(409, "session_key_unreadable"), "{what}");
    }
    log_in(&gateway, &SHOP, "alice").await;
    assert_eq!(ask(&gateway, ORDER, "sign", &body).await.0, 200);
}

#[tokio::test]
async fn each_credential_opens_its_own_doors_alone() {
    let (gateway, recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let body = alice.and(json!({ "message": "" }));
    let wrong = secret("credential-that-nobody-has-0Za9Yb8Xc7Wd6Ve");
    for what in ["decrypt", "verify", "sign", "check"] {
        for token in [OPERATOR, &wrong, &ORDER[1..], &alice.token] {
            let refusal = refused(&gateway, token, what, &body).await;
            assert_eq!(refusal, is(401, "credential_wrong"), "{what} {token}");
        }
        let path = format!("/session-data/{what}");
        let request = gateway.client.post(gateway.admin_url(&path)).json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "credential_missing");
        // Never a route of the public listener, nor another method than POST.
        assert_eq!(gateway.post(&path).bearer_auth(ORDER).json(&body).send().await.unwrap().status(), 404);
        let request = gateway.client.get(gateway.admin_url(&path)).bearer_auth(ORDER);
        assert_eq!(request.send().await.unwrap().status(), 405);
    }
    let sessions = gateway.admin_url(&format!("/sessions?app=shop&openid={}", alice.openid));
    let show = gateway.admin_url(&format!("/sessions/{}", alice.sid()));
    for token in [ORDER, EVERY] {
        for request in [
            gateway.client.get(&sessions),
            gateway.client.delete(&sessions),
            gateway.client.get(&show),
            gateway.client.delete(&show),
        ] {
            assert_eq!(request.bearer_auth(token).send().await.unwrap().status(), 401);
        }
        assert_eq!(gateway.get_as(token, "/api/x").await.status(), 401);
    }
    assert_eq!(gateway.client.get(&show).bearer_auth(OPERATOR).send().await.unwrap().status(), 200);
    assert_eq!(ask(&gateway, ORDER, "sign", &body).await.0, 200);
    assert_eq!(recorder.seen().len(), 0);
}

#[tokio::test]
async fn without_a_service_in_the_config_nobody_may_ask() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let refusal = refused(&gateway, "whatever-credential-whatever-credential", "sign", &json!({})).await;
    assert_eq!(refusal, is(403, "admin_service_not_set"));
}

#[tokio::test]
async fn a_changed_config_takes_a_service_its_apps_and_its_credential() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let body = alice.and(json!({ "message": "" }));
    assert_eq!(ask(&gateway, ORDER, "sign", &body).await.0, 200);
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    for (times, (from, to), refusal) in [
        (1, ("apps = [\"shop\"]", "apps = [\"merchant\"]"), is(403, "app_not_allowed")),
        (
            2,
            (
                "[admin.service.order]\ntoken = { env = \"ORDER\" }",
                "[admin.service.order]\ntoken = { file = \"other\" }",
            ),
            is(401, "credential_wrong"),
        ),
    ] {
        assert!(text.contains(from), "{text}");
        if times == 2 {
            write_key_file(&gateway.folder.path().join("other"), "credential-of-order-from-now-on-9Lk3Vb7Xn");
        }
        std::fs::write(gateway.config_path(), text.replace(from, to)).unwrap();
        gateway.process.signal("HUP");
        gateway.process.wait_for_log_times("the changed config is in force", times).await;
        assert_eq!(refused(&gateway, ORDER, "sign", &body).await, refusal);
        assert_eq!(ask(&gateway, EVERY, "sign", &body).await.0, 200);
    }
}

#[tokio::test]
async fn a_body_is_bounded_and_what_is_wrong_with_it_is_said() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let user = json!({ "appid": SHOP.appid, "openid": alice.openid });
    for (what, body) in [
        ("sign", json!([])),
        ("sign", json!({ "message": "" })),
        ("sign", json!({ "appid": SHOP.appid, "message": "" })),
        ("sign", merged(user.clone(), json!({ "sid": alice.sid(), "message": "" }))),
        ("sign", json!({ "appid": "x", "openid": "y", "message": "" })),
        ("sign", json!({ "sid": "y", "message": "" })),
        ("sign", user.clone()),
        ("sign", merged(user.clone(), json!({ "message": 7 }))),
        ("sign", merged(user.clone(), json!({ "message": "", "session_key": "x" }))),
        ("decrypt", merged(user.clone(), json!({ "iv": "x" }))),
        ("verify", merged(user.clone(), json!({ "rawData": "{}" }))),
    ] {
        assert_eq!(refused(&gateway, ORDER, what, &body).await, is(400, "bad_body"), "{what} {body}");
    }
    let large = merged(user, json!({ "message": "x".repeat(256 * 1024) }));
    assert_eq!(refused(&gateway, ORDER, "sign", &large).await, is(413, "body_too_large"));
    // A web page has no business here, whatever it knows.
    let head = format!(
        "POST /session-data/sign HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ORDER}\r\nContent-Length: 2\r\n"
    );
    let answer = exchange(gateway.admin_port, format!("{head}Origin: http://evil.test\r\n\r\n{{}}")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn each_use_leaves_a_line_without_a_secret() {
    let (gateway, _recorder) = start().await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let lines = |action: &str| {
        let log = gateway.process.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "wxgate::audit" && line["action"] == action).collect::<Vec<_>>()
    };
    ask(&gateway, ORDER, "sign", &json!({ "sid": alice.sid(), "message": "pay-for-it-all" })).await;
    refused(&gateway, ORDER, "check", &json!({ "appid": MERCHANT.appid, "openid": alice.openid })).await;
    refused(&gateway, "not-a-credential", "decrypt", &alice.and(json!({}))).await;
    let (signed, checked, guessed) =
        (lines("session_data.sign"), lines("session_data.check"), lines("session_data.decrypt"));
    assert_eq!((signed.len(), checked.len(), guessed.len()), (1, 1, 1), "{signed:?} {checked:?} {guessed:?}");
    let (signed, checked, guessed) = (&signed[0], &checked[0], &guessed[0]);
    assert_eq!((&signed["by"], &signed["outcome"]), (&json!("order"), &json!("ok")), "{signed}");
    assert_eq!((&signed["appid"], &signed["sid"]), (&json!(SHOP.appid), &json!(alice.sid())), "{signed}");
    assert!(signed["user"].as_str().unwrap().contains("****"), "{signed}");
    assert_eq!((&checked["appid"], &checked["outcome"]), (&json!(MERCHANT.appid), &json!("app_not_allowed")));
    assert_eq!((&guessed["by"], &guessed["outcome"]), (&json!("-"), &json!("credential_wrong")), "{guessed}");
    assert!(!gateway.process.log().contains("pay-for-it-all"), "what was signed is in the log");
}

/// The one line in the log about a use.
async fn the_line(gateway: &Gateway) -> Value {
    gateway.process.wait_for_log("wxgate::audit").await;
    let log = gateway.process.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("wxgate::audit")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    serde_json::from_str(lines[0]).unwrap()
}

#[tokio::test]
async fn a_service_that_goes_away_in_the_middle_leaves_its_line() {
    let recorder = Recorder::start().await;
    let times = "[wechat]\nconnect_timeout = \"500ms\"\ntimeout = \"2s\"\n";
    let gateway = Gateway::start(config(&recorder).with(times)).await;
    let alice = log_in(&gateway, &SHOP, "alice").await;
    let check = "/wxa/checksession";
    gateway.simulator.fault(json!({ "kind": "slow", "after_ms": 600_000, "path": check })).await;
    let body = alice.and(json!({})).to_string();
    let mut connection = TcpStream::connect(("127.0.0.1", gateway.admin_port)).await.unwrap();
    let head = format!(
        "POST /session-data/check HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ORDER}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    while asked(&gateway, check).await == 0 {
        tokio::task::yield_now().await;
    }
    connection.shutdown().await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), "", "the connection ended before WeChat said anything");
    let line = the_line(&gateway).await;
    assert_eq!((&line["by"], &line["outcome"]), (&json!("order"), &json!("wechat_timeout")), "{line}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_told_as_too_large() {
    let (gateway, _recorder) = start().await;
    let mut connection = TcpStream::connect(("127.0.0.1", gateway.admin_port)).await.unwrap();
    let head = format!(
        "POST /session-data/sign HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ORDER}\r\n\
         Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    // Its body is waited for.
    connection.read_exact(&mut [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()]).await.unwrap();
    drop(connection);
    let line = the_line(&gateway).await;
    assert_eq!((&line["by"], &line["outcome"]), (&json!("order"), &json!("bad_body")), "{line}");
}
