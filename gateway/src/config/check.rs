//! From the config as written to the config as used: every rule that a type cannot hold.
//!
//! No check stops at a mistake. It notes it, goes on with a value that does no harm, and the whole is thrown away at the end.

mod admin;
mod context;
mod idle;
mod keys;
mod names;
mod pattern;
mod routes;
mod sections;
mod serving;
mod services;
mod store;
mod ties;
mod tls;
mod tokens;
mod weak;

pub(crate) use context::Context;

use super::checked::{Admin, Checked};
use super::written::File;

/// Checks `file`. What is wrong is noted in `cx`; then the result is none.
pub(crate) fn check(file: File, cx: &mut Context<'_>) -> Option<Checked> {
    version(file.version, cx);
    let server = serving::server(&file.server, !file.tls.listen.is_empty(), cx);
    let tls = tls::tls(&file.tls, &server, cx);
    let log = serving::log(&file.log, cx);
    let token = tokens::token(file.token, cx);
    let session = tokens::session(&file.session, token.ttl, cx);
    let store = store::store(file.store, &token.keys, cx);
    let wechat = sections::wechat(&file.wechat, cx);
    let login = sections::login(&file.login, cx);
    let endpoints = sections::endpoints(&file.endpoints, cx);
    let identity = sections::identity(&file.identity, &token.headers, cx);
    let apps = services::apps(&file.app, endpoints.login.is_some(), cx);
    let (admin, admin_services) = admin::admin(&file.admin, (&server, &tls), &token.keys, &apps.names, cx);
    let upstreams = services::upstreams(&file.upstream, &token, cx);
    let defaults = routes::Defaults { body_bytes_max: server.body_bytes_max, renew: token.renew };
    let routes = routes::routes(&file.route, &apps, &upstreams, defaults, cx);
    ties::check(&routes, &endpoints, cx);
    services::unused(&routes, &apps, &upstreams, cx);
    Some(Checked {
        server,
        tls,
        admin: Admin { services: admin_services.complete()?, ..admin },
        log,
        token,
        session,
        store,
        wechat,
        login,
        endpoints,
        identity,
        apps: apps.complete()?,
        upstreams: upstreams.complete()?,
        routes: routes.into_iter().collect::<Option<_>>()?,
        warnings: Vec::new(),
    })
}

/// Checks what who calls the private listener has to know of it.
pub(crate) fn private_listener(file: &File, asks: bool, cx: &mut Context<'_>) -> Option<Admin> {
    Some(admin::for_caller(&file.admin, asks, cx))
}

fn version(version: Option<i64>, cx: &mut Context<'_>) {
    match version {
        Some(1) => {}
        Some(_) => cx.wrong("version", "this wxgate reads version 1 only", "write `version = 1`"),
        None => cx.missing("version", "`version` is missing", "write `version = 1` at the top of the file"),
    }
}
