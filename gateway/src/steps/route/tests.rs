use std::sync::Arc;

use http::HeaderValue;

use super::*;
use crate::config::{Auth, OnStoreDown, PathPattern, Segment};

fn route(host: &str, path: &str, methods: &[Method]) -> config::Route {
    let hosts = match host {
        "" => vec![],
        _ => vec![
            host.strip_prefix("*.")
                .map_or(HostPattern::Exact(host.into()), |rest| HostPattern::Wildcard(rest.into())),
        ],
    };
    let (text, prefix) = path.strip_suffix("/*").map_or((path, false), |text| (text, true));
    let segment = |segment: &str| match segment.strip_prefix('{') {
        Some(name) => Segment::Param(name.trim_end_matches('}').into()),
        None => Segment::Literal(segment.into()),
    };
    config::Route {
        name: path.into(),
        hosts,
        path: PathPattern {
            text: Arc::from(path),
            segments: text.split('/').skip(1).map(segment).collect(),
            prefix,
        },
        methods: methods.to_vec(),
        upstream: Some(0),
        auth: Auth::Required,
        apps: None,
        websocket: false,
        strip_prefix: None,
        rate: None,
        body_bytes_max: 0,
        token_in_query: false,
        renew: false,
        forward_token: false,
        on_store_down: OnStoreDown::Allow,
    }
}

const ENDPOINTS_OF_DEFAULT: fn() -> Endpoints = || Endpoints {
    login: Some("/login".into()),
    logout: Some("/logout".into()),
    session: None,
    jwks: Some("/.well-known/jwks.json".into()),
};

/// What each request leads to: the path of its route, the name of an endpoint, or a reason code.
fn leads(routes: &[config::Route], method: &Method, host: &str, path: &str) -> String {
    let router = Router::new(routes, &ENDPOINTS_OF_DEFAULT());
    let hosts = [host.as_bytes()];
    let target = crate::target::canonical(path.as_bytes(), hosts.into_iter(), 8192).unwrap();
    match router.find(&target, method) {
        Ok(Destination::Route(RouteId(n))) => {
            let host = match routes[n].hosts.first() {
                Some(HostPattern::Exact(host)) => host.clone(),
                Some(HostPattern::Wildcard(rest)) => format!("*.{rest}"),
                None => String::new(),
            };
            let methods: Vec<_> = routes[n].methods.iter().map(Method::as_str).collect();
            format!("{host}{}{}", routes[n].path.text, methods.join(","))
        }
        Ok(Destination::Endpoint(endpoint)) => endpoint.name().to_owned(),
        Err(denied) => denied.code().to_owned(),
    }
}

/// The verdicts hold whatever the order of the routes.
#[track_caller]
fn check(routes: Vec<config::Route>, cases: &[(&Method, &str, &str, &str)]) {
    let mut reversed = routes.clone();
    reversed.reverse();
    for routes in [&routes, &reversed] {
        for (method, host, path, wanted) in cases {
            assert_eq!(&leads(routes, method, host, path), wanted, "{method} {host}{path}");
        }
    }
}

#[test]
fn a_prefix_ends_at_a_segment() {
    check(
        vec![route("", "/public/*", &[]), route("", "/exact", &[])],
        &[
            (&Method::GET, "gw.test", "/public", "/public/*"),
            (&Method::GET, "gw.test", "/public/", "/public/*"),
            (&Method::GET, "gw.test", "/public/a/b", "/public/*"),
            (&Method::GET, "gw.test", "/publicadmin", "no_route"),
            (&Method::GET, "gw.test", "/public-admin", "no_route"),
            (&Method::GET, "gw.test", "/exact", "/exact"),
            (&Method::GET, "gw.test", "/exact/", "no_route"),
            (&Method::GET, "gw.test", "/EXACT", "no_route"),
            (&Method::GET, "gw.test", "/", "no_route"),
            (&Method::GET, "gw.test", "/{id}", "no_route"),
            (&Method::GET, "gw.test", "/*", "no_route"),
        ],
    );
}

#[test]
fn the_most_specific_path_wins() {
    check(
        vec![
            route("", "/*", &[]),
            route("", "/public/*", &[]),
            route("", "/public/internal/*", &[]),
            route("", "/item/{id}", &[]),
            route("", "/item/new", &[]),
            route("", "/item/{id}/detail", &[]),
            route("", "/item/{id}/*", &[]),
            route("", "/public", &[]),
            route("", "/{any}", &[]),
            route("", "/order/*", &[]),
            route("", "/order/{id}", &[]),
            route("", "/order/{id}/pay", &[]),
        ],
        &[
            (&Method::GET, "gw.test", "/x", "/{any}"),
            (&Method::GET, "gw.test", "/x/", "/*"),
            (&Method::GET, "gw.test", "/order", "/order/*"),
            (&Method::GET, "gw.test", "/order/", "/order/*"),
            (&Method::GET, "gw.test", "/order/7", "/order/{id}"),
            (&Method::GET, "gw.test", "/order/7/", "/order/*"),
            (&Method::GET, "gw.test", "/order/7/pay", "/order/{id}/pay"),
            (&Method::GET, "gw.test", "/order/7/refund", "/order/*"),
            (&Method::GET, "gw.test", "/", "/*"),
            (&Method::GET, "gw.test", "/x/y", "/*"),
            (&Method::GET, "gw.test", "/public", "/public"),
            (&Method::GET, "gw.test", "/public/", "/public/*"),
            (&Method::GET, "gw.test", "/public/internal", "/public/internal/*"),
            (&Method::GET, "gw.test", "/public/internal/x", "/public/internal/*"),
            (&Method::GET, "gw.test", "/public/internalx", "/public/*"),
            (&Method::GET, "gw.test", "/item/new", "/item/new"),
            (&Method::GET, "gw.test", "/item/7", "/item/{id}"),
            (&Method::GET, "gw.test", "/item/7/detail", "/item/{id}/detail"),
            (&Method::GET, "gw.test", "/item/new/detail", "/item/{id}/detail"),
            (&Method::GET, "gw.test", "/item/7/other", "/item/{id}/*"),
            (&Method::GET, "gw.test", "/item", "/{any}"),
            (&Method::POST, "gw.test", "/login", "login"),
            (&Method::GET, "gw.test", "/login", "method_not_allowed"),
        ],
    );
}

#[test]
fn the_host_comes_before_the_path_and_leaves_what_it_does_not_cover() {
    check(
        vec![
            route("shop.test", "/goods/*", &[]),
            route("*.test", "/*", &[]),
            route("", "/goods/special", &[]),
            route("", "/any/*", &[]),
        ],
        &[
            (&Method::GET, "shop.test", "/goods/special", "shop.test/goods/*"),
            (&Method::GET, "SHOP.test.:8080", "/goods/1", "shop.test/goods/*"),
            (&Method::GET, "shop.test", "/other", "*.test/*"),
            (&Method::GET, "b.test", "/goods/special", "*.test/*"),
            (&Method::GET, "a.b.test", "/goods/special", "/goods/special"),
            (&Method::GET, "elsewhere", "/any/1", "/any/*"),
            (&Method::GET, "elsewhere", "/other", "no_route"),
            (&Method::POST, "shop.test", "/login", "login"),
            (&Method::POST, "b.test", "/login", "login"),
            (&Method::POST, "elsewhere", "/login", "login"),
        ],
    );
}

#[test]
fn a_host_without_routes_has_no_login_either() {
    check(
        vec![route("shop.test", "/*", &[])],
        &[
            (&Method::POST, "shop.test", "/login", "login"),
            (&Method::POST, "unknown.test", "/login", "no_route"),
        ],
    );
}

#[test]
fn a_method_chooses_among_routes_of_one_path() {
    check(
        vec![
            route("", "/order/*", &[Method::GET, Method::HEAD]),
            route("", "/order/*", &[Method::POST]),
            route("", "/all/*", &[]),
            route("", "/all/*", &[Method::DELETE]),
        ],
        &[
            (&Method::GET, "gw.test", "/order/1", "/order/*GET,HEAD"),
            (&Method::POST, "gw.test", "/order/1", "/order/*POST"),
            (&Method::PUT, "gw.test", "/order/1", "method_not_allowed"),
            (&Method::DELETE, "gw.test", "/all/1", "/all/*DELETE"),
            (&Method::GET, "gw.test", "/all/1", "/all/*"),
        ],
    );
    let router = Router::new(&[route("", "/o", &[Method::POST, Method::GET])], &ENDPOINTS_OF_DEFAULT());
    let target = crate::target::canonical(b"/o", [b"gw.test".as_slice()].into_iter(), 8192).unwrap();
    let denied = router.find(&target, &Method::PUT).unwrap_err();
    assert_eq!(denied, Denied::MethodNotAllowed { allow: HeaderValue::from_static("GET, POST") });
}

#[test]
fn path_parameters_lead_nowhere_else() {
    check(
        vec![route("", "/*", &[]), route("", "/internal/*", &[]), route("", "/api/*", &[])],
        &[
            (&Method::GET, "gw.test", "/internal;x=1", "no_route"),
            (&Method::GET, "gw.test", "/internal;x=1/y", "no_route"),
            (&Method::GET, "gw.test", "/internal%3Bx=1/y", "no_route"),
            (&Method::GET, "gw.test", "/api/a;x=1/b", "/api/*"),
            (&Method::GET, "gw.test", "/x;y", "/*"),
        ],
    );
}

#[test]
fn ten_thousand_routes_are_found_like_ten() {
    let mut routes: Vec<_> = (0..10_000).map(|n| route("", &format!("/r{n}/{{id}}/*"), &[])).collect();
    routes.push(route("", "/*", &[]));
    assert_eq!(leads(&routes, &Method::GET, "gw.test", "/r9999/x/y"), "/r9999/{id}/*");
    assert_eq!(leads(&routes, &Method::GET, "gw.test", "/r10000/x/y"), "/*");
}
