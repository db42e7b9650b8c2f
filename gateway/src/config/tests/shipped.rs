//! The files that we ship: each loads, and `wxgate.toml` tells the truth about every default.

use serde_json::Value;

use super::{Vault, certificate, load_with, told};
use crate::config::{Checked, Mode, schema};

fn text(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../config/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The secrets that the shipped files name.
fn vault() -> Vault {
    let vault = Vault::full();
    let store_key = "9Zp6wq3mXn1YvT0bGk8sJd5hLr2cFa7eQu4iWo9xEyE=\n";
    let mut vault = vault.with_file("/run/secrets/wxgate_store_key", store_key, 0o600);
    vault.env.insert("REDIS_URL", "rediss://:secret@redis.example.com".into());
    vault.env.insert("WX_SHOP_SECRET", "f3c1a97be0d2456889ab10c7d35e6f42".into());
    let token = "uB4sX8kQz2WvJc6Tn9RyLm3Hd7PgFa5e\n";
    let vault = vault.with_file("/run/secrets/wxgate_admin_token", token, 0o600);
    let token = "mK7wR2xVb9QeT4yZc6HsJ8uDn5Lf3GpA\n";
    let vault = vault.with_file("/run/secrets/wxgate_order_token", token, 0o600);
    let (chain, key) = certificate(&["shop.example.com"]);
    let vault = vault.with_file("/etc/wxgate/redis-ca.pem", &chain, 0o644);
    let vault = vault.with_file("/etc/wxgate/fullchain.pem", &chain, 0o644).with_file(
        "/etc/wxgate/privkey.pem",
        &key,
        0o600,
    );
    vault.with_file("/run/secrets/wx_merchant", "09d2f4b6c8e1a35779bd0e2c46f8a1b3\n", 0o600).with_file(
        "/run/secrets/wxgate_key",
        "q7Jm0m8YQ4yqk0Pq3mQ5tq0m0Z9S7c2X\n",
        0o600,
    )
}

fn loaded(text: &str, mode: Mode) -> Checked {
    load_with(text, mode, &vault()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn every_shipped_file_loads_without_a_warning() {
    let folder = format!("{}/../config", env!("CARGO_MANIFEST_DIR"));
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".toml")).collect();
    names.sort();
    assert_eq!(names, ["dev.toml", "production.toml", "wxgate.toml"]);
    for name in names {
        let mode = if name == "dev.toml" { Mode::Dev } else { Mode::Normal };
        let mut warnings = loaded(&text(&name), mode).warnings;
        // The folder of its store comes with the machine that runs it.
        warnings
            .retain(|warning| name != "production.toml" || !warning.contains(": store.path: there is no"));
        assert_eq!(warnings, [""; 0], "{name}");
    }
}

#[test]
fn no_shipped_file_starts_as_it_is() {
    for name in ["dev.toml", "production.toml", "wxgate.toml"] {
        let mistakes = load_with(&text(name), Mode::Normal, &Vault::default()).unwrap_err();
        let secret = |line: &String| {
            [" app.", " admin.", " token.keys[", " store.keys["].iter().any(|key| line.contains(key))
        };
        assert!(told(&mistakes).iter().all(secret), "only the secrets are wrong in {name}: {mistakes}");
    }
}

#[test]
fn the_development_config_stays_on_this_machine() {
    let dev = loaded(&text("dev.toml"), Mode::Dev);
    assert!(dev.server.listen.iter().all(|address| address.ip().is_loopback()));
    assert_eq!(dev.wechat.base_urls, ["http://127.0.0.1:9100"]);
    let apps: Vec<_> = dev.apps.iter().map(|app| (&*app.name, app.wechat.appid.as_str())).collect();
    assert_eq!(apps, [("shop", "wx1111111111111111"), ("merchant", "wx2222222222222222")]);
}

/// `text` with the settings behind `mark` in force.
fn uncommented(text: &str, mark: &str) -> (String, Vec<String>) {
    let mut shown = Vec::new();
    let lines = text.lines().map(|line| match line.strip_prefix(mark) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) && rest.contains(" = ") => {
            shown.push(rest.to_owned());
            rest
        }
        _ => line,
    });
    (lines.collect::<Vec<_>>().join("\n"), shown)
}

#[test]
fn the_defaults_in_the_full_file_are_the_defaults() {
    let file = text("wxgate.toml");
    let (with_defaults, shown) = uncommented(&file, "#");
    assert!(shown.len() > 45, "only {shown:?}");
    assert_eq!(
        format!("{:#?}", loaded(&with_defaults, Mode::Normal)),
        format!("{:#?}", loaded(&file, Mode::Normal))
    );
    let (with_examples, shown) = uncommented(&with_defaults, "#- ");
    assert!(shown.len() > 14, "only {shown:?}");
    // Sessions are kept in one place.
    let without = |keys: &[&str]| {
        let stays = |line: &&str| !keys.iter().any(|key| line.starts_with(key));
        with_examples.lines().filter(stays).collect::<Vec<_>>().join("\n")
    };
    loaded(&without(&["redis"]), Mode::Normal);
    let in_file = ["kind = \"embedded\"", "path = \"wxgate.redb\"", "sessions_max"];
    let in_redis = format!("{:?}", loaded(&without(&in_file), Mode::Normal).store);
    // The examples are the defaults here, too.
    for default in ["\"wxg\"", "connect: 500ms", "command: 1s", "reread: 10s", "stale_after: 15s"] {
        assert!(in_redis.contains(default), "{default} is not in {in_redis}");
    }
}

#[test]
fn the_full_file_shows_every_key() {
    let (text, _) = uncommented(&uncommented(&text("wxgate.toml"), "#").0, "#- ");
    let file: toml::Table = text.parse().unwrap();
    let file = serde_json::to_value(file).unwrap();
    let mut keys = 0;
    compare(&schema(), &file, "", &mut keys);
    assert!(keys > 70, "only {keys} keys");
}

/// Every key of `schema` must be in `shown`, by way of the first item of each list and the only table of each kind.
fn compare(schema: &Value, shown: &Value, path: &str, keys: &mut usize) {
    // One place of a secret is enough.
    if schema["title"] == "secret" || [".token.keys", ".store.keys"].contains(&path) {
        return;
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        *keys += 1;
        let there = shown.get(key).unwrap_or_else(|| panic!("{path}.{key} is not shown"));
        let first = |value: &Value| value.as_object().and_then(|map| map.values().next().cloned());
        let there =
            match (inner.get("items"), inner.get("additionalProperties").filter(|inner| inner.is_object())) {
                (Some(_), _) => there.get(0).cloned(),
                (_, Some(_)) => first(there),
                _ => Some(there.clone()),
            };
        let inner = ["items", "additionalProperties"]
            .iter()
            .find_map(|key| inner.get(key).filter(|s| s.is_object()))
            .unwrap_or(inner);
        compare(inner, &there.unwrap_or_default(), &format!("{path}.{key}"), keys);
    }
}
