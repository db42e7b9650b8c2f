//! Access log lines → standard output, many at a time: a system call for each would cost more than making the line.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use super::{Line, Stamp};
use crate::config::LogFormat;

/// Lines are written out when this many bytes wait, or at the next tick.
const WAITING_BYTES_MAX: usize = 32 * 1024;

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

/// The access log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    style: Style,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: String,
    stamp: Stamp,
}

impl AccessLog {
    pub(crate) fn new(style: Style) -> Self {
        Self { style, waiting: Mutex::default() }
    }

    pub(crate) fn write(&self, line: &Line<'_>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { lines, stamp } = &mut *waiting;
        match self.style {
            Style::Json => line.write_json(stamp, lines),
            Style::Text => line.write_text(stamp, lines),
        }
        if lines.len() >= WAITING_BYTES_MAX {
            put(lines);
        }
    }

    /// Writes out what waits. Called several times a second, and last of all at the end.
    pub(crate) fn flush(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.lines.is_empty() {
            put(&mut waiting.lines);
        }
    }
}

/// A log that nobody reads any more must not stop the traffic: what cannot be written is dropped.
fn put(lines: &mut String) {
    let _ = std::io::stdout().lock().write_all(lines.as_bytes());
    lines.clear();
}
