//! `encryptedData` and `rawData`, read as a service would read them.

use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::sim::calls::sha256_hex;
use crate::sim::open_data::raw_data_signature;

/// The JSON inside, if this key opens it.
fn open(data: &Value, session_key: &Value) -> Option<Value> {
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let key = UnboundCipherKey::new(&AES_128, &bytes(session_key)).unwrap();
    let iv: [u8; 16] = bytes(&data["iv"]).try_into().unwrap();
    let mut text = bytes(&data["encryptedData"]);
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).unwrap();
    let plain = key.decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    serde_json::from_slice(plain).ok()
}

async fn encrypt(sim: &Sim, more: Value) -> Value {
    let mut input = json!({ "appid": SHOP, "user": "alice" });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sim.control("/_sim/encrypted-data", input).await
}

#[tokio::test]
async fn the_current_key_opens_the_data_and_signs_the_raw_data() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    let session = sim.exchange(&code).await;
    let data = encrypt(&sim, json!({})).await;
    let plain = open(&data, &session["session_key"]).unwrap();
    assert_eq!(plain["openId"], session["openid"]);
    assert_eq!(plain["unionId"], session["unionid"]);
    assert_eq!(plain["watermark"], json!({ "appid": SHOP, "timestamp": START }));
    let raw = data["rawData"].as_str().unwrap();
    assert!(!raw.contains("openId") && raw.contains("nickName"), "{raw}");
    assert_eq!(data["signature"], raw_data_signature(session["session_key"].as_str().unwrap(), raw));
}

#[tokio::test]
async fn stale_data_opens_with_the_key_before() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    let old = sim.exchange(&code).await["session_key"].clone();
    let code = sim.login("alice").await;
    let new = sim.exchange(&code).await["session_key"].clone();
    let data = encrypt(&sim, json!({ "stale": true, "data": { "steps": 1 } })).await;
    assert_eq!(open(&data, &old).unwrap()["steps"], 1);
    assert_eq!(open(&data, &new), None);
}

#[tokio::test]
async fn data_given_as_a_text_is_taken_to_the_byte() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    let key = sim.exchange(&code).await["session_key"].clone();
    let data = encrypt(&sim, json!({ "data": "[1, 2]" })).await;
    assert_eq!((open(&data, &key), &data["rawData"]), (Some(json!([1, 2])), &json!("[1, 2]")));
}

#[tokio::test]
async fn encrypted_phone_data_is_confirmed_by_its_hash_for_three_days() {
    let sim = Sim::start().await;
    sim.login("alice").await;
    let data = encrypt(&sim, json!({ "data": { "purePhoneNumber": "13800138000" } })).await;
    let other = encrypt(&sim, json!({ "data": { "steps": 1 } })).await;
    let confirm = async |data: &Value| {
        let hash = sha256_hex(data["encryptedData"].as_str().unwrap().as_bytes());
        let call =
            sim.post("/wxa/business/checkencryptedmsg").query(&[("access_token", sim.access_token().await)]);
        json_of(call.json(&json!({ "encrypted_msg_hash": hash })).send().await.unwrap()).await
    };
    let answer = confirm(&data).await;
    assert_eq!((&answer["vaild"], &answer["create_time"]), (&json!(true), &json!(START)));
    assert_eq!(confirm(&other).await["errcode"], 1);
    sim.clock.advance(3 * 24 * 3600);
    assert_eq!(confirm(&data).await["errcode"], 1);
}
