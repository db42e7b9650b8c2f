//! One code, one session, on all nodes that share a store. On one node, [`flight`](super::flight) does that by itself: what
//! is here is asked once for each code that no flight knows, and answered at once by a store of one node.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::flight::Answer;
use super::{Inner, LoginError};
use crate::session::{Claim, CodeDigest};
use crate::wechat::{WechatApp, WechatUser};
use crate::{AppId, LoginCode, Sid};

/// How often a node asks what has become of a code that another is at.
const ASK_AGAIN_EVERY: Duration = Duration::from_millis(100);

/// How much longer than the exchange a claim lasts: the session is to be kept, too.
const CLAIM_MARGIN: Duration = Duration::from_secs(5);

/// The least time for which the session of a code is remembered: stores count no shorter.
const SETTLED_MIN: Duration = Duration::from_secs(1);

impl Inner {
    /// The user whom WeChat names for the code; or the answer to give instead, because another node asked WeChat, or because
    /// nobody could.
    pub(super) async fn exchange(
        &self,
        app: &WechatApp,
        code: &LoginCode,
        digest: CodeDigest,
    ) -> Result<Arc<WechatUser>, Answer> {
        match self.made_elsewhere(digest).await {
            Ok(None) => {}
            Ok(Some(sid)) => return Err(self.login_elsewhere(&app.appid, sid).await),
            Err(error) => return Err(Err(error)),
        }
        match self.exchange.exchange(app, code).await {
            Ok(user) => Ok(Arc::new(user)),
            Err(error) => {
                // Whatever is left of the code, the next node to be sent it may find out.
                self.settle(digest, None).await;
                Err(Err(error.into()))
            }
        }
    }

    /// The session that another node made of the code; none where this node has claimed it.
    async fn made_elsewhere(&self, digest: CodeDigest) -> Result<Option<Sid>, LoginError> {
        let (timeout, deadline) =
            (self.settings.exchange_timeout, Instant::now() + self.settings.exchange_timeout);
        loop {
            let claim = self.store.claim(digest, self.clock.unix_secs(), timeout + CLAIM_MARGIN).await;
            // A store that cannot say whose the code is could not keep its session either: the code is left unspent.
            match claim.map_err(|error| LoginError::Store(Arc::new(error)))? {
                Claim::Yours => return Ok(None),
                Claim::Made(sid) => return Ok(Some(sid)),
                Claim::Taken if Instant::now() >= deadline => return Err(LoginError::AtAnotherNode),
                Claim::Taken => sleep(ASK_AGAIN_EVERY).await,
            }
        }
    }

    /// The login that another node made, with a token that says what its first one said.
    async fn login_elsewhere(&self, app: &AppId, sid: Sid) -> Answer {
        let kept = self.store.get(sid, self.clock.unix_secs()).await;
        let kept = kept.map_err(|error| LoginError::Store(Arc::new(error)))?;
        // None: it has ended since.
        let session = kept.filter(|session| session.app == *app).ok_or(LoginError::CodeUsed)?;
        Ok(Arc::new(self.login_of(self.caller(&session))))
    }

    /// Tells the other nodes what came of a code. Where that fails, the claim lapses by itself, and the login made here
    /// stands: only a repetition of its code on another node does not find it.
    pub(super) async fn settle(&self, digest: CodeDigest, session: Option<Sid>) {
        let lasts = self.settings.replay.max(SETTLED_MIN);
        if let Err(error) = self.store.settle(digest, session, lasts).await {
            tracing::warn!(%error, "the other nodes could not be told what came of a login code");
        }
    }
}
