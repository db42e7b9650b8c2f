//! `[store]`.

mod redis;

use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::ExposeSecret as _;

use super::{Context, keys, tokens};
use crate::config::Mode;
use crate::config::checked::{Store, StoreKey, TokenKey};
use crate::config::places::{item, join};
use crate::config::values::Secret;
use crate::config::written::{self, StoreKind};

pub(super) fn store(written: written::Store, token_keys: &[TokenKey], cx: &mut Context<'_>) -> Store {
    let left_out = if written.redis.is_some() { StoreKind::Redis } else { StoreKind::Embedded };
    let kind = written.kind.unwrap_or(left_out);
    belong_together(kind, cx);
    let sessions_max = cx.within("store.sessions_max", written.sessions_max, 1..=1_000_000_000);
    match kind {
        StoreKind::Memory => Store::Memory { sessions_max },
        StoreKind::Embedded => {
            let path = written.path.as_deref();
            if path.is_some_and(|path| path.is_empty() || path.contains('\0')) {
                cx.wrong("store.path", "not a path of a file", "write \"wxgate.redb\", or leave it out");
            }
            let file = cx.resolve_file(path.unwrap_or("wxgate.redb"));
            store_folder(&file, cx);
            Store::Embedded { path: file, sessions_max, keys: store_keys(written.keys, token_keys, cx) }
        }
        StoreKind::Redis => redis::store(written, |keys, cx| store_keys(keys, token_keys, cx), cx),
    }
}

/// Notes every key of another kind of store than this. Whoever wrote one expects it to do something.
fn belong_together(kind: StoreKind, cx: &mut Context<'_>) {
    let (what, others): (_, &[&[&str]]) = match kind {
        StoreKind::Memory => ("in memory", &[&["path", "keys"], &redis::KEYS]),
        StoreKind::Embedded => ("in a file", &[&redis::KEYS]),
        StoreKind::Redis => ("in Redis", &[&["path", "sessions_max"]]),
    };
    for key in others.iter().copied().flatten() {
        let path = join("store", key);
        if cx.is_given(&path) {
            let help = match *key {
                "path" => "remove it, or set `kind = \"embedded\"`",
                "keys" => "remove it: what stays in memory is not sealed; or set `kind = \"embedded\"`",
                "sessions_max" => {
                    "remove it, and set `maxmemory` in Redis, with `maxmemory-policy noeviction`"
                }
                "redis" => "remove it, or leave `kind` out",
                _ => "remove it, or say where Redis is: redis = { env = \"REDIS_URL\" }",
            };
            cx.wrong(&path, format!("a store {what} has no `{key}`"), help);
        }
    }
}

/// A warning only: a config is often checked on another machine than the one that will run it, or before its disk is there.
fn store_folder(file: &Path, cx: &mut Context<'_>) {
    // A config has just been read from its folder.
    let folder = file.parent().filter(|folder| *folder != cx.folder);
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        cx.warn(
            "store.path",
            format!(
                "there is no folder {} on this machine; `wxgate run` needs it and does not make it",
                folder.display()
            ),
        );
    }
}

fn store_keys(
    written: Vec<written::StoreKey>,
    token_keys: &[TokenKey],
    cx: &mut Context<'_>,
) -> Vec<StoreKey> {
    // Of a kind that cannot be read, the keys say nothing.
    if written.is_empty() && cx.mode == Mode::Normal && !cx.is_unsure("store.kind") {
        let help = "run `wxgate keygen --alg aes256 --out /etc/wxgate/store.key`, and write \
                    `keys = [{ kid = \"2026-11\", file = \"/etc/wxgate/store.key\" }]` under `[store]`";
        cx.missing("store.keys", "where sessions are kept, a key must seal `session_key`", help);
    }
    let mut keys: Vec<StoreKey> = Vec::new();
    for (index, key) in written.into_iter().enumerate() {
        let path = item("store.keys", index);
        let kid = tokens::kid(&path, key.kid.as_deref(), keys.iter().map(|key| key.kid.as_str()), cx);
        let secret = Secret::of(key.env, key.file, key.secret);
        let material = tokens::material(&path, &secret, keys::seal_key_wrong, cx);
        let (Some(kid), Some(material)) = (kid, material) else { continue };
        let same = |key: &TokenKey| {
            verify_slices_are_equal(key.material.expose_secret(), material.expose_secret()).is_ok()
        };
        if token_keys.iter().any(same) {
            let help = "make another one: wxgate keygen --alg aes256";
            cx.wrong(&path, "this key signs tokens: a key has one purpose", help);
        }
        keys.push(StoreKey { kid, material });
    }
    keys
}
