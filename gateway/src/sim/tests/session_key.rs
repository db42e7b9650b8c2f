//! The life of a `session_key`: rotation, `/wxa/checksession`, `/wxa/resetusersessionkey`.

use std::time::Duration;

use super::*;

/// What an exchange of a new code of alice gives: openid and key.
async fn session(sim: &Sim) -> (String, String) {
    let code = sim.login("alice").await;
    let answer = sim.exchange(&code).await;
    let field = |name: &str| answer[name].as_str().unwrap().to_owned();
    (field("openid"), field("session_key"))
}

async fn ask(sim: &Sim, path: &str, openid: &str, signature: &str, method: &str) -> Value {
    let token = sim.access_token().await;
    let query = [
        ("access_token", token.as_str()),
        ("openid", openid),
        ("signature", signature),
        ("sig_method", method),
    ];
    json_of(sim.get(path).query(&query).send().await.unwrap()).await
}

async fn check(sim: &Sim, openid: &str, key: &str) -> Value {
    ask(sim, "/wxa/checksession", openid, &signature(key), "hmac_sha256").await["errcode"].clone()
}

#[tokio::test]
async fn the_current_key_passes_and_a_login_replaces_it_before_any_exchange() {
    let sim = Sim::start().await;
    let (openid, key) = session(&sim).await;
    assert_eq!(check(&sim, &openid, &key).await, 0);
    sim.login("alice").await;
    assert_eq!(check(&sim, &openid, &key).await, 87009);
}

#[tokio::test]
async fn a_login_within_the_interval_keeps_the_key() {
    let sim = Sim::start_with(|settings| settings.session_key_min_rotation = Duration::from_secs(60)).await;
    let (openid, key) = session(&sim).await;
    sim.clock.advance(59);
    assert_eq!(session(&sim).await, (openid.clone(), key.clone()));
    sim.clock.advance(1);
    assert_ne!(session(&sim).await, (openid, key));
}

#[tokio::test]
async fn codes_of_two_logins_both_work_and_give_the_one_current_key() {
    let sim = Sim::start().await;
    let (earlier, later) = (sim.login("alice").await, sim.login("alice").await);
    let later = sim.exchange(&later).await;
    assert_eq!(sim.exchange(&earlier).await, later);
}

#[tokio::test]
async fn a_key_ends_with_its_life() {
    let sim = Sim::start_with(|settings| settings.session_key_ttl = Duration::from_secs(1000)).await;
    let (openid, key) = session(&sim).await;
    sim.clock.advance(999);
    assert_eq!(check(&sim, &openid, &key).await, 0);
    sim.clock.advance(1);
    assert_eq!(check(&sim, &openid, &key).await, 87007);
}

#[tokio::test]
async fn a_reset_gives_a_new_key_that_lives_as_long_as_the_old_one_would() {
    let sim = Sim::start_with(|settings| settings.session_key_ttl = Duration::from_secs(1000)).await;
    let (openid, key) = session(&sim).await;
    sim.clock.advance(600);
    let path = "/wxa/resetusersessionkey";
    let answer = ask(&sim, path, &openid, &signature(&key), "hmac_sha256").await;
    assert_eq!((&answer["errcode"], &answer["openid"]), (&json!(0), &json!(openid)));
    let new = answer["session_key"].as_str().unwrap();
    assert_eq!(check(&sim, &openid, &key).await, 87009);
    assert_eq!(check(&sim, &openid, new).await, 0);
    sim.clock.advance(400);
    assert_eq!(check(&sim, &openid, new).await, 87007);
}

#[tokio::test]
async fn a_check_with_missing_or_foreign_parts_says_which() {
    let sim = Sim::start().await;
    let (openid, key) = session(&sim).await;
    let path = "/wxa/checksession";
    assert_eq!(ask(&sim, path, &openid, &signature(&key), "md5").await["errcode"], 87008);
    assert_eq!(ask(&sim, path, "", &signature(&key), "hmac_sha256").await["errcode"], 40097);
    assert_eq!(ask(&sim, path, "oUnknown", &signature(&key), "hmac_sha256").await["errcode"], 87007);
}
