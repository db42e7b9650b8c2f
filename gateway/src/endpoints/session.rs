//! `GET /session`: tells the caller who it is and until when, and gives it a new token when it is time.

use pingora::proxy::Session;
use serde::Serialize;

use super::{Answer, caller};
use crate::denied::Denied;
use crate::reply::Reply;
use crate::snapshot::Snapshot;

#[derive(Serialize)]
struct Body<'a> {
    openid: &'a str,
    appid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    /// Seconds until the token of this request ends.
    expires_in: u64,
    /// Seconds until the session ends; absent when the store does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_expires_in: Option<u64>,
}

pub(super) async fn answer(snapshot: &Snapshot, session: &Session) -> Answer {
    let verified = caller(snapshot, session)?;
    let caller = &verified.caller;
    let now = snapshot.lasting.clock.unix_secs();
    // A store in trouble does not make the token less valid: what it would add is left out.
    let kept = snapshot.login.session(caller).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "a session could not be looked up");
        None
    });
    let body = Body {
        openid: caller.openid.as_str(),
        appid: caller.app.as_str(),
        unionid: caller.unionid.as_ref().map(|id| id.as_str()),
        expires_in: caller.expires_at.saturating_sub(now),
        session_expires_in: kept.map(|kept| kept.expires_at.saturating_sub(now)),
    };
    let body = serde_json::to_vec(&body).map_err(|_| Denied::Internal)?;
    let token = if snapshot.renews && verified.is_due() { snapshot.renew(&verified) } else { None };
    Ok(Reply::Json(body.into(), token))
}
