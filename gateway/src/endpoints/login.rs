//! `POST /login`: a login code goes in, a token comes out.

mod body;
mod form;

use std::net::IpAddr;
use std::sync::{Arc, Once};

use auth_core::login::{Login, LoginError};
use auth_core::wechat::ExchangeError;
use auth_core::{AppId, LoginCode};
use http::header::{HeaderMap, REFERER};
use pingora::proxy::Session;
use serde::Serialize;

use super::Answer;
use crate::config::App;
use crate::denied::{Denied, ExchangeKind};
use crate::reply::Reply;
use crate::snapshot::Snapshot;

#[derive(Serialize)]
struct Body<'a> {
    token: &'a str,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    openid: Option<&'a str>,
}

pub(super) async fn answer(snapshot: &Snapshot, session: &mut Session, client: IpAddr) -> Answer {
    // Before any work: whoever sends too much is not even read.
    if let Some(limiter) = &snapshot.login_limiter {
        limiter.take(None, client).inspect_err(|_| suspect_a_proxy(&session.req_header().headers, client))?;
    }
    let asked = body::read(session).await?;
    let code = LoginCode::parse(&asked.code)?;
    let app = choose_app(&snapshot.apps, asked.appid.as_deref(), &session.req_header().headers)?;
    let login = snapshot.login.login(&app.wechat, code).await;
    count(snapshot, app, &login);
    let login = login.map_err(Denied::from)?;
    let body = Body {
        token: login.token.expose(),
        token_type: "Bearer",
        expires_in: login.caller.expires_at.saturating_sub(snapshot.lasting.clock.unix_secs()),
        openid: snapshot.openid_in_answer.then(|| login.caller.openid.as_str()),
    };
    let body = serde_json::to_vec(&body).map_err(|_| Denied::Internal)?;
    Ok(Reply::Json(body.into(), None))
}

/// A load balancer that nobody named has the address of all its users, and soon too many logins. Told once: anybody can
/// send the header.
fn suspect_a_proxy(headers: &HeaderMap, client: IpAddr) {
    static TOLD: Once = Once::new();
    if headers.contains_key("x-forwarded-for") {
        TOLD.call_once(|| {
            tracing::warn!(
                %client,
                "too many logins from one address, with X-Forwarded-For: if it is your load balancer, name it in \
                 server.trusted_proxies"
            );
        });
    }
}

/// The app that is named; else the one whose page sent the request; else the only one. What is named but not
/// configured is refused: a guess would send the code to the wrong app, and burn it.
fn choose_app<'a>(apps: &'a [App], named: Option<&str>, headers: &HeaderMap) -> Result<&'a App, Denied> {
    let from_page = || headers.get(REFERER).and_then(|referer| referer_appid(referer.to_str().ok()?));
    let appid = match named {
        Some(named) => Some(AppId::parse(named).map_err(|_| Denied::UnknownApp)?),
        None => from_page(),
    };
    match (appid, apps) {
        (Some(appid), _) => apps.iter().find(|app| app.wechat.appid == appid).ok_or(Denied::UnknownApp),
        (None, [only]) => Ok(only),
        (None, _) => Err(Denied::AppNotNamed),
    }
}

/// The appid in `https://servicewechat.com/{appid}/{version}/page-frame.html`, which a mini program cannot change. It is
/// a hint all the same: whoever is no mini program can send anything.
fn referer_appid(referer: &str) -> Option<AppId> {
    let (appid, _) = referer.strip_prefix("https://servicewechat.com/")?.split_once('/')?;
    AppId::parse(appid).ok()
}

fn count(snapshot: &Snapshot, app: &App, login: &Result<Arc<Login>, LoginError>) {
    let (result, errcode) = match login {
        Ok(_) => ("ok", None),
        Err(LoginError::Wechat(error)) => (error.kind(), error.errcode().map(|code| label(error, code))),
        Err(LoginError::CodeUsed) => ("code_used", None),
        Err(LoginError::AtAnotherNode) => ("elsewhere", None),
        Err(LoginError::Store(_)) => ("store", None),
    };
    snapshot.lasting.metrics.login(&app.name, result, errcode.unwrap_or_default());
}

/// An errcode as a label. Whatever is not in WeChat's table counts as one: a label must not grow without end.
fn label(error: &ExchangeError, errcode: i64) -> String {
    if matches!(error, ExchangeError::Unknown(_)) { "other".to_owned() } else { errcode.to_string() }
}

impl From<LoginError> for Denied {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::CodeUsed => Self::CodeUsed,
            LoginError::Wechat(error) => not_exchanged(&error),
            // To the client one is as good as the other: sent again, the code may work.
            LoginError::AtAnotherNode => Self::Wechat(ExchangeKind::Busy),
            LoginError::Store(error) => {
                tracing::error!(%error, "a login could not be kept");
                Self::StoreUnavailable
            }
        }
    }
}

/// What it means to the client.
const fn not_exchanged(error: &ExchangeError) -> Denied {
    let kind = match error {
        ExchangeError::CodeRejected(_) => ExchangeKind::CodeInvalid,
        ExchangeError::CodeSpent(_) => ExchangeKind::CodeUsed,
        ExchangeError::CodeMissing(_) => ExchangeKind::CodeMissing,
        ExchangeError::UserBlocked(_) => ExchangeKind::UserBlocked,
        ExchangeError::UserLimited(_) => ExchangeKind::UserLimited,
        ExchangeError::OverBudget { retry_after_secs } => {
            return Denied::LoginBudget { retry_after_secs: *retry_after_secs };
        }
        ExchangeError::Busy(_) | ExchangeError::Overloaded => ExchangeKind::Busy,
        ExchangeError::QuotaMinute(_) => ExchangeKind::MinuteQuota,
        ExchangeError::QuotaDay(_) => ExchangeKind::DayQuota,
        ExchangeError::AppMisconfigured(_) => ExchangeKind::Misconfigured,
        ExchangeError::Unreachable(_) => ExchangeKind::Unreachable,
        ExchangeError::TimedOut => ExchangeKind::TimedOut,
        ExchangeError::Interrupted => ExchangeKind::Interrupted,
        ExchangeError::Unknown(_) | ExchangeError::UnexpectedAnswer(_) => ExchangeKind::Unexpected,
    };
    Denied::Wechat(kind)
}
