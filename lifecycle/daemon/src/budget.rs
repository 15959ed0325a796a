//! The time that one operation may take, all its requests, pauses and retries together.

use std::time::{Duration, Instant};

use crate::{asked::Asked, error::DaemonError};

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

    /// What to say when nothing is left.
    pub(crate) fn used_up(&self) -> String {
        format!(
            "the time limit of {:.0} s is used up",
            self.total.as_secs_f64()
        )
    }

    /// The error that it is when a request is still running by then.
    pub(crate) fn exceeded_by(&self, asked: &Asked) -> DaemonError {
        DaemonError::GaveUp {
            asked: asked.clone(),
            cause: self.used_up(),
            attempts: 1,
            elapsed: self.elapsed(),
        }
    }
}
