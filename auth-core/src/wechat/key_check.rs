//! `checksession`: whether a `session_key` is still the user's current one, asked of WeChat.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::access_token::{AccessToken, AccessTokens};
use super::signature::sign_user_state;
use super::wire::{Wire, query};
use super::{AnswerProblem, CallError, WechatApp, WechatSettings, WechatSettingsError, answer};
use crate::{AppId, OpenId, SessionKey};

/// The endpoint that WeChat calls `checkSessionKey`.
const PATH: &str = "/wxa/checksession";

/// How many checks are under way at once. They have connections of their own, so that they take none from logins.
const CHECKS_MAX: usize = 16;

/// How long to wait before the second and last try.
const BACKOFF: Duration = Duration::from_millis(100);

/// Asks about session keys: WeChat itself, or a stand-in.
#[async_trait]
pub trait KeyCheck: std::fmt::Debug + Send + Sync {
    /// Whether `session_key` is the user's current one. What it signs or opens counts at WeChat only while it is.
    async fn is_current(
        &self,
        app: &WechatApp,
        openid: &OpenId,
        session_key: &SessionKey,
    ) -> Result<bool, CallError>;
}

/// Asks WeChat's API. One for the whole program: it keeps the access tokens.
///
/// Each failed check is one log line with `appid`, `errcode` and `rid`: a warning, or, when no call of the app can work, an
/// error that says what to repair.
#[derive(Debug)]
pub struct KeyChecker {
    wire: Wire,
    tokens: AccessTokens,
    room: Semaphore,
    timeout: Duration,
}

/// What is asked.
struct Question<'a> {
    app: &'a WechatApp,
    openid: &'a OpenId,
    signature: String,
}

impl KeyChecker {
    /// Reaches WeChat as `settings` say: `timeout` is for one check with everything in it. Connects to nothing yet.
    pub fn new(settings: &WechatSettings) -> Result<Self, WechatSettingsError> {
        let wire = Wire::new(settings)?;
        let room = Semaphore::new(CHECKS_MAX);
        Ok(Self { wire, tokens: AccessTokens::default(), room, timeout: settings.timeout })
    }

    async fn ask(&self, question: &Question<'_>) -> Result<bool, CallError> {
        let start = Instant::now();
        let (deadline, last_begin) = (start + self.timeout, start + self.timeout / 2);
        let Ok(_room) = timeout_at(last_begin, self.room.acquire()).await else {
            return Err(CallError::Overloaded);
        };
        let asked = async {
            match self.with_fresh_token(question).await {
                // The question changes nothing, so it may be put again.
                Err(error) if error.may_pass() && Instant::now() + BACKOFF < last_begin => {
                    sleep(BACKOFF).await;
                    self.with_fresh_token(question).await
                }
                outcome => outcome,
            }
        };
        timeout_at(deadline, asked).await.unwrap_or(Err(CallError::TimedOut))
    }

    /// With one further access token where WeChat refuses the one at hand: it may have ended before its time.
    async fn with_fresh_token(&self, question: &Question<'_>) -> Result<bool, CallError> {
        match self.with_kept_token(question).await {
            Err(CallError::TokenRefused(_)) => self.with_kept_token(question).await,
            outcome => outcome,
        }
    }

    /// With the token at hand, which is forgotten where WeChat refuses it.
    async fn with_kept_token(&self, question: &Question<'_>) -> Result<bool, CallError> {
        let token = self.tokens.of(question.app, &self.wire).await?;
        let outcome = self.with_token(question, &token).await;
        if let Err(CallError::TokenRefused(_)) = outcome {
            self.tokens.refused(&question.app.appid, &token).await;
        }
        outcome
    }

    async fn with_token(&self, question: &Question<'_>, token: &AccessToken) -> Result<bool, CallError> {
        let query = query(&[
            ("access_token", token.expose()),
            ("openid", question.openid.as_str()),
            ("signature", &question.signature),
            ("sig_method", "hmac_sha256"),
        ]);
        parse(&self.wire.get(PATH, &query).await?)
    }
}

#[async_trait]
impl KeyCheck for KeyChecker {
    async fn is_current(
        &self,
        app: &WechatApp,
        openid: &OpenId,
        session_key: &SessionKey,
    ) -> Result<bool, CallError> {
        let question = Question { app, openid, signature: sign_user_state(session_key, b"") };
        let outcome = self.ask(&question).await;
        if let Err(error) = &outcome {
            log(&app.appid, error);
        }
        outcome
    }
}

fn parse(body: &[u8]) -> Result<bool, CallError> {
    let answer = answer::object(body).map_err(CallError::UnexpectedAnswer)?;
    match answer::refusal(&answer).map_err(CallError::UnexpectedAnswer)? {
        // An object that says nothing is no consent.
        None if answer.contains_key("errcode") => Ok(true),
        None => Err(CallError::UnexpectedAnswer(AnswerProblem::Errcode)),
        // The user has no key any more, or another one signs.
        Some(refusal) if matches!(refusal.errcode, 87007 | 87009) => Ok(false),
        Some(refusal) => Err(CallError::of_call(refusal)),
    }
}

fn log(appid: &AppId, error: &CallError) {
    let refusal = error.refusal();
    let errcode = refusal.map(|refusal| refusal.errcode);
    let rid = refusal.and_then(|refusal| refusal.rid.as_ref()).map(super::Rid::as_str);
    if let CallError::AppMisconfigured(_) = error {
        tracing::error!(%appid, errcode, rid, %error, "no session_key of this app can be checked");
    } else {
        tracing::warn!(%appid, errcode, rid, %error, "a session_key was not checked");
    }
}

#[cfg(test)]
mod tests;
