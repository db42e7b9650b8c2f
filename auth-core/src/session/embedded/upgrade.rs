//! From a file of format 1, which held each `session_key` in clear, to one of format 2.
//!
//! The file is written anew and not changed in place: the pages that a database no longer uses keep what was in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTableMetadata};

use super::super::{FIRST_SID, Seal};
use super::file::{self, EmbeddedError};
use super::record::{Stored, version_1};
use super::tables::{self, SESSIONS, Tables};
use crate::Sid;

/// The format that is brought up to date.
pub(super) const FROM: u64 = 1;

/// How many sessions one commit takes: few enough that what waits for it fits in a little memory.
const PIECE: usize = 10_000;

/// Writes what is in `old`, the file at `path`, into a new file that takes its place. Until it does, `old` is untouched;
/// and `old` stays locked, so that no other process is at the same work.
pub(super) fn rewrite(old: &Database, path: &Path, seal: &Seal) -> Result<Database, EmbeddedError> {
    let beside = beside(path);
    // What an earlier start left half done.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(redb::Error::from(error).into()),
        _ => {}
    }
    let written = write(old, &beside, seal);
    if written.is_err() {
        // A disk that is full needs the room.
        let _ = fs::remove_file(&beside);
    }
    let (new, Copied { sessions, lost }) = written?;
    fs::rename(&beside, path).and_then(|()| file::sync_directory(path)).map_err(redb::Error::from)?;
    let path = path.display();
    tracing::info!(%path, sessions, "the session store was rewritten: session_key is sealed in it");
    if lost > 0 {
        tracing::error!(%path, lost, "the records of some sessions had been damaged before: they are gone");
    }
    Ok(new)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// How many sessions there are now, and how many could not be read.
struct Copied {
    sessions: u64,
    lost: u64,
}

fn write(old: &Database, beside: &Path, seal: &Seal) -> Result<(Database, Copied), EmbeddedError> {
    let new = file::database(beside)?;
    tables::prepare(&new)?;
    let copied = copy_sessions(old, &new, seal)?;
    let writing = new.begin_write()?;
    let mut tables = Tables::open(&writing)?;
    for ended in tables::ended(old, 0)? {
        tables.end(ended)?;
    }
    drop(tables);
    writing.commit()?;
    Ok((new, copied))
}

fn copy_sessions(old: &Database, new: &Database, seal: &Seal) -> Result<Copied, EmbeddedError> {
    let sessions = old.begin_read()?.open_table(SESSIONS)?;
    let (mut next, mut lost) = (Some(FIRST_SID), 0);
    while let Some(from) = next.take() {
        let writing = new.begin_write()?;
        let mut tables = Tables::open(&writing)?;
        for (n, entry) in sessions.range::<&[u8; Sid::BYTES]>(from.as_bytes()..)?.enumerate() {
            let (key, record) = entry?;
            let sid = Sid::from_bytes(*key.value());
            if n == PIECE {
                next = Some(sid);
                break;
            }
            match version_1::read(sid, record.value()) {
                Ok(session) => tables.insert_session(&Stored::seal(session, seal)?)?,
                Err(_) => lost += 1,
            }
        }
        drop(tables);
        writing.commit()?;
    }
    Ok(Copied { sessions: sessions.len()? - lost, lost })
}
