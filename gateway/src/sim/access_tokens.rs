//! The `access_token`s of one app: two stores that do not know of each other, as at WeChat.

use super::random;

/// A token that `/cgi-bin/token` replaced still works this long.
const OVERLAP_SECS: u64 = 300;
/// `/cgi-bin/stable_token` renews when no more than this is left.
const RENEW_EARLY_SECS: u64 = 300;
/// Forced renewals in a day (UTC), and the least time between two.
const FORCED_PER_DAY: u32 = 20;
const FORCED_APART_SECS: u64 = 30;

/// The tokens of one app.
#[derive(Debug, Default)]
pub(super) struct AccessTokens {
    /// At most two each: the current one, then the one before it.
    legacy: Vec<Token>,
    stable: Vec<Token>,
    forced_at: Option<u64>,
    /// Day since 1970, and how many that day.
    forced: (u64, u32),
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    expires_at: u64,
    /// Earlier than `expires_at` for a token that was replaced.
    works_until: u64,
}

/// A token as handed out.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) text: String,
    pub(super) expires_in: u64,
}

/// What a presented token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Valid,
    Expired,
    /// Not ours, or replaced.
    Unknown,
}

/// Why a renewal was not forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForceRefused {
    TooSoon,
    TooOften,
}

impl AccessTokens {
    /// `/cgi-bin/token`: every call gives a new token; the one before works [`OVERLAP_SECS`] longer.
    pub(super) fn issue_legacy(&mut self, ttl_secs: u64, now: u64) -> Issued {
        renew(&mut self.legacy, ttl_secs, now, now.saturating_add(OVERLAP_SECS))
    }

    /// `/cgi-bin/stable_token`: the same token again, with what is left of its life, until shortly before its end.
    pub(super) fn issue_stable(&mut self, ttl_secs: u64, now: u64) -> Issued {
        if let Some(token) = self.stable.first()
            && token.expires_at.saturating_sub(now) > RENEW_EARLY_SECS.min(ttl_secs / 2)
        {
            return Issued { text: token.text.clone(), expires_in: token.expires_at - now };
        }
        renew(&mut self.stable, ttl_secs, now, u64::MAX)
    }

    /// `force_refresh`: a new token at once; the old one is dead.
    pub(super) fn force_stable(&mut self, ttl_secs: u64, now: u64) -> Result<Issued, ForceRefused> {
        let today = now / 86_400;
        if self.forced.0 != today {
            self.forced = (today, 0);
        }
        if self.forced_at.is_some_and(|at| now < at.saturating_add(FORCED_APART_SECS)) {
            return Err(ForceRefused::TooSoon);
        }
        if self.forced.1 >= FORCED_PER_DAY {
            return Err(ForceRefused::TooOften);
        }
        self.forced.1 += 1;
        self.forced_at = Some(now);
        self.stable.clear();
        Ok(renew(&mut self.stable, ttl_secs, now, now))
    }

    pub(super) fn standing(&self, text: &str, now: u64) -> Standing {
        match self.legacy.iter().chain(&self.stable).find(|token| token.text == text) {
            Some(token) if now >= token.expires_at => Standing::Expired,
            Some(token) if now >= token.works_until => Standing::Unknown,
            Some(_) => Standing::Valid,
            None => Standing::Unknown,
        }
    }
}

/// Puts a new token in front; the one before works until `old_until`, or its end if that comes first.
fn renew(tokens: &mut Vec<Token>, ttl_secs: u64, now: u64, old_until: u64) -> Issued {
    // The length and the look of live ones: a number, an underscore, base64url.
    let text = format!("85_{}", random::alphanumeric(133));
    let expires_at = now.saturating_add(ttl_secs);
    if let Some(old) = tokens.first_mut() {
        old.works_until = old.works_until.min(old_until);
    }
    tokens.insert(0, Token { text: text.clone(), expires_at, works_until: u64::MAX });
    tokens.truncate(2);
    Issued { text, expires_in: ttl_secs }
}
