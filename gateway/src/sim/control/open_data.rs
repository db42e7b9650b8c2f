//! Makes open data as a client gets it: `encryptedData`, `iv`, `rawData`, `signature`.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::mint::Who;
use crate::sim::calls::sha256_hex;
use crate::sim::input::{Input, Wrong};
use crate::sim::open_data::{encrypt, raw_data_signature};
use crate::sim::session_keys::Which;
use crate::sim::{Shared, random, users};

/// Encrypts `data` under the user's current key, or with `stale` under the one before.
pub(super) async fn encrypted_data(State(shared): State<Shared>, input: Input) -> Result<Json<Value>, Wrong> {
    input.only(&["appid", "user", "data", "stale"])?;
    let which = if input.flag("stale")?.unwrap_or(false) { Which::Stale } else { Which::Current };
    let mut world = shared.lock();
    let who = Who::read(&world, &input)?;
    let (appid, now) = (who.app.appid.as_str(), world.now());
    let key = world.session_keys.read(appid, &who.openid, which, now).ok_or_else(|| match which {
        Which::Current => Wrong::new("this user has no session_key", "POST /_sim/codes for the user first"),
        Which::Stale => {
            Wrong::new("this user has no earlier session_key", "POST /_sim/codes for the user twice")
        }
    })?;

    let (plain, raw_data) = match input.raw("data") {
        None => plain_of(user_info(&who), appid, now),
        Some(Value::Object(data)) => plain_of(data.clone(), appid, now),
        // A text is taken to the byte: for what is not JSON, or has the wrong watermark or none.
        Some(Value::String(text)) => (text.clone(), text.clone()),
        Some(_) => {
            return Err(Wrong::new("data is neither an object nor a text", "for example {\"steps\":1}"));
        }
    };
    let iv = random::bytes::<16>();
    let encrypted = encrypt(&key, iv, plain.as_bytes())
        .ok_or_else(|| Wrong::new("the data could not be encrypted", "this is a bug of the simulator"))?;
    if plain.contains("\"purePhoneNumber\"") {
        world.phone_data.put(sha256_hex(encrypted.as_bytes()), now);
    }
    Ok(Json(json!({
        "encryptedData": encrypted,
        "iv": STANDARD.encode(iv),
        "rawData": raw_data,
        "signature": raw_data_signature(&key, &raw_data),
    })))
}

/// What `wx.getUserProfile` gives since 2022: a name and a picture that say nothing.
fn user_info(who: &Who<'_>) -> Map<String, Value> {
    let unionid = who.app.open_platform.as_deref().map(|account| users::unionid(account, who.user));
    let info = [
        ("openId", Value::from(who.openid.as_str())),
        ("nickName", "微信用户".into()),
        ("gender", 0.into()),
        ("language", "".into()),
        ("city", "".into()),
        ("province", "".into()),
        ("country", "".into()),
        ("avatarUrl", "https://thirdwx.qlogo.cn/mmopen/vi_32/sample/132".into()),
    ];
    let unionid = unionid.map(|unionid| ("unionId", unionid.into()));
    info.into_iter().chain(unionid).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The text that is encrypted, with a watermark unless the data brings its own, and `rawData`, which is the same
/// without the watermark and without who the user is.
fn plain_of(mut data: Map<String, Value>, appid: &str, now: u64) -> (String, String) {
    let private = ["openId", "unionId", "watermark"];
    let raw: Map<String, Value> = data
        .iter()
        .filter(|(name, _)| !private.contains(&name.as_str()))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    data.entry("watermark").or_insert_with(|| json!({ "timestamp": now, "appid": appid }));
    (Value::Object(data).to_string(), Value::Object(raw).to_string())
}
