//! Access log lines → standard output, many at a time: a system call for each would cost more than making the line.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::{Line, Stamp};
use crate::config::LogFormat;

/// Lines are written out when this many bytes wait, or at the next tick.
const WAITING_BYTES_MAX: usize = 32 * 1024;

/// How many pieces of that size may wait for a slow reader: 2 MiB in all.
const PIECES_MAX: usize = 64;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Json,
    Text,
}

impl Style {
    /// `auto`: text for a person, JSON for everything else.
    pub(crate) fn of(format: LogFormat) -> Self {
        match format {
            LogFormat::Json => Self::Json,
            LogFormat::Text => Self::Text,
            LogFormat::Auto if std::io::stdout().is_terminal() => Self::Text,
            LogFormat::Auto => Self::Json,
        }
    }
}

/// The access log. Lines are made by the threads that carry traffic and written by a thread of its own: who reads the log
/// slowly, or not at all, loses lines and holds up nobody.
#[derive(Debug)]
pub(crate) struct AccessLog {
    style: Style,
    waiting: Mutex<Waiting>,
    writer: SyncSender<Job>,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: String,
    stamp: Stamp,
}

/// What the writing thread is given.
#[derive(Debug)]
enum Job {
    Lines(String),
    /// Answered when everything before it has been written.
    Sync(SyncSender<()>),
}

impl AccessLog {
    /// Starts the writing thread. `dropped` counts the lines that it had no room for.
    pub(crate) fn start(style: Style, dropped: Counter) -> std::io::Result<Self> {
        let (writer, jobs) = sync_channel(PIECES_MAX);
        std::thread::Builder::new().name("access log".to_owned()).spawn(move || write_all(&jobs))?;
        Ok(Self { style, waiting: Mutex::default(), writer, dropped })
    }

    pub(crate) fn write(&self, line: &Line<'_>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { lines, stamp } = &mut *waiting;
        match self.style {
            Style::Json => line.write_json(stamp, lines),
            Style::Text => line.write_text(stamp, lines),
        }
        if lines.len() >= WAITING_BYTES_MAX {
            self.hand_over(lines);
        }
    }

    /// Hands over what waits. Called several times a second.
    pub(crate) fn flush(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.lines.is_empty() {
            self.hand_over(&mut waiting.lines);
        }
    }

    /// Hands over what waits and sees it written, if that takes no longer than `patience`: the last call of all.
    pub(crate) fn finish(&self, patience: Duration) {
        self.flush();
        let (done, written) = sync_channel(1);
        if self.writer.try_send(Job::Sync(done)).is_ok() {
            let _ = written.recv_timeout(patience);
        }
    }

    fn hand_over(&self, lines: &mut String) {
        let piece = std::mem::replace(lines, String::with_capacity(WAITING_BYTES_MAX + 1024));
        if let Err(TrySendError::Full(Job::Lines(piece)) | TrySendError::Disconnected(Job::Lines(piece))) =
            self.writer.try_send(Job::Lines(piece))
        {
            self.dropped.inc_by(piece.lines().count() as u64);
        }
    }
}

fn write_all(jobs: &Receiver<Job>) {
    for job in jobs {
        match job {
            // A log that nobody reads any more must not end the process either.
            Job::Lines(lines) => drop(std::io::stdout().lock().write_all(lines.as_bytes())),
            Job::Sync(done) => drop(done.try_send(())),
        }
    }
}
