//! What this machine allows, asked by trying it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::WaitOptions;
use serde::{Deserialize, Serialize};

use crate::child::HelperProcess;
use crate::error::{Failure, SandboxError};
use crate::mounts::{attach_staging, try_proc, unshare_world};
use crate::overlay::mount_overlay;
use crate::spec::{Helper, Network, OverlayDirs, OverlayInterface, User};
use crate::supervisor::{enter_namespaces, fork};
use crate::wire::{Order, Report, send};

/// What a sandbox can be made of here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Whether overlays can be mounted with their upper folder below the scratch folder; if not, what the kernel answered.
    /// Copying ([`crate::flatten`]) does instead.
    pub overlay: Result<(), String>,
}

/// Tries user namespaces and a `/proc` in them (an error says why they are forbidden), and overlays below the folder `scratch`.
pub fn probe(helper: &Helper, scratch: &Path) -> Result<Allowed, SandboxError> {
    let helper = HelperProcess::start(helper)?;
    helper.order(&Order::Probe(scratch.to_owned()), &[])?;
    match helper.report()? {
        Report::Probed(allowed) => Ok(allowed),
        Report::Failed(failure) => Err(failure.into()),
        _ => Err(SandboxError::Lost),
    }
}

/// The helper's half; in the forked process, the half of that. Either way the result is this process's exit code.
pub(crate) fn answer(caller: &UnixStream, scratch: &Path) -> ExitCode {
    let folder = scratch.join(format!(".probe-{}", std::process::id()));
    let dirs = OverlayDirs {
        lowers: vec![folder.join("lower")],
        upper: folder.join("upper"),
        work: folder.join("work"),
    };
    // The /proc of a pid namespace is for those in it, and of its maker only the children are.
    let forked = make_folders(&dirs)
        .and_then(|()| enter_namespaces(User::ROOT))
        .and_then(|()| fork().map_err(Failure::step("fork")));
    match forked {
        Ok(None) => {
            let report = match try_mounts(&dirs) {
                Ok(allowed) => Report::Probed(allowed),
                Err(failure) => Report::Failed(failure),
            };
            return exit_code(send(caller, &report, &[]));
        }
        Ok(Some(child)) => {
            rustix::process::waitpid(Some(child), WaitOptions::empty()).ok();
        }
        Err(failure) => {
            send(caller, &Report::Failed(failure), &[]).ok();
        }
    }
    // A folder that stays behind is empty and named for what it is.
    fs::remove_dir_all(&folder).ok();
    ExitCode::SUCCESS
}

fn exit_code(sent: std::io::Result<()>) -> ExitCode {
    match sent {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn make_folders(dirs: &OverlayDirs) -> Result<(), Failure> {
    for path in dirs.lowers.iter().chain([&dirs.upper, &dirs.work]) {
        fs::create_dir_all(path).map_err(Failure::step_io(format!("make {}", path.display())))?;
    }
    Ok(())
}

fn try_mounts(dirs: &OverlayDirs) -> Result<Allowed, Failure> {
    unshare_world(Network::Host, "probe")?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|errno| Failure::UserNamespaces {
        errno: errno.raw_os_error(),
        step: "make the mounts private".to_owned(),
    })?;
    try_proc()?;
    let staging = attach_staging()?;
    let mounted = mount_overlay(
        dirs,
        Path::new("/"),
        &staging.folder,
        OverlayInterface::OneByOne,
    );
    Ok(Allowed {
        overlay: match mounted {
            Ok(_) => Ok(()),
            Err(failure) => Err(SandboxError::from(failure).to_string()),
        },
    })
}
