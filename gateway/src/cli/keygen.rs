//! `wxgate keygen`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use auth_core::keys::{Algorithm, generate};
use auth_core::session::generate_seal_key;
use secrecy::ExposeSecret;

#[derive(Debug, clap::Args)]
pub(super) struct Keygen {
    /// What the key is for: hs256, es256 and eddsa sign tokens (services that verify them themselves need one of the last
    /// two), aes256 seals the store, token is a credential for the private listener
    #[arg(long, value_enum, default_value = "hs256")]
    alg: Alg,
    /// Write to this new file, readable by you alone, instead of printing
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Alg {
    Hs256,
    Es256,
    Eddsa,
    Aes256,
    Token,
}

impl Keygen {
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let key = match self.alg {
            // A credential is 256 random bits in letters that a header can hold, as the text of such a key is.
            Alg::Hs256 | Alg::Token => generate(Algorithm::Hs256),
            Alg::Es256 => generate(Algorithm::Es256),
            Alg::Eddsa => generate(Algorithm::EdDsa),
            Alg::Aes256 => generate_seal_key(),
        };
        let text = format!("{}\n", key.expose_secret().trim_end());
        let Some(path) = &self.out else { return super::say(&text) };
        // A key that is there may be in use: it is never overwritten.
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = file.with_context(|| format!("{} cannot be made", path.display()))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
        Ok(())
    }
}
