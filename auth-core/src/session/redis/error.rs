//! Why Redis did not do what it was asked.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError as ClientError, ServerErrorKind};

use super::super::StoreError;

/// Why Redis did not do what it was asked, without anything that was asked: what a server answers may quote the command.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RedisError {
    /// A setting that cannot work.
    #[error("{0}")]
    Setting(&'static str),
    /// No connection, or it broke.
    #[error("Redis is out of reach: {0}")]
    Unreachable(Arc<str>),
    /// No answer in time.
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// No Sentinel that answers has a master that takes commands.
    #[error("no Sentinel names a master that takes commands: {0}")]
    NoMaster(Arc<str>),
    /// Too few Sentinels answer to know that the master in use is still one.
    #[error("too few Sentinels answer: there may be another master by now")]
    Unproven,
    /// It answered with an error: its code, such as `NOAUTH`, `READONLY`, `OOM`.
    #[error("Redis refuses: {0}")]
    Refused(Arc<str>),
    /// What is kept there is not what was put there.
    #[error("what Redis keeps for a session cannot be read")]
    Record,
}

impl RedisError {
    /// Whether another connection could do better: this one is broken, or leads to a server that is no master any more.
    pub(super) fn wants_another_connection(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TooSlow(_) | Self::NoMaster(_) => true,
            Self::Refused(code) => {
                matches!(&**code, "READONLY" | "MASTERDOWN" | "UNBLOCKED")
            }
            Self::Setting(_) | Self::Record | Self::Unproven => false,
        }
    }

    /// Whether a master takes no writes because no replica follows it: perhaps they follow another.
    pub(super) fn is_for_want_of_replicas(&self) -> bool {
        matches!(self, Self::Refused(code) if &**code == "NOREPLICAS")
    }

    /// The cause as a word, where it is known to quote nothing that was sent.
    fn of(why: &ClientError) -> Self {
        match why.kind() {
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Self::Unreachable(cause(why).into()),
            ErrorKind::AuthenticationFailed => Self::Refused("WRONGPASS".into()),
            ErrorKind::Server(ServerErrorKind::BusyLoading) => Self::Refused("LOADING".into()),
            kind => match why.code() {
                Some("ERR") => Self::Refused(within_script(why.detail()).into()),
                Some(code) => Self::Refused(code.into()),
                None => Self::Unreachable(format!("{kind:?}").into()),
            },
        }
    }
}

/// Redis before 7 wraps what stopped a script into an `ERR`; the code stands somewhere in the text.
fn within_script(detail: Option<&str>) -> &'static str {
    let detail = detail.unwrap_or_default();
    let codes = ["READONLY", "OOM", "MISCONF", "NOPERM", "WRONGTYPE", "NOREPLICAS"];
    codes.into_iter().find(|code| detail.contains(&format!("-{code} "))).unwrap_or("ERR")
}

/// What the machine says of a connection. The text of the client may hold what a server sent.
fn cause(why: &ClientError) -> String {
    let inner = why.source().and_then(|inner| inner.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    match inner.and_then(|inner| inner.downcast_ref::<io::Error>()) {
        Some(io) => io.to_string(),
        None => "the connection failed or was closed".to_owned(),
    }
}

impl From<ClientError> for RedisError {
    fn from(why: ClientError) -> Self {
        Self::of(&why)
    }
}

impl From<RedisError> for StoreError {
    fn from(why: RedisError) -> Self {
        Self::Failed(Box::new(why))
    }
}
