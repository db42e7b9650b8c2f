//! Group G, the side of the client: what it may send to `/login`, and what it gets for it.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Config, Gateway, MERCHANT, Recorder, SHOP, exchange, gateway, secret};

use super::case;

/// The head of a login as bytes, with a body.
pub(super) fn login(lines: &str, body: &str) -> String {
    format!("POST /login HTTP/1.1\r\nHost: gw.test\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub(super) fn of_shop(code: &str) -> Value {
    json!({ "code": code, "appid": SHOP.appid })
}

#[track_caller]
fn refused(answer: &(u16, Value), status: u16, code: &str, input: &str) {
    assert_eq!((answer.0, answer.1["error"].as_str().unwrap_or("")), (status, code), "{input}: {}", answer.1);
}

#[tokio::test]
async fn what_is_sent_to_wechat_is_one_code_and_four_parameters() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let _case = case(
        "G01",
        "a code cannot add a parameter to the question that carries the AppSecret: what is no code is refused unasked, \
         and WeChat sees exactly four parameters",
    );
    for code in [
        "abcdefgh&appid=evil&secret=x",
        "abcdefgh%26grant_type=x",
        "abcdefgh#b",
        "abcdefgh b+c",
        "abcdefgh\r\nX-Evil: y",
        "abcdefgh\u{0}",
        "abcdefgh😀",
        "abcdefgh=",
        "abcdefgh/../x",
        "abcdefgh?",
    ] {
        let encoded: String = code.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let mut answers = vec![gateway.login(of_shop(code)).await];
        for (lines, body) in [
            ("Content-Type: application/x-www-form-urlencoded\r\n".to_owned(), format!("code={encoded}")),
            ("Content-Type: text/plain\r\n".to_owned(), format!("{code}x")),
        ] {
            let answer = exchange(gateway.port, login(&lines, &body)).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            answers.push((status, serde_json::from_str(body).unwrap()));
        }
        for answer in &answers {
            refused(answer, 400, "code_malformed", code);
        }
    }
    let header = format!("X-WX-Code: abcdefgh&secret=x\r\nReferer: {}\r\n", page(SHOP.appid));
    assert!(exchange(gateway.port, login(&header, "")).await.contains("code_malformed"));
    assert_eq!(gateway.simulator.exchanges().await, 0);

    let code = gateway.simulator.code(&SHOP, "alice").await;
    assert_eq!(gateway.login(of_shop(&code)).await.0, 200);
    // What fits the alphabet is sent as it is.
    let odd = "Az09_-Az09_-";
    refused(&gateway.login(of_shop(odd)).await, 401, "code_invalid", odd);
    let calls = gateway.simulator.calls().await;
    for (call, code) in calls.iter().zip([code.as_str(), odd]) {
        assert_eq!(call["parameters"], json!(["appid", "secret", "js_code", "grant_type"]));
        assert_eq!(call["code_sha256"], json!(sha256(code)));
    }
    assert_eq!(calls.len(), 2);
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn page(appid: &str) -> String {
    format!("https://servicewechat.com/{appid}/12/page-frame.html")
}

#[tokio::test]
async fn what_cannot_be_a_login_never_reaches_wechat() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let _case = case(
        "G03",
        "a login without a code, with a code of another type, twice the code, a foreign content type, another method or a \
         body without end is refused, and WeChat is not asked",
    );
    let long = "a".repeat(10 * 1024);
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    for (content_type, body, status, code) in [
        (json, "", 400, "code_missing"),
        (json, "{}", 400, "code_missing"),
        (json, r#"{"code":""}"#, 400, "code_missing"),
        (json, r#"{"code":null}"#, 400, "bad_body"),
        (json, r#"{"code":5}"#, 400, "bad_body"),
        (json, r#"{"code":["abcdefgh"]}"#, 400, "bad_body"),
        (json, r#"{"code":{"code":"abcdefgh"}}"#, 400, "bad_body"),
        (json, r#"{"code":"abcdefgh","code":"ijklmnop"}"#, 400, "bad_body"),
        (json, r#"{"code":"abcdefgh","appid":"a","appid":"b"}"#, 400, "bad_body"),
        (json, r#"{"code":"abcdefgh"} x"#, 400, "bad_body"),
        (json, "{", 400, "bad_body"),
        (json, "[]", 400, "bad_body"),
        (json, "\"abcdefgh\"", 400, "bad_body"),
        (json, r#"{"code":"short"}"#, 400, "code_malformed"),
        (json, r#"{"code":"the code is a mock one"}"#, 400, "code_mock"),
        (json, &long, 413, "body_too_large"),
        (form, "code=abcdefgh&code=ijklmnop", 400, "bad_body"),
        (form, "code=", 400, "code_missing"),
        ("multipart/form-data; boundary=x", "--x--", 415, "unsupported_media_type"),
        ("application/xml", "<code>abcdefgh</code>", 415, "unsupported_media_type"),
    ] {
        let answer = exchange(gateway.port, login(&format!("Content-Type: {content_type}\r\n"), body)).await;
        let input = format!("{content_type} {}", &body[..body.len().min(60)]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{input}: {answer}");
        assert!(answer.contains(&format!("\"error\":\"{code}\"")), "{input}: {answer}");
    }
    let two = format!("X-WX-Code: abcdefgh\r\nX-WX-Code: ijklmnop\r\nReferer: {}\r\n", page(SHOP.appid));
    assert!(exchange(gateway.port, login(&two, "")).await.contains("bad_body"));
    // The announced length alone refuses a mebibyte; a body of unknown length is refused where it gets too long.
    let announced = "POST /login HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1048576\r\n\r\n";
    assert!(exchange(gateway.port, announced).await.starts_with("HTTP/1.1 413 "));
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    let chunked =
        format!("POST /login HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}");
    assert!(exchange(gateway.port, chunked).await.starts_with("HTTP/1.1 413 "));
    for method in ["GET", "PUT", "DELETE", "PATCH", "FOO"] {
        let request = format!("{method} /login HTTP/1.1\r\nHost: gw.test\r\nX-WX-Code: abcdefgh\r\n\r\n");
        assert!(exchange(gateway.port, request).await.starts_with("HTTP/1.1 405 "), "{method}");
    }
    assert_eq!(gateway.simulator.exchanges().await, 0);
}

#[tokio::test]
async fn the_app_is_one_that_is_configured_and_so_is_its_secret() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let code = gateway.simulator.code(&SHOP, "alice").await;
    {
        let _case = case(
            "G04",
            "a client names an app, never a secret: an appid that is not configured, by case or altogether, is refused \
             before the code is sent anywhere, in the body as in the Referer",
        );
        for appid in
            ["wx3333333333333333", &SHOP.appid.to_uppercase(), "shop", "wx1111111111111111 ", "../x", ""]
        {
            let answer = gateway.login(json!({ "code": code, "appid": appid })).await;
            refused(&answer, 400, "app_unknown", appid);
        }
        refused(&gateway.login(json!({ "code": code })).await, 400, "app_not_named", "none named");
        let from_page = gateway.post("/login").json(&json!({ "code": code }));
        let answer = from_page.header("Referer", page("wx3333333333333333")).send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert_eq!(gateway.simulator.exchanges().await, 0);
        // A secret, a host and a session key of the client's choice are no part of a login.
        let body = json!({
            "code": code, "appid": SHOP.appid, "secret": "evil", "session_key": "evil", "openid": "oEvil", "grant_type": "x",
        });
        let (status, answer) = gateway.login(body).await;
        assert_eq!(status, 200, "{answer}");
        gateway.get_as(answer["token"].as_str().unwrap(), "/api/x").await;
        assert_ne!(recorder.last().one("x-wx-openid"), "oEvil");
        assert_eq!(gateway.simulator.calls().await[0]["errcode"], Value::Null);
    }
    let _case = case(
        "G18",
        "two apps may hand out the same code: what is known of one app's code says nothing of the other's",
    );
    // One user by one code, whichever app asks.
    let wechat = Recorder::start().await;
    wechat.answer_with(wechat_says(r#"{"session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"oSame"}"#));
    let url = format!("http://127.0.0.1:{}", wechat.port);
    let gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with_wechat(url)).await;
    let code = secret("same-code-for-both");
    for app in [&SHOP, &MERCHANT] {
        let (status, answer) = gateway.login(json!({ "code": code, "appid": app.appid })).await;
        assert_eq!(status, 200, "{answer}");
        gateway.get_as(answer["token"].as_str().unwrap(), "/api/x").await;
        assert_eq!(recorder.last().one("x-wx-appid"), app.appid);
        assert!(wechat.last().target().contains(&format!("appid={}&secret={}&", app.appid, app.secret)));
    }
    assert_eq!(wechat.seen().len(), 2);
}

/// An answer of WeChat's, as bytes.
fn wechat_says(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_session_key_stays_on_the_server() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let _case = case(
        "G05",
        "an answer to a login holds the token and its life and no more: the session_key is in no answer, token, header, \
         log or metric",
    );
    let code = gateway.simulator.code(&SHOP, "alice").await;
    // Both codes were given under the same key: the second is the test's way to learn it.
    let spare = gateway.simulator.code(&SHOP, "alice").await;
    let answer = gateway.post("/login").json(&of_shop(&code)).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    let head = format!("{:?}", answer.headers());
    let text = answer.text().await.unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let mut keys: Vec<_> = answer.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["expires_in", "token", "token_type"]);
    let token = secret(answer["token"].as_str().unwrap());
    let at_wechat = gateway.simulator.exchange(&SHOP, &spare).await;
    // From here on the harness also looks for it in the logs of both processes.
    let session_key = secret(at_wechat["session_key"].as_str().unwrap());
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    let mut claims: Vec<_> = payload.as_object().unwrap().keys().map(String::as_str).collect();
    claims.sort_unstable();
    assert!(!claims.iter().any(|claim| claim.contains("key")), "{claims:?}");
    gateway.get_as(&token, "/api/x").await;
    let session = gateway.get_as(&token, "/session").await.text().await.unwrap();
    let metrics = gateway.metrics().await;
    let decoded = payload.to_string();
    for seen in [&head, &text, &decoded, &session, &metrics, &recorder.last().head] {
        assert!(!seen.contains(&session_key), "{seen}");
        assert!(!seen.contains("session_key"), "{seen}");
    }
}

#[tokio::test]
async fn one_code_is_one_exchange_and_one_session() {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES).with("[login]\nreplay = \"1s\"\n");
    let gateway = Gateway::start(config).await;
    let _case = case(
        "G13",
        "50 parallel logins with one code are one question to WeChat and one session; later than `login.replay` the code \
         is used up, and WeChat is not asked again",
    );
    gateway.simulator.fault(json!({ "kind": "slow", "after_ms": 300 })).await;
    let body = of_shop(&gateway.simulator.code(&SHOP, "alice").await);
    let answers = join_all((0..50).map(|_| gateway.login(body.clone()))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let tokens: HashSet<_> = answers.iter().map(|(_, answer)| answer["token"].as_str().unwrap()).collect();
    assert_eq!((tokens.len(), gateway.simulator.exchanges().await), (1, 1));
    assert!(gateway.metrics().await.contains("wxgate_wechat_seconds_count 1\n"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let answer = gateway.login(body.clone()).await;
        if answer.0 != 200 {
            refused(&answer, 401, "code_used", "after the replay time");
            break;
        }
        assert!(tokens.contains(answer.1["token"].as_str().unwrap()), "another session: {}", answer.1);
        assert!(std::time::Instant::now() < deadline, "the code goes on working");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // What WeChat refused is remembered as well.
    let made_up = of_shop("made-up-code-1");
    refused(&gateway.login(made_up.clone()).await, 401, "code_invalid", "first");
    let again = gateway.login(made_up).await;
    assert_eq!(again.0, 401, "{}", again.1);
    assert_eq!(gateway.simulator.exchanges().await, 2);
}

#[tokio::test]
async fn a_login_is_its_own_whatever_else_the_request_says() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let alice = gateway.log_in(&SHOP, "alice").await;
    gateway.get_as(&alice, "/api/x").await;
    let alices = recorder.last().one("x-wx-openid").to_owned();
    {
        let _case = case(
            "G15",
            "a login with another user's code while a session is there makes a new session for the other user and leaves \
             the old one as it was: the two never mix",
        );
        let code = gateway.simulator.code(&SHOP, "bob").await;
        let login = gateway.post("/login").json(&of_shop(&code)).bearer_auth(&alice);
        let answer: Value = login.send().await.unwrap().json().await.unwrap();
        let bob = secret(answer["token"].as_str().unwrap());
        gateway.get_as(&bob, "/api/x").await;
        let bobs = recorder.last().one("x-wx-openid").to_owned();
        assert_ne!(bobs, alices);
        gateway.get_as(&alice, "/api/x").await;
        assert_eq!(recorder.last().one("x-wx-openid"), alices);
        let mut sids = HashSet::new();
        for (token, openid) in [(&alice, &alices), (&bob, &bobs)] {
            let session: Value = gateway.get_as(token, "/session").await.json().await.unwrap();
            assert_eq!(session["openid"], json!(openid));
            let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
            let payload: Value = serde_json::from_slice(&payload).unwrap();
            sids.insert(payload["sid"].as_str().unwrap().to_owned());
        }
        assert_eq!(sids.len(), 2);
        assert_eq!(gateway.post("/logout").bearer_auth(&bob).send().await.unwrap().status(), 204);
        assert_eq!(gateway.get_as(&alice, "/api/x").await.status(), 200);
    }
    {
        let _case = case(
            "G19",
            "a login looks at no token and no cookie and sets none: a form on another site could log in, but nobody's \
             browser would carry the session",
        );
        for (lines, why) in [
            ("Authorization: Bearer garbage\r\n", "a bad token"),
            (
                "Authorization: Basic YWxpY2U6eA==\r\nCookie: token=garbage\r\n",
                "another scheme, and a cookie",
            ),
            ("Origin: https://evil.test\r\nSec-Fetch-Site: cross-site\r\nCookie: a=b\r\n", "another site"),
        ] {
            let code = gateway.simulator.code(&SHOP, "bob").await;
            let lines = format!("{lines}Content-Type: text/plain\r\nReferer: {}\r\n", page(SHOP.appid));
            let answer = exchange(gateway.port, login(&lines, &code)).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{why}: {answer}");
            let head = answer.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
            for never in ["set-cookie", "access-control-", "location"] {
                assert!(!head.contains(never), "{why}: {head}");
            }
            let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            secret(body["token"].as_str().unwrap());
        }
        // Nor does a cookie authenticate.
        let with_cookie =
            gateway.get("/api/x").header("Cookie", format!("token={alice}; authorization={alice}"));
        assert_eq!(with_cookie.send().await.unwrap().status(), 401);
    }
    let _case = case(
        "G20",
        "a login redirects nowhere: parameters that name a place to return to are ignored, in the query and in the body",
    );
    for to in [
        "//evil.test",
        "/\\evil.test",
        "/%09/evil.test",
        "https:evil.test",
        "https://gw.test.evil.test",
        "%0d%0a//evil.test",
    ] {
        for name in ["redirect", "return_to", "redirect_uri", "next", "url"] {
            let code = gateway.simulator.code(&SHOP, "alice").await;
            let body = json!({ "code": code, "appid": SHOP.appid, name: to }).to_string();
            let target = to.replace('\\', "%5c").replace('#', "%23");
            let request = login("Content-Type: application/json\r\n", &body).replacen(
                "/login",
                &format!("/login?{name}={target}"),
                1,
            );
            let answer = exchange(gateway.port, request).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{name}={to}: {answer}");
            assert!(
                !answer.to_ascii_lowercase().contains("location") && !answer.contains("evil"),
                "{answer}"
            );
            let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            secret(body["token"].as_str().unwrap());
        }
    }
}
