//! Step 2: token → caller.

mod last;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, OnceLock};

use auth_core::verify::Verified;
use auth_core::{AppId, Caller, Verifier};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::config::Auth;
use crate::denied::Denied;

pub(crate) use last::LastCaller;

/// A verified token's caller with everything that later steps need of it, made ready once a token.
pub(crate) type Authenticated = Arc<Verified<Prepared>>;

/// What a caller looks like to a service: header values, so that no request formats or checks them again.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Index into the apps of the config.
    pub(crate) app: usize,
    pub(crate) appid: HeaderValue,
    pub(crate) openid: HeaderValue,
    pub(crate) unionid: Option<HeaderValue>,
    /// What follows the token, once somebody asked; none if its session ends with it.
    pub(crate) successor: OnceLock<Option<Successor>>,
    /// What services are told of the caller, for those that want it.
    pub(crate) assertions: Mutex<Vec<ReadyAssertion>>,
}

/// An assertion, ready for a request.
#[derive(Debug)]
pub(crate) struct ReadyAssertion {
    /// Index into the upstreams of the config.
    pub(crate) upstream: usize,
    /// When it may be handed out, in Unix seconds.
    pub(crate) fresh: RangeInclusive<u64>,
    pub(crate) value: HeaderValue,
}

/// The token that takes the place of another, ready for an answer.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) token: HeaderValue,
    /// In Unix seconds.
    pub(crate) expires_at: u64,
}

impl Prepared {
    /// # Panics
    /// Never: the verifier takes tokens of configured apps only, and ids have an alphabet that any header can hold.
    pub(crate) fn new(caller: &Caller, apps: &[AppId]) -> Self {
        let value = |text: &str| HeaderValue::from_str(text).expect("ids are visible ASCII");
        let app = apps.iter().position(|app| *app == caller.app);
        Self {
            app: app.expect("the verifier knows the configured apps only"),
            appid: value(caller.app.as_str()),
            openid: value(caller.openid.as_str()),
            unionid: caller.unionid.as_ref().map(|id| value(id.as_str())),
            successor: OnceLock::new(),
            assertions: Mutex::default(),
        }
    }
}

/// Where a client may put its token.
#[derive(Debug)]
pub(crate) struct TokenSources {
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) query: String,
}

/// Who sends this request, as far as the route wants to know. Looks at the token and at nothing else of the request.
pub(crate) fn authenticate(
    verifier: &Verifier<Prepared>,
    sources: &TokenSources,
    auth: Auth,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Option<Authenticated>, Denied> {
    if matches!(auth, Auth::None | Auth::Deny) {
        return Ok(None);
    }
    let verdict = match sources.find(headers, query) {
        Ok(Some(token)) => verifier.verify(&token).map(Some).map_err(Denied::from),
        Ok(None) => Ok(None),
        Err(denied) => Err(denied),
    };
    match (auth, verdict) {
        (Auth::Required, Ok(None)) => Err(Denied::TokenMissing),
        (Auth::Lenient, Err(_)) => Ok(None),
        (_, verdict) => verdict,
    }
}

/// [`authenticate`], for a request on a connection whose last caller is remembered.
pub(crate) fn authenticate_again(
    last: &LastCaller,
    verifier: &Verifier<Prepared>,
    sources: &TokenSources,
    auth: Auth,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Option<Authenticated>, Denied> {
    let looks = query.is_none() && !matches!(auth, Auth::None | Auth::Deny);
    if looks && let Some(caller) = last.recall(verifier, sources, headers) {
        return Ok(Some(caller));
    }
    let verdict = authenticate(verifier, sources, auth, headers, query);
    if looks && let Ok(Some(caller)) = &verdict {
        last.keep(verifier, sources, headers, caller);
    }
    verdict
}

impl TokenSources {
    /// The one token of a request. Two different ones are refused: whoever added the second must not choose.
    /// `query` is given only on routes that allow a token there.
    pub(crate) fn find<'r>(
        &self,
        headers: &'r HeaderMap,
        query: Option<&'r str>,
    ) -> Result<Option<Cow<'r, str>>, Denied> {
        let mut found: Option<Cow<'r, str>> = None;
        let in_headers = self
            .headers
            .iter()
            .flat_map(|name| headers.get_all(name).into_iter().filter_map(|value| token_of(name, value)));
        let in_query = query.into_iter().flat_map(|query| self.in_query(query)).map(Ok);
        for token in in_headers.chain(in_query) {
            let token = token?;
            if found.as_ref().is_some_and(|first| *first != token) {
                return Err(Denied::AmbiguousCredentials);
            }
            found = Some(token);
        }
        Ok(found)
    }

    fn in_query<'s, 'r>(&'s self, query: &'r str) -> impl Iterator<Item = Cow<'r, str>> + use<'s, 'r> {
        query.split('&').filter_map(|pair| {
            let value = pair.strip_prefix(self.query.as_str())?.strip_prefix('=')?;
            Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy())
        })
    }

    /// `query` without the token parameter, for the service.
    pub(crate) fn strip_query(&self, query: &str) -> String {
        let is_token =
            |pair: &str| pair.strip_prefix(self.query.as_str()).is_some_and(|rest| rest.starts_with('='));
        query.split('&').filter(|pair| !is_token(pair)).collect::<Vec<_>>().join("&")
    }
}

/// The token in one header line. Another scheme than Bearer in `Authorization` is none of ours: `None`.
fn token_of<'r>(name: &HeaderName, value: &'r HeaderValue) -> Option<Result<Cow<'r, str>, Denied>> {
    let malformed = || Err(Denied::Token(auth_core::TokenError::Malformed));
    let Some(text) = ascii(value) else { return Some(malformed()) };
    let token = if *name == AUTHORIZATION {
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        token
    } else {
        text
    };
    Some(if token.is_empty() { malformed() } else { Ok(Cow::Borrowed(token)) })
}

/// As `HeaderValue::to_str`, which looks at one byte after the other: a token has hundreds.
fn ascii(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok().filter(|text| text.is_ascii())
}

#[cfg(test)]
mod tests;
