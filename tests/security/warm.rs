//! A gateway that has just let a good token pass: what is asked next meets a warm cache, and a connection that remembers.

use auth_core::keys::{Algorithm, generate};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::EncodingKey;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::harness::gateway::{ROUTES, write_key_file};
use crate::harness::{Config, Connection, Gateway, Recorder, SHOP};

/// Lines of `[token]`: every test of a verdict runs with the verification cache and without.
pub(crate) const CACHES: [&str; 2] = ["", "cache_entries = 0\n"];

const MORE_ROUTES: &str = r#"
[[route]]
path = "/shop/*"
upstream = "service"
apps = ["shop"]
[[route]]
path = "/q/*"
upstream = "service"
token_in_query = true
[[route]]
path = "/rare/*"
upstream = "service"
rate = { per = "openid", limit = "1/h" }
"#;

/// The keys of the gateway: HS256 `test`, ES256 `p1` and EdDSA `ed`.
pub(crate) struct Keys {
    pub(crate) ec: EcdsaKeyPair,
    pub(crate) ed: Ed25519KeyPair,
    _folder: TempDir,
}

impl Keys {
    /// Signs as `p1` does.
    pub(crate) fn ec(&self, message: &[u8]) -> Vec<u8> {
        self.ec.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// Signs as `ed` does.
    pub(crate) fn ed(&self, message: &[u8]) -> Vec<u8> {
        self.ed.sign(message).as_ref().to_vec()
    }
}

pub(crate) struct Warm {
    pub(crate) gateway: Gateway,
    pub(crate) recorder: Recorder,
    /// A token of a login, in the cache from the start, and its owner.
    pub(crate) good: String,
    pub(crate) openid: String,
    pub(crate) keys: Keys,
    connection: Connection,
    cache: &'static str,
}

impl Warm {
    pub(crate) async fn start(cache: &'static str) -> Self {
        Self::start_with(cache, "").await
    }

    /// With more lines of `[token]`.
    pub(crate) async fn start_with(cache: &'static str, lines: &str) -> Self {
        let recorder = Recorder::start().await;
        let folder = tempfile::tempdir().unwrap();
        let ec = key_file(&folder, "p1", Algorithm::Es256);
        let ed = key_file(&folder, "ed", Algorithm::EdDsa);
        let section = format!(
            "[token]\nkeys = [{{ kid = \"test\", file = \"key\" }}, {{ kid = \"p1\", file = {:?} }}, {{ kid = \"ed\", file = {:?} }}]\n{cache}{lines}",
            folder.path().join("p1"),
            folder.path().join("ed"),
        );
        let ec = EncodingKey::from_ec_pem(ec.as_bytes()).unwrap();
        let keys = Keys {
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_bytes()).unwrap(),
            ed: Ed25519KeyPair::from_pkcs8(EncodingKey::from_ed_pem(ed.as_bytes()).unwrap().as_bytes())
                .unwrap(),
            _folder: folder,
        };
        let config = Config::new(recorder.port, &format!("{ROUTES}{MORE_ROUTES}")).with(&section);
        let gateway = Gateway::start(config).await;
        let good = gateway.log_in(&SHOP, "alice").await;
        let connection = Connection::open(gateway.port).await;
        let mut warm = Self { gateway, recorder, good, openid: String::new(), keys, connection, cache };
        warm.openid = warm.passes("the good token", &warm.good.clone()).await;
        warm
    }

    /// `token` passes on the connection of this bench: the openid that the service is told.
    pub(crate) async fn passes(&mut self, name: &str, token: &str) -> String {
        let answer = self.connection.ask(api(&bearer(token))).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{}: {answer}", self.which(name));
        self.recorder.last().one("x-wx-openid").to_owned()
    }

    /// `token` is refused with this code.
    pub(crate) async fn refuses(&mut self, name: &str, token: &str, code: &str) {
        self.refuses_lines(name, &bearer(token), code).await;
    }

    /// A request with these header lines is refused with 401 and this code.
    pub(crate) async fn refuses_lines(&mut self, name: &str, lines: &str, code: &str) {
        self.refuses_request(name, &api(lines), &format!("401 {code}")).await;
    }

    /// A request is refused, right after the good token on its connection, then again, and on a connection of its own; the
    /// service never sees it.
    pub(crate) async fn refuses_request(&mut self, name: &str, request: &str, verdict: &str) {
        let good = self.good.clone();
        assert_eq!(self.passes("the good token", &good).await, self.openid);
        let seen = self.recorder.seen().len();
        for round in ["after the good token", "again"] {
            let answer = self.connection.ask(request).await;
            assert_eq!(said(&answer), verdict, "{}, {round}: {answer}", self.which(name));
            if answer.to_ascii_lowercase().contains("\r\nconnection: close") {
                self.connection = Connection::open(self.gateway.port).await;
            }
        }
        let answer = Connection::open(self.gateway.port).await.ask(request).await;
        assert_eq!(said(&answer), verdict, "{}, alone: {answer}", self.which(name));
        assert_eq!(self.recorder.seen().len(), seen, "{}: the service saw it", self.which(name));
    }

    /// A number of the gateway's metrics.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let metrics = self.gateway.metrics().await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
    }

    /// Nothing that was sent made the gateway stumble.
    pub(crate) fn stands(&mut self) {
        assert_eq!(self.gateway.process.ended(), None);
        let log = self.gateway.process.log();
        assert!(!log.contains("panicked"), "{log}");
    }

    fn which(&self, name: &str) -> String {
        let cache = if self.cache.is_empty() { "with the cache" } else { "without a cache" };
        format!("{name}, {cache}")
    }
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A request to a route that wants a token.
pub(crate) fn api(lines: &str) -> String {
    format!("GET /api/x HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n")
}

/// Status and reason of a refusal.
pub(crate) fn said(answer: &str) -> String {
    let status = answer.split(' ').nth(1).unwrap_or("no answer");
    let lines = answer.lines().filter_map(|line| line.split_once(": "));
    let code =
        lines.filter(|(name, _)| name.eq_ignore_ascii_case("x-wxgate-error")).map(|(_, code)| code).next();
    format!("{status} {}", code.unwrap_or("without a reason"))
}

fn key_file(folder: &TempDir, name: &str, algorithm: Algorithm) -> String {
    let key = generate(algorithm).expose_secret().to_owned();
    write_key_file(&folder.path().join(name), &key);
    key
}
