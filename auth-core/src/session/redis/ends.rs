//! The ends of sessions: beside each session, and in the log that all nodes read.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use futures_util::try_join;
use redis::cmd;
use tokio::time::Instant;

use super::scripts::{self, script, with};
use super::{AT_ONCE, Inner, LIST_SLACK_SECS, PIECE, RedisError, life};
use crate::Sid;
use crate::session::Ended;

impl Inner {
    /// Writes an end to both places. Gives back the record of the session, if there was one.
    pub(super) async fn end(&self, ended: Ended) -> Result<Option<Vec<u8>>, RedisError> {
        let (until, now) = (ended.until.to_string(), self.clock.unix_secs());
        let (sid, millis) = (ended.sid.to_string(), life(ended.until, now));
        let log_lives = life(ended.until.saturating_add(LIST_SLACK_SECS), now);
        let end = script(scripts::END, &[self.keys.session(ended.sid), self.keys.end(ended.sid)]);
        let end = with(end, &[&until, &millis]);
        let log = script(scripts::LOG, &[self.keys.ends()]);
        let log = with(log, &[&sid, &until, &log_lives, &self.keys.channel(), &now.to_string()]);
        let (record, _) = try_join!(self.link.ask(&end), self.link.ask::<bool>(&log))?;
        Ok(record)
    }

    /// Writes what this node ended lately once more, in case a failover has lost it. What is there stays as it is.
    pub(super) async fn end_recent_again(&self) {
        let recent = self.recent.all(Instant::now());
        let again = stream::iter(recent).map(|ended| self.end(ended)).buffer_unordered(AT_ONCE);
        if let Err(why) = again.try_for_each(|_| async { Ok(()) }).await {
            tracing::debug!(error = %why, "ends are written again later");
        }
    }

    pub(super) async fn ended(&self, now: u64) -> Result<Vec<Ended>, RedisError> {
        // Nobody may believe to know what ended who has read it from a master of before.
        let proven = self.link.prove_current().await?;
        let (mut ended, mut cursor) = (Vec::new(), 0);
        loop {
            let mut scan = cmd("ZSCAN");
            scan.arg(self.keys.ends()).arg(cursor).arg("COUNT").arg(PIECE);
            let (next, piece): (u64, Vec<(String, f64)>) = self.link.ask(&scan).await?;
            for (sid, until) in piece {
                match Sid::parse(&sid) {
                    // Whole seconds below 2^53 are exact; what is above is capped where it was read.
                    Ok(sid) if until >= now as f64 => ended.push(Ended { sid, until: until as u64 }),
                    Ok(_) => {}
                    Err(_) => tracing::warn!("the log of ended sessions holds what is no session"),
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        // Part of it may be of another server.
        if !self.link.is_still(proven) {
            return Err(RedisError::Unreachable("the connection changed meanwhile".into()));
        }
        // A scan may tell an entry twice.
        ended.sort_unstable_by_key(|ended| (ended.until, ended.sid));
        ended.dedup();
        Ok(ended)
    }
}
