//! The exchange that asks WeChat itself.
//!
//! A code works once and a refused exchange spends it, so nothing is asked twice unless WeChat cannot have seen the first
//! question (no connection came about) or says to ask again (busy). A connection that breaks, or time that runs out, after
//! the question could have been read ends the exchange.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::wire::{Wire, query};
use super::{
    CodeExchange, ExchangeError, WechatApp, WechatSettings, WechatSettingsError, WechatUser, answer,
};
use crate::{AppId, LoginCode};

/// The endpoint that WeChat calls `code2Session`.
const PATH: &str = "/sns/jscode2session";

/// How long to wait before the second and before the third and last try.
const BACKOFFS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];

/// Exchanges codes at WeChat's API. One for the whole program: it holds the connections and their limit.
///
/// Each failed exchange is one log line with `appid`, `errcode`, `rid` and `attempts`: a warning, or, when no login of the
/// app can work, an error that says what to repair. To know how fast WeChat is, time [`CodeExchange::exchange`].
#[derive(Debug)]
pub struct WechatClient {
    wire: Wire,
    room: Semaphore,
    timeout: Duration,
}

impl WechatClient {
    /// A client that reaches WeChat as `settings` say. Connects to nothing yet.
    pub fn new(settings: &WechatSettings) -> Result<Self, WechatSettingsError> {
        Ok(Self::on(Wire::new(settings)?, settings))
    }

    fn on(wire: Wire, settings: &WechatSettings) -> Self {
        let room = Semaphore::new(settings.concurrency.min(Semaphore::MAX_PERMITS));
        Self { wire, room, timeout: settings.timeout }
    }

    /// Tries until there is an answer, no point in going on, or no time.
    async fn ask(
        &self,
        app: &WechatApp,
        code: &LoginCode,
        attempts: &mut usize,
    ) -> Result<WechatUser, ExchangeError> {
        let start = Instant::now();
        let deadline = start + self.timeout;
        // What begins late is cut off by the deadline and has spent the code for nothing.
        let last_begin = start + self.timeout / 2;
        let Ok(_room) = timeout_at(last_begin, self.room.acquire()).await else {
            return Err(ExchangeError::Overloaded);
        };
        let query = exchange_query(app, code);
        loop {
            let tried = timeout_at(deadline, self.attempt(&query)).await;
            let error = match tried.unwrap_or(Err(ExchangeError::TimedOut)) {
                Ok(user) => return Ok(user),
                Err(error) => error,
            };
            let backoff = BACKOFFS.get(*attempts).copied();
            *attempts += 1;
            match backoff {
                Some(backoff) if is_safe_to_repeat(&error) && Instant::now() + backoff < last_begin => {
                    tracing::debug!(appid = %app.appid, errcode = error.errcode(), rid = error.rid(),
                        attempt = *attempts, error = %error, "asking WeChat again");
                    sleep(backoff).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Asks once.
    async fn attempt(&self, query: &str) -> Result<WechatUser, ExchangeError> {
        answer::parse(&self.wire.get(PATH, query).await?)
    }
}

#[async_trait]
impl CodeExchange for WechatClient {
    async fn exchange(&self, app: &WechatApp, code: &LoginCode) -> Result<WechatUser, ExchangeError> {
        let mut attempts = 0;
        let outcome = self.ask(app, code, &mut attempts).await;
        if let Err(error) = &outcome {
            log(&app.appid, error, attempts);
        }
        outcome
    }
}

fn log(appid: &AppId, error: &ExchangeError, attempts: usize) {
    let (errcode, rid) = (error.errcode(), error.rid());
    if let ExchangeError::AppMisconfigured(_) = error {
        tracing::error!(%appid, errcode, rid, attempts, %error, "no login of this app can work");
    } else {
        tracing::warn!(%appid, errcode, rid, attempts, %error, "a login code was not exchanged");
    }
}

fn exchange_query(app: &WechatApp, code: &LoginCode) -> String {
    query(&[
        ("appid", app.appid.as_str()),
        ("secret", app.secret.expose()),
        ("js_code", code.expose()),
        ("grant_type", "authorization_code"),
    ])
}

fn is_safe_to_repeat(error: &ExchangeError) -> bool {
    matches!(error, ExchangeError::Busy(_) | ExchangeError::Unreachable(_))
}

#[cfg(test)]
mod tests;
