//! Every code, token and key that the tests use. When a process ends, its log is searched for each of them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

fn known() -> MutexGuard<'static, HashSet<String>> {
    static KNOWN: OnceLock<Mutex<HashSet<String>>> = OnceLock::new();
    KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a secret: it must never be seen in a log.
pub(crate) fn secret(text: impl Into<String>) -> String {
    let text = text.into();
    assert!(text.len() >= 8, "`{text}` is too short to be searched for");
    known().insert(text.clone());
    text
}

/// The secrets that stand in `log`.
pub(super) fn found_in(log: &str) -> Vec<String> {
    known().iter().filter(|secret| log.contains(secret.as_str())).cloned().collect()
}
