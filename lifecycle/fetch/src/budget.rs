//! The time that one operation may take, all its requests, pauses and retries together.

use std::time::{Duration, Instant};

/// A time limit that began.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    begun: Instant,
    total: Duration,
}

impl Budget {
    /// Begins now.
    pub fn new(total: Duration) -> Self {
        Self {
            begun: Instant::now(),
            total,
        }
    }

    /// What has gone by.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What there still is.
    pub fn left(&self) -> Duration {
        self.total.saturating_sub(self.begun.elapsed())
    }

    /// All of it, as it was in the beginning.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// A part of it, for what must not use up the rest.
    #[must_use]
    pub fn at_most(&self, limit: Duration) -> Self {
        Self::new(self.left().min(limit))
    }
}
