//! The time that one push or pull may take, all its requests, pauses and retries together.

use std::time::{Duration, Instant};

/// A time limit that began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    begun: Instant,
    total: Duration,
}

impl Budget {
    /// Begins now.
    pub(crate) fn new(total: Duration) -> Self {
        Self {
            begun: Instant::now(),
            total,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn left(&self) -> Duration {
        self.total.saturating_sub(self.begun.elapsed())
    }

    pub(crate) fn total(&self) -> Duration {
        self.total
    }

    /// A part of it, for what must not use up the rest.
    pub(crate) fn at_most(&self, limit: Duration) -> Self {
        Self::new(self.left().min(limit))
    }
}
