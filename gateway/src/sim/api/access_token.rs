//! `/cgi-bin/token` and `/cgi-bin/stable_token`: WeChat's credential for calls of the server.

use super::{posted, text};
use crate::sim::access_tokens::{ForceRefused, Issued};
use crate::sim::answer::Answer;
use crate::sim::call::Call;
use crate::sim::errcode::{
    APPID_MISSING, DAILY_QUOTA, Errcode, GRANT_TYPE_INVALID, MINUTE_QUOTA, SECRET_MISSING,
};
use crate::sim::world::World;

/// A new token at every call.
pub(super) fn token(world: &mut World, call: &Call) -> Result<Answer, Errcode> {
    let asked = Asked {
        appid: call.query("appid"),
        secret: call.query("secret"),
        grant_type: call.query("grant_type"),
    };
    let (now, ttl_secs) = (world.now(), world.settings.access_token_ttl.as_secs());
    Ok(issued(asked.app(world)?.tokens.issue_legacy(ttl_secs, now)))
}

/// The same token until shortly before its end, or a new one if `force_refresh` asks for it.
pub(super) fn stable_token(world: &mut World, call: &Call) -> Result<Answer, Errcode> {
    let body = posted(call)?;
    let asked = Asked {
        appid: text(&body, "appid"),
        secret: text(&body, "secret"),
        grant_type: text(&body, "grant_type"),
    };
    let (now, ttl_secs) = (world.now(), world.settings.access_token_ttl.as_secs());
    let tokens = &mut asked.app(world)?.tokens;
    if body.get("force_refresh").and_then(serde_json::Value::as_bool) != Some(true) {
        return Ok(issued(tokens.issue_stable(ttl_secs, now)));
    }
    match tokens.force_stable(ttl_secs, now) {
        Ok(token) => Ok(issued(token)),
        Err(ForceRefused::TooSoon) => Err(MINUTE_QUOTA),
        Err(ForceRefused::TooOften) => Err(DAILY_QUOTA),
    }
}

/// The three things both endpoints ask for.
struct Asked<'a> {
    appid: Option<&'a str>,
    secret: Option<&'a str>,
    grant_type: Option<&'a str>,
}

impl Asked<'_> {
    fn app<'w>(&self, world: &'w mut World) -> Result<&'w mut crate::sim::world::App, Errcode> {
        let appid = self.appid.ok_or(APPID_MISSING)?;
        let secret = self.secret.ok_or(SECRET_MISSING)?;
        if self.grant_type != Some("client_credential") {
            return Err(GRANT_TYPE_INVALID);
        }
        world.app_by_secret(appid, secret)
    }
}

fn issued(token: Issued) -> Answer {
    Answer::bare(vec![("access_token", token.text.into()), ("expires_in", token.expires_in.into())])
}
