//! A session as Redis keeps it: JSON, in which a later version may add fields.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::RedisError;
use crate::session::{LoginSession, Seal};
use crate::{AppId, OpenId, Sid, UnionId};

const VERSION: u8 = 1;

/// The fields, in the words of [`LoginSession`]; the `session_key` only sealed.
#[derive(Serialize, Deserialize)]
struct Record {
    v: u8,
    app: AppId,
    openid: OpenId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unionid: Option<UnionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed_key: Option<String>,
    logged_in_at: u64,
    expires_at: u64,
}

pub(super) fn write(session: &LoginSession, seal: &Seal) -> Result<Vec<u8>, RedisError> {
    let sealed =
        session.session_key.as_ref().map(|key| seal.seal(key, session.sid, &session.app, &session.openid));
    let record = Record {
        v: VERSION,
        app: session.app.clone(),
        openid: session.openid.clone(),
        unionid: session.unionid.clone(),
        sealed_key: sealed.map(|sealed| STANDARD_NO_PAD.encode(sealed)),
        logged_in_at: session.logged_in_at,
        expires_at: session.expires_at,
    };
    serde_json::to_vec(&record).map_err(|_| RedisError::Record)
}

pub(super) fn read(sid: Sid, record: &[u8], seal: &Seal) -> Result<LoginSession, RedisError> {
    // The cause is dropped: a JSON error may quote what it could not read.
    let record: Record = serde_json::from_slice(record).map_err(|_| RedisError::Record)?;
    if record.v != VERSION {
        return Err(RedisError::Record);
    }
    let sealed = record.sealed_key.and_then(|sealed| STANDARD_NO_PAD.decode(sealed).ok());
    Ok(LoginSession {
        sid,
        session_key: sealed.and_then(|sealed| seal.open(&sealed, sid, &record.app, &record.openid).ok()),
        app: record.app,
        openid: record.openid,
        unionid: record.unionid,
        logged_in_at: record.logged_in_at,
        expires_at: record.expires_at,
    })
}
