//! `[wechat]`, `[login]`, `[endpoints]`, `[identity]`.

use std::time::Duration;

use http::Uri;
use http::header::HeaderName;

use super::{Context, names, pattern, serving};
use crate::config::checked::{Endpoints, Identity, Login, Segment, Wechat};
use crate::config::places::item;
use crate::config::values::Time;
use crate::config::written;

pub(super) fn wechat(written: &written::Wechat, cx: &mut Context<'_>) -> Wechat {
    if written.base_urls.is_empty() {
        cx.missing("wechat.base_urls", "at least one address is needed", "leave it out for WeChat's own");
    }
    let mut base_urls = Vec::new();
    for (index, text) in written.base_urls.iter().enumerate() {
        match base_url(text) {
            Ok(url) => base_urls.push(url),
            Err((message, help)) => cx.wrong(&item("wechat.base_urls", index), message, help),
        }
    }
    let (connect_timeout, timeout) = wechat_times(written, cx);
    Wechat {
        base_urls,
        connect_timeout,
        timeout,
        concurrency: serving::count(cx, "wechat.concurrency", written.concurrency, 1, 10_000),
    }
}

/// The times that the client for WeChat takes: it refuses others, and then it is `wxgate run` that fails.
fn wechat_times(written: &written::Wechat, cx: &mut Context<'_>) -> (Duration, Duration) {
    let (connect, total) = ("wechat.connect_timeout", "wechat.timeout");
    let connect_timeout = serving::time(cx, connect, written.connect_timeout);
    let least = Time(Duration::from_millis(10));
    let timeout = cx.within(total, written.timeout, least..=WECHAT_TIMEOUT_MAX).0;
    let sure = !cx.is_unsure(connect) && !cx.is_unsure(total);
    let as_written = connect_timeout == written.connect_timeout.0 && timeout == written.timeout.0;
    if sure && as_written && connect_timeout >= timeout {
        // Where only one of the two is written, that one is at odds with the default of the other.
        if cx.is_given(connect) {
            let help = "connecting is a part of the exchange: lower this, or raise `wechat.timeout`";
            let other = (total, "the time of one exchange");
            cx.clash(connect, format!("must be less than `{total}` ({})", Time(timeout)), other, help);
        } else {
            let help = "connecting is a part of the exchange: raise this, or lower `wechat.connect_timeout`";
            cx.wrong(total, format!("must be more than `{connect}` ({})", Time(connect_timeout)), help);
        }
    }
    (connect_timeout, timeout)
}

/// After this long the mini program has given up by itself.
const WECHAT_TIMEOUT_MAX: Time = Time::secs(60);

/// An address without a final slash.
fn base_url(text: &str) -> Result<String, (&'static str, &'static str)> {
    const EXAMPLE: &str = "write \"https://api.weixin.qq.com\"";
    let text = text.strip_suffix('/').unwrap_or(text);
    let Ok(url) = text.parse::<Uri>() else { return Err(("not an address", EXAMPLE)) };
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(("an address needs a scheme and a host", EXAMPLE));
    };
    if url.path() != "/" || url.query().is_some() || authority.as_str().contains('@') || text.contains('#') {
        return Err(("an address is scheme, host and port only", EXAMPLE));
    }
    let ip = authority.host().trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let loopback = authority.host() == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if loopback => Ok(text.to_owned()),
        "http" => {
            Err(("plain http is accepted on loopback only: the AppSecret would travel in the open", EXAMPLE))
        }
        _ => Err(("the scheme must be https", EXAMPLE)),
    }
}

pub(super) fn login(written: &written::Login, cx: &mut Context<'_>) -> Login {
    let replay = cx.within("login.replay", written.replay, Time::secs(0)..=Time::secs(300)).0;
    Login {
        openid_in_answer: written.openid_in_answer,
        replay,
        rate: written.rate.0,
        budget: written.budget.0,
    }
}

pub(super) fn endpoints(written: &written::Endpoints, cx: &mut Context<'_>) -> Endpoints {
    let all = [
        ("endpoints.login", &written.login),
        ("endpoints.logout", &written.logout),
        ("endpoints.session", &written.session),
        ("endpoints.jwks", &written.jwks),
    ];
    for (number, (path, text)) in all.iter().enumerate().filter(|(_, (_, text))| !text.is_empty()) {
        endpoint(path, text, cx);
        if let Some((other, _)) = all[..number].iter().find(|(_, earlier)| earlier == text) {
            let help = "give each endpoint a path of its own, or turn one off with \"\"";
            cx.clash(path, "two endpoints have the same path", (*other, "the other one"), help);
        }
    }
    let on = |text: &String| (!text.is_empty()).then(|| text.clone());
    Endpoints {
        login: on(&written.login),
        logout: on(&written.logout),
        session: on(&written.session),
        jwks: on(&written.jwks),
    }
}

fn endpoint(path: &str, text: &str, cx: &mut Context<'_>) {
    match pattern::path(text) {
        Err((message, help)) => cx.wrong(path, message, help),
        Ok(found) if found.prefix || found.segments.iter().any(|s| matches!(s, Segment::Param(_))) => {
            cx.wrong(
                path,
                "an endpoint is one path, without `*` or `{…}`",
                "write a path such as \"/login\"",
            );
        }
        Ok(_) => {}
    }
}

pub(super) fn identity(written: &written::Identity, token: &[HeaderName], cx: &mut Context<'_>) -> Identity {
    let mut seen = Vec::new();
    let mut name = |key: &str, text: &str| {
        let path = format!("identity.{key}");
        identity_header(&path, text, token, &mut seen, cx)
    };
    let identity = Identity {
        openid: name("openid", &written.openid),
        appid: name("appid", &written.appid),
        unionid: name("unionid", &written.unionid),
        source: name("source", &written.source),
        assertion: name("assertion", &written.assertion),
        env: name("env", &written.env),
        also_protected: {
            let list = written.also_protected.iter().enumerate();
            list.map(|(index, text)| name(&item("also_protected", index), text)).collect()
        },
        env_value: written.env_value.clone(),
    };
    if !identity.env_value.as_deref().is_none_or(is_value) {
        cx.wrong(
            "identity.env_value",
            "must be 1 to 256 visible ASCII characters",
            "write \"prod\", or leave it out",
        );
    }
    identity
}

fn is_value(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A header that clients may not set: so it can be none in which they send their token.
fn identity_header(
    path: &str,
    text: &str,
    token: &[HeaderName],
    seen: &mut Vec<(String, String)>,
    cx: &mut Context<'_>,
) -> HeaderName {
    let fallback = HeaderName::from_static("x-wx-invalid");
    if text.eq_ignore_ascii_case("authorization") {
        cx.wrong(path, "`authorization` is a header with a meaning of its own", "choose another name");
        return fallback;
    }
    let Some(name) = names::header(path, text, cx) else { return fallback };
    let alias = names::alias(name.as_str());
    if token.iter().any(|header| names::alias(header.as_str()) == alias) {
        let help = "a protected header is removed from every request: choose another name for one of the two";
        cx.clash(path, "clients send their token in this header", ("token.headers", "named here"), help);
    }
    if let Some((_, other)) = seen.iter().find(|(known, _)| *known == alias) {
        let help =
            "services read `X-A`, `x_a` and `X.A` as one header: choose another name for one of the two";
        let other = other.clone();
        cx.clash(path, "two identity headers have the same name", (&other, "the other one"), help);
    }
    seen.push((alias, path.to_owned()));
    name
}
