//! Whether anything that a config was read from has changed: its files, the folders that it includes, and the secrets it names.
//! Contents count, not times: a mounted volume is exchanged by turning a link.

use std::cell::RefCell;
use std::env::VarError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use super::include;
use super::secrets::{Machine, SecretFile, Secrets};

/// All that a config was read from, and a digest of what was found there: tells one reading from another.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<(Source, Digest)>);

type Digest = [u8; 32];

/// Where something was read.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    Config(PathBuf),
    /// The names in a folder that fit a pattern.
    Names(PathBuf, String),
    Variable(String),
    Secret(PathBuf),
}

/// Of secrets not even a digest is shown.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

impl Fingerprint {
    /// Whether all of it reads the same now. Reads, and parses nothing: a config of ten thousand routes is looked at every
    /// few seconds.
    pub(crate) fn is_current(&self) -> bool {
        self.0.iter().all(|(source, digest)| source.read_again() == *digest)
    }
}

impl Source {
    fn read_again(&self) -> Digest {
        match self {
            Self::Config(path) => digest_of_config(&include::read_file(path)),
            Self::Names(folder, pattern) => digest_of_names(&include::matches(folder, pattern)),
            Self::Variable(name) => digest_of_variable(&Machine.env(name)),
            Self::Secret(path) => digest_of_secret(&Machine.file(path)),
        }
    }
}

fn digest_of_config(read: &Result<Vec<u8>, String>) -> Digest {
    match read {
        Ok(bytes) => digest([b"read", bytes.as_slice()]),
        Err(error) => digest([b"error", error.as_bytes()]),
    }
}

fn digest_of_names(files: &[PathBuf]) -> Digest {
    digest(files.iter().map(|file| file.as_os_str().as_encoded_bytes()))
}

fn digest_of_variable(value: &Result<String, VarError>) -> Digest {
    digest(value.as_ref().ok().map(String::as_bytes))
}

fn digest_of_secret(read: &io::Result<SecretFile>) -> Digest {
    match read {
        Ok(file) => digest([b"read", file.bytes.as_slice()]),
        Err(error) => digest([b"error", error.to_string().as_bytes()]),
    }
}

/// Each part with its length, so that no two readings are alike by where their parts meet.
fn digest<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Digest {
    let mut read = digest::Context::new(&digest::SHA256);
    for part in parts {
        read.update(&(part.len() as u64).to_be_bytes());
        read.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(read.finish().as_ref());
    bytes
}

/// Reads what a config is made of, and notes what was found.
pub(super) struct Noting<'s> {
    secrets: &'s dyn Secrets,
    read: RefCell<Vec<(Source, Digest)>>,
}

impl<'s> Noting<'s> {
    pub(super) fn new(secrets: &'s dyn Secrets) -> Self {
        Self { secrets, read: RefCell::default() }
    }

    /// The content of a config file, or why it cannot be read.
    pub(super) fn config(&self, path: &Path) -> Result<Vec<u8>, String> {
        let read = include::read_file(path);
        self.note(Source::Config(path.to_owned()), digest_of_config(&read));
        read
    }

    /// The files in `folder` whose names fit.
    pub(super) fn matches(&self, folder: &Path, pattern: &str) -> Vec<PathBuf> {
        let files = include::matches(folder, pattern);
        self.note(Source::Names(folder.to_owned(), pattern.to_owned()), digest_of_names(&files));
        files
    }

    fn note(&self, source: Source, digest: Digest) {
        self.read.borrow_mut().push((source, digest));
    }

    pub(super) fn fingerprint(self) -> Fingerprint {
        Fingerprint(self.read.into_inner())
    }
}

impl Secrets for Noting<'_> {
    fn env(&self, name: &str) -> Result<String, VarError> {
        let value = self.secrets.env(name);
        self.note(Source::Variable(name.to_owned()), digest_of_variable(&value));
        value
    }

    fn file(&self, path: &Path) -> io::Result<SecretFile> {
        let file = self.secrets.file(path);
        self.note(Source::Secret(path.to_owned()), digest_of_secret(&file));
        file
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::config::load_noting;

    #[test]
    fn whatever_a_config_was_read_from_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let main =
            "version = 1\ninclude = [\"conf.d/*.toml\"]\n[token]\nkeys = [{ kid = \"a\", file = \"key\" }]\n";
        fs::create_dir(path("conf.d")).unwrap();
        fs::write(path("wxgate.toml"), main).unwrap();
        fs::write(path("conf.d/a.toml"), "[log]\n").unwrap();
        fs::write(path("key"), "q7Jm0m8YQ4yqk0Pq3mQ5tq0m0Z9S7c2X\n").unwrap();
        let read = || load_noting(&path("wxgate.toml")).1;
        let first = read();
        assert!(first.is_current() && first == read());
        let changes: [(&str, &dyn Fn()); 5] = [
            ("the main file", &|| fs::write(path("wxgate.toml"), format!("{main}\n")).unwrap()),
            ("an included file", &|| fs::write(path("conf.d/a.toml"), "[server]\n").unwrap()),
            ("a new file", &|| fs::write(path("conf.d/b.toml"), "").unwrap()),
            ("a secret", &|| fs::write(path("key"), "another one").unwrap()),
            ("a file that is gone", &|| fs::remove_file(path("conf.d/a.toml")).unwrap()),
        ];
        for (what, change) in changes {
            let before = read();
            change();
            assert!(!before.is_current() && before != read(), "{what} was not noticed");
        }
        assert!(read().is_current());
    }
}
