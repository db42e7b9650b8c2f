//! `[admin]` and `[admin.service.NAME]`.

use std::net::{Ipv4Addr, SocketAddr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret as _, SecretString};

use super::services::{self, Named};
use super::serving::{listener, overlap};
use super::{Context, keys};
use crate::config::checked::{Admin, AdminService, Server, Tls, TokenKey};
use crate::config::values::Secret;
use crate::config::written;

/// `keys` sign tokens; `apps` are the names of all. The services come apart: one that is wrong is none.
pub(super) fn admin(
    written: &written::Admin,
    (server, tls): (&Server, &Tls),
    keys: &[TokenKey],
    apps: &[String],
    cx: &mut Context<'_>,
) -> (Admin, Named<AdminService>) {
    let token = written.token.as_ref();
    let listen = listen(&written.listen, token.is_some() || cx.is_unsure("admin.token"), cx);
    let mut known = Vec::new();
    let token = token.and_then(|secret| credential("admin.token", secret, keys, &mut known, cx));
    if server.listen.iter().chain(&tls.listen).any(|public| overlap(*public, listen)) {
        let help = "choose another port, such as 9090";
        cx.wrong("admin.listen", "the private listener needs a port of its own", help);
    }
    let services = Named::of("admin.service", &written.service, cx, |path, name, service, cx| {
        let token = service_token(path, service, keys, &mut known, cx);
        let named = |names: &Vec<String>| services::named_apps(&format!("{path}.apps"), names, apps, cx);
        let apps = service.apps.as_ref().map(named);
        Some(AdminService { name: name.into(), token: token?, apps, checks: service.checks.0 })
    });
    (Admin { listen, token, services: Vec::new() }, services)
}

fn service_token(
    path: &str,
    service: &written::AdminService,
    keys: &[TokenKey],
    known: &mut Vec<(String, SecretString)>,
    cx: &mut Context<'_>,
) -> Option<SecretString> {
    let path = format!("{path}.token");
    let Some(secret) = &service.token else {
        cx.missing(
            &path,
            "a service needs a credential",
            "write `token = { env = \"NAME\" }` or `{ file = \"…\" }`",
        );
        return None;
    };
    credential(&path, secret, keys, known, cx)
}

/// For who calls it: where it is, and the credential if they ask for it.
pub(super) fn for_caller(written: &written::Admin, asks: bool, cx: &mut Context<'_>) -> Admin {
    let token = written.token.as_ref().filter(|_| asks);
    Admin {
        listen: listen(&written.listen, true, cx),
        token: token.and_then(|secret| credential("admin.token", secret, &[], &mut Vec::new(), cx)),
        services: Vec::new(),
    }
}

/// Where it listens; on loopback alone unless it asks for a credential.
fn listen(text: &str, asks: bool, cx: &mut Context<'_>) -> SocketAddr {
    let (path, fallback) = ("admin.listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)));
    let Some(listen) = listener(path, text, cx) else { return fallback };
    if !listen.ip().is_loopback() && !asks {
        let help = "write \"127.0.0.1:9090\", or set `admin.token` (wxgate keygen --alg token)";
        cx.wrong(path, "the private listener must be on a loopback address: it asks for no credential", help);
    }
    listen
}

/// The credential at `path`, unlike all in `known` and no key.
fn credential(
    path: &str,
    secret: &Secret,
    token_keys: &[TokenKey],
    known: &mut Vec<(String, SecretString)>,
    cx: &mut Context<'_>,
) -> Option<SecretString> {
    let text = keys::read(path, secret, cx)?;
    if let Some((message, help)) = keys::credential_wrong(text.expose_secret(), cx.mode) {
        cx.wrong(path, message, help);
        return None;
    }
    let same = |other: &[u8]| verify_slices_are_equal(other, text.expose_secret().as_bytes()).is_ok();
    if let Some((other, _)) = known.iter().find(|(_, known)| same(known.expose_secret().as_bytes())) {
        let other = other.clone();
        cx.clash(
            path,
            "another caller has this credential",
            (&other, "the other one"),
            keys::HELP_CREDENTIAL,
        );
    }
    if token_keys.iter().any(|key| same(key.material.expose_secret())) {
        cx.wrong(path, "this is a key that signs tokens: a secret has one purpose", keys::HELP_CREDENTIAL);
    }
    known.push((path.to_owned(), text.clone()));
    Some(text)
}
