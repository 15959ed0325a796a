//! The system call filter: what is refused to every program, and what root emulation answers itself.
//!
//! One filter with several answers, among them the notification of a supervisor and the refusal of the x32 numbers,
//! neither of which the seccompiler crate has; hence the small assembler in [`program`].

mod program;
mod table;

use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use crate::spec::{RootEmulation, Syncs};

/// Installs the filter for this process and all its children. Under root emulation the listener is returned that
/// notifies of the `chown` family.
pub(crate) fn install_filter(
    emulation: &RootEmulation,
    syncs: Syncs,
) -> Result<Option<OwnedFd>, Errno> {
    let rules = table::rules(emulation, syncs);
    let program = program::assemble(&rules);
    match emulation {
        RootEmulation::Off => load(&program, 0).map(|_| None),
        RootEmulation::On { .. } => {
            load(&program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).map(|file| Some(owned(file)))
        }
    }
}

#[expect(
    unsafe_code,
    reason = "seccomp has no wrapper; it copies the program, whose length it is told"
)]
fn load(program: &[libc::sock_filter], flags: libc::c_ulong) -> Result<i32, Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        filter: program.as_ptr().cast_mut(),
    };
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    i32::try_from(result)
        .ok()
        .filter(|file| *file >= 0)
        .ok_or_else(|| {
            Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
        })
}

#[expect(
    unsafe_code,
    reason = "the kernel has just opened this descriptor for us"
)]
fn owned(file: i32) -> OwnedFd {
    unsafe { OwnedFd::from_raw_fd(file) }
}
