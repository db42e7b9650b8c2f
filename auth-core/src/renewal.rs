//! A token past half its life has a successor: for the same session, and as long again.
//!
//! What the successor says follows from what the token says and from the config, not from the time and from no store. So
//! parallel requests with one token are given one successor, on every node: with HS256 and EdDSA the same bytes, with
//! ES256 another signature under the same claims.

use crate::Caller;
use crate::keys::KeyRing;
use crate::login::LoginSettings;
use crate::token::{LoginToken, TOKEN_LIFE_SECS_MAX, mint};

/// Makes successors. The keys, issuer and life of tokens are those of the logins.
#[derive(Debug)]
pub struct Renewal {
    keys: KeyRing,
    issuer: String,
    token_ttl_secs: u64,
}

/// A token that takes the place of another.
#[derive(Debug)]
pub struct Renewed {
    /// For the client.
    pub token: LoginToken,
    /// When it ends, in Unix seconds.
    pub expires_at: u64,
}

impl Renewal {
    /// Renews what logins with these settings and keys begin.
    pub fn new(settings: &LoginSettings, keys: KeyRing) -> Self {
        Self { keys, issuer: settings.issuer.clone(), token_ttl_secs: settings.token_ttl.as_secs() }
    }

    /// The successor of the caller's token, signed by the key that signs now: so the tokens of a retired key go.
    ///
    /// Asked only for a caller who [is due](crate::verify::Verified::is_due).
    pub fn renew(&self, caller: &Caller) -> Option<Renewed> {
        let successor = self.successor(caller)?;
        let token = mint(self.keys.signing(), &self.issuer, &successor);
        Some(Renewed { token, expires_at: successor.expires_at })
    }

    /// What the successor says: the caller's names and session, from the half-life on for as long as a token lives, but
    /// not past the session's end. None if it would not outlast the token, or if nobody knows when the session ends.
    fn successor(&self, caller: &Caller) -> Option<Caller> {
        let session_ends_at = caller.session_ends_at?;
        let issued_at = caller.half_life();
        let life = self.token_ttl_secs.min(TOKEN_LIFE_SECS_MAX);
        let expires_at = issued_at.saturating_add(life).min(session_ends_at);
        (expires_at > caller.expires_at).then(|| Caller {
            issued_at,
            expires_at,
            signed_until: expires_at,
            ..caller.clone()
        })
    }
}

#[cfg(test)]
mod tests;
