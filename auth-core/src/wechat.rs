//! WeChat's server side, as a login meets it.
//!
//! A mini program's `wx.login` gives a [`LoginCode`]; [`CodeExchange`] asks WeChat who sent it, and [`WechatClient`] is
//! the exchange that really asks. What WeChat's client side sends sealed or signed with the `session_key` is opened in
//! [`open_data`] and checked in [`signature`]; [`KeyChecker`] asks whether the key still counts.

mod client;
mod key_check;
mod access_token;
mod wire;
mod settings;
mod answer;
mod errcode;
mod error;
mod call;
mod rid;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

pub mod open_data;

pub mod signature;

pub use call::CallError;
pub use client::WechatClient;
pub use error::{AnswerProblem, ConnectFailure, ExchangeError, Refusal, Spent};
pub use key_check::{KeyCheck, KeyChecker};
pub use rid::Rid;
pub use settings::{WechatSettings, WechatSettingsError};

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
    /// Asks who sent `code`. A code works once, and a refused exchange spends it too: after an error,
    /// [`ExchangeError::code_spent`] says what is left of it.
    ///
    /// Dropping the future may spend the code for nothing: whoever serves a client that can hang up lets the exchange
    /// run to its end in a task of its own.
    async fn exchange(&self, app: &WechatApp, code: &LoginCode) -> Result<WechatUser, ExchangeError>;
}
