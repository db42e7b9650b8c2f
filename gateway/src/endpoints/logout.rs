//! `POST /logout`: ends this session.

use std::fmt::Display;

use auth_core::TokenError;
use pingora::proxy::Session;

use super::{Answer, caller};
use crate::denied::Denied;
use crate::reply::Reply;
use crate::snapshot::Snapshot;

/// 204 when the session is over for good, also when it was over before: logging out twice is no mistake of the client's.
pub(super) async fn answer(snapshot: &Snapshot, session: &Session) -> Answer {
    match caller(snapshot, session) {
        Ok(caller) => snapshot.login.logout(&caller.caller).await.map_err(not_kept)?,
        // Perhaps the retry of a logout that was not kept. Whose session it is a refused token does not tell, so all that
        // are left must be kept before this one may be called so.
        Err(Denied::Token(TokenError::SessionEnded)) => {
            snapshot.login.logout_pending().await.map_err(not_kept)?;
        }
        Err(Denied::Token(TokenError::Expired)) => {}
        Err(denied) => return Err(denied),
    }
    Ok(Reply::Nothing)
}

fn not_kept(error: impl Display) -> Denied {
    tracing::error!(%error, "a logout is in force here, but was not kept");
    Denied::StoreUnavailable
}
