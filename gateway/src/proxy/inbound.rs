//! A request of HTTP/2 takes the form of one of HTTP/1, so that all that follows has one form to judge.

use http::HeaderValue;
use http::header::{COOKIE, HOST};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::Proxy;
use crate::denied::Denied;
use crate::target::BadTarget;

impl Proxy {
    /// `:authority` becomes `Host`, and the target loses it (RFC 9113 §8.3.1). pingora has refused a `Host` that says
    /// something else.
    pub(super) fn unify(session: &mut Session) -> Result<(), Denied> {
        if session.req_header().version != http::Version::HTTP_2 {
            return Ok(());
        }
        let request = session.req_header_mut();
        if let Some(authority) = request.uri.authority() {
            let host = HeaderValue::from_str(authority.as_str());
            let host = host.map_err(|_| Denied::BadTarget(BadTarget::BadHost))?;
            request.insert_header(HOST, host).map_err(|_| Denied::Internal)?;
        }
        let path = request.uri.path_and_query().map(|path| path.as_str().to_owned());
        let path = path.ok_or(Denied::BadTarget(BadTarget::NotAPath))?;
        request.set_raw_path(path.as_bytes()).map_err(|_| Denied::BadTarget(BadTarget::NotAPath))?;
        join_cookies(request)
    }
}

/// A client may send each cookie in a header of its own, and HTTP/1 knows one only (RFC 9113 §8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<(), Denied> {
    let crumbs: Vec<_> = request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| Denied::Internal)?;
    request.insert_header(COOKIE, joined).map_err(|_| Denied::Internal)
}
