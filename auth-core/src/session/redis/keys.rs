//! The names of the keys. What they hold is told in the head of [`super`].

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::RedisError;
use crate::session::CodeDigest;
use crate::{AppId, OpenId, Sid, UnionId};

/// The longest prefix that is taken.
const PREFIX_MAX: usize = 32;

/// Names keys, all under one prefix. What stands in braces decides the slot in a cluster.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    db: i64,
}

impl Keys {
    pub(super) fn new(prefix: &str, db: i64) -> Result<Self, RedisError> {
        let fits = (1..=PREFIX_MAX).contains(&prefix.len())
            && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'));
        let wrong = RedisError::Setting("the prefix of the keys is not 1 to 32 of A-Z a-z 0-9 _ - . :");
        if fits { Ok(Self { prefix: prefix.to_owned(), db }) } else { Err(wrong) }
    }

    pub(super) fn session(&self, sid: Sid) -> String {
        format!("{}:{{{sid}}}", self.prefix)
    }

    pub(super) fn end(&self, sid: Sid) -> String {
        format!("{}:{{{sid}}}:end", self.prefix)
    }

    pub(super) fn ends(&self) -> String {
        format!("{}:ends", self.prefix)
    }

    /// A channel belongs to all databases of a server, so the number stands in its name.
    pub(super) fn channel(&self) -> String {
        format!("{}:ended:{}", self.prefix, self.db)
    }

    pub(super) fn user(&self, app: &AppId, openid: &OpenId) -> String {
        format!("{}:u:{{{app}:{openid}}}", self.prefix)
    }

    pub(super) fn unionid(&self, unionid: &UnionId) -> String {
        format!("{}:n:{{{unionid}}}", self.prefix)
    }

    pub(super) fn code(&self, digest: CodeDigest) -> String {
        format!("{}:c:{{{}}}", self.prefix, URL_SAFE_NO_PAD.encode(digest.as_bytes()))
    }

    pub(super) fn check(&self, number: usize) -> String {
        format!("{}:check:{{{number}}}", self.prefix)
    }
}
