//! One session as bytes: its record, and the names under which it is found.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::super::{LoginSession, Seal};
use super::file::EmbeddedError;
use crate::{AppId, OpenId, SessionKey, Sid, UnionId};

const RECORD_VERSION: u8 = 2;

/// A session as the file has it: its `session_key` is sealed, and none is in `session`.
pub(super) struct Stored {
    pub(super) session: LoginSession,
    /// Empty where the session had no key that could be read.
    sealed: Vec<u8>,
}

impl Stored {
    /// Seals the `session_key` of `session`.
    pub(super) fn seal(mut session: LoginSession, seal: &Seal) -> Result<Self, EmbeddedError> {
        let key = session.session_key.take();
        let sealed =
            key.map(|key| seal.seal(&key, session.sid, &session.app, &session.openid)).unwrap_or_default();
        // Said here, to the one login that it concerns: in the middle of a commit it would fail all others too.
        if u16::try_from(sealed.len()).is_ok() {
            Ok(Self { session, sealed })
        } else {
            Err(EmbeddedError::Record)
        }
    }

    /// The session with its `session_key`, where the seal opens.
    pub(super) fn open(self, seal: &Seal) -> LoginSession {
        let Self { mut session, sealed } = self;
        if !sealed.is_empty() {
            let opened = seal.open(&sealed, session.sid, &session.app, &session.openid);
            let opened = opened.inspect_err(|why| {
                tracing::debug!(sid = %session.sid, %why, "a session has no session_key any more");
            });
            session.session_key = opened.ok();
        }
        session
    }

    /// The record: the layout stands in the head of [`super`].
    pub(super) fn write(&self) -> Result<Vec<u8>, EmbeddedError> {
        let Self { session, sealed } = self;
        let sealed_bytes = u16::try_from(sealed.len()).map_err(|_| EmbeddedError::Record)?;
        let rest = Rest {
            app: session.app.clone(),
            openid: session.openid.clone(),
            unionid: session.unionid.clone(),
            logged_in_at: session.logged_in_at,
        };
        let mut record = vec![RECORD_VERSION];
        record.extend(session.expires_at.to_be_bytes());
        record.extend(sealed_bytes.to_be_bytes());
        record.extend(sealed);
        serde_json::to_writer(&mut record, &rest).map_err(|_| EmbeddedError::Record)?;
        Ok(record)
    }

    pub(super) fn read(sid: Sid, record: &[u8]) -> Result<Self, EmbeddedError> {
        let expires_at = expires_at(record)?;
        let rest = record.get(9..).ok_or(EmbeddedError::Record)?;
        let (sealed_bytes, rest) = rest.split_first_chunk().ok_or(EmbeddedError::Record)?;
        let sealed_bytes = usize::from(u16::from_be_bytes(*sealed_bytes));
        let (sealed, rest) = rest.split_at_checked(sealed_bytes).ok_or(EmbeddedError::Record)?;
        // The cause is dropped: a JSON error may quote what it could not read.
        let rest: Rest = serde_json::from_slice(rest).map_err(|_| EmbeddedError::Record)?;
        Ok(Self { session: rest.session(sid, expires_at), sealed: sealed.to_vec() })
    }
}

/// When the session of this record expires.
pub(super) fn expires_at(record: &[u8]) -> Result<u64, EmbeddedError> {
    match record.split_first_chunk::<9>() {
        Some((&[RECORD_VERSION, ref expires_at @ ..], _)) => Ok(u64::from_be_bytes(*expires_at)),
        _ => Err(EmbeddedError::Record),
    }
}

/// What of a session stands in the JSON of its record.
#[derive(Serialize, Deserialize)]
struct Rest {
    app: AppId,
    openid: OpenId,
    unionid: Option<UnionId>,
    logged_in_at: u64,
}

impl Rest {
    fn session(self, sid: Sid, expires_at: u64) -> LoginSession {
        LoginSession {
            sid,
            app: self.app,
            openid: self.openid,
            unionid: self.unionid,
            session_key: None,
            logged_in_at: self.logged_in_at,
            expires_at,
        }
    }
}

/// Records of format 1, which held the `session_key` in clear.
pub(super) mod version_1 {
    use super::{Deserialize, EmbeddedError, LoginSession, Rest, SessionKey, Sid};

    #[derive(Deserialize)]
    struct Record {
        #[serde(flatten)]
        rest: Rest,
        session_key: String,
    }

    pub(in super::super) fn read(sid: Sid, record: &[u8]) -> Result<LoginSession, EmbeddedError> {
        let Some((&[1, ref expires_at @ ..], json)) = record.split_first_chunk::<9>() else {
            return Err(EmbeddedError::Record);
        };
        let Record { rest, session_key } = serde_json::from_slice(json).map_err(|_| EmbeddedError::Record)?;
        let mut session = rest.session(sid, u64::from_be_bytes(*expires_at));
        session.session_key = SessionKey::new(session_key);
        Ok(session)
    }
}

/// Whose a session is, as the indexes name it: half a digest of (appid, openid), or of the unionid. A digest has one length
/// however long an openid is, and half of one still never meets another by chance.
pub(super) type Owner = [u8; 16];

/// The user of one app.
pub(super) fn user(app: &AppId, openid: &OpenId) -> Owner {
    half_digest(&[app.as_str(), openid.as_str()])
}

/// The user across apps.
pub(super) fn across_apps(unionid: &UnionId) -> Owner {
    half_digest(&[unionid.as_str()])
}

fn half_digest(parts: &[&str]) -> Owner {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part.as_bytes());
        // No id holds it, so no other parts are the same bytes.
        context.update(b"\0");
    }
    let mut owner = Owner::default();
    owner.copy_from_slice(&context.finish().as_ref()[..16]);
    owner
}
