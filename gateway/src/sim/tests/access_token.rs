//! `/cgi-bin/token` and `/cgi-bin/stable_token`.

use super::*;

async fn stable(sim: &Sim, force: bool) -> Value {
    let body =
        json!({ "grant_type": "client_credential", "appid": SHOP, "secret": SECRET, "force_refresh": force });
    json_of(sim.post("/cgi-bin/stable_token").json(&body).send().await.unwrap()).await
}

/// The errcode of a call with this token: 0 or 87007 mean that it was taken, and no user was meant.
async fn standing(sim: &Sim, token: &Value) -> i64 {
    let query = [("access_token", token.as_str().unwrap_or_default()), ("openid", "o1"), ("signature", "x")];
    let query = query.into_iter().chain([("sig_method", "hmac_sha256")]).collect::<Vec<_>>();
    let answer = json_of(sim.get("/wxa/checksession").query(&query).send().await.unwrap()).await;
    answer["errcode"].as_i64().unwrap()
}

const TAKEN: i64 = 87007;

#[tokio::test]
async fn a_token_is_json_and_the_one_before_works_five_minutes_longer() {
    let sim = Sim::start().await;
    let query = [("grant_type", "client_credential"), ("appid", SHOP), ("secret", SECRET)];
    let answer = sim.get("/cgi-bin/token").query(&query).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json; charset=UTF-8");
    let answer = json_of(answer).await;
    assert_eq!(answer["expires_in"], 7200);
    let (old, new) = (answer["access_token"].clone(), json!(sim.access_token().await));
    assert_ne!(old, new);
    sim.clock.advance(299);
    assert_eq!((standing(&sim, &old).await, standing(&sim, &new).await), (TAKEN, TAKEN));
    sim.clock.advance(1);
    assert_eq!((standing(&sim, &old).await, standing(&sim, &new).await), (40001, TAKEN));
    sim.clock.advance(6900);
    assert_eq!(standing(&sim, &new).await, 42001);
}

#[tokio::test]
async fn the_stable_token_stays_until_shortly_before_its_end() {
    let sim = Sim::start().await;
    let first = stable(&sim, false).await;
    sim.clock.advance(6899);
    let again = stable(&sim, false).await;
    assert_eq!((&again["access_token"], &again["expires_in"]), (&first["access_token"], &json!(301)));
    sim.clock.advance(1);
    let next = stable(&sim, false).await;
    assert_ne!(next["access_token"], first["access_token"]);
    assert_eq!(standing(&sim, &first["access_token"]).await, TAKEN);
}

#[tokio::test]
async fn a_forced_token_kills_the_one_before_and_force_has_limits() {
    let sim = Sim::start().await;
    let first = stable(&sim, false).await["access_token"].clone();
    let second = stable(&sim, true).await["access_token"].clone();
    assert_eq!((standing(&sim, &first).await, standing(&sim, &second).await), (40001, TAKEN));
    assert_eq!(stable(&sim, true).await["errcode"], 45011);
    for _ in 0..19 {
        sim.clock.advance(30);
        assert!(stable(&sim, true).await["access_token"].is_string());
    }
    sim.clock.advance(30);
    assert_eq!(stable(&sim, true).await["errcode"], 45009);
}

#[tokio::test]
async fn the_two_stores_do_not_know_of_each_other() {
    let sim = Sim::start().await;
    let legacy = json!(sim.access_token().await);
    let token = stable(&sim, true).await["access_token"].clone();
    sim.access_token().await;
    sim.clock.advance(30);
    assert_eq!(standing(&sim, &token).await, TAKEN);
    stable(&sim, true).await;
    assert_eq!(standing(&sim, &legacy).await, TAKEN);
}

#[tokio::test]
async fn token_errors_carry_their_texts_and_a_rid_without_a_comma() {
    let sim = Sim::start().await;
    let answer = json_of(sim.get("/cgi-bin/token").send().await.unwrap()).await;
    let text = answer["errmsg"].as_str().unwrap();
    assert!(text.starts_with(&format!("appid missing rid: {START:08x}-")), "{text}");
    let get = json_of(sim.get("/cgi-bin/stable_token").send().await.unwrap()).await;
    assert_eq!(get["errcode"], 43002);
    let form = json_of(sim.post("/cgi-bin/stable_token").body("appid=1").send().await.unwrap()).await;
    assert_eq!(form["errcode"], 47001);
    for (token, errcode) in [("", 41001), ("garbage", 40014), ("85_notours", 40001)] {
        assert_eq!(standing(&sim, &json!(token)).await, errcode, "{token:?}");
    }
}
