//! The tables of the file, and what can be done to them. The layout is told in the head of [`super`].

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    WriteTransaction,
};

use super::super::{Ended, FIRST_SID, LAST_SID, MAKE_ROOM_MAX};
use super::file::EmbeddedError;
use super::record::{self, Owner, Stored, expires_at};
use crate::Sid;

type SidBytes = &'static [u8; Sid::BYTES];
type ByTime = (u64, SidBytes);
type ByOwner = (&'static Owner, u64, SidBytes);

const ABOUT: TableDefinition<'static, &str, u64> = TableDefinition::new("about");
pub(super) const SESSIONS: TableDefinition<'static, SidBytes, &[u8]> = TableDefinition::new("sessions");
const BY_EXPIRY: TableDefinition<'static, ByTime, ()> = TableDefinition::new("sessions_by_expiry");
const BY_USER: TableDefinition<'static, ByOwner, ()> = TableDefinition::new("sessions_by_user");
const BY_UNIONID: TableDefinition<'static, ByOwner, ()> = TableDefinition::new("sessions_by_unionid");
const ENDED: TableDefinition<'static, SidBytes, u64> = TableDefinition::new("ended");
const BY_UNTIL: TableDefinition<'static, ByTime, ()> = TableDefinition::new("ended_by_until");

const FORMAT: u64 = 2;

/// About as large as the record of a session.
const USUAL_RECORD_BYTES: usize = 256;

/// Makes the tables that are not there yet, and refuses a file of another format.
pub(super) fn prepare(database: &Database) -> Result<(), EmbeddedError> {
    let transaction = database.begin_write()?;
    {
        let mut about = transaction.open_table(ABOUT)?;
        let found = about.get("format")?.map(|guard| guard.value());
        match found {
            Some(FORMAT) => {}
            Some(found) => return Err(EmbeddedError::Format { found, known: FORMAT }),
            None => drop(about.insert("format", FORMAT)?),
        }
        Tables::open(&transaction)?;
    }
    Ok(transaction.commit()?)
}

/// The session, unless it is unknown or has expired.
pub(super) fn session(database: &Database, sid: Sid, now: u64) -> Result<Option<Stored>, EmbeddedError> {
    let sessions = database.begin_read()?.open_table(SESSIONS)?;
    live(&sessions, sid, now)
}

/// Which sessions of an owner are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    User(Owner),
    Unionid(Owner),
}

/// The sessions of an owner that have not expired, the newest first. One whose record is damaged is left out: it must not
/// hide the others from whoever would end them.
pub(super) fn sessions_of(
    database: &Database,
    of: Of,
    now: u64,
    limit: usize,
) -> Result<Vec<Stored>, EmbeddedError> {
    let transaction = database.begin_read()?;
    let sessions = transaction.open_table(SESSIONS)?;
    let (index, owner) = match of {
        Of::User(owner) => (transaction.open_table(BY_USER)?, owner),
        Of::Unionid(owner) => (transaction.open_table(BY_UNIONID)?, owner),
    };
    let first = (&owner, 0, FIRST_SID.as_bytes());
    let last = (&owner, u64::MAX, LAST_SID.as_bytes());
    let mut found = Vec::new();
    for entry in index.range(first..=last)?.rev() {
        if found.len() == limit {
            break;
        }
        let (key, _) = entry?;
        match live(&sessions, Sid::from_bytes(*key.value().2), now) {
            Ok(session) => found.extend(session),
            Err(EmbeddedError::Record) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn live(
    sessions: &impl ReadableTable<SidBytes, &'static [u8]>,
    sid: Sid,
    now: u64,
) -> Result<Option<Stored>, EmbeddedError> {
    match sessions.get(sid.as_bytes())? {
        Some(record) if now < expires_at(record.value())? => Stored::read(sid, record.value()).map(Some),
        _ => Ok(None),
    }
}

/// The ends that must be remembered at `now`.
pub(super) fn ended(database: &Database, now: u64) -> Result<Vec<Ended>, EmbeddedError> {
    let by_until = database.begin_read()?.open_table(BY_UNTIL)?;
    let mut ended = Vec::new();
    for entry in by_until.range((now, FIRST_SID.as_bytes())..)? {
        let (key, _) = entry?;
        let (until, sid) = key.value();
        ended.push(Ended { sid: Sid::from_bytes(*sid), until });
    }
    Ok(ended)
}

/// The number that the file names, if any.
pub(super) fn format(database: &Database) -> Result<Option<u64>, EmbeddedError> {
    match database.begin_read()?.open_table(ABOUT) {
        Ok(about) => Ok(about.get("format")?.map(|guard| guard.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The tables within one transaction.
pub(super) struct Tables<'t> {
    sessions: Table<'t, SidBytes, &'static [u8]>,
    by_expiry: Table<'t, ByTime, ()>,
    by_user: Table<'t, ByOwner, ()>,
    by_unionid: Table<'t, ByOwner, ()>,
    ended: Table<'t, SidBytes, u64>,
    by_until: Table<'t, ByTime, ()>,
}

/// The store holds as many sessions as it may.
pub(super) struct Full;

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, EmbeddedError> {
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            by_user: transaction.open_table(BY_USER)?,
            by_unionid: transaction.open_table(BY_UNIONID)?,
            ended: transaction.open_table(ENDED)?,
            by_until: transaction.open_table(BY_UNTIL)?,
        })
    }

    pub(super) fn is_full(&self, sessions_max: u64) -> Result<bool, EmbeddedError> {
        Ok(self.sessions.len()? >= sessions_max)
    }

    pub(super) fn put(&mut self, stored: &Stored, max: u64) -> Result<Result<(), Full>, EmbeddedError> {
        let session = &stored.session;
        let sid = session.sid.as_bytes();
        if self.ended.get(sid)?.is_some() {
            return Ok(Ok(()));
        }
        if self.sessions.get(sid)?.is_some() {
            self.remove_session(session.sid)?;
        } else if self.is_full(max)? {
            self.sweep_sessions(session.logged_in_at, MAKE_ROOM_MAX)?;
            if self.is_full(max)? {
                return Ok(Err(Full));
            }
        }
        self.insert_session(stored)?;
        Ok(Ok(()))
    }

    pub(super) fn insert_session(&mut self, stored: &Stored) -> Result<(), EmbeddedError> {
        let session = &stored.session;
        let (sid, at) = (session.sid.as_bytes(), session.logged_in_at);
        self.sessions.insert(sid, stored.write()?.as_slice())?;
        self.by_expiry.insert((session.expires_at, sid), ())?;
        self.by_user.insert((&record::user(&session.app, &session.openid), at, sid), ())?;
        if let Some(unionid) = &session.unionid {
            self.by_unionid.insert((&record::across_apps(unionid), at, sid), ())?;
        }
        Ok(())
    }

    /// Does what a login does and takes it back: committing that takes the room that a login takes.
    pub(super) fn rehearse(&mut self) -> Result<(), EmbeddedError> {
        let (sid, owner, at) = (LAST_SID.as_bytes(), Owner::default(), u64::MAX);
        self.sessions.insert(sid, [0; USUAL_RECORD_BYTES].as_slice())?;
        self.sessions.remove(sid)?;
        self.by_expiry.insert((at, sid), ())?;
        self.by_expiry.remove((at, sid))?;
        for by_owner in [&mut self.by_user, &mut self.by_unionid] {
            by_owner.insert((&owner, at, sid), ())?;
            by_owner.remove((&owner, at, sid))?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, end: Ended) -> Result<(), EmbeddedError> {
        let sid = end.sid.as_bytes();
        self.remove_session(end.sid)?;
        let before = self.ended.get(sid)?.map(|until| until.value());
        if before.is_none_or(|until| until < end.until) {
            if let Some(until) = before {
                self.by_until.remove((until, sid))?;
            }
            self.ended.insert(sid, end.until)?;
            self.by_until.insert((end.until, sid), ())?;
        }
        Ok(())
    }

    pub(super) fn sweep(&mut self, now: u64, limit: usize) -> Result<usize, EmbeddedError> {
        let sessions = self.sweep_sessions(now, limit)?;
        let mut ends = 0;
        while ends < limit - sessions
            && let Some((until, sid)) = first(&self.by_until)?
            && until < now
        {
            self.by_until.remove((until, sid.as_bytes()))?;
            self.ended.remove(sid.as_bytes())?;
            ends += 1;
        }
        Ok(sessions + ends)
    }

    fn sweep_sessions(&mut self, now: u64, limit: usize) -> Result<usize, EmbeddedError> {
        let mut swept = 0;
        while swept < limit
            && let Some((expires_at, sid)) = first(&self.by_expiry)?
            && expires_at <= now
        {
            self.by_expiry.remove((expires_at, sid.as_bytes()))?;
            self.remove_session(sid)?;
            swept += 1;
        }
        Ok(swept)
    }

    fn remove_session(&mut self, sid: Sid) -> Result<(), EmbeddedError> {
        let Some(record) = self.sessions.remove(sid.as_bytes())? else { return Ok(()) };
        let (expires_at, stored) = (expires_at(record.value()), Stored::read(sid, record.value()));
        drop(record);
        // A damaged record can be ended too: what it leaves in the index by expiry goes with a later sweep, and what it
        // leaves in the others names a session that is not there.
        if let Ok(expires_at) = expires_at {
            self.by_expiry.remove((expires_at, sid.as_bytes()))?;
        }
        let Ok(Stored { session, .. }) = stored else { return Ok(()) };
        let at = session.logged_in_at;
        self.by_user.remove((&record::user(&session.app, &session.openid), at, sid.as_bytes()))?;
        if let Some(unionid) = &session.unionid {
            self.by_unionid.remove((&record::across_apps(unionid), at, sid.as_bytes()))?;
        }
        Ok(())
    }
}

fn first(index: &Table<'_, ByTime, ()>) -> Result<Option<(u64, Sid)>, EmbeddedError> {
    Ok(index.first()?.map(|(key, _)| (key.value().0, Sid::from_bytes(*key.value().1))))
}
