//! Codes that work once: those of `wx.login` and those of the phone number button.

use super::shelf::Shelf;

/// Codes remembered, used ones too; the oldest are forgotten first, and a forgotten code is an unknown one.
const CODES_MAX: usize = 50_000;

/// Codes of one kind, each standing for a `T`.
#[derive(Debug)]
pub(super) struct Codes<T> {
    ttl_secs: u64,
    codes: Shelf<String, Code<T>>,
}

#[derive(Debug)]
struct Code<T> {
    grant: T,
    minted_at: u64,
    used: bool,
}

/// What presenting a code showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented<T> {
    Unknown,
    /// Presented before, with whatever result.
    Used,
    Expired,
    Fresh(T),
}

impl<T: Clone> Codes<T> {
    pub(super) fn new(ttl_secs: u64) -> Self {
        Self { ttl_secs, codes: Shelf::new(CODES_MAX) }
    }

    pub(super) fn mint(&mut self, code: String, grant: T, now: u64) {
        self.codes.put(code, Code { grant, minted_at: now, used: false });
    }

    /// What a code stands for, without spending it.
    pub(super) fn peek(&self, code: &str) -> Option<&T> {
        self.codes.get(code).map(|code| &code.grant)
    }

    /// Presents a code and spends it: the first presentation burns it even when its answer is an error.
    pub(super) fn present(&mut self, code: &str, now: u64) -> Presented<T> {
        let Some(code) = self.codes.get_mut(code) else {
            return Presented::Unknown;
        };
        if std::mem::replace(&mut code.used, true) {
            Presented::Used
        } else if now >= code.minted_at.saturating_add(self.ttl_secs) {
            Presented::Expired
        } else {
            Presented::Fresh(code.grant.clone())
        }
    }
}
