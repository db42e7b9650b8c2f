//! `/wxa/business/getuserphonenumber`.

use super::*;

async fn press_button(sim: &Sim, more: Value) -> Value {
    let mut input = json!({ "appid": SHOP, "user": "alice" });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sim.control("/_sim/phone-codes", input).await
}

async fn number(sim: &Sim, body: Value) -> Value {
    let token = sim.access_token().await;
    let call = sim.post("/wxa/business/getuserphonenumber").query(&[("access_token", token)]).json(&body);
    json_of(call.send().await.unwrap()).await
}

#[tokio::test]
async fn a_phone_code_gives_the_number_once() {
    let sim = Sim::start().await;
    let minted = press_button(&sim, json!({ "phone": "13800138000" })).await;
    assert_eq!(minted["code"].as_str().unwrap().len(), 64);
    let answer = number(&sim, json!({ "code": minted["code"] })).await;
    let expected = json!({
        "phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86",
        "watermark": { "timestamp": START, "appid": SHOP },
    });
    assert_eq!((&answer["errcode"], &answer["phone_info"]), (&json!(0), &expected));
    assert_eq!(number(&sim, json!({ "code": minted["code"] })).await["errcode"], 40029);
}

#[tokio::test]
async fn a_foreign_number_carries_its_country_code() {
    let sim = Sim::start().await;
    let minted = press_button(&sim, json!({ "phone": "20123456", "country_code": "852" })).await;
    let answer = number(&sim, json!({ "code": minted["code"] })).await;
    assert_eq!(answer["phone_info"]["phoneNumber"], "85220123456");
    assert_eq!(answer["phone_info"]["purePhoneNumber"], "20123456");
}

#[tokio::test]
async fn a_phone_code_belongs_to_its_user_and_its_app() {
    let sim = Sim::start().await;
    let minted = press_button(&sim, json!({})).await;
    assert_eq!(number(&sim, json!({ "code": minted["code"], "openid": "oMallory" })).await["errcode"], 40029);
    let minted = press_button(&sim, json!({})).await;
    assert_eq!(
        number(&sim, json!({ "code": minted["code"], "openid": minted["openid"] })).await["errcode"],
        0
    );
    let minted = press_button(&sim, json!({ "appid": CLUB })).await;
    assert_eq!(number(&sim, json!({ "code": minted["code"] })).await["errcode"], 40013);
}

#[tokio::test]
async fn phone_codes_and_login_codes_are_not_interchangeable() {
    let sim = Sim::start().await;
    let (phone, login) = (press_button(&sim, json!({})).await, sim.login("alice").await);
    assert_eq!(sim.exchange(phone["code"].as_str().unwrap()).await["errcode"], 40029);
    assert_eq!(number(&sim, json!({ "code": login })).await["errcode"], 40029);
    assert_eq!(number(&sim, json!({})).await["errcode"], 41008);
}

#[tokio::test]
async fn a_phone_code_lives_five_minutes() {
    let sim = Sim::start().await;
    let minted = press_button(&sim, json!({})).await;
    sim.clock.advance(300);
    assert_eq!(number(&sim, json!({ "code": minted["code"] })).await["errcode"], 40029);
}
