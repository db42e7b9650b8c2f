//! Ends of sessions: by their user and by the operator.
//!
//! # How long an end is remembered
//!
//! Until no token of its session can be valid. The token with which a user logs out is not the only one: a renewed token
//! has a predecessor and perhaps a successor that the user has not seen yet, minted up to this moment. So the end of every
//! session is remembered until the last of them is over, whichever token asked for it: one minted now, with the whole life
//! of a token before it. [`MARGIN_SECS`] is added for the leeway that verifiers grant.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};

use super::LoginService;
use crate::session::{Ended, LoginSession, StoreError};
use crate::token::TOKEN_LIFE_SECS_MAX;
use crate::{AppId, Caller, OpenId, Sid, UnionId};

/// A minute for the leeway that a verifier may grant, and one for a node whose clock is ahead.
const MARGIN_SECS: u64 = 120;

/// How many sessions are ended at a time: the store writes them together.
const PIECE: usize = 256;

/// Whose sessions are ended.
#[derive(Clone, Copy)]
enum Whose<'a> {
    User(&'a AppId, &'a OpenId),
    Unionid(&'a UnionId),
}

/// Why not every session of a user was ended for good.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The store did not say which sessions there are. Those that it had not named yet go on.
    #[error("the sessions of the user could not be read: {0}")]
    Unread(#[source] StoreError),
    /// All that the store had named are over here, and some of the ends were not kept. Keeping them is tried again by
    /// [`sweep`](LoginService::sweep).
    #[error("the ends of sessions could not be kept: {0}")]
    Unkept(#[source] StoreError),
}

impl LoginService {
    /// Ends the caller's session: here at once, and for good when this returns `Ok`. An end that could not be kept is
    /// tried again by [`logout_pending`](Self::logout_pending) and [`sweep`](Self::sweep).
    pub async fn logout(&self, caller: &Caller) -> Result<(), Arc<StoreError>> {
        let until = self.last_token_ends_at(caller);
        Ok(self.end(Ended { sid: caller.sid, until }).await?)
    }

    /// When the last token of the caller's session ends that may be out: theirs may be an older one, whose successor was
    /// made a moment ago, under another `ttl` or by a node whose clock is ahead.
    fn last_token_ends_at(&self, caller: &Caller) -> u64 {
        let life = caller.token_life().max(self.inner.settings.token_ttl.as_secs());
        let made = self.inner.clock.unix_secs().max(caller.issued_at);
        // What sessions live may be made longer again.
        made.saturating_add(life).max(caller.signed_until).saturating_add(MARGIN_SECS)
    }

    /// Tries again to keep the ends that a failing store did not keep. `Ok` says that every logout is for good.
    ///
    /// For a logout with a token whose session has ended: that the session is over here is not yet that it stays over
    /// when the process starts anew.
    pub async fn logout_pending(&self) -> Result<(), StoreError> {
        let mut first_failure = Ok(());
        for piece in self.unkept_ends.all(self.inner.clock.unix_secs()).chunks(PIECE) {
            let kept = join_all(piece.iter().map(|ended| self.keep(*ended))).await;
            // A store that keeps none of so many is left alone until somebody asks again. One that keeps some may be one of
            // several servers that is away.
            let keeps_none = kept.iter().all(Result::is_err);
            first_failure = kept.into_iter().fold(first_failure, Result::and);
            if keeps_none {
                break;
            }
        }
        first_failure
    }

    /// How many ends the store has not kept yet: they would be forgotten with this process.
    pub fn ends_unkept(&self) -> usize {
        self.unkept_ends.all(self.inner.clock.unix_secs()).len()
    }

    /// Ends one session, for the operator: here at once, and for good when this returns `Ok`. Says how many sessions the
    /// store knew under this id, 1 or 0.
    ///
    /// One that the store does not know is ended all the same: a token of it may be out, from before the store was lost.
    pub async fn end_session(&self, sid: Sid) -> Result<usize, StoreError> {
        let now = self.inner.clock.unix_secs();
        let session = self.inner.store.get(sid, now).await;
        let until = match &session {
            Ok(Some(session)) => self.last_token_of(session, now),
            _ => now + TOKEN_LIFE_SECS_MAX + MARGIN_SECS,
        };
        self.end(Ended { sid, until }).await?;
        // One that could not be read is there.
        Ok(usize::from(!matches!(session, Ok(None))))
    }

    /// Ends every session of a user of one app, as [`end_session`](Self::end_session) does; says how many there were. When it
    /// fails some may have been ended: asked again, it ends the others. A login that is under way meanwhile may escape it.
    pub async fn end_user(&self, app: &AppId, openid: &OpenId) -> Result<usize, EndError> {
        self.end_each(Whose::User(app, openid)).await
    }

    /// Ends every session of a user across apps, as [`end_user`](Self::end_user) does those of one app.
    pub async fn end_unionid(&self, unionid: &UnionId) -> Result<usize, EndError> {
        self.end_each(Whose::Unionid(unionid)).await
    }

    /// Goes on until the store names none: what cannot be read of it may be told last.
    async fn end_each(&self, whose: Whose<'_>) -> Result<usize, EndError> {
        let (store, mut ended) = (&self.inner.store, 0);
        loop {
            let now = self.inner.clock.unix_secs();
            let piece = match whose {
                Whose::User(app, openid) => store.of_user(app, openid, now, PIECE).await,
                Whose::Unionid(unionid) => store.of_unionid(unionid, now, PIECE).await,
            };
            let piece = piece.map_err(EndError::Unread)?;
            if piece.is_empty() {
                return Ok(ended);
            }
            ended += self.end_all(&piece, now).await.map_err(EndError::Unkept)?;
        }
    }

    async fn end_all(&self, sessions: &[LoginSession], now: u64) -> Result<usize, StoreError> {
        let ended =
            |session: &LoginSession| Ended { sid: session.sid, until: self.last_token_of(session, now) };
        // All of them here first: the first failure of the store ends the work on the others.
        sessions.iter().for_each(|session| self.revoke(ended(session)));
        Ok(try_join_all(sessions.iter().map(|session| self.end(ended(session)))).await?.len())
    }

    /// Until when a token of the session can be valid: the whole life of one minted now, and that of one minted when tokens
    /// lived longer, which ends with its session at the latest.
    fn last_token_of(&self, session: &LoginSession, now: u64) -> u64 {
        let last = session.expires_at.max(now + self.inner.settings.token_ttl.as_secs());
        last.min(now + TOKEN_LIFE_SECS_MAX) + MARGIN_SECS
    }

    /// Ends a session here at once, and for good when this returns `Ok`.
    async fn end(&self, ended: Ended) -> Result<(), StoreError> {
        self.revoke(ended);
        self.keep(ended).await
    }

    /// Has the store keep an end that is noted.
    async fn keep(&self, ended: Ended) -> Result<(), StoreError> {
        self.inner.store.end(ended).await?;
        self.unkept_ends.kept(ended);
        Ok(())
    }

    /// Ends a session here, and notes that the store is still to be told: the caller's future may be dropped half-way.
    fn revoke(&self, ended: Ended) {
        self.inner.revocations.insert(ended);
        self.unkept_ends.note(ended);
    }
}
