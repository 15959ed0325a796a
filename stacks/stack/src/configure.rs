//! Maintainer scripts: `preinst` of every package, then `dpkg --configure` of all, in the sandbox, as emulated root.
//!
//! The environment is fixed, so that the same packages leave the same files: no network, no locale, no time zone, the lock's
//! date for whoever asks, and hash seeds of zero (compiled Python would differ otherwise).

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use debian::deb::{Control, Script};
use sandbox::{
    Access, Helper, Owner, Root, RootEmulation, Sandbox, SandboxError, Status, Stream, Streams,
    Syncs, User,
};

use crate::lock::Date;

/// As much of the scripts' output as an error shows.
const LINES_SHOWN: usize = 50;

/// The arguments are the packages with a preinst. Preinsts run as dpkg runs them for a first installation (Debian policy 6.6), but
/// with all files in place: from the folder `tmp.ci` with the control file beside them, where debconf looks for the package's name.
const SCRIPT: &str = r#"
set -e
cd /
database=/var/lib/dpkg
while [ $# -gt 0 ]; do
    echo "Preparing $1"
    mv "$database/tmp.ci.$1" "$database/tmp.ci"
    DPKG_MAINTSCRIPT_PACKAGE=$1 DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 \
        DPKG_MAINTSCRIPT_ARCH="$ARCHITECTURE" DPKG_ADMINDIR="$database" DPKG_ROOT='' \
        "$database/tmp.ci/preinst" install </dev/null || {
        echo "The preinst of $1 failed." >&2
        exit 1
    }
    rm -r "$database/tmp.ci"
    shift
done
exec dpkg --force-confnew --configure --pending </dev/null
"#;

/// What the scripts run in.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) helper: &'a Helper,
    pub(crate) architecture: &'a str,
    pub(crate) date: Date,
}

/// Configures all packages below `root`. Returns what the scripts asked of `chown`.
pub(crate) fn configure(
    root: &Path,
    controls: &[&Control],
    known_owners: BTreeMap<PathBuf, Owner>,
    surroundings: &Surroundings<'_>,
    each_line: &(dyn Fn(&str) + Sync),
) -> Result<BTreeMap<PathBuf, Owner>, ConfigureError> {
    let mut sandbox = Sandbox::new(Root::Folder {
        path: root.to_owned(),
        access: Access::ReadWrite,
    });
    sandbox.user = User::ROOT;
    sandbox.root_emulation = RootEmulation::On { known_owners };
    sandbox.syncs = Syncs::Skipped;
    sandbox.env = environment(surroundings);
    sandbox.helper = surroundings.helper.clone();

    let mut argv: Vec<OsString> = ["/bin/sh", "-c", SCRIPT, "configure"]
        .map(OsString::from)
        .into();
    let with_preinst = controls
        .iter()
        .filter(|control| control.script(Script::Preinst).is_some());
    argv.extend(with_preinst.map(|control| OsString::from(control.name.as_str())));
    let (output, streams) = streams().map_err(ConfigureError::Output)?;
    let child = sandbox.spawn(&argv, streams)?;
    let last_lines = read_lines(output, each_line).map_err(ConfigureError::Output)?;
    let finished = child.wait()?;
    if finished.status.success() {
        Ok(finished.owners)
    } else {
        Err(ConfigureError::Failed {
            status: finished.status,
            last_lines,
        })
    }
}

fn environment(surroundings: &Surroundings<'_>) -> BTreeMap<OsString, OsString> {
    [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("HOME", "/root".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("TZ", "UTC".to_owned()),
        ("DEBIAN_FRONTEND", "noninteractive".to_owned()),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true".to_owned()),
        ("SOURCE_DATE_EPOCH", surroundings.date.seconds().to_string()),
        ("PYTHONHASHSEED", "0".to_owned()),
        ("PERL_HASH_SEED", "0".to_owned()),
        ("ARCHITECTURE", surroundings.architecture.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (OsString::from(name), OsString::from(value)))
    .collect()
}

/// One pipe for output and errors, so that they come in order.
fn streams() -> io::Result<(File, Streams)> {
    let (reader, writer) = io::pipe()?;
    let writer = OwnedFd::from(writer);
    let streams = Streams {
        stdin: Stream::Null,
        stdout: Stream::File(writer.try_clone()?),
        stderr: Stream::File(writer),
    };
    Ok((File::from(OwnedFd::from(reader)), streams))
}

fn read_lines(output: File, each_line: &(dyn Fn(&str) + Sync)) -> io::Result<Vec<String>> {
    let mut last = VecDeque::new();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        each_line(&text);
        if last.len() == LINES_SHOWN {
            last.pop_front();
        }
        last.push_back(text);
    }
    Ok(last.into())
}

/// Why packages could not be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// No sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The scripts' output was lost.
    #[error("could not read what the maintainer scripts print")]
    Output(#[source] io::Error),
    /// A script failed.
    #[error(
        "configuring the packages failed ({}). The last lines were:\n\n{}",
        said(*status), last_lines.join("\n")
    )]
    Failed {
        /// How dpkg ended.
        status: Status,
        /// What it printed last.
        last_lines: Vec<String>,
    },
}

fn said(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("exit code {code}"),
        Status::Signaled(signal) => format!("signal {signal}"),
    }
}
