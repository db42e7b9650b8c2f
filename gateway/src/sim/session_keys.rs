//! The `session_key` of each user: one is current at a time, and a login may replace it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::random;
use super::shelf::Shelf;

/// Users of apps whose keys are remembered; those who logged in first are forgotten first.
const SESSION_KEYS_MAX: usize = 50_000;

/// All keys, by appid and openid.
#[derive(Debug)]
pub(super) struct SessionKeys {
    ttl_secs: u64,
    min_rotation_secs: u64,
    keys: Shelf<(String, String), Key>,
}

#[derive(Debug)]
struct Key {
    current: String,
    previous: Option<String>,
    rotated_at: u64,
    expires_at: u64,
}

/// Which of a user's keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Current,
    /// The one before: what a service still holds when the client logged in again behind its back.
    Stale,
}

impl SessionKeys {
    pub(super) fn new(ttl_secs: u64, min_rotation_secs: u64) -> Self {
        Self { ttl_secs, min_rotation_secs, keys: Shelf::new(SESSION_KEYS_MAX) }
    }

    /// `wx.login` happened: the key rotates now, not at the exchange, unless it did so too recently.
    pub(super) fn login(&mut self, appid: &str, openid: &str, now: u64) {
        let id = (appid.to_owned(), openid.to_owned());
        let expires_at = now.saturating_add(self.ttl_secs);
        match self.keys.get_mut(&id) {
            Some(key)
                if now < key.expires_at && now < key.rotated_at.saturating_add(self.min_rotation_secs) => {}
            Some(key) => {
                key.rotate();
                key.rotated_at = now;
                key.expires_at = expires_at;
            }
            None => {
                let key = Key { current: new_key(), previous: None, rotated_at: now, expires_at };
                self.keys.put(id, key);
            }
        }
    }

    /// The key that an exchange hands out: the current one; after its end, or when forgotten, a new one.
    pub(super) fn hand_out(&mut self, appid: &str, openid: &str, now: u64) -> String {
        if self.read(appid, openid, Which::Current, now).is_none() {
            self.login(appid, openid, now);
        }
        self.read(appid, openid, Which::Current, now).unwrap_or_default()
    }

    /// A key of this user; `None` when there is none or, for the current one, when it has expired.
    pub(super) fn read(&self, appid: &str, openid: &str, which: Which, now: u64) -> Option<String> {
        let key = self.keys.get(&(appid.to_owned(), openid.to_owned()))?;
        match which {
            Which::Current => (now < key.expires_at).then(|| key.current.clone()),
            Which::Stale => key.previous.clone(),
        }
    }

    /// Replaces the current key at once; the new one lives as long as the old one would have.
    pub(super) fn reset(&mut self, appid: &str, openid: &str) -> Option<String> {
        let key = self.keys.get_mut(&(appid.to_owned(), openid.to_owned()))?;
        key.rotate();
        Some(key.current.clone())
    }
}

impl Key {
    fn rotate(&mut self) {
        self.previous = Some(std::mem::replace(&mut self.current, new_key()));
    }
}

/// 16 random bytes as 24 characters of base64.
fn new_key() -> String {
    STANDARD.encode(random::bytes::<16>())
}
