//! The new token in a service's answer.

use pingora::http::ResponseHeader;

use crate::context::Context;
use crate::renewal::may_be_kept;
use crate::snapshot::Snapshot;
use crate::steps::authenticate::Authenticated;

const NOT_MODIFIED: u16 = 304;

/// Gives a caller whose token is past half its life the successor, on a route that renews.
pub(super) fn renew(response: &mut ResponseHeader, context: &Context) -> pingora::Result<()> {
    let (snapshot, Some(permit)) = (&*context.snapshot, &context.permit) else { return Ok(()) };
    match permit.caller() {
        Some(caller) if caller.is_due() && snapshot.routes[permit.route().0].renew => {
            renew_for(snapshot, caller, response)
        }
        _ => Ok(()),
    }
}

fn renew_for(
    snapshot: &Snapshot,
    caller: &Authenticated,
    response: &mut ResponseHeader,
) -> pingora::Result<()> {
    // An answer that is not the last one, and one that changes what somebody has kept (RFC 9110 §15.4.5).
    let passing = response.status.is_informational() || response.status.as_u16() == NOT_MODIFIED;
    if passing || may_be_kept(&response.headers) {
        return Ok(());
    }
    match snapshot.renew(caller) {
        Some(token) => token.write(response),
        None => Ok(()),
    }
}
