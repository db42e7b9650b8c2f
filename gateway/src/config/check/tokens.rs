//! `[token]` and `[session]`.

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName};
use secrecy::ExposeSecret as _;

use super::{Context, keys, names, serving};
use crate::config::Mode;
use crate::config::checked::{Session, Token, TokenKey};
use crate::config::places::{item, join};
use crate::config::values::{Secret, Time};
use crate::config::written;

const SECOND: Time = Time::secs(1);

pub(super) fn token(written: written::Token, cx: &mut Context<'_>) -> Token {
    issuer(&written.issuer, cx);
    query(&written.query, cx);
    let headers = headers(&written.headers, cx);
    let ttl = cx.within("token.ttl", written.ttl, SECOND..=Time::secs(30 * 86_400)).0;
    Token {
        leeway: cx.within("token.leeway", written.leeway, Time::secs(0)..=Time::secs(60)).0,
        cache_entries: serving::count(cx, "token.cache_entries", written.cache_entries, 0, 1_000_000_000)
            as u64,
        keys: token_keys(written.keys, cx),
        ttl,
        renew: written.renew,
        issuer: written.issuer,
        headers,
        query: written.query,
    }
}

fn issuer(text: &str, cx: &mut Context<'_>) {
    if !(1..=256).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
        cx.wrong(
            "token.issuer",
            "must be 1 to 256 visible ASCII characters",
            "write \"wxgate\" or the address of the gateway",
        );
    }
}

fn query(text: &str, cx: &mut Context<'_>) {
    if !names::is_name(text) {
        cx.wrong("token.query", "must be 1 to 64 of A-Z a-z 0-9 . _ -", "write \"token\"");
    }
}

fn headers(written: &[String], cx: &mut Context<'_>) -> Vec<HeaderName> {
    if written.is_empty() {
        let help = "write `headers = [\"authorization\"]`";
        cx.missing("token.headers", "without a header no token would ever be found", help);
    }
    let mut headers: Vec<HeaderName> = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let path = item("token.headers", index);
        let Some(name) = token_header(&path, text, cx) else { continue };
        if headers.iter().any(|other| names::alias(other.as_str()) == names::alias(name.as_str())) {
            cx.wrong(&path, "this header is listed before", "remove one of the two");
        }
        headers.push(name);
    }
    headers
}

fn token_header(path: &str, text: &str, cx: &mut Context<'_>) -> Option<HeaderName> {
    if text.eq_ignore_ascii_case(AUTHORIZATION.as_str()) {
        Some(AUTHORIZATION)
    } else {
        names::header(path, text, cx)
    }
}

fn token_keys(written: Vec<written::TokenKey>, cx: &mut Context<'_>) -> Vec<TokenKey> {
    if written.is_empty() {
        let help =
            "write `keys = [{ kid = \"2026-11\", file = \"/run/secrets/wxgate_key\" }]` under `[token]`";
        cx.missing("token.keys", "at least one signing key is needed", help);
    }
    let mut keys: Vec<TokenKey> = Vec::new();
    for (index, key) in written.into_iter().enumerate() {
        let path = item("token.keys", index);
        let kid = kid(&path, key.kid.as_deref(), keys.iter().map(|key| key.kid.as_str()), cx);
        let secret = Secret::of(key.env, key.file, key.secret);
        let material = material(&path, &secret, keys::key_wrong, cx);
        if let (Some(kid), Some(material)) = (kid, material) {
            keys.push(TokenKey { kid, material });
        }
    }
    keys
}

/// The name of the key at `path`, none of those of the keys `before` it.
pub(super) fn kid<'k>(
    path: &str,
    written: Option<&str>,
    mut before: impl Iterator<Item = &'k str>,
    cx: &mut Context<'_>,
) -> Option<String> {
    let path = join(path, "kid");
    let Some(kid) = written else {
        cx.missing(&path, "the key needs a name", "write `kid = \"2026-11\"`");
        return None;
    };
    if !names::is_name(kid) {
        cx.wrong(&path, "must be 1 to 64 of A-Z a-z 0-9 . _ -", "write the month, such as \"2026-11\"");
    } else if before.any(|other| other == kid) {
        cx.wrong(
            &path,
            "another key has this name",
            "give each key a name of its own, and never use one again",
        );
    }
    Some(kid.to_owned())
}

/// The key at `path`; `wrong` says why a text cannot be one.
pub(super) fn material(
    path: &str,
    secret: &Secret,
    wrong: fn(&str, Mode) -> Option<keys::Wrong>,
    cx: &mut Context<'_>,
) -> Option<secrecy::SecretSlice<u8>> {
    if matches!(secret, Secret::Unclear) {
        if !["env", "file", "secret"].iter().any(|key| cx.is_unsure(&join(path, key))) {
            let help = "write `env = \"NAME\"` or `file = \"/run/secrets/wxgate_key\"` beside `kid`";
            cx.wrong(path, "name exactly one place of the key", help);
        }
        return None;
    }
    let text = keys::read(path, secret, cx)?;
    if let Some((message, help)) = wrong(text.expose_secret(), cx.mode) {
        cx.wrong(path, message, help);
    }
    Some(text.expose_secret().as_bytes().to_vec().into())
}

pub(super) fn session(written: &written::Session, ttl: Duration, cx: &mut Context<'_>) -> Session {
    let path = "session.lifetime";
    let lifetime = cx.within(path, written.lifetime, SECOND..=Time::secs(3650 * 86_400)).0;
    if lifetime < ttl {
        let help = "a token must not outlive its session: raise this, or lower `token.ttl`";
        cx.clash(path, "must not be below `token.ttl`", ("token.ttl", "the life of a token"), help);
    }
    Session { lifetime }
}
