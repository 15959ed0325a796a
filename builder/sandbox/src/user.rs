//! The user namespace: one user, one group, and what they may still do.

use std::fs;

use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, UnshareFlags,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
    set_no_new_privs,
};

use crate::error::Failure;
use crate::spec::User;

/// What the sandbox's root keeps: access to the files of its one user, whatever their modes say.
/// Nothing here reaches beyond the user namespace; mounting is not among it.
const ROOT_KEEPS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SYS_CHROOT);

/// Moves this process into a user namespace of its own in which the caller is `user`.
///
/// One number is what every user may map without help (`user_namespaces(7)`); `setgroups` has to be denied first.
pub(crate) fn enter_user_namespace(user: User) -> Result<(), Failure> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    unshare_user().map_err(|errno| Failure::UserNamespaces {
        errno: errno.raw_os_error(),
        step: "unshare the user namespace".to_owned(),
    })?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{} {uid} 1", user.uid)),
        ("gid_map", format!("{} {gid} 1", user.gid)),
    ] {
        fs::write(format!("/proc/self/{file}"), text).map_err(|error| Failure::UserNamespaces {
            errno: error.raw_os_error().unwrap_or(0),
            step: format!("write /proc/self/{file}"),
        })?;
    }
    // The user's own umask is not the build's business.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    Ok(())
}

fn unshare_user() -> rustix::io::Result<()> {
    unshare_namespaces(UnshareFlags::NEWUSER)
}

/// `unshare(2)`, of everything but open files and the file system context.
#[expect(
    unsafe_code,
    reason = "unshare is unsafe because of CLONE_FILES, which is never passed here"
)]
pub(crate) fn unshare_namespaces(flags: UnshareFlags) -> rustix::io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Gives up every privilege that the program is not to have, for this process and all its children.
pub(crate) fn drop_privileges(user: User) -> Result<(), Failure> {
    let keeps = match user.uid {
        0 => ROOT_KEEPS,
        _ => CapabilitySet::empty(),
    };
    set_no_new_privs(true).map_err(Failure::step("set no_new_privs"))?;
    let lost = CapabilitySet::all().difference(keeps);
    for capability in lost.iter() {
        match remove_capability_from_bounding_set(capability) {
            // The kernel is older than the capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(Failure::step("shrink the capability bounding set")(errno)),
        }
    }
    set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )
    .map_err(Failure::step("lock the ambient capabilities"))?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: keeps,
            permitted: keeps,
            inheritable: CapabilitySet::empty(),
        },
    )
    .map_err(Failure::step("drop capabilities"))
}
