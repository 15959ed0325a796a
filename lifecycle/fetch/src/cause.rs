//! What is behind an error of the HTTP library.

use std::{error::Error, io};

/// The first error of this type behind `error`. An `io::Error` hides what it wraps from `source()`, so each link is also looked into.
pub fn cause_of<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut link = Some(error);
    while let Some(current) = link {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        let wrapped = current
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| cause_of(inner)) {
            return Some(found);
        }
        link = current.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn cause_of_looks_into_io_errors() {
        let error = io::Error::other(io::Error::other(Inner));
        assert_eq!(cause_of(&error), Some(&Inner));
        assert_eq!(cause_of::<std::fmt::Error>(&error), None);
    }
}
