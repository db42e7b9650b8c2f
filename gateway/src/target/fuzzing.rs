//! What must hold of every target and host.

use percent_encoding::percent_decode;
use pingora::http::RequestHeader;

use super::{BadTarget, Target, canonical};

const BYTES_MAX: usize = 8192;

/// Reads a host, a line feed, and a target. Either both are refused, or:
/// - the path is ASCII, begins with `/`, and means what the client's spelling means, decoded once;
/// - decoded once or twice, cut at `;` before or after, at `/` or at `\`: no segment is `.` or `..`, none but the last is
///   empty, none has a control character, and decoding moves no boundary;
/// - what is sent on is the path and query that were decided on, and pingora reads it so;
/// - what is sent on, read again, is the same target, and is sent on as it is.
pub fn target(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (host, raw) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let once = match canonical(raw, std::iter::once(host), BYTES_MAX) {
        Ok(once) => once,
        Err(bad) => return assert_eq!(bad == BadTarget::TooLong, raw.len() > BYTES_MAX),
    };
    assert_eq!(canonical(raw, [host, host].into_iter(), BYTES_MAX), Err(BadTarget::BadHost));
    assert_eq!(canonical(raw, std::iter::empty(), BYTES_MAX), Err(BadTarget::BadHost));
    check_host(&once);
    check_path(once.path.as_bytes());
    let (raw_path, raw_query) = split(origin(raw));
    assert_eq!(decoded(raw_path), decoded(once.path.as_bytes()), "the path means something else");
    assert_eq!(raw_query, once.query.map(str::as_bytes), "the query is another");
    check_sent(&once, raw, host);
}

/// What an absolute form leaves of itself (RFC 9112 §3.2.2).
fn origin(raw: &[u8]) -> &[u8] {
    if raw.starts_with(b"/") {
        return raw;
    }
    let authority = raw.windows(3).position(|three| three == b"://").expect("an absolute form") + 3;
    raw[authority..].iter().position(|byte| *byte == b'/').map_or(b"/", |at| &raw[authority + at..])
}

fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = target.iter().position(|byte| *byte == b'?');
    at.map_or((target, None), |at| (&target[..at], Some(&target[at + 1..])))
}

fn decoded(text: &[u8]) -> Vec<u8> {
    percent_decode(text).collect()
}

fn check_host(once: &Target<'_>) {
    let name = once.host.name();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.[]:".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(plain) && !name.ends_with('.'), "{name:?}");
    assert!(name.starts_with('[') || !name.contains(':'), "{name:?}");
}

fn check_path(path: &[u8]) {
    assert!(path.starts_with(b"/") && path.iter().all(u8::is_ascii_graphic));
    assert!(!path.iter().any(|byte| b"#?\\".contains(byte)));
    let meaning = decoded(path);
    assert_eq!(decoded(&meaning), meaning, "decoded twice it means something else");
    let text = std::str::from_utf8(&meaning).expect("a path is UTF-8 once decoded");
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let slashes = |text: &[u8]| text.iter().filter(|byte| matches!(byte, b'/' | b'\\')).count();
    assert_eq!(slashes(&meaning), slashes(path), "a boundary moved");
    for spelling in [path, &meaning] {
        let segments: Vec<_> = spelling[1..].split(|byte| *byte == b'/').collect();
        for (n, segment) in segments.iter().enumerate() {
            let name = decoded(segment.split(|byte| *byte == b';').next().unwrap_or_default());
            assert!(name != b"." && name != b"..", "a dot segment in {text:?}");
            assert!(!name.is_empty() || n + 1 == segments.len(), "an empty segment in {text:?}");
        }
    }
}

fn check_sent(once: &Target<'_>, raw: &[u8], host: &[u8]) {
    let sent = once.rewritten(raw).map_or_else(|| raw.to_vec(), String::into_bytes);
    let sent_host = once.host.rewritten(host).map_or_else(|| host.to_vec(), String::into_bytes);
    let (path, query) = split(&sent);
    assert_eq!((path, query), (once.path.as_bytes(), once.query.map(str::as_bytes)));
    let again = canonical(&sent, std::iter::once(&sent_host[..]), usize::MAX);
    assert_eq!(again.as_ref(), Ok(once), "read again it is another");
    assert_eq!(once.rewritten(&sent).map_or_else(|| sent.clone(), String::into_bytes), sent);
    assert_eq!(once.host.rewritten(&sent_host), None, "the host has two spellings");
    // A target that the `http` crate does not take is refused later.
    if let Ok(request) = RequestHeader::build("GET", &sent, None) {
        assert_eq!(request.raw_path(), sent);
        assert_eq!(request.uri.path(), once.path);
        assert_eq!(request.uri.query(), once.query);
    }
}
