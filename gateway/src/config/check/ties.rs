//! Routes that no rule of precedence could tell apart. The most specific route wins, whatever the order; so two that are
//! equally specific must not both match one request.

use std::collections::HashMap;

use http::Method;

use super::Context;
use crate::config::checked::{Endpoints, HostPattern, PathPattern, Route, Segment};
use crate::config::places::{item, join};

/// One host pattern of a route; none: any host.
type Host<'a> = Option<&'a HostPattern>;

/// Notes every route that ties with one before it or with an endpoint, and every name given twice.
pub(super) fn check(routes: &[Option<Route>], endpoints: &Endpoints, cx: &mut Context<'_>) {
    let mut seen: HashMap<(Host<'_>, String), Vec<(usize, &Route)>> = HashMap::new();
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (index, route) in
        routes.iter().enumerate().filter_map(|(index, route)| Some((index, route.as_ref()?)))
    {
        let shape = shape(&route.path);
        endpoint(index, &shape, endpoints, cx);
        let mut tied = None;
        for host in any_or_each(&route.hosts) {
            let others = seen.entry((host, shape.clone())).or_default();
            tied = tied.or(others
                .iter()
                .find(|(_, other)| overlap(&route.methods, &other.methods))
                .map(|found| found.0));
            others.push((index, route));
        }
        if let Some(other) = tied {
            tie(index, other, cx);
        } else if let Some(other) = names.insert(&route.name, index) {
            same_name(index, other, cx);
        }
    }
}

/// The path without what does not count for precedence: the names of parameters.
fn shape(path: &PathPattern) -> String {
    let segments = path.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => format!("/{text}"),
        Segment::Param(_) => "/{}".to_owned(),
    });
    segments.chain(path.prefix.then(|| "/*".to_owned())).collect()
}

fn any_or_each(hosts: &[HostPattern]) -> impl Iterator<Item = Host<'_>> {
    hosts.is_empty().then_some(None).into_iter().chain(hosts.iter().map(Some))
}

fn overlap(one: &[Method], other: &[Method]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|method| other.contains(method))
}

fn tie(index: usize, other: usize, cx: &mut Context<'_>) {
    let (path, other) = (join(&item("route", index), "path"), join(&item("route", other), "path"));
    let help = "two routes with the same path need different `hosts` or `methods`";
    cx.clash(
        &path,
        "two routes match the same requests, and neither is more specific",
        (&other, "the other route"),
        help,
    );
}

fn same_name(index: usize, other: usize, cx: &mut Context<'_>) {
    let key = |index| {
        let route = item("route", index);
        let name = join(&route, "name");
        if cx.is_given(&name) { name } else { join(&route, "path") }
    };
    let (path, other) = (key(index), key(other));
    cx.clash(
        &path,
        "two routes have the same name",
        (&other, "the other route"),
        "logs and metrics need to tell them apart",
    );
}

fn endpoint(index: usize, shape: &str, endpoints: &Endpoints, cx: &mut Context<'_>) {
    let all = [
        ("endpoints.login", &endpoints.login),
        ("endpoints.logout", &endpoints.logout),
        ("endpoints.session", &endpoints.session),
        ("endpoints.jwks", &endpoints.jwks),
    ];
    if let Some((key, _)) = all.iter().find(|(_, path)| path.as_deref() == Some(shape)) {
        let path = join(&item("route", index), "path");
        let help = format!("choose another path, or move the endpoint by `{key}`");
        cx.wrong(&path, format!("the gateway answers this path itself (`{key}`)"), help);
    }
}
