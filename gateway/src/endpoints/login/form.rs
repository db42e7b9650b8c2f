//! JSON and form bodies of a login.

use serde::{Deserialize, Deserializer};

use super::body::Asked;
use crate::denied::Denied;

/// `code` and `appid` are texts if they are there, `null` is not one; a doubled one is an error; all else is ignored.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    code: String,
    #[serde(default, deserialize_with = "text")]
    appid: Option<String>,
}

fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

pub(super) fn parse_json(body: &str) -> Result<Asked, Denied> {
    // Serde would take an array of the two values as well.
    if !body.starts_with('{') {
        return Err(Denied::BadBody);
    }
    let written: Written = serde_json::from_str(body).map_err(|_| Denied::BadBody)?;
    Ok(Asked { code: written.code, appid: written.appid })
}

/// RFC 1866 §8.2.1: `+` is a space, `%XX` a byte.
pub(super) fn parse_form(body: &str) -> Result<Asked, Denied> {
    let (mut code, mut appid) = (None, None);
    for pair in body.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = match name {
            "code" => &mut code,
            "appid" => &mut appid,
            _ => continue,
        };
        let value = value.replace('+', " ");
        let value =
            percent_encoding::percent_decode_str(&value).decode_utf8().map_err(|_| Denied::BadBody)?;
        if slot.replace(value.into_owned()).is_some() {
            return Err(Denied::BadBody);
        }
    }
    Ok(Asked { code: code.unwrap_or_default(), appid })
}
