//! `[app.NAME]` and `[upstream.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use auth_core::wechat::WechatApp;
use auth_core::{AppId, AppSecret};
use secrecy::ExposeSecret as _;

use super::{Context, keys, names, serving};
use crate::config::checked::{App, Auth, Route, ServerAddress, Token, Upstream};
use crate::config::places::{item, join};
use crate::config::written;

/// Tables with names, in the order of the file. Those that are wrong keep their place, so that their names resolve.
pub(super) struct Named<T> {
    pub(super) names: Vec<String>,
    tables: Vec<Option<T>>,
}

impl<T> Named<T> {
    pub(super) fn of<W>(
        kind: &str,
        written: &BTreeMap<String, W>,
        cx: &mut Context<'_>,
        mut check: impl FnMut(&str, &str, &W, &mut Context<'_>) -> Option<T>,
    ) -> Self {
        let mut tables: Vec<_> =
            written.iter().map(|(name, table)| (join(kind, name), name, table)).collect();
        tables.sort_by_key(|(path, ..)| cx.position(path));
        let mut named = Self { names: Vec::new(), tables: Vec::new() };
        for (path, name, table) in tables {
            if !names::is_name(name) {
                cx.wrong(&path, "a name is 1 to 64 of A-Z a-z 0-9 . _ -", "choose another name");
            }
            named.tables.push(check(&path, name, table, cx));
            named.names.push(name.clone());
        }
        named
    }

    /// All tables, if none of them is wrong.
    pub(super) fn complete(self) -> Option<Vec<T>> {
        self.tables.into_iter().collect()
    }
}

/// The numbers of `names`, which stand in the list at `path`, among the apps.
pub(super) fn named_apps(path: &str, names: &[String], apps: &[String], cx: &mut Context<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let path = item(path, index);
        match cx.resolve(&path, "app", name, apps) {
            Some(app) if found.contains(&app) => {
                cx.wrong(&path, "this app is listed before", "remove one of the two");
            }
            Some(app) => found.push(app),
            None => {}
        }
    }
    found
}

pub(super) fn apps(
    written: &BTreeMap<String, written::App>,
    login: bool,
    cx: &mut Context<'_>,
) -> Named<App> {
    if written.is_empty() && login {
        let help = "add `[app.NAME]` with `appid` and `secret`, or turn `endpoints.login` off with \"\"";
        cx.missing("app", "at least one app is needed while login is on", help);
    }
    let mut appids: Vec<(AppId, String)> = Vec::new();
    Named::of("app", written, cx, |path, name, app, cx| {
        let appid = appid(path, app, &mut appids, cx);
        let secret = app_secret(path, app, cx);
        Some(App { name: name.into(), wechat: WechatApp { appid: appid?, secret: secret? } })
    })
}

fn appid(
    path: &str,
    app: &written::App,
    known: &mut Vec<(AppId, String)>,
    cx: &mut Context<'_>,
) -> Option<AppId> {
    let path = join(path, "appid");
    let Some(text) = &app.appid else {
        cx.missing(
            &path,
            "the appid is missing",
            "copy it from the console at mp.weixin.qq.com, under Development",
        );
        return None;
    };
    let Ok(appid) = AppId::parse(text) else {
        let shape = "an appid is `wx` and 16 lower-case hex digits";
        cx.wrong(&path, "not an appid", format!("{shape}; copy it from the console at mp.weixin.qq.com"));
        return None;
    };
    if let Some((_, other)) = known.iter().find(|(earlier, _)| *earlier == appid) {
        let other = other.clone();
        cx.clash(&path, "another app has this appid", (&other, "the other one"), "keep one of the two");
    }
    known.push((appid.clone(), path));
    Some(appid)
}

fn app_secret(path: &str, app: &written::App, cx: &mut Context<'_>) -> Option<AppSecret> {
    let path = join(path, "secret");
    let Some(secret) = &app.secret else {
        cx.missing(
            &path,
            "the AppSecret is missing",
            "write `secret = { env = \"NAME\" }` or `secret = { file = \"…\" }`",
        );
        return None;
    };
    let text = keys::read(&path, secret, cx)?;
    if let Some((message, help)) = keys::app_secret_wrong(text.expose_secret(), cx.mode) {
        cx.wrong(&path, message, help);
        return None;
    }
    AppSecret::new(text.expose_secret().to_owned())
}

pub(super) fn upstreams(
    written: &BTreeMap<String, written::Upstream>,
    token: &Token,
    cx: &mut Context<'_>,
) -> Named<Upstream> {
    // Where there is no key, that is the mistake.
    let secret_signs = token.keys.first().is_some_and(|key| !keys::is_private(key.material.expose_secret()));
    Named::of("upstream", written, cx, |path, name, upstream, cx| {
        if upstream.assertion && secret_signs {
            let help = "put a new key there: wxgate keygen --alg es256 --out FILE";
            let why = "an assertion needs an ES256 or EdDSA key first in `token.keys`";
            cx.clash(&join(path, "assertion"), why, ("token.keys", "the first signs"), help);
        }
        Some(checked_upstream(path, name, upstream, cx))
    })
}

fn checked_upstream(path: &str, name: &str, written: &written::Upstream, cx: &mut Context<'_>) -> Upstream {
    let key = |key: &str| join(path, key);
    Upstream {
        name: Arc::from(name),
        servers: servers(&key("servers"), &written.servers, cx),
        connect_timeout: serving::time(cx, &key("connect_timeout"), written.connect_timeout),
        read_timeout: serving::time(cx, &key("read_timeout"), written.read_timeout),
        write_timeout: serving::time(cx, &key("write_timeout"), written.write_timeout),
        idle_timeout: serving::time(cx, &key("idle_timeout"), written.idle_timeout),
        websocket_idle_timeout: serving::time(
            cx,
            &key("websocket_idle_timeout"),
            written.websocket_idle_timeout,
        ),
        tries: serving::count(cx, &key("tries"), written.tries, 1, 16),
        assertion: written.assertion,
        host: written.host.clone().inspect(|text| sent_host(&key("host"), text, cx)),
    }
}

fn servers(path: &str, written: &[String], cx: &mut Context<'_>) -> Vec<ServerAddress> {
    if written.is_empty() {
        cx.missing(path, "an upstream needs at least one server", "write `servers = [\"goods:3000\"]`");
    }
    let mut servers = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match names::server_address(text) {
            Err((message, help)) => cx.wrong(&item(path, index), message, help),
            Ok(server) if servers.contains(&server) => {
                cx.wrong(&item(path, index), "this server is listed before", "remove one of the two");
            }
            Ok(server) => servers.push(server),
        }
    }
    servers
}

/// The `Host` to send: a host, with or without a port.
fn sent_host(path: &str, text: &str, cx: &mut Context<'_>) {
    let lower = text.to_ascii_lowercase();
    if !names::is_host(&lower) && names::server_address(text).is_err() {
        cx.wrong(path, "not a host", "write \"goods.internal\" or \"goods.internal:3000\"");
    }
}

/// What no route uses was probably forgotten in one.
pub(super) fn unused(
    routes: &[Option<Route>],
    apps: &Named<App>,
    upstreams: &Named<Upstream>,
    cx: &mut Context<'_>,
) {
    let routes: Vec<_> = routes.iter().flatten().collect();
    if routes.is_empty() && !cx.is_unsure("route") {
        cx.warn("route", "no route leads to any service");
    }
    for (index, name) in upstreams.names.iter().enumerate() {
        if !routes.iter().any(|route| route.upstream == Some(index)) {
            cx.warn(&join("upstream", name), "no route uses this upstream");
        }
    }
    let admits = |route: &Route, app| {
        route.auth != Auth::Deny && route.apps.as_ref().is_none_or(|apps| apps.contains(&app))
    };
    for (index, name) in apps.names.iter().enumerate() {
        if !routes.is_empty() && !routes.iter().any(|route| admits(route, index)) {
            cx.warn(&join("app", name), "no route admits the users of this app");
        }
    }
}
