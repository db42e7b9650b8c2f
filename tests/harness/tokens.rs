//! Tokens made by hand: good ones without a login, and those that no login would give.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::gateway::KEY;
use super::{SHOP, secret};

pub(crate) fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The claims of a good token; `change` makes them what the test is about, and `null` takes one out.
pub(crate) fn claims(change: Value) -> Value {
    let sid = URL_SAFE_NO_PAD.encode([7; 16]);
    let mut claims = json!({ "iss": "wxgate", "sub": "oForged", "aud": SHOP.appid, "iat": now(), "exp": now() + 600, "sid": sid, "typ": "login" });
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// The claims of a token.
pub(crate) fn payload(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// The session that a token names.
pub(crate) fn sid(token: &str) -> String {
    payload(token)["sid"].as_str().unwrap().to_owned()
}

pub(crate) fn signed_with(header: Header, key: &EncodingKey, claims: &Value) -> String {
    secret(jsonwebtoken::encode(&header, claims, key).unwrap())
}

/// Signed with the key of the tests.
pub(crate) fn signed(change: Value) -> String {
    let header = Header { kid: Some("test".into()), ..Header::default() };
    signed_with(header, &EncodingKey::from_secret(KEY.as_bytes()), &claims(change))
}

/// Any header and any payload, signed by anything.
pub(crate) fn compact(
    header: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = sign(message.as_bytes());
    secret(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Signs with an HMAC secret.
pub(crate) fn hmac_by(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |message| hmac::sign(&key, message).as_ref().to_vec()
}
