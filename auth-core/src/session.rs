//! One login on one device, and where it is kept.

mod nodes;
mod seal;

mod memory;
mod embedded;
mod redis;
#[cfg(test)]
pub(crate) mod tests;

pub use embedded::{EmbeddedError, EmbeddedStore};
pub use memory::MemoryStore;
pub use nodes::{Claim, CodeDigest, News};
pub use redis::{RedisAddress, RedisAddressError, RedisError, RedisSettings, RedisStore};
pub use seal::{Seal, SealKey, SealKeyError, Unreadable, generate_seal_key};

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

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
    /// WeChat's key of this login, for open data. None where it cannot be read any more (the key that sealed it is gone):
    /// the login stands, and the next `wx.login` brings a new one.
    pub session_key: Option<SessionKey>,
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

    /// The sessions of one user of one app that are not ended and, at `now`, not expired; the newest first, at most `limit`.
    async fn of_user(
        &self,
        app: &AppId,
        openid: &OpenId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError>;

    /// The same of one user across apps.
    async fn of_unionid(
        &self,
        unionid: &UnionId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError>;

    /// What other nodes do: ends as they are made, and the word that ends may have been missed (then `ended` is to be read
    /// anew). None where the store is this node's alone.
    fn subscribe(&self) -> Option<mpsc::Receiver<News>>;

    /// Takes a login code for this node, or says what another node has made of it: one code, one session, on all nodes.
    /// What is taken is free again after `lasts`, so that the code of a node that died is not lost before its time.
    /// `digest` names (app, code) and cannot be turned back. A store of this node alone always answers `Yours`.
    async fn claim(&self, digest: CodeDigest, now: u64, lasts: Duration) -> Result<Claim, StoreError>;

    /// What came of a code that this node had claimed: the session, remembered for `lasts`, or nothing (then another may
    /// claim it again).
    async fn settle(
        &self,
        digest: CodeDigest,
        session: Option<Sid>,
        lasts: Duration,
    ) -> Result<(), StoreError>;
}

/// How many expired sessions a `put` into a full store removes to make room: enough for many logins to come, and
/// few enough that one login does not wait for a spring clean.
const MAKE_ROOM_MAX: usize = 256;

/// The lowest id: where a range over `(time, sid)` starts.
const FIRST_SID: Sid = Sid::from_bytes([0; Sid::BYTES]);
/// The highest id: where such a range ends.
const LAST_SID: Sid = Sid::from_bytes([u8::MAX; Sid::BYTES]);

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
