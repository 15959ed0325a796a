//! What this machine allows, asked by trying it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::child::HelperProcess;
use crate::error::{Failure, SandboxError};
use crate::mounts::attach_staging;
use crate::overlay::mount_overlay;
use crate::spec::{Helper, OverlayDirs, OverlayInterface, User};
use crate::user::{enter_user_namespace, unshare_namespaces};
use crate::wire::{Order, Report};

/// What a sandbox can be made of here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Whether overlays can be mounted with their upper folder below the scratch folder; if not, what the kernel answered.
    /// Copying ([`crate::flatten`]) does instead.
    pub overlay: Result<(), String>,
}

/// Tries user namespaces (an error says why they are forbidden) and overlays below the folder `scratch`.
pub fn probe(helper: &Helper, scratch: &Path) -> Result<Allowed, SandboxError> {
    let helper = HelperProcess::start(helper)?;
    helper.order(&Order::Probe(scratch.to_owned()), &[])?;
    match helper.report()? {
        Report::Probed(allowed) => Ok(allowed),
        Report::Failed(failure) => Err(failure.into()),
        _ => Err(SandboxError::Lost),
    }
}

/// The helper's half.
pub(crate) fn run_probe(scratch: &Path) -> Result<Allowed, Failure> {
    let folder = scratch.join(format!(".probe-{}", std::process::id()));
    let dirs = OverlayDirs {
        lowers: vec![folder.join("lower")],
        upper: folder.join("upper"),
        work: folder.join("work"),
    };
    for path in dirs.lowers.iter().chain([&dirs.upper, &dirs.work]) {
        fs::create_dir_all(path).map_err(Failure::step_io(format!("make {}", path.display())))?;
    }
    let allowed = try_namespaces(&dirs);
    // A folder that stays behind is empty and named for what it is.
    remove(&folder);
    allowed
}

fn remove(folder: &PathBuf) {
    fs::remove_dir_all(folder).ok();
}

fn try_namespaces(dirs: &OverlayDirs) -> Result<Allowed, Failure> {
    enter_user_namespace(User::ROOT)?;
    unshare_namespaces(UnshareFlags::NEWNS).map_err(|errno| Failure::UserNamespaces {
        errno: errno.raw_os_error(),
        step: "unshare the mount namespace".to_owned(),
    })?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|errno| Failure::UserNamespaces {
        errno: errno.raw_os_error(),
        step: "make the mounts private".to_owned(),
    })?;
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
