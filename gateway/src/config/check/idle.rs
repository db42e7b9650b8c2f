//! Keys of a route that do nothing, because of its `auth`. Whoever wrote one expects it to.

use super::Context;
use crate::config::checked::{Auth, OnStoreDown};
use crate::config::places::join;
use crate::config::written::Route;

/// Whether the token is looked at.
pub(super) const fn asks(auth: Auth) -> bool {
    !matches!(auth, Auth::None | Auth::Deny)
}

/// Notes every key of the route at `path` that is without effect. A `false` says what is so anyway.
pub(super) fn keys(path: &str, route: &Route, cx: &mut Context<'_>) {
    let asks = asks(route.auth);
    let forwards = route.auth != Auth::Deny;
    if route.apps.is_some() && !asks {
        let help = "remove `apps`, or set `auth = \"required\"` to admit the users of these apps only";
        let why = "where nobody is asked for a token, `apps` admits and refuses nobody";
        cx.wrong(&join(path, "apps"), why, help);
    }
    if route.token_in_query && forwards && !asks {
        let help = "remove it, or set an `auth` that looks at the token";
        cx.wrong(&join(path, "token_in_query"), "where nobody is asked for a token, this does nothing", help);
    }
    if route.renew == Some(true) && forwards && !asks {
        let help = "remove it, or set an `auth` that looks at the token";
        cx.wrong(&join(path, "renew"), "where nobody is asked for a token, none is renewed", help);
    }
    let denies = route.on_store_down == OnStoreDown::Deny;
    if denies && forwards && !asks {
        let help = "remove it, or set an `auth` that looks at the token";
        cx.wrong(&join(path, "on_store_down"), "where nobody is asked for a token, nobody is denied", help);
    }
    let of_what_passes = [
        ("websocket", route.websocket),
        ("strip_prefix", route.strip_prefix.is_some()),
        ("rate", route.rate.is_some()),
        ("body_bytes_max", route.body_bytes_max.is_some()),
        ("token_in_query", route.token_in_query),
        ("renew", route.renew == Some(true)),
        ("forward_token", route.forward_token),
        ("on_store_down", denies),
    ];
    for (key, _) in of_what_passes.iter().filter(|(_, given)| *given && !forwards) {
        let help = "remove it, or set an `auth` that lets some request pass";
        cx.wrong(&join(path, key), "where every request is refused, this does nothing", help);
    }
}
