//! Versions below which a dependency has a known hole. Advisory lists do not name all of them, so the numbers stand here.

use toml::{Table, Value};

use crate::harness::root;

/// Name (or `name*` for a family), lowest version, and what is wrong below it.
const FLOORS: [(&str, &str, &str); 5] = [
    (
        "pingora*",
        "0.9.1",
        "CVE-2026-105297, CVE-2026-105299: header floods; a client could nominate our headers away",
    ),
    ("h2", "0.4.16", "floods of resets, pings and empty frames cost it CPU and memory"),
    ("jsonwebtoken", "11.1.0", "CVE-2026-25537: a claim of the wrong type counted as absent"),
    ("rustls-webpki", "0.103.13", "see RustSec"),
    ("aws-lc-sys", "0.39.0", "see RustSec"),
];

/// What jsonwebtoken's other crypto backend pulls in. With two backends, or none, it panics at run time.
const OTHER_BACKEND: [&str; 6] = ["ed25519-dalek", "hmac", "p256", "p384", "rsa", "sha2"];

#[test]
fn no_dependency_is_older_than_its_last_hole() {
    let packages = packages();
    for (name, floor, why) in FLOORS {
        let locked: Vec<_> = packages.iter().filter(|package| is(name, text(package, "name"))).collect();
        assert!(!locked.is_empty(), "{name} is not in Cargo.lock: take it out of this list");
        for package in locked {
            let (name, version) = (text(package, "name"), text(package, "version"));
            assert!(numbers(version) >= numbers(floor), "{name} {version} is below {floor}: {why}");
        }
    }
}

#[test]
fn jsonwebtoken_has_exactly_one_crypto_backend() {
    let packages = packages();
    let mut locked = packages.iter().filter(|package| text(package, "name") == "jsonwebtoken");
    let (Some(package), None) = (locked.next(), locked.next()) else {
        panic!("Cargo.lock must have jsonwebtoken, and once");
    };
    let dependencies = package["dependencies"].as_array().expect("a list");
    let dependencies: Vec<_> = dependencies.iter().filter_map(Value::as_str).collect();
    let has = |name: &str| dependencies.iter().any(|found| found.split(' ').next() == Some(name));
    assert!(has("aws-lc-rs"), "jsonwebtoken has no aws_lc_rs backend: {dependencies:?}");
    let others: Vec<_> = OTHER_BACKEND.into_iter().filter(|name| has(name)).collect();
    assert!(others.is_empty(), "jsonwebtoken has the rust_crypto backend too: {others:?}");
}

fn packages() -> Vec<Table> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is there");
    let lock: Table = lock.parse().expect("Cargo.lock is TOML");
    let packages = lock["package"].as_array().expect("a list of packages");
    packages.iter().filter_map(Value::as_table).cloned().collect()
}

fn text<'a>(package: &'a Table, key: &str) -> &'a str {
    package[key].as_str().expect("a text")
}

fn is(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(family) => name == family || name.strip_prefix(family).is_some_and(|rest| rest.starts_with('-')),
        None => name == pattern,
    }
}

/// `1.2.3` as numbers. A pre-release or build mark is refused: it has no place in a comparison like this.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or_else(|_| panic!("{version}"))).collect()
}
