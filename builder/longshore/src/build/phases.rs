//! The sandbox in which the detector and the builder run, and the running of them.
//!
//! ```text
//! /              overlay over the build rootfs, thrown away
//! /cnb           buildpacks, order, lifecycle (this very executable)
//! /workspace     overlay over the app folder; its upper folder already hides what stays out
//! /layers        overlay over the cached layers' trees, or a plain folder where there are none
//! /platform/env  the variables of the build
//! /run/longshore the host's CA bundle and pip configuration: mounts, so that none of it can reach the image
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, PipeReader};
use std::path::{Path, PathBuf};

use oci_image::Owner;
use sandbox::{Access, Mount, Network, OverlayDirs, Root, Sandbox, Status, Stream, Streams, User};

use super::builder::Builder;
use crate::arguments::Volume;
use crate::cli::NetworkKind;
use crate::embedded::{PROGRAM_IN_SANDBOX, Unpacked};
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::host::{self, Inside};
use crate::output::{Level, Output};

/// The Platform API that our own builds speak.
pub(crate) const PLATFORM_API: &str = "0.14";

/// Where the phases' programs are with another builder, whose `/cnb` is left as it is.
const BESIDE_BUILDER: &str = "/run/longshore";
/// The order, where the command line says it.
const ORDER_BESIDE_BUILDER: &str = "/run/longshore/order.toml";

/// What stands at `/workspace`.
#[derive(Debug)]
pub(crate) enum AppMount {
    Overlay(OverlayDirs),
    /// A copy of the app, where the sandbox's user could not read every file of the folder itself.
    Copy(PathBuf),
}

/// What stands at `/layers`.
#[derive(Debug)]
pub(crate) enum LayersMount {
    Overlay(OverlayDirs),
    Plain(PathBuf),
}

/// Everything that the phases see.
#[derive(Debug)]
pub(crate) struct PhaseSandbox<'a> {
    pub(crate) root: Root,
    pub(crate) unpacked: &'a Unpacked,
    pub(crate) program: &'a Path,
    /// Another builder, which the root has then.
    pub(crate) builder: Option<&'a Builder>,
    pub(crate) volumes: &'a [Volume],
    /// What of the network is there.
    pub(crate) reach: NetworkKind,
    pub(crate) app: AppMount,
    pub(crate) layers: LayersMount,
    pub(crate) platform: PathBuf,
    pub(crate) network: &'a host::Network,
    pub(crate) ca_bundle: &'a [u8],
    /// Debian mirrors in folders of this machine.
    pub(crate) local_mirrors: &'a [PathBuf],
}

impl PhaseSandbox<'_> {
    /// Runs one phase. Its lines go to the user as they come.
    pub(crate) fn run(&self, phase: &str, output: &Output) -> Result<PhaseEnd, Failure> {
        let programs = self.builder.map_or("/cnb", |_| BESIDE_BUILDER);
        let argv = argv(Path::new(programs), phase, output);
        let (lines, streams) = pipe()?;
        let child = self
            .sandbox()
            .spawn(&argv, streams)
            .map_err(|error| errors::sandbox(&error))?;
        let said = relay(lines, output);
        let finished = child.wait().map_err(|error| errors::sandbox(&error))?;
        Ok(PhaseEnd {
            status: finished.status,
            said,
        })
    }

    fn sandbox(&self) -> Sandbox {
        let mut sandbox = Sandbox::new(self.root.clone());
        sandbox.user = match self.builder.map(|builder| builder.user) {
            Some(Owner { uid, gid }) => User { uid, gid },
            None => User::CNB,
        };
        sandbox.network = match self.reach {
            NetworkKind::Host => Network::Host,
            NetworkKind::None => Network::None,
        };
        sandbox.cwd = PathBuf::from("/workspace");
        sandbox.env = environment(&Inside::sandbox());
        if let Some(builder) = self.builder {
            sandbox.env.extend(builder_environment(builder));
        }
        sandbox.mounts = self.mounts();
        sandbox
    }

    fn mounts(&self) -> Vec<Mount> {
        let mut mounts = self.program_mounts();
        mounts.extend([
            bind(&self.platform, "/platform", Access::ReadOnly),
            match &self.app {
                AppMount::Overlay(dirs) => Mount::Overlay {
                    dirs: dirs.clone(),
                    target: "/workspace".into(),
                },
                AppMount::Copy(folder) => bind(folder, "/workspace", Access::ReadWrite),
            },
            match &self.layers {
                LayersMount::Overlay(dirs) => Mount::Overlay {
                    dirs: dirs.clone(),
                    target: "/layers".into(),
                },
                LayersMount::Plain(folder) => bind(folder, "/layers", Access::ReadWrite),
            },
            Mount::Tmpfs {
                target: Inside::sandbox().home,
                size: None,
            },
        ]);
        mounts.extend(trust_mounts(self.ca_bundle));
        mounts.extend(source_mounts(self.network, self.local_mirrors));
        // Others' distributions have other packages.
        if self.builder.is_none_or(|builder| builder.has_our_stack) {
            mounts.extend(apt_sources());
        }
        mounts.extend(self.volumes.iter().map(|volume| Mount::Bind {
            source: volume.source.clone(),
            target: volume.target.clone(),
            access: if volume.writable {
                Access::ReadWrite
            } else {
                Access::ReadOnly
            },
        }));
        mounts
    }

    /// The phases' programs, and `/cnb` where the root has none.
    fn program_mounts(&self) -> Vec<Mount> {
        let Some(builder) = self.builder else {
            return vec![
                bind(&self.unpacked.cnb, "/cnb", Access::ReadOnly),
                bind(self.program, PROGRAM_IN_SANDBOX, Access::ReadOnly),
            ];
        };
        let program = |phase| {
            bind(
                self.program,
                &format!("{BESIDE_BUILDER}/lifecycle/{phase}"),
                Access::ReadOnly,
            )
        };
        let mut mounts = vec![program("detector"), program("builder")];
        mounts.extend(builder.order.as_ref().map(|order| Mount::Contents {
            target: ORDER_BESIDE_BUILDER.into(),
            bytes: order.clone().into_bytes(),
        }));
        mounts
    }
}

/// What the builder's own environment says, and who the build's user is.
fn builder_environment(builder: &Builder) -> BTreeMap<OsString, OsString> {
    let Owner { uid, gid } = builder.user;
    let order = builder
        .order
        .as_ref()
        .map(|_| ("CNB_ORDER_PATH".to_owned(), ORDER_BESIDE_BUILDER.to_owned()));
    let of_image = builder
        .environment
        .iter()
        .filter(|(name, _)| name != "HOME")
        .cloned();
    of_image
        .chain([
            ("CNB_PLATFORM_API".to_owned(), PLATFORM_API.to_owned()),
            ("CNB_USER_ID".to_owned(), uid.to_string()),
            ("CNB_GROUP_ID".to_owned(), gid.to_string()),
        ])
        .chain(order)
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// A phase's command line, with the programs of this `/cnb`.
pub(super) fn argv(cnb: &Path, phase: &str, output: &Output) -> Vec<OsString> {
    let level = if output.level() == Level::Verbose {
        "-log-level=debug"
    } else {
        "-log-level=info"
    };
    let words = ["-app=/workspace", "-layers=/layers", level];
    std::iter::once(cnb.join("lifecycle").join(phase).into())
        .chain(words.map(OsString::from))
        .collect()
}

/// One pipe for both outputs: the order of a buildpack's lines is kept.
pub(super) fn pipe() -> Result<(PipeReader, Streams), Failure> {
    let made = || {
        let (lines, stdout) = std::io::pipe()?;
        let streams = Streams {
            stdin: Stream::Null,
            stderr: Stream::File(stdout.try_clone()?.into()),
            stdout: Stream::File(stdout.into()),
        };
        Ok((lines, streams))
    };
    made().map_err(|error| errors::storage("a pipe could not be made", &error))
}

/// Passes a phase's lines on as they come, and returns them.
pub(super) fn relay(lines: PipeReader, output: &Output) -> Vec<String> {
    let mut said = Vec::new();
    let mut in_warning = false;
    for line in BufReader::new(lines).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        // A warning is a block that an empty line ends; it is said with `--quiet`, too.
        in_warning = match errors::plain(&line) {
            plain if plain.starts_with("[Warning: ") => true,
            plain => in_warning && !plain.is_empty(),
        };
        if in_warning {
            output.passed_on(&line);
        } else {
            output.info(&line);
        }
        said.push(line);
    }
    said
}

/// How a phase ended, and what it said.
#[derive(Debug)]
pub(crate) struct PhaseEnd {
    pub(crate) status: Status,
    pub(crate) said: Vec<String>,
}

impl PhaseEnd {
    /// The exit codes are the CNB platform specification's: 20 and 21 for detect, 51 for a buildpack's own failure.
    pub(crate) fn check(self, phase: &str) -> Result<(), Failure> {
        match self.status {
            Status::Exited(0) => Ok(()),
            Status::Exited(20 | 21) => Err(errors::nothing_detected(&self.said)),
            Status::Exited(51) => Err(errors::buildpack_failed(&self.said)),
            Status::Exited(code) => Err(Failure::new(
                Exit::Other,
                format!("The {phase} failed"),
                format!("It ended with exit code {code}; its last lines are above."),
            )),
            Status::Signaled(signal) => {
                let body = format!(
                    "Signal {signal} ended it. If you did not send it, the machine may be out of memory."
                );
                Err(Failure::new(
                    Exit::Other,
                    format!("The {phase} was stopped"),
                    body,
                ))
            }
        }
    }
}

/// What every program inside needs to reach others: name resolution, trust.
pub(crate) fn trust_mounts(ca_bundle: &[u8]) -> Vec<Mount> {
    let mut mounts = vec![Mount::Contents {
        target: Inside::sandbox().ca_bundle,
        bytes: ca_bundle.to_vec(),
    }];
    for file in ["/etc/resolv.conf", "/etc/hosts"] {
        if let Ok(bytes) = std::fs::read(file) {
            mounts.push(Mount::Contents {
                target: file.into(),
                bytes,
            });
        }
    }
    mounts
}

/// What installing needs besides: pip's configuration, folders of wheels and of Debian packages.
fn source_mounts(network: &host::Network, folders: &[PathBuf]) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for (path, config) in &network.pip_configs {
        if let Ok(bytes) = std::fs::read(path) {
            mounts.push(Mount::Contents {
                target: Inside::sandbox().place_of(*config),
                bytes,
            });
        }
    }
    for folder in network
        .local_wheel_folders()
        .into_iter()
        .chain(folders.iter().cloned())
    {
        mounts.push(Mount::Bind {
            target: folder.clone(),
            source: folder,
            access: Access::ReadOnly,
        });
    }
    mounts
}

/// The machine's own list of Debian mirrors, for buildpacks that fetch packages. Credentials (auth.conf) stay out.
fn apt_sources() -> Vec<Mount> {
    let listed = std::fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let files = listed
        .map(|entry| entry.path())
        .chain([PathBuf::from("/etc/apt/sources.list")]);
    let read = |path: PathBuf| {
        std::fs::read(&path).ok().map(|bytes| Mount::Contents {
            target: path,
            bytes,
        })
    };
    files.filter_map(read).collect()
}

/// What the phases themselves need; the build's own variables stand below /platform/env.
pub(super) fn environment(inside: &Inside) -> BTreeMap<OsString, OsString> {
    let pairs = [
        ("CNB_PLATFORM_API", PLATFORM_API),
        ("CNB_TARGET_OS", "linux"),
        ("CNB_USER_ID", "1000"),
        ("CNB_GROUP_ID", "1000"),
        ("LANG", "C.UTF-8"),
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
    ];
    pairs
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .chain([("HOME".into(), inside.home.clone().into())])
        .collect()
}

fn bind(source: &Path, target: &str, access: Access) -> Mount {
    Mount::Bind {
        source: source.to_owned(),
        target: target.into(),
        access,
    }
}
