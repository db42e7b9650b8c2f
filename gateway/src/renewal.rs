//! The successor of a token past half its life, in the headers of an answer.

use auth_core::renewal::Renewal;
use auth_core::verify::Verified;
use http::header::{CACHE_CONTROL, EXPIRES, HeaderMap, HeaderName, HeaderValue};
use pingora::http::ResponseHeader;

use crate::steps::authenticate::{Prepared, Successor};
use crate::steps::inject::{SESSION_EXPIRES_IN, SESSION_TOKEN};

/// A new token on its way into an answer.
#[derive(Debug)]
pub(crate) struct NewToken {
    token: HeaderValue,
    expires_in: u64,
}

impl NewToken {
    /// The successor of the caller's token, if the session goes on. Signed for the first answer that takes it; where
    /// tokens are not remembered, for each.
    pub(crate) fn of(caller: &Verified<Prepared>, renewal: &Renewal, now: u64) -> Option<Self> {
        let successor = caller.derived.successor.get_or_init(|| {
            let renewed = renewal.renew(&caller.caller)?;
            let mut token = HeaderValue::from_str(renewed.token.expose()).ok()?;
            token.set_sensitive(true);
            Some(Successor { token, expires_at: renewed.expires_at })
        });
        let successor = successor.as_ref()?;
        Some(Self { token: successor.token.clone(), expires_in: successor.expires_at.saturating_sub(now) })
    }

    /// Adds it to an answer that [nobody keeps](may_be_kept). A cache that keeps answers of which nothing says that they may
    /// be kept, or asks for them again by their validator, must not keep a token: whoever gets it is the user (RFC 6750 §5.3).
    pub(crate) fn write(self, response: &mut ResponseHeader) -> pingora::Result<()> {
        if !directives(&response.headers).any(|(name, _)| name.eq_ignore_ascii_case("no-store")) {
            response.append_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
        }
        response.insert_header(SESSION_TOKEN, self.token)?;
        response.insert_header(SESSION_EXPIRES_IN, self.expires_in)
    }
}

/// What says to caches of one kind that they may keep an answer, whatever `Cache-Control` says (RFC 9213, nginx).
const FOR_SOME_CACHES: [&str; 3] = ["cdn-cache-control", "surrogate-control", "accel-expires"];

/// Whether the service lets anybody keep its answer and give it again: another user, or this one at a time when the token in
/// it is an old one. Such an answer stays as it is, and a later one carries the token.
pub(crate) fn may_be_kept(headers: &HeaderMap) -> bool {
    let for_some = |name: &HeaderName| FOR_SOME_CACHES.iter().any(|suffix| name.as_str().ends_with(suffix));
    if headers.keys().any(for_some) {
        return true;
    }
    let (mut stored, mut fresh, mut stale) = (true, false, false);
    for (name, value) in directives(headers) {
        match name.to_ascii_lowercase().as_str() {
            // Beside `no-store` they contradict it, and the careful reading is the other one.
            "public" | "s-maxage" | "immutable" => return true,
            "no-store" => stored = false,
            "max-age" if value.trim_matches('"') == "0" => stale = true,
            "max-age" => fresh = true,
            "no-cache" => stale = true,
            _ => {}
        }
    }
    stored && (fresh || !stale && headers.contains_key(EXPIRES))
}

/// The directives of every `Cache-Control` line with what stands behind `=` (RFC 9111 §5.2). What is not text is one that
/// nobody knows.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|directive| {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        (name.trim(), value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        may_be_kept(&headers)
    }

    #[test]
    fn an_answer_is_kept_by_nobody_unless_it_says_so() {
        for lines in [
            &[][..],
            &[("cache-control", "")],
            &[("cache-control", "private")],
            &[("cache-control", "no-cache")],
            &[("cache-control", "No-Store")],
            &[("cache-control", "no-cache, private")],
            &[("cache-control", "max-age=0, private, must-revalidate")],
            &[("cache-control", "max-age = \"0\"")],
            &[("cache-control", "no-store, max-age=60")],
            &[("cache-control", "no-cache"), ("expires", "0")],
            &[("cache-control", "no-store, no-cache"), ("expires", "Thu, 19 Nov 1981 08:52:00 GMT")],
            &[("etag", "\"a\""), ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")],
        ] {
            assert!(!kept(lines), "{lines:?}");
        }
    }

    #[test]
    fn an_answer_that_somebody_may_give_again_carries_no_token() {
        for lines in [
            &[("cache-control", "public")][..],
            &[("cache-control", "PUBLIC, max-age=0")],
            &[("cache-control", "max-age=60")],
            &[("cache-control", "private,max-age=60")],
            &[("cache-control", "private"), ("cache-control", "Max-Age=\"60\"")],
            &[("cache-control", "max-age=00060")],
            &[("cache-control", "max-age=never")],
            &[("cache-control", "s-maxage=60")],
            &[("cache-control", "no-store, public")],
            &[("cache-control", "private, immutable")],
            &[("cache-control", "no-cache, max-age=60")],
            &[("expires", "Thu, 01 Jan 2099 00:00:00 GMT")],
            &[("cache-control", "private"), ("expires", "Thu, 01 Jan 2099 00:00:00 GMT")],
            &[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")],
            &[("cache-control", "no-store"), ("cloudflare-cdn-cache-control", "max-age=60")],
            &[("cache-control", "no-store"), ("surrogate-control", "max-age=60")],
            &[("cache-control", "no-store"), ("x-accel-expires", "60")],
        ] {
            assert!(kept(lines), "{lines:?}");
        }
    }
}
