//! One login on one device, and where it is kept.

mod memory;
mod embedded;
#[cfg(test)]
pub(crate) mod tests;

pub use embedded::{EmbeddedError, EmbeddedStore};
pub use memory::MemoryStore;

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
///
/// When a method fails, its change may or may not have been made: whoever needs to know asks again.
#[async_trait]
pub trait SessionStore: std::fmt::Debug + Send + Sync {
    /// Keeps a new session. The time is taken from its `logged_in_at`: a full store first removes a few of the
    /// sessions that had expired by then. One that has already been ended stays ended: nothing is kept, and that is `Ok`.
    async fn put(&self, session: LoginSession) -> Result<(), StoreError>;

    /// The session with this id, if it is known, not ended and, at `now` (Unix seconds), not expired.
    async fn get(&self, sid: Sid, now: u64) -> Result<Option<LoginSession>, StoreError>;

    /// Ends a session: removes it and remembers the end until `ended.until`. Ending twice is no error,
    /// nor is ending one that is not known; of several `until` the latest counts.
    async fn end(&self, ended: Ended) -> Result<(), StoreError>;

    /// Every end that must still be remembered at `now`. Read once, at start.
    async fn ended(&self, now: u64) -> Result<Vec<Ended>, StoreError>;

    /// Removes at most `limit` entries, sessions and ends together, that have passed at `now`; says how many went.
    /// Called from time to time; fewer than `limit` means that nothing is left to remove.
    async fn sweep(&self, now: u64, limit: usize) -> Result<usize, StoreError>;

    /// Whether the store would take a session now.
    async fn check(&self) -> Result<(), StoreError>;
}

/// How many expired sessions a `put` into a full store removes to make room: enough for many logins to come, and
/// few enough that one login does not wait for a spring clean.
const MAKE_ROOM_MAX: usize = 256;

/// The lowest id: where a range over `(time, sid)` starts.
const FIRST_SID: Sid = Sid::from_bytes([0; Sid::BYTES]);

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
