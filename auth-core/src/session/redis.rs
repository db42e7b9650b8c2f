//! Sessions in Redis (6.2 or newer, tested with 7.0) or Valkey, for several nodes at once: one server, Sentinel,
//! or Cluster. How the address is written is told at [`RedisAddress`].
//!
//! # The keys
//!
//! All under a prefix, `wxg` unless told otherwise. Braces decide the slot in a cluster: what must change at once is on one.
//!
//! | key | type | holds | gone |
//! |---|---|---|---|
//! | `wxg:{sid}` | string | the session as JSON: `v` (1), `app`, `openid`, `unionid`, `sealed_key`, `logged_in_at`, `expires_at` | a minute after `expires_at` |
//! | `wxg:{sid}:end` | string | the session was ended: `until` | a minute after `until` |
//! | `wxg:ends` | sorted set | the log of ends: sid by `until` | each entry after `until`, by whichever node writes or sweeps next; all a day after the last |
//! | `wxg:u:{appid:openid}` | sorted set | the sessions of a user: `logged_in_at:sid` by `expires_at` | each entry at the user's next login after `expires_at`; all a day after the last |
//! | `wxg:n:{unionid}` | sorted set | the same, across apps | the same |
//! | `wxg:c:{digest}` | string | a login code: `c:node` while a node is at it, `m:sid` when it made a session | as long as the claim lasts |
//! | `wxg:check:{number}` | string | nothing: written to see whether Redis takes writes | after a second |
//! | `wxg:ended:db` | channel | ends as they are made: `sid until` | |
//!
//! Times are Unix seconds, and those of the nodes count: Redis is told how long a key lives, never until when, and a session
//! that has expired is not given out, though its key may still be there. `sealed_key` is WeChat's `session_key`, sealed by
//! [`Seal`] and bound to the session: Redis never has it in clear. Everything has a time to live, and no key grows with
//! anything but what it lists, so memory is bound by how many users log in within a session's life; how much that may be is
//! set in Redis (`maxmemory`). Its policy must be `noeviction`: any other may evict the end of a session, and is warned of.
//! Out of memory, a login fails and an end is still taken.
//!
//! A user's index is written before the session, and both before `Ok`: no session that anybody has a token for is missing
//! in it. It may name sessions that are gone or another's; reading filters them.
//!
//! # Rights
//!
//! A user of Redis for the gateways alone needs no more than
//!
//! ```text
//! ACL SETUSER gateway on >PASSWORD ~wxg:* &wxg:* -@all +eval +get +mget +set +del +exists +pexpire +pttl +zadd +zrem
//!     +zrange +zscan +zremrangebyscore +time +publish +subscribe +unsubscribe +ping +select +info|memory +role
//! ```
//!
//! and in a cluster `+cluster|slots +asking` on top.
//!
//! # Durability
//!
//! `Ok` means that the master has the change, no more. What a master loses with its last second (`appendfsync everysec`),
//! or with a failover (replication does not wait), is lost, and what that means differs:
//!
//! - A lost session: its tokens stay valid, for nobody asks Redis to verify one. Its `session_key` is gone until the user
//!   logs in again, and an operator does not find it among the user's sessions.
//! - A lost end: every node that runs has it in memory and goes on refusing. The node that made it writes its ends of the
//!   last two minutes again, into the log and beside the session, after each reconnect and every `reread`: so it comes
//!   back with the new master. It is lost for good only if that node dies too before it has done so, and then only for nodes
//!   that start later.
//!   A master that is cut off takes writes until it is told that it is none any more; `min-replicas-to-write 1` makes it
//!   refuse them instead.
//! - A lost claim: WeChat takes a code once, so the other node's exchange is refused.
//!
//! `WAIT` is not used: it holds up every command on the shared connection while one end waits for a replica, promises
//! nothing when the time is up, and in a cluster speaks of one shard. Writing again covers more and costs no login a wait.
//!
//! # Trouble
//!
//! Nothing here is asked when a token is verified. Every command has one time limit that covers connecting and a second
//! attempt; after a failed connect all fail at once for a moment (50 ms, doubled up to a second). What is published may be
//! lost: [`News::Missed`] is told after each (re)connect and every `reread`, 10 s unless told otherwise, and whoever hears
//! it reads the log anew.
//!
//! With Sentinels, a reading succeeds only while most of them name the master that it comes from, and listening is begun anew
//! when they name another: a master that was cut off does not know that it is none any more, and goes on answering.

mod address;
mod ends;
mod error;
mod index;
mod keys;
mod link;
mod listener;
mod reach;
mod recent;
mod record;
mod scripts;
#[cfg(test)]
pub(super) mod tests;

pub use address::{RedisAddress, RedisAddressError};
pub use error::RedisError;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use redis::cmd;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::index::Entry;
use self::keys::Keys;
use self::link::Link;
use self::reach::Reach;
use self::recent::Recent;
use self::scripts::{script, with};
use super::{Claim, CodeDigest, Ended, LoginSession, News, Seal, SessionStore, StoreError};
use crate::{AppId, Clock, OpenId, Sid, UnionId};

/// How much longer than needed a key lives, so that nodes whose clocks differ agree on what is there.
const SLACK_SECS: u64 = 60;
/// How much longer a list lives than its last entry: a node whose clock is ahead says of its own entries that they end sooner
/// than those of others do.
const LIST_SLACK_SECS: u64 = 86_400;
/// The longest life that Redis is told, ten years: far longer ones it refuses.
const LIFE_MAX_SECS: u64 = 10 * 365 * 86_400;

/// How many entries of the log one question reads or removes: few enough that Redis does not stand still for it.
const PIECE: usize = 1000;
/// How many questions of one call are under way at once.
const AT_ONCE: usize = 16;
/// On how many slots of a cluster [`check`](SessionStore::check) writes: enough to meet every one of a few masters.
const CHECKS_IN_CLUSTER: usize = 16;

/// How Redis is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where it is.
    pub address: RedisAddress,
    /// What all keys start with: 1 to 32 of `A-Z a-z 0-9 _ - . :`.
    pub prefix: String,
    /// How long connecting to one server may take.
    pub connect: Duration,
    /// How long one command may take, with connecting and a second attempt.
    pub command: Duration,
    /// How often the log of ends is to be read anew though nothing seems to be wrong.
    pub reread: Duration,
    /// For TLS: the certificates to trust, as PEM, instead of the system's.
    pub root_certificates: Option<Vec<u8>>,
}

impl RedisSettings {
    /// The usual settings.
    pub fn new(address: RedisAddress) -> Self {
        Self {
            address,
            prefix: "wxg".to_owned(),
            connect: Duration::from_millis(500),
            command: Duration::from_secs(1),
            reread: Duration::from_secs(10),
            root_certificates: None,
        }
    }
}

/// A [`SessionStore`] that several nodes share.
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<Link>,
    keys: Keys,
    seal: Seal,
    clock: Arc<dyn Clock>,
    command: Duration,
    reread: Duration,
    /// What this node's claims look like.
    claim: String,
    recent: Recent,
    warned_of_eviction: AtomicBool,
}

impl RedisStore {
    /// A store in the Redis at the address of `settings`. Connects when it is first asked something, so that a node
    /// can start while Redis is away. The connection lives on the Tokio runtime that first asked, and is made anew on
    /// another when that one is gone.
    ///
    /// # Errors
    /// If a setting cannot work.
    pub fn open(settings: &RedisSettings, seal: Seal, clock: Arc<dyn Clock>) -> Result<Self, RedisError> {
        if settings.connect.is_zero() || settings.command.is_zero() || settings.reread.is_zero() {
            return Err(RedisError::Setting("the time limits for Redis must be longer than nothing"));
        }
        let keys = Keys::new(&settings.prefix, settings.address.db)?;
        let link = Link::new(Reach::new(settings)?, settings.command, settings.address.to_string());
        let inner = Inner {
            link,
            keys,
            seal,
            clock,
            command: settings.command,
            reread: settings.reread,
            // As random as the id of a session, so no other node has it.
            claim: format!("c:{}", Sid::random(&SystemRandom::new())),
            recent: Recent::default(),
            warned_of_eviction: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn put(&self, session: LoginSession) -> Result<(), StoreError> {
        self.inner.put(&session).await.map_err(Into::into)
    }

    async fn get(&self, sid: Sid, now: u64) -> Result<Option<LoginSession>, StoreError> {
        self.inner.get(sid, now).await.map_err(Into::into)
    }

    async fn end(&self, ended: Ended) -> Result<(), StoreError> {
        let record = self.inner.end(ended).await?;
        self.inner.recent.add(ended, Instant::now());
        if let Some(record) = record {
            self.inner.leave(ended.sid, &record).await;
        }
        Ok(())
    }

    async fn ended(&self, now: u64) -> Result<Vec<Ended>, StoreError> {
        self.inner.ended(now).await.map_err(Into::into)
    }

    /// Removes ends from the log. Sessions, and what else passes, Redis removes by itself.
    async fn sweep(&self, now: u64, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0;
        while swept < limit {
            let piece = PIECE.min(limit - swept);
            let sweep = with(script(scripts::SWEEP, &[self.inner.keys.ends()]), &[now, piece as u64]);
            let gone: usize = self.inner.link.ask(&sweep).await?;
            swept += gone;
            if gone < piece {
                break;
            }
        }
        Ok(swept)
    }

    /// Writes, as a login would: a server that is full, read-only or cannot save shows before the next login.
    async fn check(&self) -> Result<(), StoreError> {
        let inner = &self.inner;
        let slots = if inner.link.reach().is_cluster() { CHECKS_IN_CLUSTER } else { 1 };
        let checks = (0..slots).map(|slot| async move {
            let mut check = cmd("SET");
            check.arg(inner.keys.check(slot)).arg("").arg("PX").arg(1000);
            inner.link.ask::<()>(&check).await
        });
        futures_util::future::try_join_all(checks).await?;
        Ok(())
    }

    async fn of_user(
        &self,
        app: &AppId,
        openid: &OpenId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError> {
        let belongs = |session: &LoginSession| session.app == *app && session.openid == *openid;
        // Whoever bans a user ends what cannot be read as well: its token passes.
        let unreadable = |entry: Entry| {
            Some(LoginSession {
                sid: entry.sid,
                app: app.clone(),
                openid: openid.clone(),
                unionid: None,
                session_key: None,
                logged_in_at: entry.logged_in_at,
                expires_at: entry.expires_at,
            })
        };
        let index = self.inner.keys.user(app, openid);
        self.inner.of_index(index, belongs, unreadable, now, limit).await.map_err(Into::into)
    }

    async fn of_unionid(
        &self,
        unionid: &UnionId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError> {
        let belongs = |session: &LoginSession| session.unionid.as_ref() == Some(unionid);
        // Of which app and openid it is stands in the session alone.
        let unreadable = |_| None;
        let index = self.inner.keys.unionid(unionid);
        self.inner.of_index(index, belongs, unreadable, now, limit).await.map_err(Into::into)
    }

    /// # Panics
    /// Outside of a Tokio runtime.
    fn subscribe(&self) -> Option<mpsc::Receiver<News>> {
        Some(listener::start(Arc::clone(&self.inner)))
    }

    async fn claim(&self, digest: CodeDigest, _: u64, lasts: Duration) -> Result<Claim, StoreError> {
        let inner = &self.inner;
        let claim = script(scripts::CLAIM, &[inner.keys.code(digest)]);
        let claim = with(claim, &[inner.claim.as_str(), &millis(lasts)]);
        let found: String = inner.link.ask(&claim).await?;
        if found == inner.claim {
            return Ok(Claim::Yours);
        }
        match found.strip_prefix("m:").map(Sid::parse) {
            Some(Ok(sid)) => Ok(Claim::Made(sid)),
            Some(Err(_)) => Err(RedisError::Record.into()),
            None => Ok(Claim::Taken),
        }
    }

    async fn settle(
        &self,
        digest: CodeDigest,
        session: Option<Sid>,
        lasts: Duration,
    ) -> Result<(), StoreError> {
        let (inner, key) = (&self.inner, self.inner.keys.code(digest));
        let settle = match session {
            // Whatever stands there: WeChat took the code from this node.
            Some(sid) => {
                let mut made = cmd("SET");
                made.arg(key).arg(format!("m:{sid}")).arg("PX").arg(millis(lasts));
                made
            }
            None => with(script(scripts::GIVE_BACK, &[key]), &[&inner.claim]),
        };
        inner.link.ask::<redis::Value>(&settle).await?;
        Ok(())
    }
}

impl Inner {
    async fn put(&self, session: &LoginSession) -> Result<(), RedisError> {
        let now = self.clock.unix_secs();
        if session.expires_at <= now {
            return Ok(());
        }
        let user = self.keys.user(&session.app, &session.openid);
        let unionid = session.unionid.as_ref().map(|unionid| self.keys.unionid(unionid));
        let entered = [Some(user), unionid].into_iter().flatten();
        futures_util::future::try_join_all(entered.map(|index| self.enter(index, session, now))).await?;
        let put = script(scripts::PUT, &[self.keys.session(session.sid), self.keys.end(session.sid)]);
        let put = with(put, &[record::write(session, &self.seal)?, life(session.expires_at, now).into()]);
        self.link.ask::<bool>(&put).await?;
        Ok(())
    }

    async fn get(&self, sid: Sid, now: u64) -> Result<Option<LoginSession>, RedisError> {
        let mut get = cmd("MGET");
        get.arg(self.keys.session(sid)).arg(self.keys.end(sid));
        // The end is looked at too: a failover may have brought the session back.
        let (Some(record), None) = self.link.ask::<(Option<Vec<u8>>, Option<String>)>(&get).await? else {
            return Ok(None);
        };
        let session = record::read(sid, &record, &self.seal)?;
        Ok((now < session.expires_at).then_some(session))
    }

    /// Says it once if Redis may throw away what must be kept. It may be forbidden to ask: then nothing is said.
    async fn warn_of_eviction(&self) {
        if self.link.reach().is_cluster() || self.warned_of_eviction.load(Ordering::Relaxed) {
            return;
        }
        let Ok(info) = self.link.ask::<String>(cmd("INFO").arg("memory")).await else { return };
        let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let limited = value("maxmemory:").is_some_and(|bytes| bytes != "0");
        let policy = value("maxmemory_policy:").unwrap_or("noeviction");
        if limited && policy != "noeviction" && !self.warned_of_eviction.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                policy,
                "Redis evicts keys when it is full, and with them ended sessions: set maxmemory-policy noeviction"
            );
        }
    }
}

/// How long a key lives that is needed until then, in milliseconds.
fn life(until: u64, now: u64) -> String {
    let secs = until.saturating_sub(now).saturating_add(SLACK_SECS).min(LIFE_MAX_SECS);
    millis(Duration::from_secs(secs))
}

/// As Redis takes it: at least one, at most ten years.
fn millis(lasts: Duration) -> String {
    lasts.min(Duration::from_secs(LIFE_MAX_SECS)).as_millis().max(1).to_string()
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("link", &self.inner.link).finish_non_exhaustive()
    }
}
