//! `/wxa/checksession` and `/wxa/resetusersessionkey`: about a `session_key` that the caller proves to hold.

use auth_core::AppId;

use super::calling_app;
use crate::sim::answer::Answer;
use crate::sim::call::Call;
use crate::sim::errcode::{ARGS_INVALID, Errcode, SESSION_KEY_GONE, SIG_METHOD_INVALID, SIGNATURE_INVALID};
use crate::sim::open_data::proves_session_key;
use crate::sim::session_keys::Which;
use crate::sim::world::World;

/// Says whether the caller's key is still the current one.
pub(super) fn check(world: &mut World, call: &Call) -> Result<Answer, Errcode> {
    proven_user(world, call)?;
    Ok(Answer::ok(Vec::new()))
}

/// Replaces the key.
pub(super) fn reset(world: &mut World, call: &Call) -> Result<Answer, Errcode> {
    let (appid, openid) = proven_user(world, call)?;
    let session_key = world.session_keys.reset(appid.as_str(), openid).ok_or(SESSION_KEY_GONE)?;
    Ok(Answer::ok(vec![("openid", openid.into()), ("session_key", session_key.into())]))
}

/// The user whose current key the caller proved to hold.
fn proven_user<'a>(world: &World, call: &'a Call) -> Result<(AppId, &'a str), Errcode> {
    let appid = calling_app(world, call)?;
    let openid = call.query("openid").ok_or(ARGS_INVALID)?;
    let signature = call.query("signature").ok_or(ARGS_INVALID)?;
    if call.query("sig_method") != Some("hmac_sha256") {
        return Err(SIG_METHOD_INVALID);
    }
    let key = world.session_keys.read(appid.as_str(), openid, Which::Current, world.now());
    let key = key.ok_or(SESSION_KEY_GONE)?;
    if proves_session_key(&key, signature) { Ok((appid, openid)) } else { Err(SIGNATURE_INVALID) }
}
