//! Step 5: every spelling of our headers is removed, then each is set once, from the permit.

mod protected;

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderName};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::config::Identity;
use crate::steps::authenticate::{Prepared, TokenSources};

pub(crate) use protected::Protected;

/// What a request from a mini program is called in `X-WX-SOURCE`, in WeChat Cloud Hosting's vocabulary.
const SOURCE: HeaderValue = HeaderValue::from_static("wx_client");

/// The names under which a service reads the caller, ready to be set, and what is removed for it.
#[derive(Debug)]
pub(crate) struct Injector {
    openid: Name,
    appid: Name,
    unionid: Name,
    source: Name,
    env: Option<(Name, HeaderValue)>,
    protected: Protected,
}

/// A header name in the spelling that goes out over HTTP/1, shared instead of copied.
#[derive(Debug, Clone)]
struct Name(Bytes);

impl Name {
    fn new(name: &HeaderName) -> Self {
        // `x-wx-openid` is written `X-WX-OPENID`, as WeChat writes it: upper case where it is one of theirs.
        Self(name.as_str().to_ascii_uppercase().into())
    }
}

/// What a request says about where it came from, in the gateway's own words.
#[derive(Debug)]
pub(crate) struct Provenance<'a> {
    pub(crate) request_id: &'a str,
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
            Some(value) => Some((Name::new(&identity.env), HeaderValue::from_str(value)?)),
            None => None,
        };
        Ok(Self {
            openid: Name::new(&identity.openid),
            appid: Name::new(&identity.appid),
            unionid: Name::new(&identity.unionid),
            source: Name::new(&identity.source),
            env,
            protected: Protected::new(identity),
        })
    }

    /// Makes the request say who calls: nobody, or the caller. Runs again on a retry, over a fresh copy.
    pub(crate) fn request(
        &self,
        request: &mut RequestHeader,
        caller: Option<&Prepared>,
        from: Provenance<'_>,
    ) -> pingora::Result<()> {
        self.protected.strip_request(request);
        if let Some(caller) = caller {
            request.insert_header(self.openid.0.clone(), caller.openid.clone())?;
            request.insert_header(self.appid.0.clone(), caller.appid.clone())?;
            if let Some(unionid) = &caller.unionid {
                request.insert_header(self.unionid.0.clone(), unionid.clone())?;
            }
            request.insert_header(self.source.0.clone(), SOURCE)?;
            if let Some((name, value)) = &self.env {
                request.insert_header(name.0.clone(), value.clone())?;
            }
        }
        set_provenance(request, from)
    }

    /// Removes from a service's answer what only the gateway may say.
    pub(crate) fn response(&self, response: &mut ResponseHeader) {
        self.protected.strip_response(response);
    }
}

fn set_provenance(request: &mut RequestHeader, from: Provenance<'_>) -> pingora::Result<()> {
    let client = HeaderValue::from_str(&from.client.to_string()).expect("an address is visible ASCII");
    let chain = if from.client == from.peer {
        client.clone()
    } else {
        HeaderValue::from_str(&format!("{}, {}", from.client, from.peer))
            .expect("addresses are visible ASCII")
    };
    request.insert_header("X-Request-Id", from.request_id)?;
    request.insert_header("X-Real-IP", client)?;
    request.insert_header("X-Forwarded-For", chain)?;
    request.insert_header("X-Forwarded-Proto", HeaderValue::from_static(from.proto))?;
    from.host.map_or(Ok(()), |host| request.insert_header("X-Forwarded-Host", host))
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
