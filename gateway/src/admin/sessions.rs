//! What operators do with the sessions of users: see them, and end them.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use auth_core::login::EndError;
use auth_core::session::{LoginSession, StoreError};
use auth_core::{AppId, OpenId, Sid, UnionId};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::AdminState;
use super::audit::{self, About, By};
use super::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::steps::log::masked;

/// How many sessions a list holds where the request does not say.
const LISTED: usize = 100;
/// How many it may hold: the store reads and the answer holds them at once.
const LISTED_MAX: usize = 1000;

/// The latest time that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_300_799;

/// The query. An unknown or doubled key is refused: a slip of the pen must not end other sessions than were meant.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    app: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
    limit: Option<usize>,
    full: Option<bool>,
}

type Answer = Result<Response, Refusal>;
type Asking = Result<Query<Asked>, QueryRejection>;
type Named = Result<Path<String>, PathRejection>;
type Client = ConnectInfo<SocketAddr>;

/// `GET /sessions`: those of one user, the newest first.
pub(super) async fn list(State(state): State<AdminState>, from: Client, asked: Asking) -> Answer {
    noted(from, "sessions.list", async |about| {
        let snapshot = state.live.snapshot();
        let asked = asked.map_err(|_| Refusal::BadQuery)?.0;
        let (whose, limit) = (Whose::of(&asked, &snapshot)?, asked.limit.unwrap_or(LISTED));
        whose.tell(about);
        if !(1..=LISTED_MAX).contains(&limit) {
            return Err(Refusal::BadQuery);
        }
        let (store, now) = (&snapshot.lasting.store, snapshot.lasting.clock.unix_secs());
        // One more tells whether these are all.
        let found = match &whose {
            Whose::User(app, openid) => store.of_user(app, openid, now, limit + 1).await,
            Whose::Union(unionid) => store.of_unionid(unionid, now, limit + 1).await,
        };
        let found = found.map_err(unread)?;
        about.sessions = Some(found.len().min(limit));
        let full = asked.full.unwrap_or(false);
        let shown: Vec<_> =
            found.iter().take(limit).map(|session| shown(session, Some(&whose), full, &snapshot)).collect();
        Ok(private(&json!({ "sessions": shown, "more": found.len() > limit })))
    })
    .await
}

/// `GET /sessions/{sid}`.
pub(super) async fn show(
    State(state): State<AdminState>,
    from: Client,
    named: Named,
    asked: Asking,
) -> Answer {
    noted(from, "sessions.show", async |about| {
        let snapshot = state.live.snapshot();
        let full = just_full(asked)?;
        let sid = *about.sid.insert(sid(&named)?);
        let found = snapshot.lasting.store.get(sid, snapshot.lasting.clock.unix_secs()).await;
        let session = found.map_err(unread)?.ok_or(Refusal::SessionUnknown)?;
        (about.app, about.openid) = (Some(session.app.clone()), Some(session.openid.clone()));
        Ok(private(&shown(&session, None, full, &snapshot)))
    })
    .await
}

/// `DELETE /sessions/{sid}`: one that the store does not know, too, for a token of it may be out.
pub(super) async fn end(
    State(state): State<AdminState>,
    from: Client,
    named: Named,
    asked: Asking,
) -> Answer {
    noted(from, "sessions.end", async |about| {
        let Ok(Query(Asked { app: None, openid: None, unionid: None, limit: None, full: None })) = asked
        else {
            return Err(Refusal::BadQuery);
        };
        let sid = *about.sid.insert(sid(&named)?);
        ended(about, state.live.snapshot().login.end_session(sid).await.map_err(unkept)?)
    })
    .await
}

/// `DELETE /sessions`: all of one user.
pub(super) async fn end_all(State(state): State<AdminState>, from: Client, asked: Asking) -> Answer {
    noted(from, "sessions.end_all", async |about| {
        let snapshot = state.live.snapshot();
        let asked = asked.map_err(|_| Refusal::BadQuery)?.0;
        let whose = Whose::of(&asked, &snapshot)?;
        whose.tell(about);
        if asked.limit.is_some() || asked.full.is_some() {
            return Err(Refusal::BadQuery);
        }
        let sessions = match &whose {
            Whose::User(app, openid) => snapshot.login.end_user(app, openid).await,
            Whose::Union(unionid) => snapshot.login.end_unionid(unionid).await,
        };
        let sessions = sessions.map_err(|error| match error {
            EndError::Unread(error) => unread(error),
            EndError::Unkept(error) => unkept(error),
        });
        ended(about, sessions?)
    })
    .await
}

/// Does it, with its line in the log.
async fn noted(
    ConnectInfo(address): Client,
    action: &'static str,
    work: impl AsyncFnOnce(&mut About) -> Answer,
) -> Answer {
    audit::noted(By { name: "operator", address }, action, |refusal: &Refusal| refusal.code(), work).await
}

/// The user whose sessions are meant.
#[derive(Debug)]
enum Whose {
    User(AppId, OpenId),
    Union(UnionId),
}

impl Whose {
    fn of(asked: &Asked, snapshot: &Snapshot) -> Result<Self, Refusal> {
        match (&asked.app, &asked.openid, &asked.unionid) {
            (app, Some(openid), None) => {
                let openid = OpenId::parse(openid).map_err(|_| Refusal::BadQuery)?;
                Ok(Self::User(appid(app.as_deref(), snapshot)?, openid))
            }
            (None, None, Some(unionid)) => {
                UnionId::parse(unionid).map(Self::Union).map_err(|_| Refusal::BadQuery)
            }
            _ => Err(Refusal::BadQuery),
        }
    }

    /// For the line in the log.
    fn tell(&self, about: &mut About) {
        match self {
            Self::User(app, openid) => {
                (about.app, about.openid) = (Some(app.clone()), Some(openid.clone()));
            }
            Self::Union(unionid) => about.unionid = Some(unionid.clone()),
        }
    }
}

/// By the name in the config or by the appid. One that is no longer in the config may still have sessions.
fn appid(named: Option<&str>, snapshot: &Snapshot) -> Result<AppId, Refusal> {
    let apps = &snapshot.apps;
    match (named, &apps[..]) {
        (Some(named), _) => match apps.iter().find(|app| *app.name == *named) {
            Some(app) => Ok(app.wechat.appid.clone()),
            None => AppId::parse(named).map_err(|_| Refusal::UnknownApp),
        },
        (None, [app]) => Ok(app.wechat.appid.clone()),
        (None, _) => Err(Refusal::AppNotNamed),
    }
}

/// Whether the query asks for whole ids, and that it asks for nothing else.
fn just_full(asked: Asking) -> Result<bool, Refusal> {
    match asked {
        Ok(Query(Asked { app: None, openid: None, unionid: None, limit: None, full })) => {
            Ok(full.unwrap_or(false))
        }
        _ => Err(Refusal::BadQuery),
    }
}

/// What an operator sees of a session: neither its `session_key` nor a token. An id of the user is masked unless it was asked
/// for, or asked by.
fn shown(session: &LoginSession, whose: Option<&Whose>, full: bool, snapshot: &Snapshot) -> Value {
    let id = |id: &str, given: bool| if full || given { id.to_owned() } else { masked(id).to_string() };
    let app = snapshot.apps.iter().find(|app| app.wechat.appid == session.app);
    json!({
        "sid": session.sid,
        "app": app.map(|app| &*app.name),
        "appid": session.app,
        "openid": id(session.openid.as_str(), matches!(whose, Some(Whose::User(..)))),
        "unionid": session.unionid.as_ref().map(|union| id(union.as_str(), matches!(whose, Some(Whose::Union(_))))),
        "logged_in_at": time(session.logged_in_at),
        "expires_at": time(session.expires_at),
        "session_key_readable": session.session_key.is_some(),
    })
}

fn time(unix_secs: u64) -> String {
    let since = Duration::from_secs(unix_secs.min(LAST_SECOND));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

fn private(body: &Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn ended(about: &mut About, sessions: usize) -> Answer {
    about.sessions = Some(sessions);
    Ok(private(&json!({ "ended": sessions })))
}

fn sid(named: &Named) -> Result<Sid, Refusal> {
    // A path that is no text after decoding is no id either.
    let Path(sid) = named.as_ref().map_err(|_| Refusal::BadSid)?;
    Sid::parse(sid).map_err(|_| Refusal::BadSid)
}

fn unread(error: StoreError) -> Refusal {
    tracing::error!(%error, "the sessions that an operator asked for could not be read");
    Refusal::StoreUnavailable
}

fn unkept(error: StoreError) -> Refusal {
    tracing::error!(%error, "sessions that an operator ended are over here, but not all of it was kept");
    Refusal::EndNotKept
}
