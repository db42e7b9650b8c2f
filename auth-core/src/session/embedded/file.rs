//! The file: opened with care, and opened again when the disk failed under it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
#[cfg(unix)]
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redb::Database;

use super::super::{Seal, StoreError};
use super::{tables, upgrade};

/// Memory for pages of the file, in bytes. redb would take 1 GiB, which a small gateway does not have.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// What is wrong with the file of an [`EmbeddedStore`](super::EmbeddedStore).
#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbeddedError {
    /// Another process holds it.
    #[error("{} is open in another process, and only one at a time may have it", .0.display())]
    InUse(PathBuf),
    /// Something else, or what is left of a session store.
    #[error("{} is not a session store, or is damaged ({why}); move it away to start with an empty one; \
        then whoever was logged out passes again while their token is good, unless the token keys are changed as well", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What redb says about it.
        why: String,
    },
    /// Its layout is not known here.
    #[error("the session store has format {found}, and this version knows format {known} only")]
    Format {
        /// The format that the file names.
        found: u64,
        /// The format that this version reads and writes.
        known: u64,
    },
    /// The operating system does not give it.
    #[error("{} cannot be opened: {why}", .path.display())]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        why: String,
    },
    /// The thread that writes could not be started.
    #[error("the writing thread cannot be started: {0}")]
    Thread(Arc<io::Error>),
    /// One session is not what was written.
    #[error("the record of a session is damaged")]
    Record,
    /// The disk failed.
    #[error("{0}")]
    Disk(Arc<redb::Error>),
    /// The file was damaged while it was open.
    #[error("redb panicked over the file of the session store, which must be damaged")]
    Panicked,
    /// The disk did nothing in the time that it has. What was asked of it may still come about.
    #[error("the disk did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The disk failed, and opening the file again failed too; that is tried again with the next change.
    #[error("the session store is closed since its disk failed")]
    Closed,
    /// The thread that writes is gone, or the program is ending.
    #[error("the session store has stopped")]
    Stopped,
}

/// Every error of redb once the file is open is the disk's.
macro_rules! disk_errors {
    ($($error:ident)*) => {$(
        impl From<redb::$error> for EmbeddedError {
            fn from(error: redb::$error) -> Self {
                Self::Disk(Arc::new(error.into()))
            }
        }
    )*};
}

disk_errors! { Error DatabaseError StorageError TableError TransactionError CommitError }

impl From<EmbeddedError> for StoreError {
    fn from(error: EmbeddedError) -> Self {
        Self::Failed(Box::new(error))
    }
}

type Open = Box<dyn Fn() -> Result<Database, EmbeddedError> + Send + Sync>;

/// Holds the open file, and a way to open it again: after an I/O error redb refuses everything until that is done.
pub(super) struct Shelf {
    open: Open,
    /// `None` between an error and the next try.
    database: RwLock<Option<Database>>,
}

impl Shelf {
    pub(super) fn open(
        open: impl Fn() -> Result<Database, EmbeddedError> + Send + Sync + 'static,
    ) -> Result<Self, EmbeddedError> {
        let database = RwLock::new(Some(open()?));
        Ok(Self { open: Box::new(open), database })
    }

    /// Works on the open file.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, EmbeddedError>,
    ) -> Result<T, EmbeddedError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or(EmbeddedError::Closed)?;
        guarded(|| work(database))
    }

    /// Opens the file if the last try failed.
    pub(super) fn ensure_open(&self) -> Result<(), EmbeddedError> {
        let closed = self.database.read().unwrap_or_else(PoisonError::into_inner).is_none();
        if closed { self.reopen() } else { Ok(()) }
    }

    /// Closes the file and opens it again. Waits for readers, which hold it for microseconds.
    pub(super) fn reopen(&self) -> Result<(), EmbeddedError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // First closed, then opened: redb locks the file, against this process too.
        guarded(|| {
            *database = None;
            Ok(())
        })?;
        *database = Some((self.open)()?);
        Ok(())
    }
}

/// Opens or makes the file at `path`, reads it through for damage (0.7 s for a million sessions), makes its tables, and
/// brings it up to date.
pub(super) fn open(path: &Path, seal: &Seal) -> Result<Database, EmbeddedError> {
    let opened = guarded(|| {
        let mut database = database(path)?;
        // Damage that is not found now is found by a panic of redb, in the middle of a login.
        if !database.check_integrity()? {
            tracing::error!(path = %path.display(), "the session store was damaged: its last changes are lost");
        }
        if tables::format(&database)? == Some(upgrade::FROM) {
            database = upgrade::rewrite(&database, path, seal)?;
        }
        tables::prepare(&database)?;
        Ok(database)
    });
    opened.map_err(|error| unusable(path, error))
}

/// The file at `path` as it is, or a new one.
pub(super) fn database(path: &Path) -> Result<Database, EmbeddedError> {
    let file = open_private(path).map_err(redb::Error::from)?;
    empty_if_unfinished(&file).map_err(redb::Error::from)?;
    Ok(redb::Builder::new().set_cache_size(CACHE_BYTES).create_file(file)?)
}

/// Runs `work` on the file. redb panics over some damaged files, and one bad block must not stop the gateway.
fn guarded<T>(work: impl FnOnce() -> Result<T, EmbeddedError>) -> Result<T, EmbeddedError> {
    // What the panic leaves behind is a transaction that is rolled back, or a file that was never opened.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(EmbeddedError::Panicked))
}

/// Whether it is the disk or what is on it: only the second is cured by moving the file away.
fn unusable(path: &Path, error: EmbeddedError) -> EmbeddedError {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    let path = path.to_owned();
    match &error {
        EmbeddedError::Format { .. } => error,
        EmbeddedError::Disk(why) => match &**why {
            redb::Error::DatabaseAlreadyOpen => EmbeddedError::InUse(path),
            redb::Error::Io(io) if !matches!(io.kind(), InvalidData | UnexpectedEof) => {
                EmbeddedError::Unreachable { path, why: io.to_string() }
            }
            other => EmbeddedError::Damaged { path, why: other.to_string() },
        },
        other => EmbeddedError::Damaged { path, why: other.to_string() },
    }
}

/// The file, readable by its owner alone: it was made so, or is made so now.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    options.mode(0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    // A new file is durable when its directory is: without this, a power cut could take the file and every session in it.
    sync_directory(path)?;
    Ok(file)
}

/// Empties a file that was begun and holds nothing yet: redb, killed while it makes one, leaves zeros or a head without its
/// mark, and refuses that afterwards as a file of something else.
fn empty_if_unfinished(file: &File) -> io::Result<()> {
    // Whoever holds it is making it now.
    if file.try_lock().is_err() {
        return Ok(());
    }
    if is_unfinished(file)? {
        file.set_len(0)?;
    }
    file.unlock()
}

/// Whether nothing is in the file, but perhaps a head that is not marked as one.
fn is_unfinished(mut file: &File) -> io::Result<bool> {
    const MARK_BYTES: usize = 9;
    const HEAD_BYTES: u64 = 4096;
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    if !is_zero(&head[..head.len().min(MARK_BYTES)]) {
        return Ok(false);
    }
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(true),
            read if !is_zero(&piece[..read]) => return Ok(false),
            _ => {}
        }
    }
}

/// Makes durable what the file at `path` is.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
