//! The tables of the file, and what can be done to them. The layout is told in the head of [`super`].

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};

use super::super::{Ended, FIRST_SID, LoginSession, MAKE_ROOM_MAX};
use super::file::EmbeddedError;
use crate::{AppId, OpenId, SessionKey, Sid, UnionId};

type SidBytes = &'static [u8; Sid::BYTES];
type Index = TableDefinition<'static, (u64, SidBytes), ()>;

const ABOUT: TableDefinition<'static, &str, u64> = TableDefinition::new("about");
const SESSIONS: TableDefinition<'static, SidBytes, &[u8]> = TableDefinition::new("sessions");
const BY_EXPIRY: Index = TableDefinition::new("sessions_by_expiry");
const ENDED: TableDefinition<'static, SidBytes, u64> = TableDefinition::new("ended");
const BY_UNTIL: Index = TableDefinition::new("ended_by_until");

const FORMAT: u64 = 1;
const RECORD_VERSION: u8 = 1;

/// Makes the tables that are not there yet, and refuses a file that a later version laid out.
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
pub(super) fn session(
    database: &Database,
    sid: Sid,
    now: u64,
) -> Result<Option<LoginSession>, EmbeddedError> {
    let sessions = database.begin_read()?.open_table(SESSIONS)?;
    match sessions.get(sid.as_bytes())? {
        Some(record) if now < expires_at(record.value())? => read(sid, record.value()).map(Some),
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

/// The tables within one transaction.
pub(super) struct Tables<'t> {
    sessions: Table<'t, SidBytes, &'static [u8]>,
    by_expiry: Table<'t, (u64, SidBytes), ()>,
    ended: Table<'t, SidBytes, u64>,
    by_until: Table<'t, (u64, SidBytes), ()>,
}

/// The store holds as many sessions as it may.
pub(super) struct Full;

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, EmbeddedError> {
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            ended: transaction.open_table(ENDED)?,
            by_until: transaction.open_table(BY_UNTIL)?,
        })
    }

    pub(super) fn is_full(&self, sessions_max: u64) -> Result<bool, EmbeddedError> {
        Ok(self.sessions.len()? >= sessions_max)
    }

    pub(super) fn put(
        &mut self,
        session: &LoginSession,
        max: u64,
    ) -> Result<Result<(), Full>, EmbeddedError> {
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
        self.sessions.insert(sid, write(session)?.as_slice())?;
        self.by_expiry.insert((session.expires_at, sid), ())?;
        Ok(Ok(()))
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
            self.sessions.remove(sid.as_bytes())?;
            swept += 1;
        }
        Ok(swept)
    }

    fn remove_session(&mut self, sid: Sid) -> Result<(), EmbeddedError> {
        let Some(record) = self.sessions.remove(sid.as_bytes())? else { return Ok(()) };
        // A damaged record can be ended too: what it leaves in the index goes with a later sweep.
        if let Ok(expires_at) = expires_at(record.value()) {
            self.by_expiry.remove((expires_at, sid.as_bytes()))?;
        }
        Ok(())
    }
}

fn first(index: &Table<'_, (u64, SidBytes), ()>) -> Result<Option<(u64, Sid)>, EmbeddedError> {
    Ok(index.first()?.map(|(key, _)| (key.value().0, Sid::from_bytes(*key.value().1))))
}

/// What of a session stands in the JSON of its record.
#[derive(Serialize, Deserialize)]
struct Rest {
    app: AppId,
    openid: OpenId,
    unionid: Option<UnionId>,
    session_key: String,
    logged_in_at: u64,
}

fn write(session: &LoginSession) -> Result<Vec<u8>, EmbeddedError> {
    let rest = Rest {
        app: session.app.clone(),
        openid: session.openid.clone(),
        unionid: session.unionid.clone(),
        session_key: session.session_key.expose().to_owned(),
        logged_in_at: session.logged_in_at,
    };
    let mut record = vec![RECORD_VERSION];
    record.extend(session.expires_at.to_be_bytes());
    serde_json::to_writer(&mut record, &rest).map_err(|_| EmbeddedError::Record)?;
    Ok(record)
}

fn expires_at(record: &[u8]) -> Result<u64, EmbeddedError> {
    match record.split_first_chunk::<9>() {
        Some((&[RECORD_VERSION, ref expires_at @ ..], _)) => Ok(u64::from_be_bytes(*expires_at)),
        _ => Err(EmbeddedError::Record),
    }
}

fn read(sid: Sid, record: &[u8]) -> Result<LoginSession, EmbeddedError> {
    let rest = record.get(9..).ok_or(EmbeddedError::Record)?;
    // The cause is dropped: a JSON error may quote what it could not read.
    let rest: Rest = serde_json::from_slice(rest).map_err(|_| EmbeddedError::Record)?;
    Ok(LoginSession {
        sid,
        app: rest.app,
        openid: rest.openid,
        unionid: rest.unionid,
        session_key: SessionKey::new(rest.session_key).ok_or(EmbeddedError::Record)?,
        logged_in_at: rest.logged_in_at,
        expires_at: expires_at(record)?,
    })
}
