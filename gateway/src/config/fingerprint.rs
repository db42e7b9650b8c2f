//! Whether anything that a config was read from has changed: the files, and the secrets they name. Contents count, not times:
//! a mounted volume is exchanged by turning a link.

use std::cell::RefCell;
use std::env::VarError;
use std::fmt;
use std::io;
use std::path::Path;

use aws_lc_rs::digest;

use super::secrets::{SecretFile, Secrets};

/// Tells one reading of a config from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

/// Of secrets not even a digest is shown.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

/// Notes what is read.
pub(super) struct Noting<'s> {
    secrets: &'s dyn Secrets,
    read: RefCell<digest::Context>,
}

impl<'s> Noting<'s> {
    pub(super) fn new(secrets: &'s dyn Secrets) -> Self {
        Self { secrets, read: RefCell::new(digest::Context::new(&digest::SHA256)) }
    }

    /// Each part with its length, so that no two readings are alike by where their parts meet.
    pub(super) fn note(&self, part: &[u8]) {
        let mut read = self.read.borrow_mut();
        read.update(&(part.len() as u64).to_be_bytes());
        read.update(part);
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let digest = self.read.borrow().clone().finish();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Fingerprint(bytes)
    }
}

impl Secrets for Noting<'_> {
    fn env(&self, name: &str) -> Result<String, VarError> {
        let value = self.secrets.env(name);
        self.note(value.as_deref().unwrap_or("\0").as_bytes());
        value
    }

    fn file(&self, path: &Path) -> io::Result<SecretFile> {
        let file = self.secrets.file(path);
        match &file {
            Ok(file) => self.note(&file.bytes),
            Err(error) => self.note(error.to_string().as_bytes()),
        }
        file
    }
}
