//! Finding a Debian mirror: the one given, the machine's own, the one compiled in. No address stands in this code.
//!
//! The machine's apt configuration is asked because in companies it names the mirror that can be reached. Of its entries those
//! count that answer and are Debian's; whether they are to be believed is decided later, by the signature.

mod apt_auth;
mod apt_sources;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use fetch::{Client, FetchError, RetryPolicy, redacted};
use url::Url;

use crate::repository::{Presence, SuiteSource, below};

pub use apt_sources::{AptEntry, read_one_line, read_stanzas};

/// The mirror that whoever packaged this program chose.
pub const COMPILED_IN: Option<&str> = option_env!("LONGSHORE_DEFAULT_DEBIAN_MIRROR");

const LARGEST_RELEASE: u64 = 16 << 20;
const LARGEST_MIRROR_LIST: u64 = 1 << 20;

/// What the user and the machine say about mirrors.
#[derive(Debug, Clone)]
pub struct MirrorSettings {
    /// The mirror given, and by what: `--debian-mirror`, `LONGSHORE_DEBIAN_MIRROR`.
    pub main: Option<(Url, String)>,
    /// The mirror of the security archive given.
    pub security: Option<(Url, String)>,
    /// apt's configuration: `/etc/apt`.
    pub apt_folder: PathBuf,
    /// [`COMPILED_IN`], or something else in tests.
    pub compiled_in: Option<String>,
}

impl Default for MirrorSettings {
    fn default() -> Self {
        Self {
            main: None,
            security: None,
            apt_folder: PathBuf::from("/etc/apt"),
            compiled_in: COMPILED_IN.map(str::to_owned),
        }
    }
}

/// The mirrors found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// The archive itself.
    pub main: Url,
    /// The archive of security updates, if one was found.
    pub security: Option<Url>,
    /// Where the address of the first comes from.
    pub origin: String,
    /// What was skipped, and what is missing.
    pub notices: Vec<String>,
}

impl Mirrors {
    /// The suites to read for a stack: the release, its updates where the mirror has them, its security updates.
    pub fn sources(&self, suite: &str, components: &[String]) -> Vec<SuiteSource> {
        let source = |mirror: &Url, suite: String, presence| SuiteSource {
            mirror: mirror.clone(),
            suite,
            components: components.to_vec(),
            presence,
        };
        let mut sources = vec![
            source(&self.main, suite.to_owned(), Presence::Required),
            source(&self.main, format!("{suite}-updates"), Presence::Optional),
        ];
        sources.extend(
            self.security
                .as_ref()
                .map(|mirror| source(mirror, format!("{suite}-security"), Presence::Required)),
        );
        sources
    }
}

/// Finds the mirrors that have `suite`.
pub fn find(
    client: &Client,
    settings: &MirrorSettings,
    suite: &str,
) -> Result<Mirrors, MirrorError> {
    let prober = Prober {
        // Enough to survive a hiccup; a dead entry of apt's must not hold up the build.
        client: client.with_patience(
            RetryPolicy {
                attempts: 3,
                first_wait: Duration::from_millis(300),
                longest_wait: Duration::from_secs(3),
            },
            Duration::from_secs(20),
        ),
        suite,
    };
    let mut notices = Vec::new();
    let (main, origin) = match &settings.main {
        Some((url, by)) => (checked(url, by)?, by.clone()),
        None => prober.find_main(settings, &mut notices)?,
    };
    let security = match &settings.security {
        Some((url, by)) => Some(checked(url, by)?),
        None => prober.find_security(settings, &main, &mut notices),
    };
    Ok(Mirrors {
        main,
        security,
        origin,
        notices,
    })
}

/// What apt's configuration points at on this machine: folders with repositories, and lists of mirrors. Sandboxes have to show them.
pub fn local_paths(apt_folder: &Path) -> Vec<PathBuf> {
    apt_sources::read_folder(apt_folder, &mut Vec::new())
        .iter()
        .map(|entry| entry.mirror_list().unwrap_or_else(|| entry.url.clone()))
        .filter_map(|url| local_path(&url))
        .collect()
}

/// The path of a `file:` address, if something is there.
pub fn local_path(url: &Url) -> Option<PathBuf> {
    let path = (url.scheme() == "file").then(|| url.to_file_path().ok())??;
    path.try_exists().ok()?.then_some(path)
}

/// An address somebody typed.
fn checked(url: &Url, by: &str) -> Result<Url, MirrorError> {
    if matches!(url.scheme(), "http" | "https" | "file") {
        return Ok(url.clone());
    }
    Err(MirrorError::UnusableAddress {
        by: by.to_owned(),
        url: redacted(url),
    })
}

struct Prober<'a> {
    client: Client,
    suite: &'a str,
}

impl Prober<'_> {
    fn find_main(
        &self,
        settings: &MirrorSettings,
        notices: &mut Vec<String>,
    ) -> Result<(Url, String), MirrorError> {
        for entry in self.apt_entries(&settings.apt_folder, notices) {
            if entry.is_security() {
                continue;
            }
            match self.probe(&entry.url, self.suite) {
                Probe::Debian => return Ok((entry.url, entry.file.display().to_string())),
                other => notices.push(skipped(&entry, &other, self.suite)),
            }
        }
        if let Some(address) = &settings.compiled_in {
            let by = "the address compiled into this program";
            let url = address.parse().map_err(|_| MirrorError::UnusableAddress {
                by: by.to_owned(),
                url: address.clone(),
            })?;
            return Ok((checked(&url, by)?, by.to_owned()));
        }
        Err(MirrorError::None {
            apt_folder: settings.apt_folder.clone(),
            skipped: notices.clone(),
        })
    }

    /// Tried in this order: the main mirror itself, its sibling `…-security` (the layout of Debian's own mirrors), apt's entries.
    fn find_security(
        &self,
        settings: &MirrorSettings,
        main: &Url,
        notices: &mut Vec<String>,
    ) -> Option<Url> {
        let suite = format!("{}-security", self.suite);
        let is_there = |url: &Url| self.probe(url, &suite) == Probe::Debian;
        let mut ignored = Vec::new();
        let of_apt = || {
            let entries = self
                .apt_entries(&settings.apt_folder, &mut ignored)
                .into_iter();
            entries
                .filter(AptEntry::is_security)
                .map(|entry| entry.url)
                .find(is_there)
        };
        let found = sibling(main)
            .into_iter()
            .chain([main.clone()])
            .find(is_there)
            .or_else(of_apt);
        if found.is_none() {
            notices.push(format!(
                "no mirror of {suite} was found; packages come without security updates (give one with --debian-security-mirror)"
            ));
        }
        found
    }

    fn probe(&self, mirror: &Url, suite: &str) -> Probe {
        let url = below(mirror, &format!("dists/{suite}/InRelease"));
        let bytes = match self.client.get(&url, LARGEST_RELEASE) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Probe::NoSuite,
            Err(error) => return Probe::Failed(failure(&error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let origin = text
            .lines()
            .find_map(|line| line.strip_prefix("Origin:"))
            .map(|origin| origin.trim().to_owned());
        match origin.as_deref() {
            Some("Debian") => Probe::Debian,
            _ => Probe::Other(origin.unwrap_or_else(|| "none".to_owned())),
        }
    }

    /// apt's entries that may be Debian's, the likeliest first, each address once.
    fn apt_entries(&self, folder: &Path, notices: &mut Vec<String>) -> Vec<AptEntry> {
        let mut entries = Vec::new();
        for entry in apt_sources::read_folder(folder, notices) {
            match entry.mirror_list() {
                Some(list) => entries.extend(self.expand_mirror_list(&entry, &list, notices)),
                None => entries.push(entry),
            }
        }
        let logins = apt_auth::read_folder(folder);
        for entry in &mut entries {
            logins.apply(&mut entry.url);
        }
        entries.retain(|entry| matches!(entry.url.scheme(), "http" | "https" | "file"));
        entries.sort_by_key(AptEntry::unlikeliness);
        let mut seen = Vec::new();
        entries.retain(|entry| {
            let key = (
                entry.url.as_str().trim_end_matches('/').to_owned(),
                entry.is_security(),
            );
            let new = !seen.contains(&key);
            seen.push(key);
            new
        });
        entries
    }

    /// `mirror+file:` and its kin name a list of mirrors, one a line (apt-transport-mirror(1)).
    fn expand_mirror_list(
        &self,
        entry: &AptEntry,
        list: &Url,
        notices: &mut Vec<String>,
    ) -> Vec<AptEntry> {
        match self.client.get(list, LARGEST_MIRROR_LIST) {
            Ok(bytes) => String::from_utf8_lossy(&bytes)
                .lines()
                .filter_map(|line| line.split_whitespace().next())
                .filter_map(|word| word.parse().ok())
                .map(|url| AptEntry {
                    url,
                    ..entry.clone()
                })
                .collect(),
            Err(error) => {
                notices.push(format!(
                    "the mirror list {} of {} is skipped: {}",
                    redacted(list),
                    entry.file.display(),
                    failure(&error)
                ));
                Vec::new()
            }
        }
    }
}

/// `…/debian` has `…/debian-security` beside it.
fn sibling(main: &Url) -> Option<Url> {
    let path = main.path().trim_end_matches('/');
    if path.is_empty() {
        return None;
    }
    let mut url = main.clone();
    url.set_path(&format!("{path}-security"));
    Some(url)
}

#[derive(Debug, PartialEq, Eq)]
enum Probe {
    Debian,
    Other(String),
    NoSuite,
    Failed(String),
}

fn skipped(entry: &AptEntry, probe: &Probe, suite: &str) -> String {
    let reason = match probe {
        Probe::Debian => "it is not needed".to_owned(),
        Probe::Other(origin) => format!("it is not Debian's (Origin: {origin})"),
        Probe::NoSuite => format!("it has no suite {suite}"),
        Probe::Failed(cause) => cause.clone(),
    };
    format!(
        "the mirror {} of {} is skipped: {reason}",
        redacted(&entry.url),
        entry.file.display()
    )
}

/// The address stands in the notice already.
fn failure(error: &FetchError) -> String {
    match error {
        FetchError::GaveUp { cause, .. } => format!("it cannot be reached ({cause})"),
        FetchError::Status { status, reason, .. } => format!("it answered {status} {reason}"),
        other => other.to_string(),
    }
}

/// Why there is no mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// Nothing given, nothing configured that would do, nothing compiled in.
    #[error(
        "no Debian mirror is known.\nGive one with --debian-mirror URL or LONGSHORE_DEBIAN_MIRROR=URL: the address of a folder that holds 'dists' and 'pool'.\n{}",
        looked_at(apt_folder, skipped)
    )]
    None {
        /// Where was looked.
        apt_folder: PathBuf,
        /// What was found there and is of no use.
        skipped: Vec<String>,
    },
    /// Only http, https and file.
    #[error("{by} names {url}; a mirror's address begins with https:, http: or file:")]
    UnusableAddress {
        /// Who named it.
        by: String,
        /// The address.
        url: String,
    },
}

fn looked_at(apt_folder: &Path, skipped: &[String]) -> impl fmt::Display {
    let folder = apt_folder.display();
    match skipped {
        [] => format!("This machine's apt configuration ({folder}) names none."),
        skipped => format!(
            "Of this machine's apt configuration ({folder}) nothing was of use:\n{}",
            skipped.join("\n")
        ),
    }
}
