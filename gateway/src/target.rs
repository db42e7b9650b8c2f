//! The request line and `Host` become one canonical value, or the request is refused.
//!
//! Matching, authorising, logging and the line that the service receives all use this value. Most holes of gateways of
//! this kind were two readings of one path; here there is one, and what has two is not let in.

mod host;
mod path;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::borrow::Cow;

pub(crate) use host::Host;

/// What a request is aimed at, in its one spelling.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) host: Host<'a>,
    /// Starts with `/`; no empty, `.` or `..` segment; unreserved bytes decoded, all others kept encoded in upper case.
    pub(crate) path: Cow<'a, str>,
    /// As it came, without the `?`. Takes no part in matching.
    pub(crate) query: Option<&'a str>,
}

/// Why a target has no canonical value. The text says what is wrong and repeats nothing of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTarget {
    #[error("the request target is longer than the limit")]
    TooLong,
    #[error("the request target is not a path")]
    NotAPath,
    #[error("the path has an empty segment (`//`)")]
    EmptySegment,
    #[error("the path has a dot segment")]
    DotSegment,
    #[error("the path has an encoded slash, backslash, NUL or control character, or is encoded twice")]
    ForbiddenEscape,
    #[error("the path has a `%` without two hex digits")]
    BadEscape,
    #[error("the path is not UTF-8 once decoded")]
    NotUtf8,
    #[error("the target has a byte that must be encoded")]
    RawByte,
    #[error("the Host header is missing, doubled or malformed, or disagrees with the target")]
    BadHost,
}

/// The target in the request line of a raw HTTP/1 head: what stands between its first and its last space (RFC 9112 §3).
/// pingora's parsed form has lost a `#…` by the time that anyone sees it.
pub(crate) fn of_request_line(raw_head: &[u8]) -> Option<&[u8]> {
    let line = raw_head.trim_ascii_start().split(|b| matches!(b, b'\r' | b'\n')).next()?;
    let (first, last) = (line.iter().position(|b| *b == b' ')?, line.iter().rposition(|b| *b == b' ')?);
    line.get(first + 1..last)
}

/// Makes the canonical target of `raw`, the target as it stood in the request line, and the request's `Host` values.
pub(crate) fn canonical<'a>(
    raw: &'a [u8],
    mut hosts: impl Iterator<Item = &'a [u8]>,
    bytes_max: usize,
) -> Result<Target<'a>, BadTarget> {
    if raw.len() > bytes_max {
        return Err(BadTarget::TooLong);
    }
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(BadTarget::BadHost) };
    let host = Host::parse(host).ok_or(BadTarget::BadHost)?;
    let origin = origin_form(raw, &host)?;
    let (path, query) = match origin.iter().position(|b| *b == b'?') {
        Some(at) => (&origin[..at], Some(checked_query(&origin[at + 1..])?)),
        None => (origin, None),
    };
    Ok(Target { host, path: path::canonical(path)?, query })
}

/// The part of `raw` from the path on. An absolute form (RFC 9112 §3.2.2) must name the host that `Host` names.
fn origin_form<'a>(raw: &'a [u8], host: &Host<'_>) -> Result<&'a [u8], BadTarget> {
    if raw.first() == Some(&b'/') {
        return Ok(raw);
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| {
            Some(raw.split_at_checked(scheme.len())?)
                .filter(|(head, _)| head.eq_ignore_ascii_case(scheme.as_bytes()))
        })
        .map(|(_, rest)| rest)
        .ok_or(BadTarget::NotAPath)?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if Host::parse(authority).as_ref() != Some(host) {
        return Err(BadTarget::BadHost);
    }
    match path.first() {
        None => Ok(b"/"),
        Some(b'/') => Ok(path),
        // `http://host?query` has a canonical value, but no client of ours sends it.
        Some(_) => Err(BadTarget::NotAPath),
    }
}

/// A query is passed on as it came: visible ASCII, no `#`, which would end it for some readers.
fn checked_query(query: &[u8]) -> Result<&str, BadTarget> {
    if query.iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        std::str::from_utf8(query).map_err(|_| BadTarget::RawByte)
    } else {
        Err(BadTarget::RawByte)
    }
}

impl Target<'_> {
    /// The target as the service gets it, if that is not how it came.
    pub(crate) fn rewritten(&self, raw: &[u8]) -> Option<String> {
        if raw.first() == Some(&b'/') && matches!(self.path, Cow::Borrowed(_)) {
            return None;
        }
        Some(match self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone().into_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
