//! The thread that writes: everything that queued up during one commit goes into the next.

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::super::{Ended, StoreError};
use super::file::{EmbeddedError, Shelf};
use super::record::Stored;
use super::tables::{Full, Tables};

/// How many changes may wait for the writer; a caller beyond that waits to be let into the queue.
pub(super) const QUEUE_MAX: usize = 4096;

/// How many changes one commit takes: few enough that the first does not wait long for the last.
const BATCH_MAX: usize = 1024;

pub(super) enum Change {
    Put(Stored),
    End(Ended),
    Sweep { now: u64, limit: usize },
    Check,
}

pub(super) struct Job {
    pub(super) change: Change,
    /// Gets the number of entries swept, 0 for what is no sweep.
    pub(super) reply: oneshot::Sender<Result<usize, StoreError>>,
}

/// Writes until the queue closes.
pub(super) fn run(shelf: &Shelf, sessions_max: u64, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        write(shelf, sessions_max, batch);
    }
}

/// One commit for all of `batch`. Who no longer waits for the answer gets none; the change was made all the same.
fn write(shelf: &Shelf, sessions_max: u64, batch: Vec<Job>) {
    let (changes, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|job| (job.change, job.reply)).unzip();
    let done =
        shelf.ensure_open().and_then(|()| shelf.with(|database| commit(database, sessions_max, &changes)));
    match done {
        Ok(results) => {
            for (reply, result) in replies.into_iter().zip(results) {
                let _ = reply.send(result.map_err(|Full| StoreError::Full { limit: sessions_max }));
            }
        }
        Err(error) => {
            tracing::error!(error = %error, changes = changes.len(), "the session store could not write");
            if let Err(again) = shelf.reopen() {
                tracing::error!(error = %again, "the session store could not be opened again");
            }
            for reply in replies {
                let _ = reply.send(Err(error.clone().into()));
            }
        }
    }
}

/// The changes in their order. One that finds the store full fails alone; a failing disk fails them all.
fn commit(
    database: &Database,
    sessions_max: u64,
    changes: &[Change],
) -> Result<Vec<Result<usize, Full>>, EmbeddedError> {
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction)?;
    let results: Result<Vec<_>, _> =
        changes.iter().map(|change| apply(&mut tables, sessions_max, change)).collect();
    let results = results?;
    drop(tables);
    transaction.commit()?;
    Ok(results)
}

fn apply(tables: &mut Tables<'_>, max: u64, change: &Change) -> Result<Result<usize, Full>, EmbeddedError> {
    match change {
        Change::Put(stored) => Ok(tables.put(stored, max)?.map(|()| 0)),
        Change::End(end) => tables.end(*end).map(|()| Ok(0)),
        Change::Sweep { now, limit } => tables.sweep(*now, *limit).map(Ok),
        Change::Check if tables.is_full(max)? => Ok(Err(Full)),
        Change::Check => tables.rehearse().map(|()| Ok(0)),
    }
}
