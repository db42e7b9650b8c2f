//! Who did what with whose data: a line in the log for each use of a credential, whatever the level of the log.
//!
//! Ids of users are masked, as everywhere in the log; the id of a session leads to them.

use std::net::SocketAddr;

use auth_core::{AppId, Sid};

use crate::steps::log::masked;

/// What a line speaks of, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct About<'a> {
    pub(crate) sid: Option<Sid>,
    pub(crate) app: Option<&'a AppId>,
    pub(crate) openid: Option<&'a str>,
    pub(crate) unionid: Option<&'a str>,
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

/// Writes the line. `outcome` is `ok` or the code of a refusal.
pub(crate) fn note(by: By<'_>, action: &'static str, about: &About<'_>, outcome: &'static str) {
    tracing::info!(
        target: "wxgate::audit",
        by = by.name,
        from = %by.address.ip(),
        action,
        sid = about.sid.map(tracing::field::display),
        appid = about.app.map(AppId::as_str),
        user = about.openid.map(masked).map(tracing::field::display),
        union = about.unionid.map(masked).map(tracing::field::display),
        sessions = about.sessions,
        outcome,
        "the private listener was used"
    );
}
