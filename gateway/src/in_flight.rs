//! How many requests are on their way, so that the process can end when the last one has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts requests under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

/// One request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Flying(InFlight);

impl InFlight {
    pub(crate) fn begin(&self) -> Flying {
        self.0.fetch_add(1, Ordering::Relaxed);
        Flying(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
