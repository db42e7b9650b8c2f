//! The config in force. Each request takes one snapshot of it and keeps that to its end: a new config is swapped in whole.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::snapshot::Snapshot;

/// Where the snapshot in force is found.
#[derive(Debug, Clone)]
pub(crate) struct Live(Arc<ArcSwap<Snapshot>>);

impl Live {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// From now on requests begin with this one.
    pub(crate) fn put(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
