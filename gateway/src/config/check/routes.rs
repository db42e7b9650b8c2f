//! `[[route]]`, each by itself; [`ties`](super::ties) looks at them together.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use http::Method;

use super::pattern::{self, Wrong};
use super::services::{Named, named_apps};
use super::{Context, idle};
use crate::config::checked::{App, Auth, HostPattern, PathPattern, Rate, Route, Upstream};
use crate::config::places;
use crate::config::written;

/// Checks every route. Those that are wrong keep their place, so that the number of a route is its number in the file.
pub(super) fn routes(
    written: &[written::Route],
    apps: &Named<App>,
    upstreams: &Named<Upstream>,
    defaults: Defaults,
    cx: &mut Context<'_>,
) -> Vec<Option<Route>> {
    let known = Known { apps: &apps.names, upstreams: &upstreams.names, defaults };
    let routes = written.iter().enumerate();
    let mut routes: Vec<_> =
        routes.map(|(index, route)| known.route(&places::item("route", index), route, cx)).collect();
    name(&mut routes);
    routes
}

/// What holds for a route that says nothing else.
pub(super) struct Defaults {
    pub(super) body_bytes_max: u64,
    pub(super) renew: bool,
}

/// What a route may refer to.
struct Known<'a> {
    apps: &'a [String],
    upstreams: &'a [String],
    defaults: Defaults,
}

impl Known<'_> {
    fn route(&self, path: &str, written: &written::Route, cx: &mut Context<'_>) -> Option<Route> {
        let key = |key: &str| places::join(path, key);
        let hosts = list(&key("hosts"), written.hosts.as_deref(), pattern::host, cx);
        let methods = list(&key("methods"), written.methods.as_deref(), pattern::method, cx);
        let upstream = self.upstream(&key("upstream"), written, cx);
        let apps = self.apps(&key("apps"), written, cx);
        idle::keys(path, written, cx);
        websocket(&key("websocket"), written.websocket, &methods, cx);
        let rate = rate(&key("rate"), written.rate.as_ref(), cx);
        let name = given_name(&key("name"), written.name.as_deref(), cx);
        let pattern = path_pattern(&key("path"), written.path.as_deref(), cx)?;
        strip_prefix(&key("strip_prefix"), written.strip_prefix.as_deref(), &pattern, cx);
        Some(Route {
            name,
            hosts,
            path: pattern,
            methods,
            upstream,
            auth: written.auth,
            apps,
            websocket: written.websocket,
            strip_prefix: written.strip_prefix.clone(),
            rate,
            body_bytes_max: written.body_bytes_max.map_or(self.defaults.body_bytes_max, |size| size.0),
            token_in_query: written.token_in_query,
            renew: written.renew.unwrap_or(self.defaults.renew) && idle::asks(written.auth),
            forward_token: written.forward_token,
            on_store_down: written.on_store_down,
        })
    }

    fn upstream(&self, path: &str, route: &written::Route, cx: &mut Context<'_>) -> Option<usize> {
        match &route.upstream {
            Some(name) => cx.resolve(path, "upstream", name, self.upstreams),
            None if route.auth == Auth::Deny => None,
            None => {
                let help = "write `upstream = \"NAME\"`, or `auth = \"deny\"` to refuse every request";
                cx.missing(path, "a route needs an upstream", help);
                None
            }
        }
    }

    fn apps(&self, path: &str, route: &written::Route, cx: &mut Context<'_>) -> Option<Vec<usize>> {
        Some(named_apps(path, route.apps.as_ref()?, self.apps, cx))
    }
}

fn path_pattern(path: &str, written: Option<&str>, cx: &mut Context<'_>) -> Option<PathPattern> {
    let Some(text) = written else {
        cx.missing(path, "a route needs a path", "write `path = \"/*\"` for every path");
        return None;
    };
    note(path, pattern::path(text), cx)
}

/// Reads a list in which every item narrows the route. An empty one would match nothing, or by mistake everything.
fn list<T: PartialEq + Display>(
    path: &str,
    written: Option<&[String]>,
    read: impl Fn(&str) -> Result<T, Wrong>,
    cx: &mut Context<'_>,
) -> Vec<T> {
    let Some(written) = written else { return Vec::new() };
    if written.is_empty() {
        cx.missing(path, "an empty list matches no request", "leave it out to match every request");
    }
    let mut items = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let path = places::item(path, index);
        match note(&path, read(text), cx) {
            Some(item) if items.contains(&item) => {
                cx.wrong(&path, format!("`{item}` is listed before"), "remove one of the two");
            }
            Some(item) => items.push(item),
            None => {}
        }
    }
    items
}

fn websocket(path: &str, on: bool, methods: &[Method], cx: &mut Context<'_>) {
    if on && !methods.is_empty() && !methods.contains(&Method::GET) {
        cx.wrong(
            path,
            "a WebSocket starts with GET, which `methods` does not list",
            "add \"GET\" to `methods`",
        );
    }
}

fn strip_prefix(path: &str, written: Option<&str>, of: &PathPattern, cx: &mut Context<'_>) {
    if let Some(text) = written {
        note(path, pattern::strip_prefix(text, of), cx);
    }
}

fn rate(path: &str, written: Option<&written::Rate>, cx: &mut Context<'_>) -> Option<Rate> {
    let rate = written?;
    let Some(limit) = rate.limit else {
        cx.missing(&places::join(path, "limit"), "a rate needs a limit", "write `limit = \"20/s\"`");
        return None;
    };
    Some(Rate { per: rate.per, limit })
}

fn given_name(path: &str, written: Option<&str>, cx: &mut Context<'_>) -> Arc<str> {
    let name = written.unwrap_or_default();
    if written.is_some() && (!(1..=128).contains(&name.len()) || name.chars().any(char::is_control)) {
        cx.wrong(path, "a name is 1 to 128 bytes without control characters", "shorten it, or leave it out");
    }
    name.into()
}

fn note<T>(path: &str, read: Result<T, Wrong>, cx: &mut Context<'_>) -> Option<T> {
    read.map_err(|(message, help)| cx.wrong(path, message, help)).ok()
}

/// Names the routes that have no name: by the path, and where several have it, by method and host, too.
fn name(routes: &mut [Option<Route>]) {
    let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
    for route in routes.iter().flatten() {
        *seen.entry(Arc::clone(&route.path.text)).or_default() += 1;
    }
    for route in routes.iter_mut().flatten().filter(|route| route.name.is_empty()) {
        route.name = match seen.get(&route.path.text) {
            Some(2..) => full_name(route).into(),
            _ => Arc::clone(&route.path.text),
        };
    }
}

fn full_name(route: &Route) -> String {
    let methods: Vec<_> = route.methods.iter().map(Method::as_str).collect();
    let hosts: Vec<_> = route.hosts.iter().map(HostPattern::to_string).collect();
    let space = if methods.is_empty() { "" } else { " " };
    format!("{}{space}{}{}", methods.join(","), hosts.join(","), route.path.text)
}
