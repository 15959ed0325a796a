//! Why OS packages could not be installed, in words for people.

use std::io;

use buildpack_kit::network::NetworkSettingsError;
use buildpack_kit::stack::StackError;
use buildpack_kit::{Explain, Message};
use debian::deb::DebError;
use debian::dpkg::StatusError;
use debian::keyring::KeyringError;
use debian::mirror::MirrorError;
use debian::repository::RepositoryError;
use debian::solve::SolveError;
use fetch::FetchError;

use crate::list::{ListError, Place};

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// `apt-packages` or `Aptfile`.
    #[error(transparent)]
    List(#[from] ListError),
    /// The build image.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A variable.
    #[error(transparent)]
    Settings(#[from] NetworkSettingsError),
    /// The archive's keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// No mirror.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A suite cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A download.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The packages asked for cannot be had.
    #[error("{source}")]
    Solve {
        /// Where the package at fault is asked for.
        place: Option<Place>,
        /// The release.
        suite: String,
        /// Why.
        source: SolveError,
    },
    /// A `.deb` that cannot be used.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// dpkg's status of the run image.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The layer's own files.
    #[error("{attempt}")]
    Layer {
        /// What was being done.
        attempt: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl AptError {
    /// For `map_err` on work in the layer's folder.
    pub(crate) fn layer(attempt: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Layer { attempt, source }
    }
}

const NETWORK: &str = "The mirror is the one of LONGSHORE_DEBIAN_MIRROR, else of the machine's apt configuration. Proxies (HTTP_PROXY, HTTPS_PROXY) and\n\
                       certificates (--ca-cert, SSL_CERT_FILE) are those of the machine that builds.";

impl Explain for AptError {
    fn explain(&self) -> Message {
        match self {
            Self::List(error) => list(error),
            Self::Stack(error) => error.explain(),
            Self::Settings(error) => error.explain(),
            Self::Keyring(error) => Message::internal(format!(
                "The keyring of Debian's archive cannot be read: {error}."
            )),
            Self::Mirror(error) => Message::new("No Debian mirror", sentence(&error.to_string())),
            Self::Repository(error) => Message::new(
                "Cannot read Debian's archive",
                format!("{}\n\n{NETWORK}", sentence(&error.to_string())),
            ),
            Self::Fetch(error) => Message::new(
                "Cannot download packages",
                format!("{}\n\n{NETWORK}", sentence(&error.to_string())),
            ),
            Self::Solve {
                place,
                suite,
                source,
            } => solve(place.as_ref(), suite, source),
            Self::Deb(error) => match out_of_room(error) {
                Some(source) => room("unpack a package", source),
                None => Message::new(
                    "Cannot unpack a package",
                    format!(
                        "{}.\n\nBuild again; if it stays, the mirror has damaged files.",
                        sentence(&error.to_string())
                    ),
                ),
            },
            Self::Status(error) => Message::internal(error),
            Self::Layer { attempt, source } => room(attempt, source),
        }
    }
}

/// The system's own error below an unpacking one, where that says that the disk is full.
fn out_of_room(error: &DebError) -> Option<&io::Error> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error.problem);
    while let Some(error) = source {
        if let Some(found) = error
            .downcast_ref::<io::Error>()
            .filter(|error| error.kind() == io::ErrorKind::StorageFull)
        {
            return Some(found);
        }
        source = error.source();
    }
    None
}

fn room(attempt: &str, source: &io::Error) -> Message {
    Message::new(
        "Cannot write the layer",
        format!(
            "Could not {attempt}: {source}.\n\nIf the disk is full, make room and build again."
        ),
    )
}

fn list(error: &ListError) -> Message {
    let advice = match error {
        ListError::Read(error) => return error.explain(),
        ListError::Word { .. } => "A line holds names of Debian packages, as 'apt-get install' takes them. A comment begins with '#'.".to_owned(),
        ListError::Repository { text, .. } => format!(
            "Found: {text}\n\nRepositories other than Debian's own are not supported yet, because nothing says with which key they are signed.\n\
             If Debian has the package, name it alone; otherwise leave the line out."
        ),
        ListError::DebFile { word, .. } => format!(
            "Found: {word}\n\n.deb files are not supported yet, because nothing says which digest they must have.\n\
             If Debian has the package, write its name instead."
        ),
        ListError::Wildcard { word, .. } => format!("Found: {word}\n\nWrite the names out: a pattern would mean other packages with each new release."),
        ListError::TooMany { .. } => "No app needs that many. Name what it uses; what those need comes along by itself.".to_owned(),
    };
    Message::new(
        "Cannot use the list of OS packages",
        format!("{}.\n\n{advice}", sentence(&error.to_string())),
    )
}

fn solve(place: Option<&Place>, suite: &str, source: &SolveError) -> Message {
    let title = match source {
        SolveError::Unknown { .. } => "No such package",
        SolveError::Virtual { .. } => "Several packages provide it",
        SolveError::NoSuchVersion { .. } => "No such version",
        SolveError::ForeignArchitecture { .. } => "Other architecture",
        SolveError::Unsatisfiable { .. } => "Packages that do not go together",
    };
    let place = place.map_or_else(String::new, |place| {
        format!("{}: ", sentence(&place.to_string()))
    });
    Message::new(
        title,
        format!("{place}{source}\n\nThe release is Debian {suite}."),
    )
}

fn sentence(text: &str) -> String {
    let mut characters = text.trim_end_matches('.').chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_kit::AppFile;
    use debian::name::PackageName;

    fn place() -> Place {
        Place {
            file: "apt-packages",
            line: 3,
        }
    }

    fn name(text: &str) -> PackageName {
        text.parse().unwrap()
    }

    #[test]
    fn message_unknown_package() {
        let source = SolveError::Unknown {
            name: name("libqrencode44"),
            suggestions: vec![name("libqrencode4")],
        };
        let error = AptError::Solve {
            place: Some(place()),
            suite: "trixie".into(),
            source,
        };
        insta::assert_snapshot!(error.explain().as_error(), @r"
        [Error: No such package]
        Line 3 of 'apt-packages': there is no package 'libqrencode44'; did you mean 'libqrencode4'?

        The release is Debian trixie.
        ");
    }

    #[test]
    fn message_repository_line() {
        let error = AptError::List(ListError::Repository {
            place: place(),
            text: ":repo:deb https://x y main".into(),
        });
        insta::assert_snapshot!(error.explain().as_error(), @r"
        [Error: Cannot use the list of OS packages]
        Line 3 of 'apt-packages': repositories are not supported.

        Found: :repo:deb https://x y main

        Repositories other than Debian's own are not supported yet, because nothing says with which key they are signed.
        If Debian has the package, name it alone; otherwise leave the line out.
        ");
    }

    #[test]
    fn message_deb_file() {
        let error = AptError::List(ListError::DebFile {
            place: place(),
            word: "https://x/y.deb".into(),
        });
        insta::assert_snapshot!(error.explain().as_error(), @r"
        [Error: Cannot use the list of OS packages]
        Line 3 of 'apt-packages': .deb files are not supported.

        Found: https://x/y.deb

        .deb files are not supported yet, because nothing says which digest they must have.
        If Debian has the package, write its name instead.
        ");
    }

    #[test]
    fn message_bad_word() {
        let app = tempfile::tempdir().unwrap();
        std::fs::write(app.path().join("apt-packages"), "lib_gl1\n").unwrap();
        let error = AptError::List(crate::list::PackageList::read(app.path()).unwrap_err());
        let text = error.explain().as_error();
        assert!(
            text.starts_with(
                "[Error: Cannot use the list of OS packages]\nLine 1 of 'apt-packages': "
            ),
            "{text}"
        );
        assert!(text.contains("lib_gl1"), "{text}");
    }

    #[test]
    fn message_list_in_utf16_without_mark() {
        let error = AppFile::from_bytes("apt-packages", b"a\0b\0").unwrap_err();
        let text = AptError::List(error.into()).explain().as_error();
        assert!(text.contains("apt-packages"), "{text}");
    }

    #[test]
    fn message_full_disk() {
        let error = AptError::Layer {
            attempt: "unpack libx",
            source: io::Error::from_raw_os_error(28),
        };
        insta::assert_snapshot!(error.explain().as_error(), @r"
        [Error: Cannot write the layer]
        Could not unpack libx: No space left on device (os error 28).

        If the disk is full, make room and build again.
        ");
    }
}
