//! Why user namespaces are forbidden here, and what to change: sysctls, AppArmor, container runtimes.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// User namespaces are forbidden; [`fmt::Display`] says by what and how to allow them.
#[derive(Debug)]
pub struct Forbidden {
    step: String,
    answer: io::Error,
    reasons: Vec<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Debian's and Arch's own switch.
    CloneSysctl,
    /// No namespace left to give.
    MaxNamespaces,
    /// Ubuntu's, since 23.10: the namespace is made, but without capabilities.
    AppArmor,
    /// Docker's, Podman's and Kubernetes' default seccomp profile.
    Container,
}

/// What the machine says about itself.
struct Facts {
    clone_sysctl: Option<String>,
    max_namespaces: Option<String>,
    app_armor: Option<String>,
    in_container: bool,
}

impl Forbidden {
    /// Looks for the reason on this machine.
    pub(crate) fn look(step: &str, answer: io::Error) -> Self {
        let sysctl = |name: &str| {
            fs::read_to_string(Path::new("/proc/sys").join(name))
                .ok()
                .map(|text| text.trim().to_owned())
        };
        let facts = Facts {
            clone_sysctl: sysctl("kernel/unprivileged_userns_clone"),
            max_namespaces: sysctl("user/max_user_namespaces"),
            app_armor: sysctl("kernel/apparmor_restrict_unprivileged_userns"),
            in_container: ["/.dockerenv", "/run/.containerenv"]
                .iter()
                .any(|marker| Path::new(marker).try_exists().unwrap_or(false))
                || fs::read_to_string("/proc/1/cgroup")
                    .is_ok_and(|text| text.contains("kubepods") || text.contains("docker")),
        };
        Self {
            step: step.to_owned(),
            reasons: reasons(&facts),
            answer,
        }
    }
}

fn reasons(facts: &Facts) -> Vec<Reason> {
    let Facts {
        clone_sysctl,
        max_namespaces,
        app_armor,
        in_container,
    } = facts;
    let mut reasons = Vec::new();
    if clone_sysctl.as_deref() == Some("0") {
        reasons.push(Reason::CloneSysctl);
    }
    if max_namespaces.as_deref() == Some("0") {
        reasons.push(Reason::MaxNamespaces);
    }
    if app_armor.as_deref() == Some("1") {
        reasons.push(Reason::AppArmor);
    }
    if *in_container || reasons.is_empty() {
        reasons.push(Reason::Container);
    }
    reasons
}

impl fmt::Display for Forbidden {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            step,
            answer,
            reasons,
        } = self;
        write!(
            to,
            "this machine does not let an ordinary process make a user namespace (could not {step}: {answer})\n\n\
             The sandbox is made of one, so that it needs no root. What forbids it, and how to allow it:"
        )?;
        for reason in reasons {
            write!(to, "\n- {}", reason.advice())?;
        }
        Ok(())
    }
}

impl Reason {
    fn advice(self) -> &'static str {
        match self {
            Self::CloneSysctl => {
                "kernel.unprivileged_userns_clone is 0: `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
            }
            Self::MaxNamespaces => {
                "user.max_user_namespaces is 0: `sudo sysctl -w user.max_user_namespaces=15000`"
            }
            Self::AppArmor => {
                "kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu 23.10 and later): add an AppArmor profile \
                 with `userns,` for this program, or `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
            }
            Self::Container => {
                "in a container, its runtime's seccomp profile does: start it with \
                 `--security-opt seccomp=unconfined --security-opt systempaths=unconfined` (Docker), \
                 `--security-opt seccomp=unconfined --security-opt unmask=ALL` (Podman), \
                 or a `seccompProfile` of type `Unconfined` and `procMount: Unmasked` (Kubernetes)"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            clone_sysctl: None,
            max_namespaces: Some("96365".to_owned()),
            app_armor: None,
            in_container: false,
        }
    }

    #[test]
    fn reasons_name_what_is_set() {
        let off = Some("0".to_owned());
        let cases = [
            (
                Facts {
                    clone_sysctl: off.clone(),
                    ..facts()
                },
                vec![Reason::CloneSysctl],
            ),
            (
                Facts {
                    max_namespaces: off.clone(),
                    ..facts()
                },
                vec![Reason::MaxNamespaces],
            ),
            (
                Facts {
                    app_armor: Some("1".to_owned()),
                    ..facts()
                },
                vec![Reason::AppArmor],
            ),
            (
                Facts {
                    in_container: true,
                    ..facts()
                },
                vec![Reason::Container],
            ),
            // Nothing to see: a seccomp filter leaves no other trace.
            (facts(), vec![Reason::Container]),
            (
                Facts {
                    clone_sysctl: off.clone(),
                    in_container: true,
                    ..facts()
                },
                vec![Reason::CloneSysctl, Reason::Container],
            ),
        ];
        for (facts, expected) in cases {
            assert_eq!(reasons(&facts), expected);
        }
    }

    #[test]
    fn display_says_what_failed_and_what_to_change() {
        let forbidden = Forbidden {
            step: "unshare the user namespace".to_owned(),
            answer: io::Error::from_raw_os_error(libc::EPERM),
            reasons: vec![Reason::CloneSysctl],
        };
        assert_eq!(
            forbidden.to_string(),
            "this machine does not let an ordinary process make a user namespace (could not unshare the user \
             namespace: Operation not permitted (os error 1))\n\n\
             The sandbox is made of one, so that it needs no root. What forbids it, and how to allow it:\n\
             - kernel.unprivileged_userns_clone is 0: `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
        );
    }
}
