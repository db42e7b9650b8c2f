//! The lists of a user's sessions: of one app, and across apps.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::cmd;

use super::scripts::{self, script, with};
use super::{AT_ONCE, Inner, LIST_SLACK_SECS, RedisError, life, record};
use crate::Sid;
use crate::session::LoginSession;

impl Inner {
    pub(super) async fn enter(
        &self,
        index: String,
        session: &LoginSession,
        now: u64,
    ) -> Result<(), RedisError> {
        let enter = script(scripts::ENTER, &[index]);
        let expires_at = session.expires_at;
        let lives = life(expires_at.saturating_add(LIST_SLACK_SECS), now);
        let arguments = [member(session), expires_at.to_string(), now.to_string(), lives];
        self.link.ask(&with(enter, &arguments)).await
    }

    /// Takes an ended session out of the indexes: a kindness, they are filtered and expire anyhow.
    pub(super) async fn leave(&self, sid: Sid, record: &[u8]) {
        let Ok(session) = record::read(sid, record, &self.seal) else { return };
        let unionid = session.unionid.as_ref().map(|unionid| self.keys.unionid(unionid));
        for index in [Some(self.keys.user(&session.app, &session.openid)), unionid].into_iter().flatten() {
            let mut leave = cmd("ZREM");
            leave.arg(index).arg(member(&session));
            if let Err(why) = self.link.ask::<bool>(&leave).await {
                tracing::debug!(error = %why, "an ended session stays in the index of its user for now");
            }
        }
    }

    /// The sessions of an index that belong there, each once: put again, a session may stand in it twice, or have gone to
    /// another. `unreadable` says what there is of one whose record another version wrote, or nobody. Where it says nothing the
    /// others are told, and once none of them is left, that there are more: whoever ends them all learns that some go on.
    pub(super) async fn of_index(
        &self,
        index: String,
        belongs: impl Fn(&LoginSession) -> bool + Send + Sync,
        unreadable: impl Fn(Entry) -> Option<LoginSession> + Send + Sync,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, RedisError> {
        let mut range = cmd("ZRANGE");
        range.arg(index).arg(format!("({now}")).arg("+inf").arg("BYSCORE").arg("WITHSCORES");
        let members: Vec<(String, f64)> = self.link.ask(&range).await?;
        let mut entries: Vec<_> =
            members.iter().filter_map(|(member, score)| Entry::read(member, *score)).collect();
        entries.sort_unstable_by(|one, other| other.cmp(one));
        let hidden = AtomicBool::new(false);
        let session = |entry: Entry| {
            let (belongs, unreadable, hidden) = (&belongs, &unreadable, &hidden);
            async move {
                match self.get(entry.sid, now).await {
                    Err(RedisError::Record) => {
                        tracing::warn!(sid = %entry.sid, "what Redis keeps for a session cannot be read");
                        let told = unreadable(entry);
                        hidden.fetch_or(told.is_none(), Ordering::Relaxed);
                        Ok(told)
                    }
                    Err(error) => Err(error),
                    Ok(session) => Ok(session
                        .filter(|session| session.logged_in_at == entry.logged_in_at && belongs(session))),
                }
            }
        };
        let sessions = stream::iter(entries).map(session).buffered(AT_ONCE);
        let sessions: Vec<_> =
            sessions.try_filter_map(|session| async { Ok(session) }).take(limit).try_collect().await?;
        if sessions.is_empty() && hidden.load(Ordering::Relaxed) {
            return Err(RedisError::Record);
        }
        Ok(sessions)
    }
}

/// A session in an index.
fn member(session: &LoginSession) -> String {
    format!("{}:{}", session.logged_in_at, session.sid)
}

/// What an index says of a session; the newest is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) logged_in_at: u64,
    pub(super) sid: Sid,
    pub(super) expires_at: u64,
}

impl Entry {
    fn read(member: &str, score: f64) -> Option<Self> {
        let (logged_in_at, sid) = member.split_once(':')?;
        // Whole seconds below 2^53 are exact.
        Some(Self {
            logged_in_at: logged_in_at.parse().ok()?,
            sid: Sid::parse(sid).ok()?,
            expires_at: score as u64,
        })
    }
}
