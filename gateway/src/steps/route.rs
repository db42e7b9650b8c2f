//! Step 1: host, path and method → the one route that is most specific, whatever the order in the file.
//!
//! First the host (exact, then the wildcard, then routes for any host), then the path segment by segment (a literal
//! before `{param}` before `/*`), then the method. A host whose routes do not cover the path leaves it to the next.

mod paths;

use std::collections::HashMap;

use http::Method;

use crate::config::{self, Endpoints, HostPattern};
use crate::denied::Denied;
use crate::target::Target;

use paths::Paths;

/// An index into the routes of the config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteId(pub(crate) usize);

/// What the gateway answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Login,
    Logout,
    Session,
    Jwks,
}

impl Endpoint {
    /// Its name in logs and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Session => "session",
            Self::Jwks => "jwks",
        }
    }

    fn methods(self) -> &'static [Method] {
        match self {
            Self::Login | Self::Logout => &[Method::POST],
            Self::Session | Self::Jwks => &[Method::GET, Method::HEAD],
        }
    }
}

/// Where a request leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    Route(RouteId),
    Endpoint(Endpoint),
}

/// Finds the route of a request.
#[derive(Debug, Default)]
pub(crate) struct Router {
    exact: HashMap<String, Paths>,
    /// By the part after `*.`.
    wildcard: HashMap<String, Paths>,
    any: Paths,
}

impl Router {
    /// A router over checked routes, which hold no ties.
    pub(crate) fn new(routes: &[config::Route], endpoints: &Endpoints) -> Self {
        let mut router = Self::default();
        for (n, route) in routes.iter().enumerate() {
            for host in hosts_of(route) {
                router.paths_of(host).add(&route.path, &route.methods, Destination::Route(RouteId(n)));
            }
        }
        let any_host_is_routed = routes.is_empty() || routes.iter().any(|route| route.hosts.is_empty());
        let any = any_host_is_routed.then_some(&mut router.any);
        for paths in router.exact.values_mut().chain(router.wildcard.values_mut()).chain(any) {
            add_endpoints(paths, endpoints);
        }
        router
    }

    fn paths_of(&mut self, host: Option<&HostPattern>) -> &mut Paths {
        match host {
            None => &mut self.any,
            Some(HostPattern::Exact(name)) => self.exact.entry(name.clone()).or_default(),
            Some(HostPattern::Wildcard(rest)) => self.wildcard.entry(rest.clone()).or_default(),
        }
    }

    /// The destination of a request.
    pub(crate) fn find(&self, target: &Target<'_>, method: &Method) -> Result<Destination, Denied> {
        let found = self.find_path(target.host.name(), &target.path, method)?;
        // Some services drop `;…` before they look: such a path may pass only where it would lead without.
        if let Some(bare) = without_parameters(&target.path)
            && self.find_path(target.host.name(), &bare, method) != Ok(found)
        {
            return Err(Denied::NoRoute);
        }
        Ok(found)
    }

    fn find_path(&self, host: &str, path: &str, method: &Method) -> Result<Destination, Denied> {
        let wildcard = host.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest));
        let groups = [self.exact.get(host), wildcard, Some(&self.any)];
        let methods = groups.into_iter().flatten().find_map(|paths| paths.find(path));
        methods.ok_or(Denied::NoRoute)?.find(method)
    }
}

/// The path as who drops `;…` from its segments reads it, before or after decoding; nothing where that changes nothing.
fn without_parameters(path: &str) -> Option<String> {
    if !path.contains(';') && !path.contains('%') {
        return None;
    }
    let bare = |segment: &str| {
        let end = [segment.find(';'), segment.find("%3B")].into_iter().flatten().min();
        segment[..end.unwrap_or(segment.len())].to_owned()
    };
    Some(path.split('/').map(bare).collect::<Vec<_>>().join("/"))
}

fn hosts_of(route: &config::Route) -> Vec<Option<&HostPattern>> {
    if route.hosts.is_empty() { vec![None] } else { route.hosts.iter().map(Some).collect() }
}

fn add_endpoints(paths: &mut Paths, endpoints: &Endpoints) {
    let configured = [
        (&endpoints.login, Endpoint::Login),
        (&endpoints.logout, Endpoint::Logout),
        (&endpoints.session, Endpoint::Session),
        (&endpoints.jwks, Endpoint::Jwks),
    ];
    for (path, endpoint) in configured {
        if let Some(path) = path {
            paths.add_literal(path, endpoint.methods(), Destination::Endpoint(endpoint));
        }
    }
}

#[cfg(test)]
mod tests;
