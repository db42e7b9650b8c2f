//! `[store]`.

use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::ExposeSecret as _;

use super::{Context, keys, tokens};
use crate::config::Mode;
use crate::config::checked::{Store, StoreKey, TokenKey};
use crate::config::places::item;
use crate::config::values::Secret;
use crate::config::written;

pub(super) fn store(written: written::Store, token_keys: &[TokenKey], cx: &mut Context<'_>) -> Store {
    let sessions_max = cx.within("store.sessions_max", written.sessions_max, 1..=1_000_000_000);
    let path = written.path.as_deref();
    match written.kind {
        written::StoreKind::Memory => {
            const HELP: &str = "or set `kind = \"embedded\"`";
            if path.is_some() {
                cx.wrong("store.path", "a store in memory has no file", format!("remove `path`, {HELP}"));
            }
            if !written.keys.is_empty() {
                cx.wrong("store.keys", "a store in memory seals nothing", format!("remove `keys`, {HELP}"));
            }
            Store::Memory { sessions_max }
        }
        written::StoreKind::Embedded => {
            if path.is_some_and(|path| path.is_empty() || path.contains('\0')) {
                cx.wrong("store.path", "not a path of a file", "write \"wxgate.redb\", or leave it out");
            }
            let file = cx.resolve_file(path.unwrap_or("wxgate.redb"));
            store_folder(&file, cx);
            Store::Embedded { path: file, sessions_max, keys: store_keys(written.keys, token_keys, cx) }
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
        cx.missing("store.keys", "a file of sessions needs a key that seals `session_key` in it", help);
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
