//! What operators do with sessions, see them and end them, over HTTP and at a command line.

mod command_line;
mod gone;
mod manual;

use serde_json::{Value, json};

use crate::harness::gateway::{ADMIN_TOKEN, KEY, ROUTES, write_key_file};
use crate::harness::{Config, Gateway, MERCHANT, Recorder, SHOP, free_port, run, secret, tokens};
use crate::reload::{IN_FORCE, change};
use crate::sessions::limit_files;

async fn with_operator() -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    (Gateway::start(Config::new(recorder.port, ROUTES).with_operator()).await, recorder)
}

/// Who a token says its user is: openid and unionid.
async fn who(gateway: &Gateway, token: &str) -> (String, String) {
    let answer: Value = gateway.get_as(token, "/session").await.json().await.unwrap();
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    (text("openid"), text("unionid"))
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.get_as(token, "/api/x").await.status().as_u16()
}

fn masked(id: &str) -> String {
    format!("{}****{}", &id[..4], &id[id.len() - 4..])
}

#[tokio::test]
async fn an_operator_sees_the_sessions_of_a_user_and_no_secret() {
    let (gateway, _recorder) = with_operator().await;
    let (first, second) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "alice").await);
    let other_app = gateway.log_in(&MERCHANT, "alice").await;
    gateway.log_in(&SHOP, "bob").await;
    let (openid, unionid) = who(&gateway, &first).await;
    let sids = |answer: &Value| -> Vec<String> {
        let sessions = answer["sessions"].as_array().unwrap().iter();
        sessions.map(|session| session["sid"].as_str().unwrap().to_owned()).collect()
    };

    let (code, by_name) = gateway.operate("GET", &format!("/sessions?app=shop&openid={openid}")).await;
    assert_eq!((code, &by_name["more"]), (200, &json!(false)), "{by_name}");
    let mut both = sids(&by_name);
    both.sort();
    let mut wanted = vec![tokens::sid(&first), tokens::sid(&second)];
    wanted.sort();
    assert_eq!(both, wanted);
    let one = &by_name["sessions"][0];
    assert_eq!(
        (&one["app"], &one["appid"], &one["openid"], &one["unionid"], &one["session_key_readable"]),
        (&json!("shop"), &json!(SHOP.appid), &json!(openid), &json!(masked(&unionid)), &json!(true)),
        "what was asked by is shown, the rest is masked: {one}"
    );
    let time = |key: &str| humantime::parse_rfc3339(one[key].as_str().unwrap()).unwrap();
    assert_eq!(time("expires_at").duration_since(time("logged_in_at")).unwrap().as_secs(), 30 * 86_400);
    let by_appid = gateway.operate("GET", &format!("/sessions?app={}&openid={openid}", SHOP.appid)).await;
    assert_eq!(by_appid.1, by_name);

    let limited = gateway.operate("GET", &format!("/sessions?app=shop&openid={openid}&limit=1")).await.1;
    assert_eq!((sids(&limited).len(), &limited["more"]), (1, &json!(true)), "{limited}");
    let whole =
        gateway.operate("GET", &format!("/sessions?app=shop&openid={openid}&limit=2&full=true")).await.1;
    assert_eq!((&whole["more"], &whole["sessions"][1]["unionid"]), (&json!(false), &json!(unionid)));

    let everywhere = gateway.operate("GET", &format!("/sessions?unionid={unionid}")).await.1;
    assert_eq!(sids(&everywhere).len(), 3, "{everywhere}");
    let of_merchant = everywhere["sessions"].as_array().unwrap().iter().find(|one| one["app"] == "merchant");
    let (of_merchant, theirs) = (of_merchant.unwrap(), who(&gateway, &other_app).await.0);
    assert_eq!(
        (&of_merchant["openid"], &of_merchant["unionid"]),
        (&json!(masked(&theirs)), &json!(unionid)),
        "{of_merchant}"
    );

    let path = format!("/sessions/{}", tokens::sid(&first));
    let (code, shown) = gateway.operate("GET", &path).await;
    assert_eq!((code, &shown["openid"]), (200, &json!(masked(&openid))), "{shown}");
    let whole = gateway.operate("GET", &format!("{path}?full=true")).await.1;
    assert_eq!((&whole["openid"], &whole["unionid"]), (&json!(openid), &json!(unionid)));
    // `operate` has searched each answer for codes, tokens and keys; of a session_key not even the name of its value is there.
    let keys: Vec<_> = whole.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["app", "appid", "expires_at", "logged_in_at", "openid", "session_key_readable", "sid", "unionid"]
    );
    let nobody = gateway.operate("GET", "/sessions?app=shop&openid=oNobody").await;
    assert_eq!(nobody, (200, json!({ "sessions": [], "more": false })));
}

#[tokio::test]
async fn ending_one_session_or_all_of_a_user_is_in_force_with_the_next_request() {
    let (gateway, recorder) = with_operator().await;
    let mut alice = Vec::new();
    for _ in 0..3 {
        alice.push(gateway.log_in(&SHOP, "alice").await);
    }
    let (merchant, bob) = (gateway.log_in(&MERCHANT, "alice").await, gateway.log_in(&SHOP, "bob").await);
    let (openid, unionid) = who(&gateway, &alice[0]).await;
    // A cached verdict is no way round: each token was verified before.
    for token in alice.iter().chain([&bob]) {
        assert_eq!(status(&gateway, token).await, 200);
    }
    let path = format!("/sessions/{}", tokens::sid(&alice[0]));
    assert_eq!(gateway.operate("DELETE", &path).await, (200, json!({ "ended": 1 })));
    let seen = recorder.seen().len();
    let refused = gateway.get_as(&alice[0], "/api/x").await;
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["x-wxgate-error"].to_str().unwrap()),
        (401, "session_ended")
    );
    assert_eq!(recorder.seen().len(), seen, "the service saw the request of an ended session");
    assert_eq!((status(&gateway, &alice[1]).await, status(&gateway, &bob).await), (200, 200));
    assert_eq!(gateway.operate("GET", &path).await.1["error"], "session_unknown");
    assert_eq!(gateway.operate("DELETE", &path).await, (200, json!({ "ended": 0 })), "again is no mistake");

    let of_alice = format!("/sessions?app=shop&openid={openid}");
    assert_eq!(gateway.operate("DELETE", &of_alice).await, (200, json!({ "ended": 2 })));
    for token in &alice {
        assert_eq!(status(&gateway, token).await, 401);
    }
    let of_merchant = |gateway: &Gateway| gateway.get("/merchant/x").bearer_auth(&merchant).send();
    assert_eq!(of_merchant(&gateway).await.unwrap().status(), 200, "another app's sessions go on");
    assert_eq!(gateway.operate("GET", &of_alice).await.1["sessions"], json!([]));

    let again = gateway.log_in(&SHOP, "alice").await;
    assert_eq!(
        gateway.operate("DELETE", &format!("/sessions?unionid={unionid}")).await,
        (200, json!({ "ended": 2 }))
    );
    assert_eq!(
        (status(&gateway, &again).await, of_merchant(&gateway).await.unwrap().status().as_u16()),
        (401, 401)
    );
    assert_eq!(status(&gateway, &bob).await, 200);
}

#[tokio::test]
async fn a_session_that_the_store_has_lost_ends_by_the_id_in_the_access_log() {
    let (mut gateway, _recorder) = with_operator().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    // The store is in memory: it is gone, the token is good.
    gateway.restart("TERM").await;
    let answer = gateway.get_as(&token, "/api/complaint").await;
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let line = gateway.process.wait_for_line(|line| line.contains(&id)).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let sid = line["sid"].as_str().unwrap();
    assert_eq!(sid, tokens::sid(&token));
    assert_eq!(gateway.operate("GET", &format!("/sessions/{sid}")).await.0, 404);
    assert_eq!(gateway.operate("DELETE", &format!("/sessions/{sid}")).await, (200, json!({ "ended": 0 })));
    assert_eq!(status(&gateway, &token).await, 401);
}

#[tokio::test]
async fn what_an_operator_ended_stays_ended_after_a_restart() {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, ROUTES).with_head("").with_operator();
    let mut gateway = Gateway::start(config).await;
    let (alice, tablet) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "alice").await);
    let (bob, openid) = (gateway.log_in(&SHOP, "bob").await, who(&gateway, &alice).await.0);
    assert_eq!(gateway.operate("DELETE", &format!("/sessions/{}", tokens::sid(&bob))).await.0, 200);
    let ended = gateway.operate("DELETE", &format!("/sessions?app=shop&openid={openid}")).await;
    assert_eq!(ended, (200, json!({ "ended": 2 })));
    for signal in ["KILL", "TERM"] {
        gateway.restart(signal).await;
        for token in [&alice, &tablet, &bob] {
            assert_eq!(status(&gateway, token).await, 401, "{signal}");
        }
    }
}

#[tokio::test]
async fn an_end_that_cannot_be_kept_says_so_and_is_in_force_all_the_same() {
    let recorder = Recorder::start().await;
    let config =
        Config::new(recorder.port, ROUTES).with_head("[store]\nkind = \"embedded\"\n").with_operator();
    let mut gateway = Gateway::start(config).await;
    gateway.process.signal("TERM");
    gateway.process.end().await;
    // A write beyond the limit of a file's size is then an error, and not the end of the process.
    gateway.start_again_under(&["env", "--ignore-signal=XFSZ"]).await;
    let mut alice = Vec::new();
    for _ in 0..40 {
        alice.push(gateway.log_in(&SHOP, "alice").await);
    }
    let (bob, openid) = (gateway.log_in(&SHOP, "bob").await, who(&gateway, &alice[0]).await.0);
    let (of_alice, of_bob) =
        (format!("/sessions?app=shop&openid={openid}"), format!("/sessions/{}", tokens::sid(&bob)));
    limit_files(&gateway, "16384");
    for path in [&of_alice, &of_bob] {
        let (code, answer) = gateway.operate("DELETE", path).await;
        assert_eq!((code, &answer["error"]), (503, &json!("end_not_kept")), "{path}: {answer}");
    }
    for token in alice.iter().chain([&bob]) {
        assert_eq!(status(&gateway, token).await, 401, "it is in force here, every one of them");
    }
    limit_files(&gateway, "unlimited");
    for path in [&of_alice, &of_bob] {
        assert_eq!(gateway.operate("DELETE", path).await.0, 200, "{path}");
    }
    gateway.restart("KILL").await;
    for token in alice.iter().chain([&bob]) {
        assert_eq!(status(&gateway, token).await, 401, "it is kept for good");
    }
}

#[tokio::test]
async fn a_slip_of_the_pen_ends_nothing() {
    let (gateway, _recorder) = with_operator().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let (openid, unionid) = who(&gateway, &token).await;
    let sid = tokens::sid(&token);
    for (query, code) in [
        (String::new(), "bad_query"),
        ("?app=shop".to_owned(), "bad_query"),
        (format!("?openid={openid}"), "app_not_named"),
        (format!("?app=shopp&openid={openid}"), "app_unknown"),
        (format!("?app=&openid={openid}"), "app_unknown"),
        (format!("?app=shop&opendid={openid}"), "bad_query"),
        (format!("?app=shop&openid={openid}&openid={openid}"), "bad_query"),
        (format!("?app=shop&openid={openid}&unionid={unionid}"), "bad_query"),
        (format!("?app=shop&unionid={unionid}"), "bad_query"),
        ("?app=shop&openid=".to_owned(), "bad_query"),
        ("?app=shop&openid=o%0Ax".to_owned(), "bad_query"),
        (format!("?app=shop&openid={openid}&limit=-1"), "bad_query"),
        // Somebody means this one session, and gets all of them.
        (format!("?app=shop&openid={openid}&sid={sid}"), "bad_query"),
    ] {
        for method in ["GET", "DELETE"] {
            let (status, answer) = gateway.operate(method, &format!("/sessions{query}")).await;
            assert_eq!((status, &answer["error"]), (400, &json!(code)), "{method} {query}: {answer}");
        }
    }
    for (method, path, code) in [
        ("GET", format!("/sessions?app=shop&openid={openid}&limit=0"), "bad_query"),
        ("GET", format!("/sessions?app=shop&openid={openid}&limit=1001"), "bad_query"),
        ("DELETE", format!("/sessions?app=shop&openid={openid}&limit=1"), "bad_query"),
        ("DELETE", format!("/sessions?app=shop&openid={openid}&full=true"), "bad_query"),
        ("DELETE", format!("/sessions/{sid}?app=shop"), "bad_query"),
        ("GET", format!("/sessions/{sid}?limit=1"), "bad_query"),
        ("DELETE", format!("/sessions/{}", &sid[1..]), "bad_sid"),
        ("GET", format!("/sessions/{sid}="), "bad_sid"),
        ("GET", format!("/sessions/{}", tokens::sid(&tokens::signed(json!({})))), "session_unknown"),
    ] {
        let (status, answer) = gateway.operate(method, &path).await;
        let wanted = if code == "session_unknown" { 404 } else { 400 };
        assert_eq!((status, &answer["error"]), (wanted, &json!(code)), "{method} {path}: {answer}");
    }
    assert_eq!(status(&gateway, &token).await, 200);
}

#[tokio::test]
async fn only_the_operators_credential_opens_it() {
    let (gateway, _recorder) = with_operator().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let path = format!("/sessions/{}", tokens::sid(&token));
    for method in ["GET", "DELETE"] {
        for other in [&token, KEY, SHOP.secret, &ADMIN_TOKEN[1..], &ADMIN_TOKEN.to_lowercase(), "x"] {
            let request = gateway.client.request(method.parse().unwrap(), gateway.admin_url(&path));
            let answer = request.bearer_auth(other).send().await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["www-authenticate"]),
                (401, &"Bearer".parse().unwrap())
            );
            assert_eq!(answer.headers()["x-wxgate-error"], "credential_wrong");
            let said: Value = answer.json().await.unwrap();
            assert_eq!(said["error"], "credential_wrong");
            assert!(said["message"].is_string(), "{said}");
        }
        let request = gateway.client.request(method.parse().unwrap(), gateway.admin_url(&path));
        let none = request.query(&[("token", ADMIN_TOKEN)]).send().await.unwrap();
        assert_eq!(
            (none.status().as_u16(), &none.headers()["x-wxgate-error"]),
            (401, &"credential_missing".parse().unwrap())
        );
    }
    assert_eq!(status(&gateway, &token).await, 200);
    // The operator is nobody's user.
    assert_eq!(status(&gateway, ADMIN_TOKEN).await, 401);

    let (closed, _recorder) = Gateway::before_recorder().await;
    let (code, said) = closed.operate("GET", &path).await;
    assert_eq!((code, &said["error"]), (403, &json!("admin_token_not_set")), "{said}");
    assert!(said["message"].as_str().unwrap().contains("admin.token"), "{said}");
}

#[tokio::test]
async fn a_changed_credential_is_in_force_without_a_restart() {
    let (gateway, _recorder) = with_operator().await;
    let fresh = secret("pQ7mZ2xC9vB4nL6kJ1hG8fD3sA5wErTyUiOo0YtRqWe");
    write_key_file(&gateway.folder.path().join("fresh-token"), &fresh);
    let path = "/sessions?app=shop&openid=oNobody";
    assert_eq!(gateway.operate("GET", path).await.0, 200);
    change(&gateway, IN_FORCE, |text| text.replace("admin-token", "fresh-token")).await;
    assert_eq!(gateway.operate("GET", path).await.0, 401);
    assert_eq!(gateway.operate_with(&fresh, "GET", path).await.0, 200);
    change(&gateway, IN_FORCE, |text| text.replace("token = { file = \"fresh-token\" }", "")).await;
    assert_eq!(gateway.operate_with(&fresh, "GET", path).await.0, 403);
}

#[tokio::test]
async fn each_use_leaves_a_line_whatever_the_level_of_the_log() {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, ROUTES).with_operator().with("[log]\nlevel = \"off\"\n");
    let gateway = Gateway::start(config).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let ((openid, unionid), sid) = (who(&gateway, &token).await, tokens::sid(&token));
    let of_alice = format!("/sessions?app=shop&openid={openid}");
    gateway.operate("GET", &of_alice).await;
    gateway.operate("GET", &format!("/sessions/{sid}")).await;
    gateway.operate("DELETE", &format!("/sessions/{sid}")).await;
    gateway.operate("GET", &format!("/sessions/{sid}")).await;
    gateway.operate("DELETE", &of_alice).await;
    gateway.operate("DELETE", &format!("/sessions?unionid={unionid}")).await;
    // What was not done was asked all the same.
    gateway.operate("DELETE", "/sessions").await;
    gateway.operate("DELETE", &format!("/sessions?app=shopp&openid={openid}")).await;
    gateway.operate("GET", &format!("/sessions?openid={openid}")).await;
    gateway.operate("GET", &format!("{of_alice}&limit=0")).await;
    gateway.operate("GET", &format!("/sessions/{sid}x")).await;
    gateway.operate("DELETE", "/sessions/%ff").await;
    gateway.operate("DELETE", &format!("/sessions/{sid}?full=true")).await;
    gateway.operate_with("not-the-credential", "DELETE", &of_alice).await;
    gateway.process.wait_for_log("credential_wrong").await;
    let log = gateway.process.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            json!([
                line["action"],
                line["sid"],
                line["user"],
                line["union"],
                line["sessions"],
                line["outcome"]
            ])
        })
        .collect();
    let (alice, union) = (masked(&openid), masked(&unionid));
    let nothing = Value::Null;
    assert_eq!(
        told,
        [
            json!(["sessions.list", nothing, alice, nothing, 1, "ok"]),
            json!(["sessions.show", sid, alice, nothing, nothing, "ok"]),
            json!(["sessions.end", sid, nothing, nothing, 1, "ok"]),
            json!(["sessions.show", sid, nothing, nothing, nothing, "session_unknown"]),
            json!(["sessions.end_all", nothing, alice, nothing, 0, "ok"]),
            json!(["sessions.end_all", nothing, nothing, union, 0, "ok"]),
            json!(["sessions.end_all", nothing, nothing, nothing, nothing, "bad_query"]),
            json!(["sessions.end_all", nothing, nothing, nothing, nothing, "app_unknown"]),
            json!(["sessions.list", nothing, nothing, nothing, nothing, "app_not_named"]),
            json!(["sessions.list", nothing, alice, nothing, nothing, "bad_query"]),
            json!(["sessions.show", nothing, nothing, nothing, nothing, "bad_sid"]),
            json!(["sessions.end", nothing, nothing, nothing, nothing, "bad_sid"]),
            json!(["sessions.end", nothing, nothing, nothing, nothing, "bad_query"]),
            json!(["use", nothing, nothing, nothing, nothing, "credential_wrong"]),
        ],
        "{log}"
    );
    for (line, by) in lines.iter().zip(["operator"; 13].into_iter().chain(["-"])) {
        assert_eq!(
            (&line["by"], &line["from"], &line["target"]),
            (&json!(by), &json!("127.0.0.1"), &json!("wxgate::audit"))
        );
    }
    assert!(!log.contains(&openid) && !log.contains(&unionid), "{log}");
}

#[tokio::test]
async fn on_an_address_that_others_reach_only_health_is_open() {
    let (mut gateway, _recorder) = with_operator().await;
    gateway.process.signal("TERM");
    gateway.process.end().await;
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    let (before, port) = (gateway.admin_port, free_port());
    let text = text.replace(&format!("127.0.0.1:{before}"), &format!("0.0.0.0:{port}"));
    std::fs::write(gateway.config_path(), text).unwrap();
    gateway.admin_port = port;
    gateway.start_again().await;
    let ask = async |path: &str, host: &str, origin: Option<&str>, token: Option<&str>| {
        let mut request = gateway.client.get(gateway.admin_url(path)).header("host", host);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.unwrap().status().as_u16()
    };
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(path, "gateway.internal:9090", None, None).await, 200, "{path}");
        assert_eq!(ask(path, "gateway.internal:9090", Some("http://evil"), None).await, 403, "{path}");
    }
    for path in ["/metrics", "/sessions?app=shop&openid=oNobody", "/nowhere", "/"] {
        assert_eq!(ask(path, "gateway.internal:9090", None, None).await, 401, "{path}");
        assert_eq!(ask(path, "localhost", None, Some("x")).await, 401, "{path}");
        assert_eq!(ask(path, "10.0.0.1", Some("http://evil"), Some(ADMIN_TOKEN)).await, 403, "{path}");
        let open = if path.starts_with("/nowhere") || path == "/" { 404 } else { 200 };
        assert_eq!(ask(path, "gateway.internal:9090", None, Some(ADMIN_TOKEN)).await, open, "{path}");
    }
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    std::fs::write(
        gateway.folder.path().join("open.toml"),
        text.replace("token = { file = \"admin-token\" }", ""),
    )
    .unwrap();
    let mut check = crate::harness::wxgate();
    check.current_dir(gateway.folder.path()).args(["check", "--config", "open.toml"]);
    check.env("SECRET_shop", SHOP.secret).env("SECRET_merchant", MERCHANT.secret);
    let said = run(&mut check);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.code() == Some(78) && text.contains("admin.listen"), "{text}");
}
