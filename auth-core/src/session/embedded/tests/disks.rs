//! Disks that fail, that hang, and that lose what was on its way at any moment.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::super::{LIMIT, tables};
use super::*;

/// A store of at most nine sessions on this disk.
fn store_on(disk: &(impl StorageBackend + Clone), seal: Seal) -> EmbeddedStore {
    let disk = disk.clone();
    let open = move || {
        let database = redb::Builder::new().create_with_backend(disk.clone()).map_err(redb::Error::from);
        let database = database.map_err(|why| EmbeddedError::Disk(Arc::new(why)))?;
        tables::prepare(&database)?;
        Ok(database)
    };
    EmbeddedStore::start(open, 9, seal).unwrap()
}

/// A disk that can be told to fail, and to hang.
#[derive(Debug, Clone)]
struct Disk {
    bytes: Arc<InMemoryBackend>,
    broken: Arc<AtomicBool>,
    hangs: Arc<(Mutex<bool>, Condvar)>,
}

impl Disk {
    fn new() -> Self {
        Self { bytes: Arc::new(InMemoryBackend::new()), broken: Arc::default(), hangs: Arc::default() }
    }

    fn hang(&self, hang: bool) {
        *self.hangs.0.lock().unwrap() = hang;
        self.hangs.1.notify_all();
    }

    fn works(&self) -> Result<(), io::Error> {
        let (hangs, changed) = &*self.hangs;
        drop(changed.wait_while(hangs.lock().unwrap(), |hangs| *hangs).unwrap());
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
    let disk = Disk::new();
    let store = store_on(&disk, Seal::ephemeral());
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

#[tokio::test]
async fn a_disk_that_hangs_holds_up_nobody_for_ever() {
    let disk = Disk::new();
    let mut store = store_on(&disk, Seal::ephemeral());
    store.limit = Duration::from_millis(50);
    disk.hang(true);
    for _ in 0..2 {
        let (put, check) = (store.put(session(1)).await, store.check().await);
        for error in [put.unwrap_err(), check.unwrap_err()] {
            assert!(error.to_string().contains("did not answer"), "{error}");
        }
    }
    disk.hang(false);
    store.limit = LIMIT;
    // What was asked of it came about.
    store.check().await.unwrap();
    assert!(store.get(sid(1), NOW).await.unwrap().is_some());
}

/// What was asked of a disk, in order, to be had again up to any moment.
#[derive(Debug, Clone, Default)]
struct Journal {
    bytes: Arc<InMemoryBackend>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug)]
enum Asked {
    SetLen(u64),
    Write(u64, Vec<u8>),
    Sync,
}

impl Journal {
    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap().push(asked);
    }

    fn len(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Until after which step what was written in the first `steps` may be all that the disk has: a kill keeps what was
    /// written, a power cut what was synced.
    fn last_moment_of(&self, steps: usize) -> usize {
        let asked = self.asked.lock().unwrap();
        let is_sync = |asked: &Asked| matches!(asked, Asked::Sync);
        let is_synced = asked[..steps].last().is_none_or(is_sync);
        if is_synced {
            asked[steps..].iter().position(is_sync).map_or(asked.len(), |next| steps + next)
        } else {
            steps
        }
    }

    /// Writes the first `steps` to `path`.
    fn replay(&self, steps: usize, path: &Path) {
        let mut bytes = Vec::new();
        for step in &self.asked.lock().unwrap()[..steps] {
            match step {
                Asked::SetLen(len) => bytes.resize(usize::try_from(*len).unwrap(), 0),
                Asked::Write(at, data) => {
                    let at = usize::try_from(*at).unwrap();
                    bytes[at..at + data.len()].copy_from_slice(data);
                }
                Asked::Sync => {}
            }
        }
        fs::write(path, bytes).unwrap();
    }
}

impl StorageBackend for Journal {
    fn len(&self) -> Result<u64, io::Error> {
        self.bytes.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.bytes.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.note(Asked::SetLen(len));
        self.bytes.set_len(len)
    }
    fn sync_data(&self) -> Result<(), io::Error> {
        self.note(Asked::Sync);
        self.bytes.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.note(Asked::Write(offset, data.to_vec()));
        self.bytes.write(offset, data)
    }
}

#[tokio::test]
async fn whatever_moment_a_kill_or_a_power_cut_takes_every_answer_is_in_the_file() {
    let journal = Journal::default();
    let store = store_on(&journal, seal("2026-11", KEY));
    // After which step what was answered.
    let mut answered = Vec::new();
    for number in 1..=4 {
        store.put(session(number)).await.unwrap();
        answered.push((journal.len(), number, true));
        if number % 2 == 0 {
            store.end(Ended { sid: sid(number), until: NOW + 60 }).await.unwrap();
            answered.push((journal.len(), number, false));
        }
    }
    drop(store);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions.redb");
    for steps in 0..=journal.len() {
        let last_moment = journal.last_moment_of(steps);
        journal.replay(steps, &path);
        let store = open(&path, 9).unwrap_or_else(|error| panic!("step {steps}: {error}"));
        let ended = store.ended(NOW).await.unwrap();
        for &(at, number, is_put) in answered.iter().filter(|(at, ..)| *at <= last_moment) {
            let has_ended = ended.iter().any(|end| end.sid == sid(number));
            let is_there = store.get(sid(number), NOW).await.unwrap().is_some();
            let is_kept = if is_put { is_there || has_ended } else { has_ended };
            assert!(
                is_kept && !(is_there && has_ended),
                "step {steps}: session {number}, answered after {at}"
            );
        }
    }
}
