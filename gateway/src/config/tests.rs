//! The loader as an operator meets it: a text goes in, a config or its mistakes come out.

mod mistakes;
mod paths;
mod secrets;
mod includes;
mod routing;
mod shipped;
mod tls;
mod properties;

use std::collections::HashMap;
use std::env::VarError;
use std::io;
use std::path::{Path, PathBuf};

use super::secrets::{SecretFile, Secrets};
use super::{Checked, Mistakes, Mode, load_bytes};

/// The secrets of a test.
#[derive(Default)]
struct Vault {
    env: HashMap<&'static str, String>,
    files: HashMap<PathBuf, (Vec<u8>, u32)>,
}

impl Secrets for Vault {
    fn env(&self, name: &str) -> Result<String, VarError> {
        self.env.get(name).cloned().ok_or(VarError::NotPresent)
    }

    fn file(&self, path: &Path) -> io::Result<SecretFile> {
        let found = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(SecretFile { bytes: found.0.clone(), mode: found.1 })
    }
}

impl Vault {
    /// What every test may name: `KEY`, `STORE_KEY`, `SHOP_SECRET`, `MERCHANT_SECRET` and `/run/secrets/key`.
    fn full() -> Self {
        let mut vault = Self::default();
        vault.env.insert("KEY", "Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4e".into());
        vault.env.insert("STORE_KEY", "9Zp6wq3mXn1YvT0bGk8sJd5hLr2cFa7eQu4iWo9xEyE=".into());
        vault.env.insert("SHOP_SECRET", "f3c1a97be0d2456889ab10c7d35e6f42".into());
        vault.env.insert("MERCHANT_SECRET", "09d2f4b6c8e1a35779bd0e2c46f8a1b3".into());
        vault.with_file("/run/secrets/key", "q7Jm0m8YQ4yqk0Pq3mQ5tq0m0Z9S7c2X\n", 0o600)
    }

    fn with_file(mut self, path: &str, text: &str, mode: u32) -> Self {
        self.files.insert(path.into(), (text.into(), mode));
        self
    }
}

/// A new certificate for these names, and its key, as PEM.
fn certificate(names: &[&str]) -> (String, String) {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

const MAIN: &str = "/etc/wxgate/wxgate.toml";

fn load_with(text: &str, mode: Mode, vault: &Vault) -> Result<Checked, Mistakes> {
    load_bytes(Path::new(MAIN), text.into(), mode, vault)
}

/// Loads `text`, completed with what every config needs: the version before it, the rest behind it.
fn load(text: &str) -> Result<Checked, Mistakes> {
    load_with(&completed(text), Mode::Normal, &Vault::full())
}

pub(super) fn for_tests(text: &str) -> Checked {
    load_with(&completed(text), Mode::Dev, &Vault::full()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn completed(text: &str) -> String {
    let mut whole = if text.contains("version =") { text.to_owned() } else { format!("version = 1\n{text}") };
    let mut needs = |there: &str, lines: &str| {
        if !text.lines().any(|line| line.trim_start_matches('#').starts_with(there)) {
            whole.push_str(lines);
        }
    };
    needs("[token]", "\n[token]\nkeys = [{ kid = \"a\", env = \"KEY\" }]\n");
    needs("[store]", "\n[store]\nkind = \"memory\"\n");
    needs("[app", "\n[app.shop]\nappid = \"wx1111111111111111\"\nsecret = { env = \"SHOP_SECRET\" }\n");
    needs("[upstream.goods", "\n[upstream.goods]\nservers = [\"goods:3000\"]\n");
    needs("[[route]]", "\n[[route]]\npath = \"/*\"\nupstream = \"goods\"\n");
    whole
}

/// Every mistake as `line key: message`.
fn told(mistakes: &Mistakes) -> Vec<String> {
    let line = |span| mistakes.sources.line(span).map_or(0, |line| line.number);
    mistakes.list.iter().map(|m| format!("{} {}: {}", line(&m.span), m.key, m.message)).collect()
}

/// Loads a text that says itself what is wrong with it: `# <- key: message` at the end of each wrong line, several parted by
/// ` & `. Each message may be the beginning of the real one. Nothing else may be wrong.
#[track_caller]
fn is_wrong_as_marked(text: &str) {
    let text = completed(text);
    let mut expected = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let marks = line.split_once("# <- ").map_or("", |(_, marks)| marks);
        expected.extend(marks.split(" & ").filter(|m| !m.is_empty()).map(|m| format!("{} {m}", number + 1)));
    }
    assert!(!expected.is_empty(), "nothing is marked in\n{text}");
    let found = load_with(&text, Mode::Normal, &Vault::full()).map_or_else(
        |mistakes| (told(&mistakes), mistakes.to_string()),
        |_| (Vec::new(), "no mistake".into()),
    );
    let same = found.0.len() == expected.len()
        && found.0.iter().zip(&expected).all(|(found, marked)| found.starts_with(marked));
    assert!(same, "marked: {expected:#?}\nfound: {:#?}\n{}\nin\n{text}", found.0, found.1);
}

#[test]
fn the_smallest_config_loads_with_every_default() {
    let checked = load("").unwrap();
    assert_eq!(checked.server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(checked.token.ttl.as_secs(), 7200);
    assert_eq!(checked.endpoints.login.as_deref(), Some("/login"));
    assert_eq!(checked.identity.openid, "x-wx-openid");
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
}

#[test]
fn ten_thousand_routes_load() {
    let routes = (0..10_000).map(|n| format!("[[route]]\npath = '/r{n}/*'\nupstream = 'goods'\n"));
    assert_eq!(for_tests(&routes.collect::<String>()).routes.len(), 10_000);
}

#[test]
fn tables_keep_the_order_of_the_file() {
    let upstreams = "[upstream.zebra]\nservers = [\"z:1\"]\n[upstream.goods]\nservers = [\"g:1\"]\n[upstream.ant]\nservers = [\"a:1\"]\n";
    let checked = load(upstreams).unwrap();
    let names: Vec<_> = checked.upstreams.iter().map(|u| &*u.name).collect();
    assert_eq!(names, ["zebra", "goods", "ant"]);
    assert_eq!(checked.routes[0].upstream, Some(1));
}

#[test]
fn what_looks_wrong_but_is_allowed_is_a_warning_with_its_place() {
    let checked =
        load("[upstream.goods]\nservers = [\"g:1\"]\n[upstream.lost]\nservers = [\"l:1\"]\n").unwrap();
    assert_eq!(checked.warnings, ["/etc/wxgate/wxgate.toml:4: upstream.lost: no route uses this upstream"]);
}
