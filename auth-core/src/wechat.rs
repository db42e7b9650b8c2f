//! WeChat's server side, as a login meets it.

use async_trait::async_trait;

use crate::{AppId, AppSecret, LoginCode, OpenId, SessionKey, UnionId};

/// One mini program, as WeChat's API wants it named.
#[derive(Debug, Clone)]
pub struct WechatApp {
    /// Its id.
    pub appid: AppId,
    /// Its AppSecret.
    pub secret: AppSecret,
}

/// Who WeChat says sent a code.
#[derive(Debug, Clone)]
pub struct WechatUser {
    /// The user within the app.
    pub openid: OpenId,
    /// The user across apps, if the app is bound to an Open Platform account.
    pub unionid: Option<UnionId>,
    /// The key of this login.
    pub session_key: SessionKey,
}

/// Exchanges login codes: WeChat itself, or a stand-in.
#[async_trait]
pub trait CodeExchange: std::fmt::Debug + Send + Sync {
    /// Asks who sent `code`. The code is spent afterwards, unless the error says otherwise.
    async fn exchange(&self, app: &WechatApp, code: &LoginCode) -> Result<WechatUser, ExchangeError>;
}

/// Whether a code can still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// y
    Yes,
    /// n
    No,
    /// m
    Maybe,
}
/// Why an exchange gave no user.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    /// Placeholder until the client lands.
    #[error("not known")]
    Interrupted,
}
impl ExchangeError {
    /// p
    pub fn code_spent(&self) -> Spent {
        Spent::Maybe
    }
}
