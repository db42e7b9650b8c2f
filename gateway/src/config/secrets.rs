//! The one place that reads secrets: from the environment and from files.

use std::env::VarError;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use secrecy::SecretString;

/// The most bytes of a secret's file. Keys are a few hundred; more is another file.
pub(crate) const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Where secrets come from. Tests bring their own.
pub(crate) trait Secrets {
    /// The value of an environment variable.
    fn env(&self, name: &str) -> Result<String, VarError>;

    /// The content of a file, cut after `SECRET_BYTES_MAX + 1` bytes.
    fn file(&self, path: &Path) -> io::Result<SecretFile>;
}

/// A file that holds a secret.
pub(crate) struct SecretFile {
    pub(crate) bytes: Vec<u8>,
    /// Its permission bits, where the system has such.
    pub(crate) mode: u32,
}

/// The secrets of this machine.
#[derive(Debug)]
pub(crate) struct Machine;

impl Secrets for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    fn env(&self, name: &str) -> Result<String, VarError> {
        std::env::var(name)
    }

    fn file(&self, path: &Path) -> io::Result<SecretFile> {
        let file = File::open(path)?;
        let mode = mode(&file)?;
        let mut bytes = Vec::new();
        file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(SecretFile { bytes, mode })
    }
}

/// A secret that was handed to a command: in `file`, or else in the `variable`.
pub(crate) fn given(file: Option<&Path>, variable: &str) -> io::Result<Option<SecretString>> {
    let trimmed = |text: &str| SecretString::from(text.trim_ascii());
    let Some(path) = file else { return Ok(Machine.env(variable).ok().map(|text| trimmed(&text))) };
    match std::str::from_utf8(&Machine.file(path)?.bytes) {
        Ok(text) => Ok(Some(trimmed(text))),
        Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not text")),
    }
}

#[cfg(unix)]
fn mode(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &File) -> io::Result<u32> {
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_variables_and_files() {
        assert!(Machine.env("PATH").is_ok());
        assert_eq!(Machine.env("WXGATE_IS_NEVER_SET"), Err(VarError::NotPresent));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(Machine.file(&path).is_err());
        std::fs::write(&path, vec![b'x'; 100_000]).unwrap();
        assert_eq!(Machine.file(&path).unwrap().bytes.len() as u64, SECRET_BYTES_MAX + 1);
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_of_a_file_is_that_of_what_a_link_leads_to() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("secret"), folder.path().join("link"));
        std::fs::write(&path, "x").unwrap();
        symlink(&path, &link).unwrap();
        for mode in [0o600, 0o644] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(Machine.file(&link).unwrap().mode, mode);
        }
    }
}
