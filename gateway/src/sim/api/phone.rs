//! `/wxa/business/getuserphonenumber` and `/wxa/business/checkencryptedmsg`.

use serde_json::json;

use super::{calling_app, posted, text};
use crate::sim::answer::Answer;
use crate::sim::call::Call;
use crate::sim::codes::Presented;
use crate::sim::errcode::{APPID_INVALID, ARGS_INVALID, CODE_INVALID, CODE_MISSING, Errcode, HASH_UNKNOWN};
use crate::sim::world::World;

/// Encrypted data older than this is not confirmed.
const CONFIRMED_SECS: u64 = 3 * 24 * 3600;

/// A phone code for a phone number. Any presentation with a valid access token burns the code.
pub(super) fn number(world: &mut World, call: &Call) -> Result<Answer, Errcode> {
    let appid = calling_app(world, call)?;
    let body = posted(call)?;
    let code = text(&body, "code").ok_or(CODE_MISSING)?;
    let now = world.now();
    let Presented::Fresh(grant) = world.phone_codes.present(code, now) else {
        return Err(CODE_INVALID);
    };
    if grant.appid != appid {
        return Err(APPID_INVALID);
    }
    // Without an openid anyone's code passes, as at WeChat: sending it is the caller's own check.
    if text(&body, "openid").is_some_and(|openid| openid != grant.openid) {
        return Err(CODE_INVALID);
    }
    // Numbers of the mainland are shown without a country code.
    let full = if grant.country_code == "86" {
        grant.number.clone()
    } else {
        grant.country_code.clone() + &grant.number
    };
    let phone_info = json!({
        "phoneNumber": full,
        "purePhoneNumber": grant.number,
        "countryCode": grant.country_code,
        "watermark": { "timestamp": now, "appid": appid.as_str() },
    });
    Ok(Answer::ok(vec![("phone_info", phone_info)]))
}

/// Says whether encrypted phone data with this hash was made here, and when. `vaild` is WeChat's own spelling.
pub(super) fn check_encrypted(world: &mut World, call: &Call) -> Result<Answer, Errcode> {
    calling_app(world, call)?;
    let body = posted(call)?;
    let hash = text(&body, "encrypted_msg_hash").ok_or(ARGS_INVALID)?;
    let made_at = *world.phone_data.get(hash).ok_or(HASH_UNKNOWN)?;
    if world.now() >= made_at.saturating_add(CONFIRMED_SECS) {
        return Err(HASH_UNKNOWN);
    }
    Ok(Answer::ok(vec![("vaild", true.into()), ("create_time", made_at.into())]))
}
