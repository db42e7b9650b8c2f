//! What a verified token says.

use crate::{AppId, OpenId, Sid, UnionId};

/// Who calls: the content of a login token that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The mini program.
    pub app: AppId,
    /// The user within it, as WeChat confirmed at login.
    pub openid: OpenId,
    /// The user across apps, if WeChat told at login.
    pub unionid: Option<UnionId>,
    /// The session behind the token.
    pub sid: Sid,
    /// When the user logged in, in Unix seconds. None in a token from before this was written into it: such a token is good
    /// until its own end, and is not renewed.
    pub logged_in_at: Option<u64>,
    /// When the session ends, in Unix seconds: as it was fixed at login, or sooner where sessions have been given a shorter
    /// life since. None as `logged_in_at` is.
    pub session_ends_at: Option<u64>,
    /// When the token was made, in Unix seconds.
    pub issued_at: u64,
    /// When the token ends, in Unix seconds.
    pub expires_at: u64,
    /// When it would end had sessions not been given a shorter life since, in Unix seconds: what stands in the token itself.
    pub signed_until: u64,
}

impl Caller {
    /// When half the life of the token is over, in Unix seconds.
    pub fn half_life(&self) -> u64 {
        self.issued_at.saturating_add(self.token_life().div_ceil(2))
    }

    /// How long the token lives, in seconds.
    pub(crate) fn token_life(&self) -> u64 {
        self.expires_at.saturating_sub(self.issued_at)
    }
}
