//! The names that only the gateway may set, in every spelling.
//!
//! CGI, WSGI, PHP and others fold `-`, `_`, `.` and case into one name, so two names are the same here when they are
//! the same after lower-casing and dropping all that is neither letter nor digit.

use std::collections::HashSet;

use http::header::{HeaderMap, HeaderName};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::config::Identity;

/// Everything that WeChat's platforms say about a caller begins so, folded; and so do our own `X-Wxgate-…`.
const IDENTITY_PREFIX: &[u8] = b"xwx";

/// What proxies say about where a request came from, folded. From a client it is hearsay.
const PROVENANCE_PREFIX: &[u8] = b"xforwarded";
const PROVENANCE: [&str; 16] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-original-forwarded-for",
    "x-original-uri",
    "x-original-url",
    "x-original-method",
    "x-rewrite-url",
    "x-scheme",
    "front-end-https",
    "x-http-method-override",
    "x-request-id",
];

/// Longest folded name that could be a protected one: whatever is longer than all of them is none.
const FOLDED_MAX: usize = 64;

/// Knows the protected names.
#[derive(Debug)]
pub(crate) struct Protected {
    /// Folded; for answers.
    identity: HashSet<Vec<u8>>,
    /// Folded; for requests, beside `identity`.
    provenance: HashSet<Vec<u8>>,
    /// Folded first letters: most names are known to be none of ours by theirs.
    first: [bool; 256],
}

impl Protected {
    pub(crate) fn new(identity: &Identity) -> Self {
        let names = [&identity.openid, &identity.appid, &identity.unionid, &identity.source, &identity.env];
        let fold_all = |name: &HeaderName| name.as_str().bytes().filter_map(fold).collect::<Vec<u8>>();
        let identity: HashSet<Vec<u8>> =
            names.into_iter().chain(&identity.also_protected).map(fold_all).collect();
        let provenance: HashSet<Vec<u8>> =
            PROVENANCE.iter().map(|name| name.bytes().filter_map(fold).collect()).collect();
        let mut first = [false; 256];
        for name in identity.iter().chain(&provenance) {
            first[usize::from(name.first().copied().unwrap_or(b'x'))] = true;
        }
        first[usize::from(b'x')] = true;
        Self { identity, provenance, first }
    }

    pub(crate) fn strip_request(&self, request: &mut RequestHeader) {
        for name in self.found(&request.headers, true) {
            request.remove_header(&name);
        }
    }

    pub(crate) fn strip_response(&self, response: &mut ResponseHeader) {
        for name in self.found(&response.headers, false) {
            response.remove_header(&name);
        }
    }

    /// The protected names in `headers`: almost always none, and then nothing is allocated.
    fn found(&self, headers: &HeaderMap, with_provenance: bool) -> Vec<HeaderName> {
        headers.keys().filter(|name| self.is_protected(name.as_str(), with_provenance)).cloned().collect()
    }

    fn is_protected(&self, name: &str, with_provenance: bool) -> bool {
        let mut letters = name.bytes().filter_map(fold);
        let Some(first) = letters.next() else { return false };
        if !self.first[usize::from(first)] {
            return false;
        }
        let mut folded = [0; FOLDED_MAX];
        folded[0] = first;
        let mut len = 1;
        for letter in letters {
            if len == FOLDED_MAX {
                // Too long to be one of the listed names, but a prefix covers names of any length.
                return folded.starts_with(IDENTITY_PREFIX)
                    || with_provenance && folded.starts_with(PROVENANCE_PREFIX);
            }
            folded[len] = letter;
            len += 1;
        }
        let folded = &folded[..len];
        let identity = folded.starts_with(IDENTITY_PREFIX) || self.identity.contains(folded);
        identity
            || with_provenance && (folded.starts_with(PROVENANCE_PREFIX) || self.provenance.contains(folded))
    }
}

/// Letters in lower case and digits; all else is dropped.
fn fold(byte: u8) -> Option<u8> {
    byte.is_ascii_alphanumeric().then(|| byte.to_ascii_lowercase())
}
