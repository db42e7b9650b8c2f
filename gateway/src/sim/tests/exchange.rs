//! Codes for sessions: `/sns/jscode2session`.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_success_is_plain_text_with_three_fields_in_order_and_no_errcode() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    let answer = sim.exchange_as(SHOP, SECRET, &code).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    let text = answer.text().await.unwrap();
    let fields: Value = serde_json::from_str(&text).unwrap();
    let [key, openid, unionid] =
        ["session_key", "openid", "unionid"].map(|name| fields[name].as_str().unwrap());
    assert_eq!(text, format!(r#"{{"session_key":"{key}","openid":"{openid}","unionid":"{unionid}"}}"#));
    assert!(key.len() == 24 && key.ends_with("=="), "{key}");
    assert!(openid.len() == 28 && openid.starts_with('o') && unionid.len() == 28, "{text}");
}

#[tokio::test]
async fn an_error_is_status_200_with_a_rid_that_begins_with_the_time() {
    let sim = Sim::start().await;
    let answer = sim.exchange_as(SHOP, SECRET, "neverMinted").send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/plain".parse().unwrap())
    );
    let text = answer.text().await.unwrap();
    let start = format!(r#"{{"errcode":40029,"errmsg":"invalid code, rid: {START:08x}-"#);
    assert!(text.starts_with(&start) && text.len() == start.len() + 8 + 1 + 8 + 2, "{text}");
}

#[tokio::test]
async fn a_code_is_32_letters_and_digits_and_works_once() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    assert!(code.len() == 32 && code.bytes().all(|b| b.is_ascii_alphanumeric()), "{code}");
    assert!(sim.exchange(&code).await["openid"].is_string());
    assert_eq!(sim.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn a_code_lives_for_its_ttl_and_an_expired_one_is_burnt_too() {
    let sim = Sim::start().await;
    let (last_moment, too_late) = (sim.login("alice").await, sim.login("alice").await);
    sim.clock.advance(299);
    assert!(sim.exchange(&last_moment).await["openid"].is_string());
    sim.clock.advance(1);
    assert_eq!(sim.exchange(&too_late).await["errcode"], 40029);
    assert_eq!(sim.exchange(&too_late).await["errcode"], 40163);
}

#[tokio::test]
async fn the_code_of_another_app_is_invalid_and_burnt() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    let other = json_of(sim.exchange_as(CLUB, SECRET, &code).send().await.unwrap()).await;
    assert_eq!(other["errcode"], 40029);
    assert_eq!(sim.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn a_wrong_secret_or_appid_does_not_burn_the_code() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    for (appid, secret, errcode) in [(SHOP, "wrong", 40125), ("wxffffffffffffffff", SECRET, 40013)] {
        let answer = json_of(sim.exchange_as(appid, secret, &code).send().await.unwrap()).await;
        assert_eq!(answer["errcode"], errcode);
    }
    assert!(sim.exchange(&code).await["openid"].is_string());
}

#[tokio::test]
async fn the_checks_come_in_their_order() {
    let sim = Sim::start().await;
    let mut query = vec![];
    for (missing, errcode) in [("appid", 41002), ("secret", 41004), ("js_code", 41008), ("grant_type", 40002)]
    {
        let answer = json_of(sim.get("/sns/jscode2session").query(&query).send().await.unwrap()).await;
        assert_eq!(answer["errcode"], errcode, "without {missing}: {answer}");
        query.push((missing, if missing == "grant_type" { "authorization_code" } else { "wrong" }));
    }
    let answer = json_of(sim.get("/sns/jscode2session").query(&query).send().await.unwrap()).await;
    assert_eq!(answer["errcode"], 40013);
}

#[tokio::test]
async fn a_user_has_one_openid_per_app_and_one_unionid_per_account() {
    let sim = Sim::start().await;
    let mut seen = vec![];
    for (appid, user) in [(SHOP, "alice"), (CLUB, "alice"), (SHOP, "bob"), (SHOP, "alice")] {
        seen.push(sim.control("/_sim/codes", json!({ "appid": appid, "user": user })).await);
    }
    assert_eq!(seen[0]["openid"], seen[3]["openid"]);
    assert_ne!(seen[0]["openid"], seen[1]["openid"]);
    assert_ne!(seen[0]["openid"], seen[2]["openid"]);
    assert_eq!(seen[0]["unionid"], seen[1]["unionid"]);
    assert_ne!(seen[0]["unionid"], seen[2]["unionid"]);
}

#[tokio::test]
async fn a_user_is_the_same_after_a_restart() {
    let mut openids = vec![];
    for _ in 0..2 {
        let sim = Sim::start().await;
        let code = sim.login("小明").await;
        openids.push(sim.exchange(&code).await["openid"].clone());
    }
    assert_eq!(openids[0], openids[1]);
}

#[tokio::test]
async fn an_app_that_is_not_bound_has_no_unionid() {
    let sim = Sim::start_with(|settings| settings.apps[0].open_platform = None).await;
    let code = sim.login("alice").await;
    assert!(sim.exchange(&code).await.get("unionid").is_none());
}

#[tokio::test]
async fn one_user_too_fast_is_told_to_wait_and_keeps_the_code() {
    let sim = Sim::start_with(|settings| settings.exchanges_per_user_per_minute = Some(2)).await;
    for _ in 0..2 {
        let code = sim.login("alice").await;
        assert!(sim.exchange(&code).await["openid"].is_string());
    }
    let code = sim.login("alice").await;
    assert_eq!(sim.exchange(&code).await["errcode"], 45011);
    let other = sim.login("bob").await;
    assert!(sim.exchange(&other).await["openid"].is_string());
    sim.clock.advance(60);
    assert!(sim.exchange(&code).await["openid"].is_string());
}

#[tokio::test]
async fn an_app_has_a_daily_quota_if_one_is_set() {
    let sim = Sim::start_with(|settings| settings.exchanges_per_app_per_day = Some(1)).await;
    let codes = [sim.login("alice").await, sim.login("bob").await];
    assert!(sim.exchange(&codes[0]).await["openid"].is_string());
    assert_eq!(sim.exchange(&codes[1]).await["errcode"], 45009);
}

#[tokio::test]
async fn settings_without_an_app_or_with_one_twice_do_not_start() {
    for apps in [vec![], vec![app(SHOP), app(SHOP)]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings::new(apps, Arc::new(ManualClock::at(START)));
        let ended =
            tokio::time::timeout(Duration::from_secs(5), serve(listener, settings, std::future::pending()));
        assert_eq!(ended.await.unwrap().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
}
