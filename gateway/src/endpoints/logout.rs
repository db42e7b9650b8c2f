//! `POST /logout`: ends this session.

use auth_core::TokenError;
use pingora::proxy::Session;

use super::{Answer, caller};
use crate::denied::Denied;
use crate::reply::Reply;
use crate::snapshot::Snapshot;

/// 204 when the session is over, also when it was over before: logging out twice is no mistake of the client's.
pub(super) async fn answer(snapshot: &Snapshot, session: &Session) -> Answer {
    match caller(snapshot, session) {
        Ok(caller) => snapshot.login.logout(&caller.caller).await.map_err(|error| {
            tracing::error!(%error, "a logout is in force here, but was not kept");
            Denied::StoreUnavailable
        })?,
        Err(Denied::Token(TokenError::Expired | TokenError::SessionEnded)) => {}
        Err(denied) => return Err(denied),
    }
    Ok(Reply::Nothing)
}
