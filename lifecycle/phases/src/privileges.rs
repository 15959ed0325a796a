//! Giving root's rights up: analyzer, restorer and exporter may be started as root, because only root can read a platform's credentials and daemon socket, and go on as the CNB user.
//!
//! Without root's rights everything stays as it is: kpack and OpenShift start the programs as some user already, whatever numbers the image says.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Gid, Uid, getuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::failure::{Failure, OTHER};
use lifecycle::files::is_missing;

/// The CNB user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Makes sure that the user can write to the folders that are there, and becomes the user.
pub(crate) fn become_user(user: User, folders: &[PathBuf]) -> Result<(), Failure> {
    if !getuid().is_root() {
        return Ok(());
    }
    for folder in folders {
        give(folder, user).map_err(|error| {
            let reason = format!("'{}': {error}", folder.display());
            Failure::new(OTHER, "chown volumes", reason)
        })?;
    }
    let User { uid, gid } = user;
    if uid == 0 && gid == 0 {
        return Ok(());
    }
    let (new_uid, new_gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // This thread's and those of threads it starts. No other is there but the one that [`crate::docker_socket`] leaves with root's rights;
    // the C library's functions would take them from that one, too.
    let become_it = || -> rustix::io::Result<()> {
        match set_thread_groups(&[new_gid]) {
            // In a user namespace root may not be allowed to.
            Err(Errno::PERM) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        set_thread_res_gid(new_gid, new_gid, new_gid)?;
        set_thread_res_uid(new_uid, new_uid, new_uid)
    };
    become_it().map_err(|error| Failure::new(OTHER, &format!("exec as user {uid}:{gid}"), error))
}

/// Gives a folder with everything in it to the user, unless the user can write to it: then what is in it is taken to be right too.
fn give(folder: &Path, user: User) -> io::Result<()> {
    let found = match fs::metadata(folder) {
        Err(error) if is_missing(&error) => return Ok(()),
        found => found?,
    };
    let of_group = found.gid() == user.gid && found.mode() & 0o020 != 0;
    if found.uid() == user.uid || of_group || found.mode() & 0o002 != 0 {
        return Ok(());
    }
    give_all(folder, user)
}

fn give_all(folder: &Path, user: User) -> io::Result<()> {
    lchown(folder, Some(user.uid), Some(user.gid))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_all(&entry.path(), user)?;
        } else {
            lchown(entry.path(), Some(user.uid), Some(user.gid))?;
        }
    }
    Ok(())
}
