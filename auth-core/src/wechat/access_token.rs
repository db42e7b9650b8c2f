//! WeChat's credential for calls of the server, kept until shortly before its end.
//!
//! From `/cgi-bin/stable_token`, which gives every node the same token while it is good: nodes need not know of each other, and
//! a fetch takes nothing from another program with the AppSecret, as one from `/cgi-bin/token` would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::wire::Wire;
use super::{AnswerProblem, CallError, WechatApp, answer};
use crate::AppId;

/// Where it comes from.
const PATH: &str = "/cgi-bin/stable_token";

/// WeChat renews a token so long before its end; from then on it is fetched anew.
const RENEWED_EARLY: Duration = Duration::from_secs(300);

/// What a token lives at most, whatever the answer says.
const LIFE_MAX: Duration = Duration::from_secs(7200);

/// The longest token that is taken, in bytes. WeChat asks for room for 512.
const TOKEN_BYTES_MAX: usize = 2048;

/// WeChat's credential of one app. Never leaves the server side.
#[derive(Debug, Clone)]
pub(super) struct AccessToken(Arc<SecretString>);

impl AccessToken {
    /// Opens the secret, for the call that carries it.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether it is the very token that was handed out, not only one that reads the same.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The tokens of all apps, which are as many as the config names.
#[derive(Debug, Default)]
pub(super) struct AccessTokens {
    of_app: Mutex<HashMap<AppId, Slot>>,
}

/// Locked while the token is fetched, so that it is fetched once for all who wait for it. Where a fetch failed, or its caller
/// went away, the next in the row tries.
type Slot = Arc<tokio::sync::Mutex<Option<Held>>>;

#[derive(Debug)]
struct Held {
    token: AccessToken,
    until: Instant,
}

impl AccessTokens {
    /// A token of the app that WeChat has not refused, as far as is known here.
    pub(super) async fn of(&self, app: &WechatApp, wire: &Wire) -> Result<AccessToken, CallError> {
        let slot = self.slot(&app.appid);
        let mut held = slot.lock().await;
        if let Some(held) = held.as_ref().filter(|held| Instant::now() < held.until) {
            return Ok(held.token.clone());
        }
        let fetched = fetch(app, wire).await?;
        let token = fetched.token.clone();
        *held = Some(fetched);
        Ok(token)
    }

    /// Forgets `token`, which WeChat has refused; a newer one, which another call fetched meanwhile, is kept.
    pub(super) async fn refused(&self, app: &AppId, token: &AccessToken) {
        let slot = self.slot(app);
        let mut held = slot.lock().await;
        if held.as_ref().is_some_and(|held| held.token.is(token)) {
            *held = None;
        }
    }

    fn slot(&self, app: &AppId) -> Slot {
        let mut slots = self.of_app.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(app.clone()).or_default())
    }
}

async fn fetch(app: &WechatApp, wire: &Wire) -> Result<Held, CallError> {
    let asked_at = Instant::now();
    let question = json!({
        "grant_type": "client_credential",
        "appid": app.appid.as_str(),
        "secret": app.secret.expose(),
        // Forcing a new one would end the token that other nodes and programs use.
        "force_refresh": false,
    });
    let (token, life) = parse(&wire.post(PATH, &question.to_string()).await?)?;
    // One that is about to be renewed is used for half of what is left.
    let kept = life.saturating_sub(RENEWED_EARLY).max(life.min(RENEWED_EARLY) / 2);
    Ok(Held { token, until: asked_at + kept })
}

fn parse(body: &[u8]) -> Result<(AccessToken, Duration), CallError> {
    let mut answer = answer::object(body).map_err(CallError::UnexpectedAnswer)?;
    if let Some(refusal) = answer::refusal(&answer).map_err(CallError::UnexpectedAnswer)? {
        return Err(CallError::of_token(refusal));
    }
    let life = answer.get("expires_in").and_then(Value::as_u64).map(Duration::from_secs);
    let token = answer::take(&mut answer, "access_token").filter(|token| token.len() <= TOKEN_BYTES_MAX);
    let (Some(token), Some(life)) = (token, life) else {
        return Err(CallError::UnexpectedAnswer(AnswerProblem::NoAccessToken));
    };
    Ok((AccessToken(Arc::new(token.into())), life.min(LIFE_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_with_its_life() {
        let (token, life) = parse(br#"{"access_token":"85_x","expires_in":345}"#).unwrap();
        assert_eq!((token.expose(), life), ("85_x", Duration::from_secs(345)));
        let (_, life) = parse(br#"{"access_token":"85_x","expires_in":1000000}"#).unwrap();
        assert_eq!(life, LIFE_MAX);
        assert!(!format!("{token:?}").contains("85_x"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let long = format!(r#"{{"access_token":"{}","expires_in":1}}"#, "x".repeat(TOKEN_BYTES_MAX + 1));
        for body in [
            "{}",
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":"x"}"#,
            r#"{"access_token":"x","expires_in":-1}"#,
            r#"{"expires_in":1}"#,
            &long,
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert_eq!(error, CallError::UnexpectedAnswer(AnswerProblem::NoAccessToken), "{body}");
        }
        let refused = parse(br#"{"errcode":40125,"errmsg":"invalid appsecret rid: 64-a-b"}"#).unwrap_err();
        assert_eq!(refused.refusal().unwrap().errcode, 40125);
    }
}
