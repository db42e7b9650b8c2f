//! Why a request that was let through did not come back: the service, or the client.

use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use crate::context::Context;
use crate::denied::Denied;
use crate::websocket::SWITCHING_PROTOCOLS;

/// Logs why an upstream failed, once, and turns it into what the client may know.
pub(super) fn upstream_failure(error: &Error, context: &Context) -> Denied {
    let server = context.upstream.as_ref().map(|peer| peer.address);
    let kind = error.etype().as_str();
    tracing::warn!(
        request_id = context.request_id.as_str(),
        upstream.addr = server.map(tracing::field::display),
        kind,
        "the upstream failed"
    );
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout => {
            Denied::UpstreamTimeout
        }
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::SocketError => Denied::UpstreamUnavailable,
        _ => Denied::UpstreamFailed,
    }
}

/// What a client did wrong while its request was passed on; nothing if it just went away.
pub(super) fn client_mistake(error: &Error) -> Option<Denied> {
    match error.etype() {
        ErrorType::ReadTimedout => Some(Denied::BodyTimeout),
        ErrorType::ConnectionClosed
        | ErrorType::ReadError
        | ErrorType::WriteError
        | ErrorType::WriteTimedout => None,
        _ => Some(Denied::BadFraming),
    }
}

/// Whether the client has the head of its answer. What a service says before that, such as `100 Continue`, is none.
pub(super) fn answer_has_begun(session: &Session) -> bool {
    session.response_written().is_some_and(|response| {
        !response.status.is_informational() || response.status.as_u16() == SWITCHING_PROTOCOLS
    })
}
