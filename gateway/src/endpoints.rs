//! What the gateway answers itself.

mod login;
mod logout;
mod session;
mod jwks;

use std::sync::Arc;

use pingora::proxy::Session;

use crate::config::Auth;
use crate::context::Context;
use crate::denied::Denied;
use crate::reply::{self, Reply};
use crate::snapshot::Snapshot;
use crate::steps::authenticate::{Authenticated, authenticate};
use crate::steps::route::Endpoint;

/// Answers, or refuses; either way the request ends here.
pub(crate) async fn answer(
    endpoint: Endpoint,
    session: &mut Session,
    context: &mut Context,
) -> pingora::Result<()> {
    let snapshot = &*Arc::clone(&context.snapshot);
    let answered = match endpoint {
        Endpoint::Login => login::answer(snapshot, session, context.client).await,
        Endpoint::Logout => logout::answer(snapshot, session).await,
        Endpoint::Session => session::answer(snapshot, session).await,
        Endpoint::Jwks => jwks::answer(snapshot),
    };
    match answered {
        Ok(reply) => reply::send(session, reply, context.request_id.as_str()).await,
        Err(denied) => {
            let sent = reply::refuse(session, &denied, context.request_id.as_str()).await;
            context.denied = Some(denied);
            sent
        }
    }
}

/// An endpoint answers or refuses.
type Answer = Result<Reply, Denied>;

/// Who asks, where somebody must.
fn caller(snapshot: &Snapshot, session: &Session) -> Result<Authenticated, Denied> {
    let headers = &session.req_header().headers;
    authenticate(&snapshot.verifier, &snapshot.token_sources, Auth::Required, headers, None)?
        .ok_or(Denied::TokenMissing)
}
