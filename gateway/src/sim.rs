//! The WeChat simulator and the echo service: what `wxgate sim` and `wxgate dev` run, and what the end-to-end tests drive.
//!
//! A call of WeChat's API goes this way:
//!
//! ```text
//! line      a TCP connection that a fault can cut
//! call      request → Call: path, query, body, all bounded
//! faults    is one scripted for this path?
//! api       path → the endpoint that answers; codes are spent, keys rotate here
//! answer    fields → JSON as WeChat writes it, with its rid
//! send      the answer, or what the fault makes of it
//! ```
//!
//! `control` is the other door: `/_sim/…`, where a test says who logs in and what goes wrong.
//! Nothing here is used by the gateway's own traffic, and nothing here imports the gateway.

mod line;
mod call;
mod faults;
mod api;
mod answer;
mod errcode;
mod send;

mod control;
mod input;

mod world;
mod codes;
mod session_keys;
mod access_tokens;
mod quotas;
mod calls;
mod shelf;
mod users;
mod random;
mod open_data;

mod echo;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::{AppId, AppSecret, Clock};
use axum::Router;
use tokio::net::TcpListener;

pub(crate) use echo::serve_echo;
use world::World;

/// The app of `wxgate sim` when none is named. Its secret guards nothing: the simulator gives codes to whoever asks.
pub(crate) const DEFAULT_APP: &str = "wx1111111111111111:5d0f4c2b9e8a7163f24cd6e8b0a1c3d7:platform";

/// What the simulator pretends. [`Settings::new`] gives WeChat's own numbers where they are known.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// At least one, and no appid twice.
    pub(crate) apps: Vec<SimApp>,
    /// Life of login codes and phone codes. Default 300 s.
    pub(crate) code_ttl: Duration,
    /// Life of a `session_key`. Default 3 days; WeChat does not say.
    pub(crate) session_key_ttl: Duration,
    /// A login within this time of the last rotation keeps the `session_key`. Default 0 s, the harshest: every login
    /// rotates. WeChat has such an interval and does not say how long it is.
    pub(crate) session_key_min_rotation: Duration,
    /// Life of an `access_token`. Default 7200 s.
    pub(crate) access_token_ttl: Duration,
    /// Code exchanges of one user of one app in a minute before 45011; `None`: no limit. Default 100.
    pub(crate) exchanges_per_user_per_minute: Option<u32>,
    /// Code exchanges of one app in a minute before 45011. Default: no limit.
    pub(crate) exchanges_per_app_per_minute: Option<u32>,
    /// Code exchanges of one app in a day (UTC) before 45009. Default: no limit.
    pub(crate) exchanges_per_app_per_day: Option<u32>,
    /// The time of day. Lives are counted on it; the delays of faults are not.
    pub(crate) clock: Arc<dyn Clock>,
}

/// One mini program that the simulator knows.
#[derive(Debug, Clone)]
pub(crate) struct SimApp {
    pub(crate) appid: AppId,
    pub(crate) secret: AppSecret,
    /// The Open Platform account it is bound to, by any name: apps of one account see the same unionid of a user.
    /// `None`: not bound, no unionid.
    pub(crate) open_platform: Option<String>,
}

impl Settings {
    /// Settings as WeChat has them, for these apps.
    pub(crate) fn new(apps: Vec<SimApp>, clock: Arc<dyn Clock>) -> Self {
        Self {
            apps,
            code_ttl: Duration::from_secs(300),
            session_key_ttl: Duration::from_secs(3 * 24 * 3600),
            session_key_min_rotation: Duration::ZERO,
            access_token_ttl: Duration::from_secs(7200),
            exchanges_per_user_per_minute: Some(100),
            exchanges_per_app_per_minute: None,
            exchanges_per_app_per_day: None,
            clock,
        }
    }

    fn check(&self) -> io::Result<()> {
        let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if self.apps.is_empty() {
            return wrong("the simulator needs at least one app".to_owned());
        }
        for (index, app) in self.apps.iter().enumerate() {
            if self.apps[..index].iter().any(|earlier| earlier.appid == app.appid) {
                return wrong(format!("the simulator was given the app {} twice", app.appid));
            }
        }
        Ok(())
    }
}

/// Serves WeChat's API and the control API until `shutdown` ends, then at most [`line::GRACE`] longer.
///
/// # Errors
/// `InvalidInput` for settings without an app or with one twice; otherwise what the listener reports.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    settings.check()?;
    let shared = Shared::new(settings);
    let app = Router::new().nest("/_sim", control::router()).fallback(api::serve_call).with_state(shared);
    line::serve(listener, app, shutdown).await
}

/// The one simulated world, shared by all connections. Never locked across an await.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn new(settings: Settings) -> Self {
        Self(Arc::new(Mutex::new(World::new(settings))))
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        // A panic while the lock was held is a bug of one call; the tables are still usable for the others.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
