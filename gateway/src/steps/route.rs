//! Step 1: host, path and method → the one route that is most specific, whatever the order in the file.
//!
//! First the host (exact, then the wildcard, then routes for any host), then the path segment by segment (a literal
//! before `{param}` before `/*`), then the method. A host whose routes do not cover the path leaves it to the next.

use std::collections::HashMap;

use http::{HeaderValue, Method};

use crate::config::{self, Endpoints, HostPattern, PathPattern, Segment};
use crate::denied::Denied;
use crate::target::Target;

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

type Paths = matchit::Router<Methods>;

/// What one path pattern leads to, by method.
#[derive(Debug, Default)]
struct Methods {
    any: Option<Destination>,
    named: Vec<(Method, Destination)>,
}

impl Router {
    /// A router over checked routes, which hold no ties.
    pub(crate) fn new(routes: &[config::Route], endpoints: &Endpoints) -> anyhow::Result<Self> {
        let mut collected: HashMap<Option<&HostPattern>, HashMap<String, Methods>> = HashMap::new();
        for (n, route) in routes.iter().enumerate() {
            for host in hosts_of(route) {
                let paths = collected.entry(host).or_default();
                // `/prefix/*` covers `/prefix` too, unless a route of its own does; exact patterns come first.
                paths
                    .entry(pattern(&route.path))
                    .or_default()
                    .add(&route.methods, Destination::Route(RouteId(n)));
            }
        }
        collected.entry(None).or_default();
        let any_host_is_routed = routes.is_empty() || routes.iter().any(|route| route.hosts.is_empty());
        let mut router = Self::default();
        for (host, mut paths) in collected {
            if host.is_some() || any_host_is_routed {
                add_endpoints(&mut paths, endpoints);
            }
            let paths = compile(paths)?;
            match host {
                None => router.any = paths,
                Some(HostPattern::Exact(name)) => drop(router.exact.insert(name.clone(), paths)),
                Some(HostPattern::Wildcard(rest)) => drop(router.wildcard.insert(rest.clone(), paths)),
            }
        }
        Ok(router)
    }

    /// The destination of a request.
    pub(crate) fn find(&self, target: &Target<'_>, method: &Method) -> Result<Destination, Denied> {
        let found = self.find_path(target.host.name(), &target.path, method)?;
        if target.path.contains(';') {
            // Some services drop `;…` before they look: such a path may pass only where it would lead without.
            let bare: String = target
                .path
                .split('/')
                .map(|s| s.split(';').next().unwrap_or(""))
                .collect::<Vec<_>>()
                .join("/");
            if self.find_path(target.host.name(), &bare, method) != Ok(found) {
                return Err(Denied::NoRoute);
            }
        }
        Ok(found)
    }

    fn find_path(&self, host: &str, path: &str, method: &Method) -> Result<Destination, Denied> {
        let wildcard = host.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest));
        let groups = [self.exact.get(host), wildcard, Some(&self.any)];
        let methods = groups.into_iter().flatten().find_map(|paths| paths.at(path).ok());
        methods.ok_or(Denied::NoRoute)?.value.find(method)
    }
}

fn hosts_of(route: &config::Route) -> Vec<Option<&HostPattern>> {
    if route.hosts.is_empty() { vec![None] } else { route.hosts.iter().map(Some).collect() }
}

/// The pattern as `matchit` writes it, parameters under one name each place so that two spellings cannot conflict.
fn pattern(path: &PathPattern) -> String {
    let mut text = String::new();
    for (n, segment) in path.segments.iter().enumerate() {
        match segment {
            Segment::Literal(literal) => text.extend(["/", literal]),
            Segment::Param(_) => text.push_str(&format!("/{{p{n}}}")),
        }
    }
    if path.prefix {
        text.push_str("/{*rest}");
    } else if text.is_empty() {
        text.push('/');
    }
    text
}

fn add_endpoints(paths: &mut HashMap<String, Methods>, endpoints: &Endpoints) {
    let configured = [
        (&endpoints.login, Endpoint::Login),
        (&endpoints.logout, Endpoint::Logout),
        (&endpoints.session, Endpoint::Session),
        (&endpoints.jwks, Endpoint::Jwks),
    ];
    for (path, endpoint) in configured {
        if let Some(path) = path {
            let methods = paths.entry(path.clone()).or_default();
            methods.add(endpoint.methods(), Destination::Endpoint(endpoint));
        }
    }
}

/// Builds the tree. `{*rest}` matches no empty rest, so a prefix also gets its bare forms where they are still free.
fn compile(paths: HashMap<String, Methods>) -> anyhow::Result<Paths> {
    let mut tree = Paths::new();
    let mut prefixes = Vec::new();
    for (pattern, methods) in paths {
        if let Some(prefix) = pattern.strip_suffix("/{*rest}") {
            prefixes.push((prefix.to_owned(), methods.copy()));
        }
        tree.insert(pattern, methods)?;
    }
    for (prefix, methods) in prefixes {
        for bare in [prefix.clone(), format!("{prefix}/")] {
            if !bare.is_empty() {
                // Taken means that a route of its own covers the bare form: that one is more specific.
                let _ = tree.insert(bare, methods.copy());
            }
        }
    }
    Ok(tree)
}

impl Methods {
    fn add(&mut self, methods: &[Method], destination: Destination) {
        if methods.is_empty() {
            self.any = Some(destination);
        }
        self.named.extend(methods.iter().map(|method| (method.clone(), destination)));
    }

    fn copy(&self) -> Self {
        Self { any: self.any, named: self.named.clone() }
    }

    /// A route for this very method before one for any.
    fn find(&self, method: &Method) -> Result<Destination, Denied> {
        let named = self.named.iter().find(|(named, _)| named == method).map(|(_, destination)| *destination);
        named.or(self.any).ok_or_else(|| Denied::MethodNotAllowed { allow: self.allow() })
    }

    fn allow(&self) -> HeaderValue {
        let mut names: Vec<_> = self.named.iter().map(|(method, _)| method.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests;
