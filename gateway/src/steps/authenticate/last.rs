//! The last token of one connection. A mini program keeps its connection and sends the same token again and again: to
//! see that it is the same takes a tenth of what it takes to find it among those of everybody.

use std::sync::{Arc, Mutex, PoisonError};

use auth_core::Verifier;
use http::header::{HeaderMap, HeaderValue};

use super::{Authenticated, Prepared, TokenSources};

/// Who called last on a connection, and with which header line.
#[derive(Default)]
pub(crate) struct LastCaller(Mutex<Option<Last>>);

/// Says nothing of the token.
impl std::fmt::Debug for LastCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LastCaller")
    }
}

struct Last {
    line: Box<[u8]>,
    caller: Authenticated,
    /// The verifier that let the caller pass: another has other keys or another policy.
    verifier: u64,
}

impl LastCaller {
    /// The caller, if the request carries one line that could hold a token, the very line of last time, and it passes now.
    /// `None` says nothing: the token is then verified as any other.
    pub(crate) fn recall(
        &self,
        verifier: &Verifier<Prepared>,
        sources: &TokenSources,
        headers: &HeaderMap,
    ) -> Option<Authenticated> {
        let line = only_line(sources, headers)?;
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last =
            last.as_ref().filter(|last| *last.line == *line.as_bytes() && last.verifier == verifier.id())?;
        verifier.passes_again(&last.caller).then(|| Arc::clone(&last.caller))
    }

    /// Keeps a caller whose token was just verified.
    pub(crate) fn keep(
        &self,
        verifier: &Verifier<Prepared>,
        sources: &TokenSources,
        headers: &HeaderMap,
        caller: &Authenticated,
    ) {
        let Some(line) = only_line(sources, headers).filter(|_| verifier.remembers()) else { return };
        let last = Last { line: line.as_bytes().into(), caller: Arc::clone(caller), verifier: verifier.id() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }
}

/// The one header line that could hold a token, where the config knows one name for it and the request has it once.
fn only_line<'r>(sources: &TokenSources, headers: &'r HeaderMap) -> Option<&'r HeaderValue> {
    let [name] = &sources.headers[..] else { return None };
    let mut lines = headers.get_all(name).into_iter();
    lines.next().filter(|_| lines.next().is_none())
}
