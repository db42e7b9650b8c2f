//! Who did what with whose data: a line in the log for each use of a credential, whatever the level of the log.
//!
//! Ids of users are masked, as everywhere in the log; the id of a session leads to them.

use std::net::SocketAddr;

use auth_core::{AppId, OpenId, Sid, UnionId};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;
use crate::steps::log::masked;

/// What a line speaks of, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) sid: Option<Sid>,
    pub(crate) app: Option<AppId>,
    pub(crate) openid: Option<OpenId>,
    pub(crate) unionid: Option<UnionId>,
    /// How many sessions were shown or ended.
    pub(crate) sessions: Option<usize>,
}

/// Who asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    /// `operator`, or the name of a service.
    pub(crate) name: &'a str,
    pub(crate) address: SocketAddr,
}

/// Does all that was asked, its line included, though the client may go away meanwhile: whatever waits for a client is dropped
/// with its connection, and what an operator did would be nowhere.
pub(super) async fn to_the_end(request: Request, next: Next) -> Response {
    let done = tokio::spawn(next.run(request)).await;
    done.unwrap_or_else(|_| Refusal::Internal.into_response())
}

/// Does `work`, which says of whom the line speaks, and writes the line. `code` is that of a refusal. To be called below
/// [`to_the_end`].
pub(super) async fn noted<T, E>(
    by: By<'_>,
    action: &'static str,
    code: impl FnOnce(&E) -> &'static str,
    work: impl AsyncFnOnce(&mut About) -> Result<T, E>,
) -> Result<T, E> {
    let mut about = About::default();
    let done = work(&mut about).await;
    note(by, action, &about, done.as_ref().err().map_or("ok", code));
    done
}

/// Writes the line. `outcome` is `ok` or the code of a refusal.
pub(super) fn note(by: By<'_>, action: &'static str, about: &About, outcome: &'static str) {
    tracing::info!(
        target: "wxgate::audit",
        by = by.name,
        from = %by.address.ip(),
        action,
        sid = about.sid.map(tracing::field::display),
        appid = about.app.as_ref().map(AppId::as_str),
        user = about.openid.as_ref().map(|id| tracing::field::display(masked(id.as_str()))),
        union = about.unionid.as_ref().map(|id| tracing::field::display(masked(id.as_str()))),
        sessions = about.sessions,
        outcome,
        "the private listener was used"
    );
}
