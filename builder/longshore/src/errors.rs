//! The words for people when a part of Longshore fails: one function for each library's errors.

use std::error::Error;
use std::io;
use std::path::Path;

use buildpack_kit::Message;
use debian::repository::RepositoryError;
use fetch::{FetchError, cause_of};
use registry::RegistryError;
use sandbox::SandboxError;
use stack::{AssembleError, ConfigureError, PackagesError, StackError};

use crate::failure::{Exit, Failure, chain};
use crate::registries;

/// The disk, or something else of the operating system's, failed.
pub(crate) fn storage(what: &str, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "\nThe disk is full. Free some space (`longshore cache prune` gives back what no image needs), or let\n\
             XDG_CACHE_HOME and XDG_DATA_HOME name folders on a larger one."
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "\nLet XDG_CACHE_HOME and XDG_DATA_HOME name folders that you may write to."
        }
        _ => "",
    };
    Failure::new(
        Exit::Storage,
        "Cannot store files",
        format!("{what}: {error}.{advice}"),
    )
}

/// Any error that carries an [`io::Error`] somewhere: the advice depends on it.
pub(crate) fn storage_of(error: &(dyn Error + 'static)) -> Failure {
    match io_cause(error) {
        Some(cause) => {
            let full = chain(error);
            let what = full.strip_suffix(&format!(": {cause}")).unwrap_or(&full);
            storage(what, cause)
        }
        None => Failure::new(Exit::Storage, "Cannot store files", chain(error)),
    }
}

/// The innermost one: what wraps it is an [`io::Error`] too, often, of no kind.
fn io_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io_error) = error.downcast_ref::<io::Error>() {
            let inner = io_error.get_ref().and_then(|inner| io_cause(inner));
            found = Some(inner.unwrap_or(io_error));
        }
        next = error.source();
    }
    found
}

pub(crate) fn store(error: &store::StoreError) -> Failure {
    storage_of(error)
}

pub(crate) fn sandbox(error: &SandboxError) -> Failure {
    let title = match error {
        SandboxError::UserNamespaces(_) => "The kernel forbids user namespaces",
        SandboxError::Proc { .. } => "The container around us forbids the sandbox",
        _ => "The sandbox could not be made",
    };
    Failure::new(Exit::Sandbox, title, chain(error))
}

/// No sandbox for a build, which there is another place for.
pub(crate) fn no_sandbox_for_build(error: &SandboxError) -> Failure {
    let failure = sandbox(error);
    Failure {
        body: format!(
            "{}\n\n\
             Or build without a sandbox in Longshore's build image, where the container takes its place: `longshore stack create stacks/trixie\n\
             --output DIR` writes it to DIR/build; README.md, \"In a container\", has the flags.",
            failure.body
        ),
        ..failure
    }
}

/// The packages' own scripts run as root, which only a sandbox gives.
pub(crate) fn no_sandbox_for_stack(error: &SandboxError) -> Failure {
    let failure = sandbox(error);
    if !error.is_refusal() {
        return failure;
    }
    Failure {
        body: format!(
            "{}\n\n\
             Base images cannot be made without it, in no container: their packages' own scripts have to run as root. Make them where it is\n\
             allowed, and bring them along in the folder that XDG_DATA_HOME names.",
            failure.body
        ),
        ..failure
    }
}

/// A build in place has no run image to stand on.
pub(crate) fn no_run_image(names: &[String], data: &Path) -> Failure {
    let body = format!(
        "This container allows no sandbox, and without one a run image cannot be made; it has to be there. {} has none that is called\n\
         {}.\n\n\
         Run `longshore stack create` where a sandbox is allowed, and mount the folder that XDG_DATA_HOME names there into this container.",
        data.display(),
        names.join(" or ")
    );
    Failure::new(Exit::Sandbox, "No run image", body)
}

/// The base images could not be made. The exit code is that of the cause underneath.
pub(crate) fn stack(error: &StackError) -> Failure {
    // Matched, not looked for among the sources: a transparent variant passes over the very error that it holds.
    match error {
        StackError::Packages(error) => packages(error),
        StackError::Assemble {
            source: AssembleError::Configure(ConfigureError::Sandbox(cause)),
            ..
        } => no_sandbox_for_stack(cause),
        StackError::Folder(_)
        | StackError::Unpack(_)
        | StackError::Assemble { .. }
        | StackError::Image(_)
        | StackError::Store(_)
        | StackError::Scratch(_)
        | StackError::Vanished => storage_or_stack(error),
    }
}

fn packages(error: &PackagesError) -> Failure {
    match error {
        PackagesError::Fetch(cause) | PackagesError::Repository(RepositoryError::Fetch(cause)) => {
            fetch(cause)
        }
        PackagesError::LockedGone(cause) => Failure {
            body: chain(error),
            ..fetch(cause)
        },
        PackagesError::Repository(RepositoryError::Release { .. }) => Failure::new(
            Exit::Verification,
            "A Debian suite is not believed",
            chain(error),
        ),
        PackagesError::Mirror(_) => Failure::new(Exit::Usage, "No Debian mirror", chain(error)),
        PackagesError::Repository(
            RepositoryError::NoIndex { .. } | RepositoryError::Index { .. },
        )
        | PackagesError::Resolve(_)
        | PackagesError::Folder(_)
        | PackagesError::NoLock(_)
        | PackagesError::NoSource { .. } => storage_or_stack(error),
    }
}

/// What is left: the disk failed, or something that has no code of its own.
fn storage_or_stack(error: &(dyn Error + 'static)) -> Failure {
    if io_cause(error).is_some() {
        return storage_of(error);
    }
    Failure::new(
        Exit::Other,
        "The base images could not be made",
        chain(error),
    )
}

/// A layer could not be read: from a registry, or from the disk.
pub(crate) fn layer(what: &str, error: &io::Error) -> Failure {
    match cause_of::<RegistryError>(error) {
        Some(cause) => registries::failure(cause),
        None => storage(what, error),
    }
}

/// A phase that runs in this program failed.
pub(crate) fn phase(name: &str, error: &(dyn Error + 'static)) -> Failure {
    if let Some(cause) = cause_of::<RegistryError>(error) {
        return registries::failure(cause);
    }
    if io_cause(error).is_some() {
        return storage_of(error);
    }
    Failure::new(Exit::Other, format!("The {name} failed"), chain(error))
}

/// A message that a buildpack's own decision gave, before the build.
pub(crate) fn app(message: &Message) -> Failure {
    Failure::new(Exit::App, message.title(), message.body())
}

pub(crate) fn fetch(error: &FetchError) -> Failure {
    match error {
        FetchError::WrongSize { .. } | FetchError::WrongDigest { .. } => Failure::new(
            Exit::Verification,
            "A download is not what it should be",
            chain(error),
        ),
        FetchError::UntrustedCertificate { .. } | FetchError::InvalidCertificate { .. } => {
            Failure::new(
                Exit::Download,
                "A server's certificate is not trusted",
                chain(error),
            )
        }
        FetchError::Save { .. } => storage_of(error),
        _ => Failure::new(Exit::Download, "A download failed", chain(error)),
    }
}

/// Detection failed: what each buildpack said is repeated, since `--quiet` did not show it.
pub(crate) fn nothing_detected(said: &[String]) -> Failure {
    let mut lines: Vec<String> = said.iter().map(|line| plain(line)).collect();
    lines.push(
        "Longshore builds Python apps: a folder with requirements.txt and Procfile.".to_owned(),
    );
    Failure::new(
        Exit::NoGroup,
        "No buildpack detected this app",
        lines.join("\n"),
    )
}

/// A buildpack failed; its own `[Error: …]` block is repeated as ours, so that the last lines say what to change.
pub(crate) fn buildpack_failed(said: &[String]) -> Failure {
    let start = said
        .iter()
        .rposition(|line| plain(line).starts_with("[Error: "));
    let Some(start) = start else {
        return Failure::new(
            Exit::Buildpack,
            "A buildpack failed",
            "Its last lines are above.",
        );
    };
    let first = plain(&said[start]);
    let title = first
        .trim_start_matches("[Error: ")
        .trim_end_matches(']')
        .to_owned();
    let mut body: Vec<String> = said[start + 1..].iter().map(|line| plain(line)).collect();
    // The lifecycle has the last word. pip, whose output a buildpack may show, begins its lines in the same way.
    if body.last().is_some_and(|line| line.starts_with("ERROR: ")) {
        body.pop();
    }
    Failure::new(Exit::Buildpack, title, body.join("\n"))
}

/// A line without terminal colours.
pub(crate) fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            // CSI sequences end with a letter.
            for next in characters.by_ref() {
                if next.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_full_disk_says_what_to_do() {
        let error = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(
            storage("/c/blob could not be written", &error).to_string(),
            "[Error: Cannot store files]\n\
             /c/blob could not be written: no storage space.\n\
             The disk is full. Free some space (`longshore cache prune` gives back what no image needs), or let\n\
             XDG_CACHE_HOME and XDG_DATA_HOME name folders on a larger one."
        );
    }

    #[test]
    fn io_cause_is_the_innermost() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let wrapped = io::Error::other(io::Error::other(full));
        let cause = io_cause(&wrapped).map(io::Error::kind);
        assert_eq!(cause, Some(io::ErrorKind::StorageFull));
    }

    #[test]
    fn buildpack_failed_repeats_the_last_error_block() {
        let said = [
            "===> BUILDING",
            "\u{1b}[31m[Error: No such package]\u{1b}[0m",
            "libfoo is unknown.",
            "ERROR: No matching distribution found for libfoo",
            "",
            "ERROR: failed to build",
        ];
        let failure = buildpack_failed(&said.map(str::to_owned));
        assert_eq!(
            failure.to_string(),
            "[Error: No such package]\nlibfoo is unknown.\nERROR: No matching distribution found for libfoo"
        );
        assert_eq!(failure.exit, Exit::Buildpack);
    }
}
