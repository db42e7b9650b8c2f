//! `GET /.well-known/jwks.json`: the public keys (RFC 7517), for services that verify tokens themselves.

use super::Answer;
use crate::reply::Reply;
use crate::snapshot::Snapshot;

/// How long others may keep the keys, in seconds: a new key is in force everywhere after this.
const MAX_AGE_SECS: u32 = 300;

pub(super) fn answer(snapshot: &Snapshot) -> Answer {
    Ok(Reply::Public(snapshot.jwks.clone(), MAX_AGE_SECS))
}
