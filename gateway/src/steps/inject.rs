//! Step 5: every spelling of our headers is removed, then each is set once, from the permit.

mod protected;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::net::IpAddr;

use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use http::request::Parts;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::address;
use crate::config::Identity;
use crate::steps::authenticate::{Prepared, TokenSources};

pub(crate) use protected::{Protected, SESSION_EXPIRES_IN, SESSION_TOKEN};

/// What a request from a mini program is called in `X-WX-SOURCE`, in WeChat Cloud Hosting's vocabulary.
const SOURCE: HeaderValue = HeaderValue::from_static("wx_client");

/// The names under which a service reads the caller, ready to be set, and what is removed for it.
#[derive(Debug)]
pub(crate) struct Injector {
    openid: HeaderName,
    appid: HeaderName,
    unionid: HeaderName,
    source: HeaderName,
    env: Option<(HeaderName, HeaderValue)>,
    assertion: HeaderName,
    protected: Protected,
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The most headers that are set.
const SET_MAX: usize = 11;

/// What a request says about where it came from, in the gateway's own words.
#[derive(Debug)]
pub(crate) struct Provenance {
    pub(crate) request_id: HeaderValue,
    /// The client, and the proxy before us if there is one that is believed.
    pub(crate) client: IpAddr,
    pub(crate) peer: IpAddr,
    pub(crate) proto: &'static str,
    /// The client's `Host`, canonical.
    pub(crate) host: Option<HeaderValue>,
}

impl Injector {
    pub(crate) fn new(identity: &Identity) -> anyhow::Result<Self> {
        let env = match &identity.env_value {
            Some(value) => Some((identity.env.clone(), HeaderValue::from_str(value)?)),
            None => None,
        };
        Ok(Self {
            openid: identity.openid.clone(),
            appid: identity.appid.clone(),
            unionid: identity.unionid.clone(),
            source: identity.source.clone(),
            env,
            assertion: identity.assertion.clone(),
            protected: Protected::new(identity),
        })
    }

    /// Makes the request say who calls: nobody, or the caller, with the assertion that the service wants. Runs again on a retry, over a fresh copy.
    pub(crate) fn request(
        &self,
        request: &mut RequestHeader,
        caller: Option<&Prepared>,
        assertion: Option<HeaderValue>,
        from: Provenance,
    ) {
        self.protected.strip_request(request);
        // pingora keeps the spelling of each name in a second map, and parses, copies and hashes a name for both maps
        // whenever one is set: a ninth of a request's cost here. Names have no case (RFC 9110 §5.1); services get them in
        // lower case, as HTTP/2 has them.
        let mut parts = parts_of(request);
        parts.headers.reserve(SET_MAX);
        if let Some(caller) = caller {
            self.set_caller(&mut parts.headers, caller);
        }
        if let Some(assertion) = assertion {
            parts.headers.insert(self.assertion.clone(), assertion);
        }
        set_provenance(&mut parts.headers, from);
        *request = RequestHeader::from(parts);
    }

    fn set_caller(&self, headers: &mut HeaderMap, caller: &Prepared) {
        headers.insert(self.openid.clone(), caller.openid.clone());
        headers.insert(self.appid.clone(), caller.appid.clone());
        if let Some(unionid) = &caller.unionid {
            headers.insert(self.unionid.clone(), unionid.clone());
        }
        headers.insert(self.source.clone(), SOURCE);
        if let Some((name, value)) = &self.env {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// Removes from a service's answer what only the gateway may say.
    pub(crate) fn response(&self, response: &mut ResponseHeader) {
        self.protected.strip_response(response);
    }
}

/// Forgets the spelling of header names, so that no copy of the request carries it along. The target must be canonical:
/// another form of it would be lost too.
pub(crate) fn forget_spelling(request: &mut RequestHeader) {
    *request = RequestHeader::from(parts_of(request));
}

/// Takes the request apart; what stays is no request.
fn parts_of(request: &mut RequestHeader) -> Parts {
    let nothing = RequestHeader::from(http::Request::new(()).into_parts().0);
    Parts::from(std::mem::replace(request, nothing))
}

fn set_provenance(headers: &mut HeaderMap, from: Provenance) {
    let mut text = String::with_capacity(80);
    address::write(&mut text, from.client);
    let client = address_value(&text);
    let chain = if from.client == from.peer {
        client.clone()
    } else {
        text.push_str(", ");
        address::write(&mut text, from.peer);
        address_value(&text)
    };
    headers.insert(X_REQUEST_ID, from.request_id);
    headers.insert(X_REAL_IP, client);
    headers.insert(X_FORWARDED_FOR, chain);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(from.proto));
    if let Some(host) = from.host {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

fn address_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("addresses are visible ASCII")
}

/// Keeps the login token from the service: who sees it can be the user. Another scheme in `Authorization` is the
/// service's own business and stays.
pub(crate) fn remove_token(request: &mut RequestHeader, sources: &TokenSources) {
    for name in &sources.headers {
        let bearer = |value: &HeaderValue| {
            value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
        };
        if *name != AUTHORIZATION || request.headers.get_all(name).iter().any(bearer) {
            request.remove_header(name);
        }
    }
}

#[cfg(test)]
mod tests;
