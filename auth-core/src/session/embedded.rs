//! Sessions in one file on this machine's disk, through [redb](https://docs.rs/redb). One process may have it open.
//!
//! # The file
//!
//! | table | key | value |
//! |---|---|---|
//! | `about` | `"format"` | the number of this layout, 1 |
//! | `sessions` | sid, 16 bytes | a version byte (1), `expires_at` (8 bytes, big-endian), the rest as JSON |
//! | `sessions_by_expiry` | (`expires_at`, sid) | nothing |
//! | `ended` | sid | `until` |
//! | `ended_by_until` | (`until`, sid) | nothing |
//!
//! Times are Unix seconds. Each session and each end stands in its table and in the index of that table, always both:
//! they change in one transaction. The file is readable by its owner alone (mode 0600, set again at every start),
//! because the JSON holds WeChat's `session_key` in clear; encrypting it at rest is still to come.
//!
//! # Durability
//!
//! A change is on the disk before its `Ok`: a process killed at any moment, or a machine that loses power, keeps it. One
//! thread writes, and takes everything that queued up during one commit into the next, so that logins per second are not
//! bound to one disk flush each. After a disk error (a full disk, say) the file is opened anew, so that the store works
//! again as soon as the disk does.
//!
//! The thread starts in [`EmbeddedStore::open`]: a program that forks into the background does so before it.

mod file;
mod tables;
mod writer;
#[cfg(test)]
mod tests;

pub use file::EmbeddedError;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use redb::Database;
use tokio::sync::{mpsc, oneshot};

use self::file::Shelf;
use self::writer::{Change, Job, QUEUE_MAX};
use super::{Ended, LoginSession, SessionStore, StoreError};
use crate::Sid;

/// A [`SessionStore`] in a file of this machine. It survives restarts and crashes.
pub struct EmbeddedStore {
    shelf: Arc<Shelf>,
    /// `Some` until dropped: the writer stops when the queue closes.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens the file at `path`, or makes it, for at most `sessions_max` sessions. Blocks while the disk works.
    ///
    /// # Errors
    /// [`StoreError::Failed`] around an [`EmbeddedError`] that says what is wrong with the file: open in another
    /// process, not a session store, damaged, written by a newer version, or out of reach.
    pub fn open(path: impl Into<PathBuf>, sessions_max: u64) -> Result<Self, StoreError> {
        let path = path.into();
        Self::start(move || file::open(&path), sessions_max)
    }

    /// Starts on whatever `open` opens, now and again after a disk error.
    fn start(
        open: impl Fn() -> Result<Database, EmbeddedError> + Send + Sync + 'static,
        sessions_max: u64,
    ) -> Result<Self, StoreError> {
        let shelf = Arc::new(Shelf::open(open)?);
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let theirs = Arc::clone(&shelf);
        let writer = std::thread::Builder::new()
            .name("session-store".into())
            .spawn(move || writer::run(&theirs, sessions_max, queue))
            .map_err(|why| EmbeddedError::Thread(Arc::new(why)))?;
        Ok(Self { shelf, jobs: Some(jobs), writer: Some(writer) })
    }

    /// Hands a change to the writer and waits until it is on the disk. Says how many entries a sweep removed.
    async fn change(&self, change: Change) -> Result<usize, StoreError> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(EmbeddedError::Stopped)?;
        jobs.send(Job { change, reply }).await.map_err(|_| EmbeddedError::Stopped)?;
        answer.await.map_err(|_| EmbeddedError::Stopped)?
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, EmbeddedError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shelf = Arc::clone(&self.shelf);
        let done = tokio::task::spawn_blocking(move || shelf.with(read)).await;
        Ok(done.map_err(|_| EmbeddedError::Stopped)??)
    }
}

#[async_trait]
impl SessionStore for EmbeddedStore {
    async fn put(&self, session: LoginSession) -> Result<(), StoreError> {
        self.change(Change::Put(session)).await.map(drop)
    }

    async fn get(&self, sid: Sid, now: u64) -> Result<Option<LoginSession>, StoreError> {
        self.read(move |database| tables::session(database, sid, now)).await
    }

    async fn end(&self, ended: Ended) -> Result<(), StoreError> {
        self.change(Change::End(ended)).await.map(drop)
    }

    async fn ended(&self, now: u64) -> Result<Vec<Ended>, StoreError> {
        self.read(move |database| tables::ended(database, now)).await
    }

    async fn sweep(&self, now: u64, limit: usize) -> Result<usize, StoreError> {
        self.change(Change::Sweep { now, limit }).await
    }

    /// Commits to the disk, as a login would, so that a disk that takes no more shows before the next login.
    async fn check(&self) -> Result<(), StoreError> {
        self.change(Change::Check).await.map(drop)
    }
}

impl Drop for EmbeddedStore {
    /// Waits until what was queued is written: whoever opens the file next finds it closed.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // It panicked: said by the panic itself, and every change since has failed.
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}
