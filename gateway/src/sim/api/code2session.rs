//! `/sns/jscode2session`: a login code for an openid and a `session_key`.

use crate::sim::answer::Answer;
use crate::sim::call::Call;
use crate::sim::codes::Presented;
use crate::sim::errcode::{
    APPID_MISSING, CODE_INVALID, CODE_MISSING, CODE_USED, Errcode, GRANT_TYPE_INVALID, SECRET_MISSING,
};
use crate::sim::world::World;

/// The order of the checks is assumed; WeChat does not document it. A call that fails before the code is looked at
/// does not spend it.
pub(super) fn exchange(world: &mut World, call: &Call) -> Result<Answer, Errcode> {
    let appid = call.query("appid").ok_or(APPID_MISSING)?;
    let secret = call.query("secret").ok_or(SECRET_MISSING)?;
    let code = call.query("js_code").ok_or(CODE_MISSING)?;
    if call.query("grant_type") != Some("authorization_code") {
        return Err(GRANT_TYPE_INVALID);
    }
    world.app_by_secret(appid, secret)?;

    let now = world.now();
    let holder = world.login_codes.peek(code).filter(|grant| grant.appid.as_str() == appid);
    let openid = holder.map(|grant| grant.openid.as_str());
    world.quotas.count_exchange(&world.settings, appid, openid, now)?;

    let grant = match world.login_codes.present(code, now) {
        Presented::Fresh(grant) if grant.appid.as_str() == appid => grant,
        Presented::Used => return Err(CODE_USED),
        // The code of another app is burnt as well, by the presentation above.
        Presented::Fresh(_) | Presented::Expired | Presented::Unknown => return Err(CODE_INVALID),
    };
    let session_key = world.session_keys.hand_out(appid, &grant.openid, now);
    let unionid = grant.unionid.map(|unionid| ("unionid", unionid.into()));
    let fields = [("session_key", session_key.into()), ("openid", grant.openid.into())];
    Ok(Answer::bare(fields.into_iter().chain(unionid).collect()))
}
