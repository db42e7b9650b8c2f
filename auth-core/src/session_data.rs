//! The use case: what a service does with a user's `session_key` without ever seeing it. Open data is opened, raw data
//! verified, requests are signed, and WeChat is asked whether the key still counts.
//!
//! # Which key
//!
//! WeChat has one valid `session_key` per user of an app, and any `wx.login` of the user, on any device, may replace it. So a
//! user is what a service names (directly, or by one of the user's sessions), and the key is that of the newest login: it
//! alone can be the current one, and it alone signs.
//!
//! What a client got from WeChat was sealed or signed with the key that was current then. When the user logs in on another
//! device before the data arrives here, that is the key of an older login. The data is no less the user's for it: to open and to verify,
//! the keys of the user's other live sessions are tried after the newest. The keys of sessions that have ended are not. Where
//! none fits, WeChat has replaced the key since the last login that came by here.

use std::sync::Arc;

use serde_json::Value;

use crate::revocation::Revocations;
use crate::session::{LoginSession, SessionStore, StoreError};
use crate::wechat::open_data::{self, OpenData, OpenDataError, Sealed};
use crate::wechat::{CallError, KeyCheck, WechatApp, signature};
use crate::{AppId, Clock, OpenId, SessionKey, Sid, UnionId};

/// How many of a user's sessions are looked at: more devices than people carry.
const SESSIONS_MAX: usize = 8;

/// Whose data it is.
#[derive(Debug, Clone)]
pub enum Whose {
    /// A user of an app, as a service learns both with each request.
    User {
        /// The mini program.
        app: AppId,
        /// Its user.
        openid: OpenId,
    },
    /// The user of this session.
    Session(Sid),
}

/// Why there is no key to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The app is not one that may be asked about.
    #[error("data of this app is not for whoever asks")]
    AppNotAllowed,
    /// The user has no session, or none that goes on.
    #[error("the user has no live session")]
    NoSession,
    /// There are sessions, but none with a key that can be read: what sealed them is gone.
    #[error("no session_key of the user can be read any more; the next login brings a new one")]
    NotReadable,
    /// The sessions could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why open data was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not sealed data at all, whatever the key.
    #[error(transparent)]
    Malformed(OpenDataError),
    /// No key of the user seals like this. The client calls `wx.login` again, logs in with the code, and gets the data anew.
    ///
    /// Data of another app is this as well, and data that somebody changed: told apart, they let somebody who asks often
    /// enough read data sealed for another.
    #[error("the data was not sealed with the user's session_key; log in, get the data anew, and try again")]
    Stale,
    /// It opened, and says that it is about somebody else: a client has changed it.
    #[error("the data says that it is another user's")]
    AnotherUser,
}

/// Works with the keys of users. One for all requests.
#[derive(Debug)]
pub struct SessionData {
    store: Arc<dyn SessionStore>,
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock>,
    check: Arc<dyn KeyCheck>,
}

impl SessionData {
    /// Over its parts. `revocations` is shared with the [`Verifier`](crate::Verifier): a session that has ended here counts
    /// as ended, whatever the store says.
    pub fn new(
        store: Arc<dyn SessionStore>,
        revocations: Arc<Revocations>,
        clock: Arc<dyn Clock>,
        check: Arc<dyn KeyCheck>,
    ) -> Self {
        Self { store, revocations, clock, check }
    }

    /// The keys of a user of an app that `may_read` lets pass. It is asked before anything is said about the user.
    pub async fn keys(
        &self,
        whose: &Whose,
        may_read: impl Fn(&AppId) -> bool + Send,
    ) -> Result<UserKeys, KeysError> {
        let now = self.clock.unix_secs();
        let (app, openid) = match whose {
            Whose::User { app, openid } => (app.clone(), openid.clone()),
            Whose::Session(sid) => self.user_of(*sid, now).await?,
        };
        if !may_read(&app) {
            return Err(KeysError::AppNotAllowed);
        }
        let sessions = self.store.of_user(&app, &openid, now, SESSIONS_MAX).await?;
        let live = sessions.into_iter().filter(|session| !self.revocations.contains(&session.sid));
        UserKeys::of(app, openid, live)
    }

    /// Whether WeChat takes the newest of the keys for the user's current one. While it does not, nothing that the client
    /// gets from WeChat opens here, and nothing signed here passes there.
    pub async fn is_current(&self, app: &WechatApp, keys: &UserKeys) -> Result<bool, CallError> {
        self.check.is_current(app, &keys.openid, &keys.newest).await
    }

    async fn user_of(&self, sid: Sid, now: u64) -> Result<(AppId, OpenId), KeysError> {
        let session = self.store.get(sid, now).await?.ok_or(KeysError::NoSession)?;
        if self.revocations.contains(&sid) {
            Err(KeysError::NoSession)
        } else {
            Ok((session.app, session.openid))
        }
    }
}

/// The keys of one user of one app, whom whoever holds this may ask about. They do not come out.
#[derive(Debug)]
pub struct UserKeys {
    app: AppId,
    openid: OpenId,
    unionid: Option<UnionId>,
    newest: SessionKey,
    /// Those of the user's other live sessions, the newer first.
    older: Vec<SessionKey>,
}

impl UserKeys {
    /// `sessions` with the newest first.
    fn of(
        app: AppId,
        openid: OpenId,
        sessions: impl Iterator<Item = LoginSession>,
    ) -> Result<Self, KeysError> {
        let (mut keys, mut unionid, mut any): (Vec<SessionKey>, _, _) = (Vec::new(), None, false);
        for session in sessions {
            any = true;
            unionid = unionid.or(session.unionid);
            keys.extend(session.session_key);
        }
        if keys.is_empty() {
            return Err(if any { KeysError::NotReadable } else { KeysError::NoSession });
        }
        let older = keys.split_off(1);
        let newest = keys.pop().ok_or(KeysError::NotReadable)?;
        Ok(Self { app, openid, unionid, newest, older })
    }

    /// The mini program.
    pub fn app(&self) -> &AppId {
        &self.app
    }

    /// The user.
    pub fn openid(&self) -> &OpenId {
        &self.openid
    }

    /// Opens data that the user's client got from WeChat. Where it says who the user is, it is this one; a `unionId` that
    /// WeChat did not tell at a login is taken out of it. Whatever else is in it may be missing or changed, by the user: see
    /// [`open_data`].
    pub fn open(&self, sealed: Sealed<'_>) -> Result<OpenData, OpenError> {
        for key in self.all() {
            match open_data::decrypt(&self.app, key, sealed) {
                Ok(data) if self.is_theirs(&data.json) => return Ok(self.without_unconfirmed_unionid(data)),
                Ok(_) => return Err(OpenError::AnotherUser),
                Err(
                    error @ (OpenDataError::BadIv
                    | OpenDataError::BadBase64 { .. }
                    | OpenDataError::NotWholeBlocks),
                ) => return Err(OpenError::Malformed(error)),
                Err(
                    OpenDataError::BadSessionKey
                    | OpenDataError::NotDecryptable
                    | OpenDataError::NotJson
                    | OpenDataError::WrongApp,
                ) => {}
            }
        }
        Err(OpenError::Stale)
    }

    /// Whether `signature` is WeChat's over `raw_data`, for this user: see [`signature::verify_raw_data`]. Where it is not,
    /// nobody can tell whether one of the two was changed or the key is no longer the client's.
    #[must_use]
    pub fn verify(&self, raw_data: &str, signature: &str) -> bool {
        self.all().any(|key| signature::verify_raw_data(key, raw_data, signature))
    }

    /// Signs a message to WeChat on behalf of the user: the body of a POST, or nothing for a GET. In 64 digits of hex.
    ///
    /// That is all an HMAC with this key can do: raw data is signed in another way (SHA-1), and open data is sealed with
    /// AES. The signature counts at WeChat only beside an access token of the app, and as long as the key does.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        signature::sign_user_state(&self.newest, message)
    }

    fn all(&self) -> impl Iterator<Item = &SessionKey> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// Whether nothing in the data names another user. A client can change what comes first in it, and that is the `openId`.
    fn is_theirs(&self, data: &Value) -> bool {
        let is = |name: &str, right: Option<&str>| match (data.get(name), right) {
            (None, _) | (_, None) => true,
            (Some(given), Some(right)) => given.as_str() == Some(right),
        };
        is("openId", Some(self.openid.as_str())) && is("unionId", self.unionid.as_ref().map(UnionId::as_str))
    }

    /// Without a `unionId` that nothing can be compared with: a client can write any in, and be anybody across apps.
    fn without_unconfirmed_unionid(&self, mut data: OpenData) -> OpenData {
        if let (None, Some(members)) = (&self.unionid, data.json.as_object_mut()) {
            members.remove("unionId");
        }
        data
    }
}

#[cfg(test)]
mod tests;
