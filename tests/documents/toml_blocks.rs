//! Configs from documents, made checkable: parts of one are completed, and every secret they name is there.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use auth_core::keys::{Algorithm, generate};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::harness::{run, secret, wxgate};

/// What a part of a config leaves out. What the document says stands over it.
const REST: &str = r#"
version = 1
[token]
keys = [{ kid = "rest", env = "REST_KEY" }]
[store]
keys = [{ kid = "rest", env = "REST_STORE_KEY" }]
[app.shop]
appid = "wx1111111111111111"
secret = { env = "REST_SECRET" }
[upstream.service]
servers = ["127.0.0.1:3000"]
"#;

/// Fails with what `wxgate check` says, if it has anything to say.
pub(super) fn check(document: &str, text: &str) {
    let shown: Table = text.parse().unwrap_or_else(|error| panic!("{document}: {error}\n{text}"));
    let whole = shown.contains_key("version");
    let mut config = if whole { Table::new() } else { REST.parse().expect("the rest is TOML") };
    lay_over(&mut config, shown);
    let folder = TempDir::with_prefix("wxgate-documents").expect("a temporary folder can be made");
    let (mut config, mut variables) = (Value::Table(config), Vec::new());
    // The folder of the sessions comes with the machine that runs it.
    if let Some(Value::String(path)) = config.get_mut("store").and_then(|store| store.get_mut("path")) {
        *path = folder.path().join("sessions.redb").display().to_string();
    }
    provide(&mut config, folder.path(), &mut variables);
    let file = folder.path().join("wxgate.toml");
    std::fs::write(&file, toml::to_string(&config).expect("a table is TOML"))
        .expect("the folder can be written");
    let answer = run(wxgate().args(["check", "--config"]).arg(&file).envs(variables));
    let said = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success(), "{document} shows a config that does not start:\n{said}\n{text}");
    // A part does not use what completes it, but a whole config has nothing to be warned about.
    assert!(!whole || said.is_empty(), "{document} shows a config with warnings:\n{said}\n{text}");
}

fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay_over(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

/// Makes every secret that is named: variables are collected, files are written and named anew.
fn provide(value: &mut Value, folder: &Path, variables: &mut Vec<(String, String)>) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| provide(value, folder, variables)),
        Value::Table(table) => {
            if let Some(Value::String(name)) = table.get("env") {
                variables.push((name.clone(), a_secret(name)));
            }
            if let Some(Value::String(file)) = table.get_mut("file") {
                let path = folder.join(file.trim_start_matches('/').replace('/', "-"));
                // A file that is called after an algorithm holds such a key.
                if file.contains("es256") {
                    write_secret(&path, generate(Algorithm::Es256).expose_secret());
                } else {
                    write_secret(&path, &a_secret(file));
                }
                *file = path.display().to_string();
            }
            if let (Some(Value::String(chain)), Some(Value::String(key))) =
                (table.get("chain").cloned(), table.get("key").cloned())
            {
                let made = rcgen::generate_simple_self_signed(vec![format!("shop{}.test", chain.len())]);
                let made = made.expect("a certificate can be made");
                for (name, file, text) in
                    [("chain", chain, made.cert.pem()), ("key", key, made.signing_key.serialize_pem())]
                {
                    let path = folder.join(file.trim_start_matches('/').replace('/', "-"));
                    write_secret(&path, &text);
                    table.insert(name.to_owned(), path.display().to_string().into());
                }
            }
            table.iter_mut().for_each(|(_, value)| provide(value, folder, variables));
        }
        _ => {}
    }
}

/// Of its own for each name, fit for a key and for an AppSecret; for a Redis its address.
fn a_secret(name: &str) -> String {
    if name.to_lowercase().contains("redis") {
        return "redis://:password@127.0.0.1".to_owned();
    }
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let digits = (0..8).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    });
    secret(digits.collect::<String>())
}

fn write_secret(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let file = file.as_mut().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::io::Write::write_all(file, text.as_bytes()).expect("the folder can be written");
}
