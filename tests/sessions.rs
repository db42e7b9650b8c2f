//! Who am I, and until when; and the end of that.

use serde_json::{Value, json};

use crate::harness::{Config, Gateway, Recorder, SHOP, gateway, run};

#[tokio::test]
async fn a_session_tells_its_owner_who_it_is_and_until_when() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    gateway.get_as(&token, "/api/x").await;
    let answer: Value = gateway.get_as(&token, "/session").await.json().await.unwrap();
    assert_eq!(answer["openid"], recorder.last().one("x-wx-openid"));
    assert_eq!(answer["unionid"], recorder.last().one("x-wx-unionid"));
    assert_eq!(answer["appid"], SHOP.appid);
    assert!((7190..=7200).contains(&answer["expires_in"].as_u64().unwrap()), "{answer}");
    assert!(answer["session_expires_in"].as_u64().unwrap() > 29 * 24 * 3600, "{answer}");
    assert_eq!(gateway.get("/session").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_logout_ends_this_session_at_once_and_no_other() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let (phone, tablet) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "alice").await);
    for token in [&phone, &tablet] {
        assert_eq!(gateway.get_as(token, "/api/x").await.status(), 200);
    }
    let seen = recorder.seen().len();
    assert_eq!(gateway.post("/logout").bearer_auth(&phone).send().await.unwrap().status(), 204);
    let refused = gateway.get_as(&phone, "/api/x").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-wxgate-error"]),
        (401, &"session_ended".parse().unwrap())
    );
    assert_eq!(recorder.seen().len(), seen);
    assert_eq!(gateway.get_as(&phone, "/session").await.status(), 401);
    assert_eq!(gateway.get_as(&tablet, "/api/x").await.status(), 200);
    // Again is no mistake; without a token it is one.
    assert_eq!(gateway.post("/logout").bearer_auth(&phone).send().await.unwrap().status(), 204);
    assert_eq!(gateway.post("/logout").send().await.unwrap().status(), 401);
    assert_eq!(gateway.post("/logout").bearer_auth("garbage").send().await.unwrap().status(), 401);
    assert_eq!(gateway.get("/logout").send().await.unwrap().status(), 405);
    assert!(gateway.metrics().await.contains("wxgate_revocations 1"));
    let body = json!({});
    assert_eq!(gateway.post("/logout").bearer_auth(&tablet).json(&body).send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_logout_that_cannot_be_written_down_says_so_and_is_in_force_all_the_same() {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES).with_head("[store]\nkind = \"embedded\"\n");
    let mut gateway = Gateway::start(config).await;
    gateway.process.signal("TERM");
    gateway.process.end().await;
    // A write beyond the limit of a file's size is then an error, and not the end of the process.
    gateway.start_again_under(&["env", "--ignore-signal=XFSZ"]).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let log_out = async |gateway: &Gateway| {
        let answer = gateway.post("/logout").bearer_auth(&token).send().await.unwrap();
        let reason = answer.headers().get("x-wxgate-error").map(|reason| reason.to_str().unwrap().to_owned());
        (answer.status().as_u16(), reason)
    };
    let refused = Some("store_unavailable".to_owned());
    // The store is larger than that, what is logged meanwhile is not.
    limit_files(&gateway, "16384");
    assert_eq!(log_out(&gateway).await, (503, refused.clone()));
    let answer = gateway.get_as(&token, "/api/x").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-wxgate-error"]),
        (401, &"session_ended".parse().unwrap())
    );
    assert_eq!(log_out(&gateway).await, (503, refused), "asked again, it is not kept still");

    limit_files(&gateway, "unlimited");
    assert_eq!(log_out(&gateway).await, (204, None));
    gateway.restart("KILL").await;
    assert_eq!(gateway.get_as(&token, "/api/x").await.status(), 401, "it is kept for good");
}

/// How large a file the process may write. The hard limit stays, so that it can be raised again.
pub(crate) fn limit_files(gateway: &Gateway, bytes: &str) {
    let (process, limit) = (gateway.process.id().to_string(), format!("--fsize={bytes}:"));
    let done = run(std::process::Command::new("prlimit").args(["--pid", &process, &limit]));
    assert!(done.status.success(), "{done:?}");
}
