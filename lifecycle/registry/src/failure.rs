//! A failed attempt: whether another may succeed, and what to say if none does.

use std::time::Duration;

use crate::{asked::Asked, error::RegistryError};

/// A failed attempt.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another attempt may succeed.
    Transient(Transient),
    /// It will not.
    Final(RegistryError),
}

/// What another attempt may cure.
#[derive(Debug)]
pub(crate) struct Transient {
    pub(crate) asked: Asked,
    pub(crate) cause: String,
    /// The pause that the server asks for.
    pub(crate) wait: Option<Duration>,
    /// The error if no attempt is left, where it says more than that all failed.
    pub(crate) error: Option<Box<RegistryError>>,
}

impl Failure {
    pub(crate) fn transient(asked: Asked, cause: impl Into<String>) -> Self {
        Self::Transient(Transient {
            asked,
            cause: cause.into(),
            wait: None,
            error: None,
        })
    }

    /// An error that may have been an accident on the way.
    pub(crate) fn once_more(asked: Asked, error: RegistryError) -> Self {
        Self::Transient(Transient {
            asked,
            cause: error.to_string(),
            wait: None,
            error: Some(Box::new(error)),
        })
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::Final(error)
    }
}
