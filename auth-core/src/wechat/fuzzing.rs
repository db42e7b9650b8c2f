//! What must hold of everything that answers in WeChat's place.

use serde_json::{Map, Value};

use super::wire::check_status;
use super::{ExchangeError, WechatUser, answer};

/// Reads an HTTP status as text, a line feed, and the body that came with it. Then:
/// - a user comes out only of status 200 and a JSON object that has no errcode but 0, and it has that object's openid,
///   session_key and unionid, none of them empty;
/// - an errcode that comes out is the object's, and not 0;
/// - no printed form, of an error or a user, depends on a letter of the session_key, no error's on one of the openid or the
///   unionid: another user's answer of the same shape prints the same.
pub fn wechat(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let status = parts.next().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or(200);
    let body = parts.next().unwrap_or_default();
    let read = read(status, body);
    let object = object(body);
    match &read {
        Ok(user) => check_user(user, status, object.as_ref().expect("a user comes out of an object")),
        Err(error) => {
            let errcode = error.errcode();
            assert!(errcode.is_none() || status == 200 && errcode == object.as_ref().and_then(errcode_of));
            assert_ne!(errcode, Some(0));
        }
    }
    let Some(object) = object else { return };
    let key_only = another(&object, &["session_key"]);
    assert_eq!(printed(&read), printed(&self::read(status, &key_only)), "a session_key shows");
    if read.is_err() {
        let everyone = another(&object, &["session_key", "openid", "unionid"]);
        assert_eq!(printed(&read), printed(&self::read(status, &everyone)), "an id shows in an error");
    }
}

fn read(status: u16, body: &[u8]) -> Result<WechatUser, ExchangeError> {
    check_status(status).map_err(ExchangeError::UnexpectedAnswer)?;
    answer::parse(body)
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)).ok()
}

fn errcode_of(object: &Map<String, Value>) -> Option<i64> {
    match object.get("errcode") {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    }
}

fn check_user(user: &WechatUser, status: u16, object: &Map<String, Value>) {
    assert_eq!(status, 200);
    let errcode = object.get("errcode").unwrap_or(&Value::Null);
    assert!(errcode.is_null() || errcode_of(object) == Some(0), "a user beside the errcode {errcode}");
    let text = |name: &str| object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    assert_eq!(text("openid"), Some(user.openid.as_str()));
    assert_eq!(text("session_key"), Some(user.session_key.expose()));
    assert_eq!(text("unionid"), user.unionid.as_ref().map(|unionid| unionid.as_str()));
}

/// The same answer with other letters and digits in these members.
fn another(object: &Map<String, Value>, names: &[&str]) -> Vec<u8> {
    let mut other = object.clone();
    for name in names {
        if let Some(Value::String(text)) = other.get_mut(*name) {
            *text = text.chars().map(next).collect();
        }
    }
    serde_json::to_vec(&other).expect("JSON")
}

fn next(letter: char) -> char {
    match letter {
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        letter if letter.is_ascii_alphanumeric() => char::from(letter as u8 + 1),
        letter => letter,
    }
}

fn printed(read: &Result<WechatUser, ExchangeError>) -> String {
    match read {
        Ok(user) => format!("{user:?} {user:#?}"),
        Err(error) => format!("{error} {error:?} {:?}", error.rid()),
    }
}
