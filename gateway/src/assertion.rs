//! The signed statement about the caller that a service can check by itself. Made for each caller and service, and handed
//! out again for half of its life.

use std::sync::{Arc, PoisonError};

use auth_core::assertion::Asserter;
use auth_core::verify::Verified;
use http::HeaderValue;

use crate::config::Upstream;
use crate::steps::authenticate::{Prepared, ReadyAssertion};

/// Who is told, and by whom.
#[derive(Debug)]
pub(crate) struct Assertions {
    asserter: Asserter,
    /// By upstream: its name, if it wants an assertion.
    audiences: Vec<Option<Arc<str>>>,
}

impl Assertions {
    /// None if no upstream wants any.
    pub(crate) fn new(
        upstreams: &[Upstream],
        asserter: impl FnOnce() -> anyhow::Result<Asserter>,
    ) -> anyhow::Result<Option<Self>> {
        let wants = |upstream: &Upstream| upstream.assertion.then(|| Arc::clone(&upstream.name));
        let audiences: Vec<_> = upstreams.iter().map(wants).collect();
        if audiences.iter().all(Option::is_none) {
            return Ok(None);
        }
        Ok(Some(Self { asserter: asserter()?, audiences }))
    }

    /// What this upstream is told of the caller, if it wants to be. `now` in Unix seconds, read only if it does.
    pub(crate) fn of(
        &self,
        caller: &Verified<Prepared>,
        upstream: usize,
        now: impl FnOnce() -> u64,
    ) -> Option<HeaderValue> {
        let audience = self.audiences.get(upstream)?.as_ref()?;
        let now = now();
        // Held while one is signed: parallel requests of one caller need one signature.
        let mut ready = caller.derived.assertions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = ready.iter().find(|one| one.upstream == upstream && one.fresh.contains(&now)) {
            return Some(fresh.value.clone());
        }
        ready.retain(|one| one.fresh.contains(&now));
        let assertion = self.asserter.assert(&caller.caller, audience, now);
        let mut value = HeaderValue::from_str(assertion.expose()).ok()?;
        value.set_sensitive(true);
        ready.push(ReadyAssertion { upstream, fresh: assertion.fresh(), value: value.clone() });
        Some(value)
    }
}
