//! What a file must do beyond what every store must: come back, stay private, say what is wrong with it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::super::tests::{session, sid};
use super::super::{Ended, SessionStore, StoreError};
use super::{EmbeddedError, EmbeddedStore};

const NOW: u64 = 1_000_000_000;

/// What is wrong with the file at `path`.
fn refusal(path: &Path) -> EmbeddedError {
    match EmbeddedStore::open(path, 9) {
        Err(StoreError::Failed(error)) => *error.downcast::<EmbeddedError>().unwrap(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn sessions_and_ends_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let end = Ended { sid: sid(2), until: NOW + 60 };

    let store = EmbeddedStore::open(&path, 9).unwrap();
    store.put(session(1)).await.unwrap();
    store.end(end).await.unwrap();
    drop(store);

    let store = EmbeddedStore::open(&path, 9).unwrap();
    let got = store.get(sid(1), NOW).await.unwrap().unwrap();
    assert_eq!(got.session_key.expose(), session(1).session_key.expose());
    assert_eq!(store.ended(NOW).await.unwrap(), [end]);
}

#[tokio::test]
async fn what_was_answered_is_in_the_file_of_a_process_that_never_closed_it() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("sessions.redb"), directory.path().join("copy.redb"));
    let store = EmbeddedStore::open(&path, 99).unwrap();
    for number in 1..=20 {
        store.put(session(number)).await.unwrap();
    }
    fs::copy(&path, &copy).unwrap();

    let found = EmbeddedStore::open(&copy, 99).unwrap();
    for number in 1..=20 {
        assert!(found.get(sid(number), NOW).await.unwrap().is_some(), "session {number}");
    }
}

#[tokio::test]
async fn many_logins_at_once_are_all_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(directory.path().join("sessions.redb"), 999).unwrap());
    let puts: Vec<_> = (0..200)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.put(session(number)).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    for number in 0..200 {
        assert!(store.get(sid(number), NOW).await.unwrap().is_some(), "session {number}");
    }
}

#[tokio::test]
async fn a_full_store_fails_one_login_of_a_batch_and_not_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(directory.path().join("sessions.redb"), 2).unwrap();
    let (one, two, three, end) = tokio::join!(
        store.put(session(1)),
        store.put(session(2)),
        store.put(session(3)),
        store.end(Ended { sid: sid(9), until: NOW })
    );
    assert!(one.is_ok() && two.is_ok() && end.is_ok());
    assert!(matches!(three, Err(StoreError::Full { limit: 2 })));
}

#[test]
fn the_file_is_private_and_made_so_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;

    drop(EmbeddedStore::open(&path, 9).unwrap());
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(EmbeddedStore::open(&path, 9).unwrap());
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_file_that_is_open_elsewhere_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let _first = EmbeddedStore::open(&path, 9).unwrap();
    let refusal = refusal(&path);
    assert!(matches!(refusal, EmbeddedError::InUse(_)), "{refusal:?}");
    assert!(refusal.to_string().contains("sessions.redb is open in another process"), "{refusal}");
}

#[test]
fn a_file_in_no_directory_is_refused_by_name() {
    let refusal = refusal(Path::new("/nowhere/at/all/sessions.redb"));
    assert!(matches!(refusal, EmbeddedError::Unreachable { .. }), "{refusal:?}");
    assert!(refusal.to_string().starts_with("/nowhere/at/all/sessions.redb cannot be opened: No such file"));
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    for notes in ["not a database".to_owned(), "n".repeat(100_000)] {
        fs::write(&path, &notes).unwrap();
        let refusal = refusal(&path);
        assert!(matches!(refusal, EmbeddedError::Damaged { .. }), "{refusal:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), notes);
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let store = EmbeddedStore::open(&path, 9).unwrap();
    store.put(session(1)).await.unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for left in [1, 64, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..left]).unwrap();
        let refusal = refusal(&path);
        assert!(matches!(refusal, EmbeddedError::Damaged { .. }), "{left} bytes left: {refusal:?}");
    }
}

/// redb itself panics over some of these.
#[tokio::test]
async fn a_file_damaged_anywhere_is_refused_or_holds_every_session() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let store = EmbeddedStore::open(&path, 99).unwrap();
    for number in 1..=50 {
        store.put(session(number)).await.unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    // The head closely, then every second page.
    for at in (0..320).step_by(4).chain((320..whole.len()).step_by(8191)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(&path, &damaged).unwrap();
        match EmbeddedStore::open(&path, 99) {
            Err(_) => refused += 1,
            Ok(store) => {
                for number in 1..=50 {
                    assert!(
                        store.get(sid(number), NOW).await.unwrap().is_some(),
                        "byte {at}, session {number}"
                    );
                }
            }
        }
    }
    assert!(refused > 30, "only {refused} refused");
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    drop(EmbeddedStore::open(&path, 9).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let about = redb::TableDefinition::<&str, u64>::new("about");
    transaction.open_table(about).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(refusal(&path), EmbeddedError::Format { found: 2, known: 1 }));
}

#[tokio::test]
async fn a_damaged_record_is_an_error_and_can_be_ended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    let sessions = redb::TableDefinition::<&[u8; 16], &[u8]>::new("sessions");
    let open_ended = b"\x01\xff\xff\xff\xff\xff\xff\xff\xff".as_slice();
    let broken =
        [b"".as_slice(), b"\x02later", open_ended, b"\x01\xff\xff\xff\xff\xff\xff\xff\xff{\"app\":7}"];
    for record in broken {
        drop(EmbeddedStore::open(&path, 9).unwrap());
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(sessions).unwrap().insert(sid(1).as_bytes(), record).unwrap();
        transaction.commit().unwrap();
        drop(database);

        let store = EmbeddedStore::open(&path, 9).unwrap();
        assert!(matches!(store.get(sid(1), NOW).await, Err(StoreError::Failed(_))), "{record:?}");
        store.end(Ended { sid: sid(1), until: NOW }).await.unwrap();
        assert!(store.get(sid(1), NOW).await.unwrap().is_none());
    }
}

/// A disk that can be told to fail.
#[derive(Debug, Clone)]
struct Disk {
    bytes: Arc<InMemoryBackend>,
    broken: Arc<AtomicBool>,
}

impl Disk {
    fn works(&self) -> Result<(), io::Error> {
        if self.broken.load(Ordering::SeqCst) { Err(io::Error::other("disk on fire")) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        self.bytes.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.works().and_then(|()| self.bytes.read(offset, out))
    }
    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.works().and_then(|()| self.bytes.set_len(len))
    }
    fn sync_data(&self) -> Result<(), io::Error> {
        self.works().and_then(|()| self.bytes.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.works().and_then(|()| self.bytes.write(offset, data))
    }
}

#[tokio::test]
async fn a_disk_that_failed_and_works_again_is_used_again() {
    let disk = Disk { bytes: Arc::new(InMemoryBackend::new()), broken: Arc::default() };
    let theirs = disk.clone();
    let open = move || {
        let database = redb::Builder::new().create_with_backend(theirs.clone()).map_err(redb::Error::from);
        let database = database.map_err(|why| EmbeddedError::Disk(Arc::new(why)))?;
        super::tables::prepare(&database)?;
        Ok(database)
    };
    let store = EmbeddedStore::start(open, 9).unwrap();
    store.put(session(1)).await.unwrap();

    disk.broken.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(store.put(session(2)).await, Err(StoreError::Failed(_))));
        assert!(matches!(store.check().await, Err(StoreError::Failed(_))));
    }

    disk.broken.store(false, Ordering::SeqCst);
    store.check().await.unwrap();
    store.put(session(2)).await.unwrap();
    assert!(store.get(sid(1), NOW).await.unwrap().is_some());
    assert!(store.get(sid(2), NOW).await.unwrap().is_some());
}
