//! Step 3: route × caller → [`Permit`], the only key to an upstream.

mod limiter;

use std::net::IpAddr;

use auth_core::revocation::Revocations;

use crate::config::{Auth, OnStoreDown, RateKey, Route};
use crate::denied::Denied;
use crate::steps::authenticate::Authenticated;
use crate::steps::route::RouteId;

pub(crate) use limiter::Limiter;

/// Proof that a route lets this caller pass. Made here and nowhere else; without one no upstream can be named.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    route: RouteId,
    upstream: usize,
    caller: Option<Authenticated>,
}

impl Permit {
    /// The route that was passed.
    pub(crate) const fn route(&self) -> RouteId {
        self.route
    }

    /// The upstream that it leads to: an index into the config's.
    pub(crate) const fn upstream(&self) -> usize {
        self.upstream
    }

    /// For the tests of what a permit leads to.
    #[cfg(test)]
    pub(crate) const fn for_test(upstream: usize) -> Self {
        Self { route: RouteId(0), upstream, caller: None }
    }

    /// Who passed; nobody on a route that lets anonymous requests pass.
    pub(crate) const fn caller(&self) -> Option<&Authenticated> {
        self.caller.as_ref()
    }
}

/// Lets the caller pass, or says why not. The order is from the cheapest and most lasting reason to the passing one.
pub(crate) fn permit(
    id: RouteId,
    route: &Route,
    caller: Option<Authenticated>,
    revocations: &Revocations,
    limiter: Option<&Limiter>,
    client: IpAddr,
) -> Result<Permit, Denied> {
    let (Some(upstream), Auth::Required | Auth::Optional | Auth::Lenient | Auth::None) =
        (route.upstream, route.auth)
    else {
        return Err(Denied::ClosedToAll);
    };
    // Step 2 lets nobody anonymous through on such a route; that it holds must not depend on step 2 alone.
    if route.auth == Auth::Required && caller.is_none() {
        return Err(Denied::TokenMissing);
    }
    if let (Some(caller), Some(apps)) = (&caller, &route.apps)
        && !apps.contains(&caller.derived.app)
    {
        return Err(Denied::AppNotAllowed);
    }
    // An empty list means nobody, the anonymous included.
    if route.apps.as_ref().is_some_and(Vec::is_empty) {
        return Err(Denied::AppNotAllowed);
    }
    if caller.is_some() && denies_now(route, revocations) {
        return Err(Denied::RevocationsStale);
    }
    if let (Some(limiter), Some(rate)) = (limiter, &route.rate) {
        let openid =
            caller.as_ref().filter(|_| rate.per == RateKey::Openid).map(|caller| &caller.caller.openid);
        limiter.take(openid, client)?;
    }
    Ok(Permit { route: id, upstream, caller })
}

/// Whether the route refuses callers now, because their session may have ended on another node.
pub(crate) fn denies_now(route: &Route, revocations: &Revocations) -> bool {
    route.on_store_down == OnStoreDown::Deny && revocations.may_be_stale()
}

#[cfg(test)]
mod tests;
