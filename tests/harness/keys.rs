//! Private keys for the gateways of tests.

use auth_core::keys::{Algorithm, generate};
use secrecy::ExposeSecret;
use tempfile::TempDir;

/// A new key in a file of its own.
pub(crate) struct KeyFile(TempDir);

impl KeyFile {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let folder = TempDir::with_prefix("wxgate-key").unwrap();
        super::gateway::write_key_file(&folder.path().join("key"), generate(algorithm).expose_secret());
        Self(folder)
    }

    /// As an entry of `token.keys`.
    pub(crate) fn entry(&self, kid: &str) -> String {
        format!("{{ kid = \"{kid}\", file = {:?} }}", self.0.path().join("key"))
    }
}
