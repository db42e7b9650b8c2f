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
    /// When the token was made, in Unix seconds.
    pub issued_at: u64,
    /// When the token ends, in Unix seconds.
    pub expires_at: u64,
}
