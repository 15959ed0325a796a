//! Sections that CI systems fold in their logs.
//!
//! ```text
//! ::group::BUILDING                                        GitHub Actions, "Workflow commands"
//! ::endgroup::
//! ESC[0Ksection_start:1700000000:building\rESC[0KBUILDING   GitLab CI, "Custom collapsible sections"
//! ESC[0Ksection_end:1700000001:building\rESC[0K
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use crate::host::Environment;

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sections {
    GitHub,
    GitLab,
}

impl Sections {
    /// By the variables that these systems set in every job.
    pub(crate) fn of(env: &Environment) -> Option<Self> {
        let is_true = |name: &str| env.text(name).is_some_and(|value| value == "true");
        match () {
            () if is_true("GITHUB_ACTIONS") => Some(Self::GitHub),
            () if is_true("GITLAB_CI") => Some(Self::GitLab),
            () => None,
        }
    }

    pub(crate) fn start(self, title: &str, now: SystemTime) -> String {
        match self {
            Self::GitHub => format!("::group::{title}"),
            Self::GitLab => {
                let (seconds, name) = (seconds(now), name(title));
                format!("\x1b[0Ksection_start:{seconds}:{name}\r\x1b[0K{title}")
            }
        }
    }

    pub(crate) fn end(self, title: &str, now: SystemTime) -> String {
        match self {
            Self::GitHub => "::endgroup::".to_owned(),
            Self::GitLab => {
                let (seconds, name) = (seconds(now), name(title));
                format!("\x1b[0Ksection_end:{seconds}:{name}\r\x1b[0K")
            }
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// GitLab takes letters, digits, `_`, `.` and `-`.
fn name(title: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    title.to_ascii_lowercase().chars().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn of_the_variables_of_each_system() {
        let of = |name: &str, value: &str| Sections::of(&Environment::of([(name, value)]));
        assert_eq!(of("GITHUB_ACTIONS", "true"), Some(Sections::GitHub));
        assert_eq!(of("GITLAB_CI", "true"), Some(Sections::GitLab));
        assert_eq!(of("CI", "true"), None);
        assert_eq!(of("GITHUB_ACTIONS", "false"), None);
    }

    #[test]
    fn start_and_end_in_full() {
        let now = UNIX_EPOCH + Duration::from_secs(17);
        assert_eq!(Sections::GitHub.start("BUILDING", now), "::group::BUILDING");
        assert_eq!(Sections::GitHub.end("BUILDING", now), "::endgroup::");
        let title = "STACK: resolving";
        assert_eq!(
            Sections::GitLab.start(title, now),
            "\x1b[0Ksection_start:17:stack__resolving\r\x1b[0KSTACK: resolving"
        );
        assert_eq!(
            Sections::GitLab.end(title, now),
            "\x1b[0Ksection_end:17:stack__resolving\r\x1b[0K"
        );
    }
}
