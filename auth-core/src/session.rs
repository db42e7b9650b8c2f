//! One login on one device, and where it is kept.

use async_trait::async_trait;

use crate::{AppId, OpenId, SessionKey, Sid, UnionId};

/// One login on one device. The client holds its `sid` inside a signed token; everything else stays here.
#[derive(Debug, Clone)]
pub struct LoginSession {
    /// Its id.
    pub sid: Sid,
    /// The mini program.
    pub app: AppId,
    /// The user, as WeChat confirmed it.
    pub openid: OpenId,
    /// The user across apps, if WeChat told.
    pub unionid: Option<UnionId>,
    /// WeChat's key of this login, for open data.
    pub session_key: SessionKey,
    /// When WeChat confirmed the user, in Unix seconds.
    pub logged_in_at: u64,
    /// When the session ends by itself, in Unix seconds.
    pub expires_at: u64,
}

/// A session that ended before its time, remembered while a token that names it could still be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The session.
    pub sid: Sid,
    /// Until when the end must be remembered, in Unix seconds: the expiry of the last token handed out for it.
    pub until: u64,
}

/// Where sessions are kept. A method that returns `Ok` has made its change durable, as far as the store can.
#[async_trait]
pub trait SessionStore: std::fmt::Debug + Send + Sync {
    /// Keeps a new session.
    async fn put(&self, session: LoginSession) -> Result<(), StoreError>;

    /// The session with this id, if it is known, not ended and, at `now` (Unix seconds), not expired.
    async fn get(&self, sid: Sid, now: u64) -> Result<Option<LoginSession>, StoreError>;

    /// Ends a session: removes it and remembers the end until `ended.until`. Ending twice is no error.
    async fn end(&self, ended: Ended) -> Result<(), StoreError>;

    /// Every end that must still be remembered at `now`. Read once, at start.
    async fn ended(&self, now: u64) -> Result<Vec<Ended>, StoreError>;

    /// Removes at most `limit` entries that have expired at `now`; says how many went. Called from time to time.
    async fn sweep(&self, now: u64, limit: usize) -> Result<usize, StoreError>;

    /// Whether the store would take a session now.
    async fn check(&self) -> Result<(), StoreError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It holds as many sessions as it may.
    #[error("the session store is full ({limit} sessions)")]
    Full {
        /// How many it may hold.
        limit: u64,
    },
    /// The file or the server behind it failed.
    #[error("the session store failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
