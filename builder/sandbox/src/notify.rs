//! Answers the `chown` family under root emulation (`seccomp_unotify(2)`).
//!
//! The caller of `chown` waits while its arguments are read from its memory and the file is opened as it would have
//! opened it: in its root, from its folder. A `chown` to nobody in particular (-1, -1) is then really made: it fails where
//! a real one would (a read-only file system), clears set-user-ID bits as a real one does, and brings a file of an
//! overlay's lower folder up, so that its inode stays the same from here on.

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, chownat, openat, readlinkat};
use rustix::io::Errno;

use crate::ledger::{Ledger, Wish};
use crate::mounts::open_in;

/// Answers one call, if the caller still waits. `root` is the sandbox's.
pub(crate) fn answer_one(
    listener: &OwnedFd,
    root: &OwnedFd,
    ledger: &mut Ledger,
) -> std::io::Result<()> {
    let Some(call) = receive(listener)? else {
        return Ok(());
    };
    let error = match call.answer(listener, root, ledger) {
        Ok(()) => 0,
        Err(errno) => -errno.raw_os_error(),
    };
    respond(listener, call.id, error)
}

struct Call {
    id: u64,
    pid: u32,
    number: libc::c_long,
    arguments: [u64; 6],
}

impl Call {
    fn answer(&self, listener: &OwnedFd, root: &OwnedFd, ledger: &mut Ledger) -> Result<(), Errno> {
        let [first, second, third, fourth, fifth, _] = self.arguments;
        let (file, uid, gid) = match self.number {
            libc::SYS_chown => (self.file_at(root, libc::AT_FDCWD, first, 0)?, second, third),
            libc::SYS_lchown => (
                self.file_at(root, libc::AT_FDCWD, first, libc::AT_SYMLINK_NOFOLLOW)?,
                second,
                third,
            ),
            libc::SYS_fchown => (self.open_file(first as i32)?, second, third),
            libc::SYS_fchownat => (
                self.file_at(root, first as i32, second, fifth as i32)?,
                third,
                fourth,
            ),
            _ => return Err(Errno::NOSYS),
        };
        // If the caller is gone, its number, and so what was just opened, may be someone else's.
        if !is_still_waiting(listener, self.id) {
            return Err(Errno::SRCH);
        }
        chownat(&file, "", None, None, AtFlags::EMPTY_PATH)?;
        ledger.record(&file, Wish::from_arguments(uid as u32, gid as u32))
    }

    /// The file that a folder's number, a path in memory and flags mean to the caller.
    fn file_at(
        &self,
        root: &OwnedFd,
        folder: i32,
        path: u64,
        flags: libc::c_int,
    ) -> Result<OwnedFd, Errno> {
        let path = self.path_in_memory(path)?;
        if path.as_os_str().is_empty() {
            return match (flags & libc::AT_EMPTY_PATH, folder) {
                (0, _) => Err(Errno::NOENT),
                (_, libc::AT_FDCWD) => self.open_link("cwd"),
                (_, file) => self.open_file(file),
            };
        }
        let mut open = OFlags::PATH | OFlags::CLOEXEC;
        open.set(OFlags::NOFOLLOW, flags & libc::AT_SYMLINK_NOFOLLOW != 0);
        let base = match (path.is_absolute(), folder) {
            (true, _) => return open_in(&self.open_link("root")?, &path, open),
            (false, libc::AT_FDCWD) => "cwd".to_owned(),
            (false, file) => format!("fd/{file}"),
        };
        // Links on the way are the sandbox's, so even a relative path is resolved from its root.
        let base = readlinkat(CWD, self.proc(&base), Vec::new()).map_err(|_| Errno::BADF)?;
        let base = PathBuf::from(std::ffi::OsString::from_vec(base.into_bytes()));
        open_in(root, &base.join(path), open)
    }

    fn open_file(&self, file: i32) -> Result<OwnedFd, Errno> {
        self.open_link(&format!("fd/{file}"))
            .map_err(|_| Errno::BADF)
    }

    fn open_link(&self, name: &str) -> Result<OwnedFd, Errno> {
        openat(
            CWD,
            self.proc(name),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }

    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(name)
    }

    /// A path as C keeps it; it may end right before memory that cannot be read.
    fn path_in_memory(&self, address: u64) -> Result<PathBuf, Errno> {
        let memory = File::open(self.proc("mem")).map_err(|_| Errno::SRCH)?;
        let mut path = Vec::new();
        while path.len() < libc::PATH_MAX as usize {
            let from = address + path.len() as u64;
            let page_end = 4096 - (from % 4096) as usize;
            let mut part = vec![0; page_end];
            memory
                .read_exact_at(&mut part, from)
                .map_err(|_| Errno::FAULT)?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                path.extend_from_slice(&part[..end]);
                return Ok(PathBuf::from(std::ffi::OsString::from_vec(path)));
            }
            path.append(&mut part);
        }
        Err(Errno::NAMETOOLONG)
    }
}

/// Asks the kernel to hand the processor straight to the one who answers and back (Linux 6.6): a call then costs a fraction.
/// Older kernels know no such flag, and work without.
#[expect(unsafe_code, reason = "the ioctl takes a number instead of an address")]
pub(crate) fn answer_quickly(listener: &OwnedFd) {
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
            SYNC_WAKE_UP,
        );
    }
}

#[expect(
    unsafe_code,
    reason = "the ioctl fills one struct of plain numbers, which lives on this stack"
)]
fn receive(listener: &OwnedFd) -> std::io::Result<Option<Call>> {
    // The kernel wants it zeroed.
    let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    loop {
        let result = unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut notice,
            )
        };
        if result == 0 {
            return Ok(Some(Call {
                id: notice.id,
                pid: notice.pid,
                number: notice.data.nr.into(),
                arguments: notice.data.args,
            }));
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            // The process that called was killed meanwhile.
            Some(libc::ENOENT) => return Ok(None),
            _ => return Err(error),
        }
    }
}

#[expect(
    unsafe_code,
    reason = "the ioctl reads one struct of plain numbers, which lives on this stack"
)]
fn respond(listener: &OwnedFd, id: u64, error: i32) -> std::io::Result<()> {
    let response = libc::seccomp_notif_resp {
        id,
        val: 0,
        error,
        flags: 0,
    };
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw const response,
        )
    };
    match std::io::Error::last_os_error() {
        _ if result == 0 => Ok(()),
        // It was killed while it waited.
        error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        error => Err(error),
    }
}

#[expect(
    unsafe_code,
    reason = "the ioctl reads one number, which lives on this stack"
)]
fn is_still_waiting(listener: &OwnedFd, id: u64) -> bool {
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            &raw const id,
        )
    };
    result == 0
}
