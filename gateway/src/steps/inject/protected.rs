//! The names that only the gateway may set, in every spelling.
//!
//! CGI, WSGI, PHP and others fold `-`, `_`, `.` and case into one name, so two names are the same here when they are
//! the same after lower-casing and dropping all that is neither letter nor digit.

use http::header::{HeaderMap, HeaderName};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::config::Identity;

/// Where a client finds its new token, and for how many seconds it is good: a service must not be able to give it one.
pub(crate) const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-session-token");
pub(crate) const SESSION_EXPIRES_IN: HeaderName = HeaderName::from_static("x-session-expires-in");

/// Everything that WeChat's platforms say about a caller begins so, folded; and so do our own `X-Wxgate-…`.
const IDENTITY_PREFIX: &[u8] = b"xwx";

/// What proxies say about where a request came from, folded. From a client it is hearsay.
const PROVENANCE_PREFIX: &[u8] = b"xforwarded";
pub(super) const PROVENANCE: [&str; 37] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-remote-ip",
    "x-remote-addr",
    "true-client-ip",
    // What the address helpers of Java and PHP applications look for, next to the first two.
    "client-ip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "http-client-ip",
    "http-x-forwarded-for",
    // What content networks and clouds add.
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-visitor",
    "fastly-client-ip",
    "fly-client-ip",
    "ali-cdn-real-ip",
    "cdn-src-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-envoy-external-address",
    // Which request it was before somebody rewrote it.
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-original-method",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-host",
    "x-request-id",
    // CGI hands it on as HTTP_PROXY, and programs take that for the proxy to use.
    "proxy",
];

/// Knows the protected names.
#[derive(Debug)]
pub(crate) struct Protected {
    /// By their first letter: most names of ordinary traffic are known to be none of ours by theirs, and what is left
    /// to compare with differs in the next letter or two. No hash is computed.
    listed: [Vec<Listed>; 256],
}

#[derive(Debug)]
struct Listed {
    folded: Vec<u8>,
    /// Says who calls, or lets a client be that, so that a service may not answer with it either; else it says where a request came from.
    identity: bool,
}

impl Protected {
    pub(crate) fn new(identity: &Identity) -> Self {
        let names = [
            &identity.openid,
            &identity.appid,
            &identity.unionid,
            &identity.source,
            &identity.env,
            &identity.assertion,
        ];
        let new_token = [SESSION_TOKEN, SESSION_EXPIRES_IN];
        let names = names.into_iter().chain(&identity.also_protected).chain(&new_token);
        let identity = names.map(|name| (name.as_str(), true));
        let mut listed = [const { Vec::new() }; 256];
        for (name, identity) in identity.chain(PROVENANCE.map(|name| (name, false))) {
            let folded: Vec<u8> = fold(name).collect();
            if let Some(first) = folded.first() {
                listed[usize::from(*first)].push(Listed { folded, identity });
            }
        }
        Self { listed }
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
        let Some(first) = fold(name).next() else { return false };
        let prefixed = first == b'x'
            && (starts_with(name, IDENTITY_PREFIX)
                || with_provenance && starts_with(name, PROVENANCE_PREFIX));
        let is_it = |listed: &Listed| {
            (listed.identity || with_provenance) && fold(name).eq(listed.folded.iter().copied())
        };
        prefixed || self.listed[usize::from(first)].iter().any(is_it)
    }
}

/// Letters in lower case and digits; all else is dropped.
fn fold(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

fn starts_with(name: &str, prefix: &[u8]) -> bool {
    let mut letters = fold(name);
    prefix.iter().all(|letter| letters.next() == Some(*letter))
}
