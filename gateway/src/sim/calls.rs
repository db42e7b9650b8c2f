//! The record of the calls that arrived: enough to count and to compare, nothing that is secret.

use std::collections::{BTreeMap, VecDeque};

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use super::call::Call;

/// Calls kept in detail; the oldest goes first. The counts go on.
const CALLS_MAX: usize = 10_000;
/// Paths counted apart; further ones are counted as `other`.
const PATHS_MAX: usize = 64;
/// Characters of a path that are kept.
const PATH_CHARS_MAX: usize = 128;
/// Parameter names kept of one call.
const NAMES_MAX: usize = 32;

/// What arrived since the start or the last reset.
#[derive(Debug, Default)]
pub(super) struct Calls {
    counts: BTreeMap<String, u64>,
    last: VecDeque<Seen>,
    total: u64,
}

/// One call. Values of parameters are left out; the code, which tests compare, is there as a hash.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Seen {
    /// Counts from 1 over all calls.
    number: u64,
    /// Unix seconds on the simulator's clock.
    at: u64,
    method: String,
    path: String,
    /// Names of the query parameters in the order of the request; `?` for one that does not look like a name.
    parameters: Vec<String>,
    /// SHA-256 in hex of `js_code`, or of `code` in the body.
    code_sha256: Option<String>,
    /// The errcode that the call produced, sent or not; `None`: a success without one, or no effect at all.
    pub(super) errcode: Option<i64>,
    /// The fault that was applied.
    pub(super) fault: Option<&'static str>,
}

impl Seen {
    pub(super) fn of(call: &Call, now: u64) -> Self {
        let body_code = || call.json().and_then(|body| Some(body.get("code")?.as_str()?.to_owned()));
        let code = call.query("js_code").map(str::to_owned).or_else(body_code);
        Self {
            number: 0,
            at: now,
            method: call.method.to_string(),
            path: call.path.chars().take(PATH_CHARS_MAX).collect(),
            parameters: call.query_names().take(NAMES_MAX).map(shown_name).collect(),
            code_sha256: code.map(|code| sha256_hex(code.as_bytes())),
            errcode: None,
            fault: None,
        }
    }
}

impl Calls {
    pub(super) fn record(&mut self, mut seen: Seen) {
        self.total += 1;
        seen.number = self.total;
        let full = self.counts.len() >= PATHS_MAX && !self.counts.contains_key(&seen.path);
        *self.counts.entry(if full { "other".to_owned() } else { seen.path.clone() }).or_default() += 1;
        self.last.push_back(seen);
        if self.last.len() > CALLS_MAX {
            self.last.pop_front();
        }
    }

    /// Calls per path.
    pub(super) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// The calls kept, oldest first; of one path if it is named.
    pub(super) fn list(&self, path: Option<&str>) -> Vec<&Seen> {
        self.last.iter().filter(|seen| path.is_none_or(|path| seen.path == path)).collect()
    }
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A secret pasted in the place of a name must not be shown.
fn shown_name(name: &str) -> String {
    let looks_right =
        (1..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if looks_right { name.to_owned() } else { "?".to_owned() }
}
