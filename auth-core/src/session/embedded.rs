//! Sessions in one file on this machine's disk, through [redb](https://docs.rs/redb). One process may have it open.
//!
//! # The file
//!
//! | table | key | value |
//! |---|---|---|
//! | `about` | `"format"` | the number of this layout, 2 |
//! | `sessions` | sid, 16 bytes | a version byte (2), `expires_at` (8 bytes), the length of the sealed key (2 bytes), the sealed `session_key` (see [`Seal`]), the rest as JSON |
//! | `sessions_by_expiry` | (`expires_at`, sid) | nothing |
//! | `sessions_by_user` | (the first 16 bytes of a SHA-256 over appid, 0, openid, 0; `logged_in_at`; sid) | nothing |
//! | `sessions_by_unionid` | (the first 16 bytes of a SHA-256 over unionid, 0; `logged_in_at`; sid) | nothing |
//! | `ended` | sid | `until` |
//! | `ended_by_until` | (`until`, sid) | nothing |
//!
//! Times are Unix seconds, numbers in a record are big-endian. Each session and each end stands in its table and in the
//! indexes of that table, always in all: they change in one transaction. The file is readable by its owner alone (mode
//! 0600, set again at every start); WeChat's `session_key` is in it under a [`Seal`] only.
//!
//! A file of format 1, which held `session_key` in clear, is rewritten as it is opened: into a new file beside it, which
//! takes its place when it is whole. Whatever stops that on its way leaves the old file as it was. What the disk itself
//! keeps of a file that was replaced is beyond this program.
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
mod record;
mod tables;
mod upgrade;
mod writer;
#[cfg(test)]
mod tests;

pub use file::EmbeddedError;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use redb::Database;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::file::Shelf;
use self::record::Stored;
use self::tables::Of;
use self::writer::{Change, Job, QUEUE_MAX};
use super::{Claim, CodeDigest, Ended, LoginSession, News, Seal, SessionStore, StoreError};
use crate::{AppId, OpenId, Sid, UnionId};

/// How long a caller waits for the disk: far longer than any that works takes, with all that queued up before.
const LIMIT: Duration = Duration::from_secs(10);

/// A [`SessionStore`] in a file of this machine. It survives restarts and crashes.
pub struct EmbeddedStore {
    shelf: Arc<Shelf>,
    seal: Seal,
    /// How long a caller waits for the disk.
    limit: Duration,
    /// `Some` until dropped: the writer stops when the queue closes.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens the file at `path`, or makes it, for at most `sessions_max` sessions, each `session_key` under `seal`. Blocks
    /// while the disk works.
    ///
    /// # Errors
    /// [`StoreError::Failed`] around an [`EmbeddedError`] that says what is wrong with the file: open in another
    /// process, not a session store, damaged, written by a newer version, or out of reach.
    pub fn open(path: impl Into<PathBuf>, sessions_max: u64, seal: Seal) -> Result<Self, StoreError> {
        let (path, theirs) = (path.into(), seal.clone());
        Self::start(move || file::open(&path, &theirs), sessions_max, seal)
    }

    /// Starts on whatever `open` opens, now and again after a disk error.
    fn start(
        open: impl Fn() -> Result<Database, EmbeddedError> + Send + Sync + 'static,
        sessions_max: u64,
        seal: Seal,
    ) -> Result<Self, StoreError> {
        let shelf = Arc::new(Shelf::open(open)?);
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let theirs = Arc::clone(&shelf);
        let writer = std::thread::Builder::new()
            .name("session-store".into())
            .spawn(move || writer::run(&theirs, sessions_max, queue))
            .map_err(|why| EmbeddedError::Thread(Arc::new(why)))?;
        Ok(Self { shelf, seal, limit: LIMIT, jobs: Some(jobs), writer: Some(writer) })
    }

    /// Hands a change to the writer and waits until it is on the disk. Says how many entries a sweep removed.
    async fn change(&self, change: Change) -> Result<usize, StoreError> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(EmbeddedError::Stopped)?;
        let changed = async {
            jobs.send(Job { change, reply }).await.map_err(|_| EmbeddedError::Stopped)?;
            answer.await.map_err(|_| EmbeddedError::Stopped)
        };
        self.in_time(changed).await?
    }

    /// Reads on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, EmbeddedError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shelf = Arc::clone(&self.shelf);
        let read = tokio::task::spawn_blocking(move || shelf.with(read));
        Ok(self.in_time(async { read.await.map_err(|_| EmbeddedError::Stopped) }).await??)
    }

    /// A disk that hangs holds up nobody for ever. What it is at goes on.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, EmbeddedError>> + Send,
    ) -> Result<T, EmbeddedError> {
        timeout(self.limit, work).await.unwrap_or(Err(EmbeddedError::TooSlow(self.limit)))
    }

    async fn sessions_of(&self, of: Of, now: u64, limit: usize) -> Result<Vec<LoginSession>, StoreError> {
        let found = self.read(move |database| tables::sessions_of(database, of, now, limit)).await?;
        Ok(found.into_iter().map(|stored| stored.open(&self.seal)).collect())
    }
}

#[async_trait]
impl SessionStore for EmbeddedStore {
    async fn put(&self, session: LoginSession) -> Result<(), StoreError> {
        let stored = Stored::seal(session, &self.seal)?;
        self.change(Change::Put(stored)).await.map(drop)
    }

    async fn get(&self, sid: Sid, now: u64) -> Result<Option<LoginSession>, StoreError> {
        let found = self.read(move |database| tables::session(database, sid, now)).await?;
        Ok(found.map(|stored| stored.open(&self.seal)))
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

    async fn of_user(
        &self,
        app: &AppId,
        openid: &OpenId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError> {
        self.sessions_of(Of::User(record::user(app, openid)), now, limit).await
    }

    async fn of_unionid(
        &self,
        unionid: &UnionId,
        now: u64,
        limit: usize,
    ) -> Result<Vec<LoginSession>, StoreError> {
        self.sessions_of(Of::Unionid(record::across_apps(unionid)), now, limit).await
    }

    fn subscribe(&self) -> Option<mpsc::Receiver<News>> {
        None
    }

    async fn claim(&self, _: CodeDigest, _: u64, _: Duration) -> Result<Claim, StoreError> {
        Ok(Claim::Yours)
    }

    async fn settle(&self, _: CodeDigest, _: Option<Sid>, _: Duration) -> Result<(), StoreError> {
        Ok(())
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
