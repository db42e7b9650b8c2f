//! Sessions in the memory of this process: for tests, and for trying things out. A restart forgets who logged out.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{
    Claim, CodeDigest, Ended, FIRST_SID, LAST_SID, LoginSession, MAKE_ROOM_MAX, News, SessionStore,
    StoreError,
};
use crate::{AppId, OpenId, Sid, UnionId};

/// A [`SessionStore`] that lives as long as the process.
pub struct MemoryStore {
    sessions_max: u64,
    kept: Mutex<Kept>,
}

impl MemoryStore {
    /// An empty store for at most `sessions_max` sessions.
    pub fn new(sessions_max: u64) -> Self {
        Self { sessions_max, kept: Mutex::default() }
    }

    /// No method below leaves the maps half changed, so what a panicking thread left behind is still whole.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the sessions: a log line must not become a list of users.
        f.debug_struct("MemoryStore").field("sessions_max", &self.sessions_max).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn put(&self, session: LoginSession) -> Result<(), StoreError> {
        let mut kept = self.kept();
        if kept.ended.contains_key(&session.sid) {
            return Ok(());
        }
        kept.remove_session(session.sid);
        if kept.count() >= self.sessions_max {
            kept.sweep_sessions(session.logged_in_at, MAKE_ROOM_MAX);
        }
        if kept.count() >= self.sessions_max {
            return Err(StoreError::Full { limit: self.sessions_max });
        }
        kept.insert_session(session);
        Ok(())
    }

    async fn get(&self, sid: Sid, now: u64) -> Result<Option<LoginSession>, StoreError> {
        Ok(self.kept().sessions.get(&sid).filter(|session| now < session.expires_at).cloned())
    }

    async fn end(&self, ended: Ended) -> Result<(), StoreError> {
        let mut kept = self.kept();
        kept.remove_session(ended.sid);
        let before = kept.ended.get(&ended.sid).copied();
        if before.is_none_or(|until| until < ended.until) {
            if let Some(until) = before {
                kept.by_until.remove(&(until, ended.sid));
            }
            kept.ended.insert(ended.sid, ended.until);
            kept.by_until.insert((ended.until, ended.sid));
        }
        Ok(())
    }

    async fn ended(&self, now: u64) -> Result<Vec<Ended>, StoreError> {
        let kept = self.kept();
        let remembered = kept.by_until.range((now, FIRST_SID)..);
        Ok(remembered.map(|&(until, sid)| Ended { sid, until }).collect())
    }

    async fn sweep(&self, now: u64, limit: usize) -> Result<usize, StoreError> {
        let mut kept = self.kept();
        let sessions = kept.sweep_sessions(now, limit);
        let ends = kept.sweep_ends(now, limit - sessions);
        Ok(sessions + ends)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let full = self.kept().count() >= self.sessions_max;
        if full { Err(StoreError::Full { limit: self.sessions_max }) } else { Ok(()) }
    }

    async fn of_user(
        &self,
        app: &AppId,
        openid: &OpenId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError> {
        let kept = self.kept();
        let key = |at, sid| (app.clone(), openid.clone(), at, sid);
        let found = kept.by_user.range(key(0, FIRST_SID)..=key(u64::MAX, LAST_SID)).rev();
        Ok(kept.live(found.map(|(.., sid)| sid), now, limit))
    }

    async fn of_unionid(
        &self,
        unionid: &UnionId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError> {
        let kept = self.kept();
        let key = |at, sid| (unionid.clone(), at, sid);
        let found = kept.by_unionid.range(key(0, FIRST_SID)..=key(u64::MAX, LAST_SID)).rev();
        Ok(kept.live(found.map(|(.., sid)| sid), now, limit))
    }

    fn subscribe(&self) -> Option<mpsc::Receiver<News>> {
        None
    }

    async fn claim(&self, _: CodeDigest, _: u64, _: Duration) -> Result<Claim, StoreError> {
        Ok(Claim::Yours)
    }

    async fn settle(&self, _: CodeDigest, _: Option<Sid>, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The sessions and the ends, each with an index in the order in which they pass; and whose the sessions are, each in the
/// order of their logins.
#[derive(Default)]
struct Kept {
    sessions: HashMap<Sid, LoginSession>,
    by_expiry: BTreeSet<(u64, Sid)>,
    by_user: BTreeSet<(AppId, OpenId, u64, Sid)>,
    by_unionid: BTreeSet<(UnionId, u64, Sid)>,
    ended: HashMap<Sid, u64>,
    by_until: BTreeSet<(u64, Sid)>,
}

impl Kept {
    fn count(&self) -> u64 {
        self.sessions.len() as u64
    }

    fn insert_session(&mut self, session: LoginSession) {
        let (sid, at) = (session.sid, session.logged_in_at);
        self.by_expiry.insert((session.expires_at, sid));
        self.by_user.insert((session.app.clone(), session.openid.clone(), at, sid));
        if let Some(unionid) = session.unionid.clone() {
            self.by_unionid.insert((unionid, at, sid));
        }
        self.sessions.insert(sid, session);
    }

    fn remove_session(&mut self, sid: Sid) {
        let Some(session) = self.sessions.remove(&sid) else { return };
        let at = session.logged_in_at;
        self.by_expiry.remove(&(session.expires_at, sid));
        self.by_user.remove(&(session.app, session.openid, at, sid));
        if let Some(unionid) = session.unionid {
            self.by_unionid.remove(&(unionid, at, sid));
        }
    }

    /// Those of `sids` that have not expired at `now`.
    fn live<'s>(&self, sids: impl Iterator<Item = &'s Sid>, now: u64, limit: usize) -> Vec<LoginSession> {
        let sessions = sids.filter_map(|sid| self.sessions.get(sid));
        sessions.filter(|session| now < session.expires_at).take(limit).cloned().collect()
    }

    fn sweep_sessions(&mut self, now: u64, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit
            && let Some(&(expires_at, sid)) = self.by_expiry.first()
            && expires_at <= now
        {
            self.remove_session(sid);
            swept += 1;
        }
        swept
    }

    fn sweep_ends(&mut self, now: u64, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit
            && let Some(&(until, sid)) = self.by_until.first()
            && until < now
        {
            self.by_until.remove(&(until, sid));
            self.ended.remove(&sid);
            swept += 1;
        }
        swept
    }
}
