//! The request line that the service gets.

use pingora::http::RequestHeader;

use crate::snapshot::Snapshot;
use crate::steps::policy::Permit;

/// The target as the service gets it, if it is not the canonical one.
pub(super) fn target(snapshot: &Snapshot, permit: &Permit, request: &RequestHeader) -> Option<String> {
    let route = &snapshot.routes[permit.route().0];
    let query = request.uri.query();
    let strips_query = query.is_some() && route.token_in_query && !route.forward_token;
    if route.strip_prefix.is_none() && !strips_query {
        return None;
    }
    let path = request.uri.path();
    let prefix = route.strip_prefix.as_deref().unwrap_or("");
    // The prefix is whole segments of a canonical path, so what follows it is one too, or nothing.
    let rest = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).unwrap_or("/");
    let query = match query {
        Some(query) if strips_query => {
            Some(snapshot.token_sources.strip_query(query)).filter(|q| !q.is_empty())
        }
        other => other.map(str::to_owned),
    };
    Some(query.map_or_else(|| rest.to_owned(), |query| format!("{rest}?{query}")))
}
