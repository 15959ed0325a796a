//! Remembers who was given which file, and finds the files again at the end.
//!
//! A file is known by device, inode and time of birth (a freed inode's number is soon used again), so a rename does not
//! lose its owner. Where it was last seen is kept too: most files are still there, and the tree is walked only for the rest.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat2,
    readlinkat, statx,
};
use rustix::io::Errno;

use crate::overlay::name;
use crate::owners::Owner;

/// What a call asks for; `None` keeps what is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Wish {
    /// As `chown(2)` has it: -1 keeps.
    pub(crate) fn from_arguments(uid: u32, gid: u32) -> Self {
        let kept = |number: u32| (number != u32::MAX).then_some(number);
        Self {
            uid: kept(uid),
            gid: kept(gid),
        }
    }

    fn over(self, old: Owner) -> Owner {
        Owner {
            uid: self.uid.unwrap_or(old.uid),
            gid: self.gid.unwrap_or(old.gid),
        }
    }
}

/// A file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    born: (i64, u32),
}

impl Identity {
    fn of(stat: &Statx) -> Self {
        Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            born: (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec),
        }
    }
}

struct Entry {
    owner: Owner,
    seen_at: PathBuf,
}

/// What the `chown` family asked for so far.
pub(crate) struct Ledger {
    files: BTreeMap<Identity, Entry>,
    /// Who owned the file at a path, by the last word about it, and which file that was.
    paths: BTreeMap<PathBuf, (Owner, Option<Identity>)>,
}

impl Ledger {
    pub(crate) fn new(known: BTreeMap<PathBuf, Owner>) -> Self {
        Self {
            files: BTreeMap::new(),
            paths: known
                .into_iter()
                .map(|(path, owner)| (path, (owner, None)))
                .collect(),
        }
    }

    /// Writes one wish down.
    pub(crate) fn record(&mut self, file: &OwnedFd, wish: Wish) -> Result<(), Errno> {
        let stat = statx(file, "", AtFlags::EMPTY_PATH, wanted())?;
        let identity = Identity::of(&stat);
        let path = readlinkat(CWD, name(file), Vec::new())?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(path.into_bytes()));
        let old = match (self.files.get(&identity), self.paths.get(&path)) {
            (Some(entry), _) => entry.owner,
            (None, Some((owner, None))) => *owner,
            _ => Owner::ROOT,
        };
        let owner = wish.over(old);
        self.paths.insert(path.clone(), (owner, Some(identity)));
        self.files.insert(
            identity,
            Entry {
                owner,
                seen_at: path,
            },
        );
        Ok(())
    }

    /// Where the files are now, below the sandbox's root.
    pub(crate) fn finish(&self, root: &OwnedFd) -> BTreeMap<PathBuf, Owner> {
        let mut found = BTreeMap::new();
        let mut elsewhere = false;
        for (identity, entry) in &self.files {
            match stat_in(root, &entry.seen_at) {
                Ok(stat) if Identity::of(&stat) == *identity => {
                    found.insert(
                        entry.seen_at.clone(),
                        self.final_owner(identity, &entry.seen_at),
                    );
                    // A second name has to be searched for.
                    elsewhere |= stat.stx_nlink > 1 && !is_folder(&stat);
                }
                // Renamed, or deleted.
                _ => elsewhere = true,
            }
        }
        if elsewhere {
            self.walk(root, Path::new("/"), &mut found);
        }
        found
    }

    /// A new file that was given to root where another's file stood keeps the other's owner: the program copied an owner
    /// that it had read, and what it read was root (`stat` is not faked).
    fn final_owner(&self, identity: &Identity, path: &Path) -> Owner {
        let own = self
            .files
            .get(identity)
            .map_or(Owner::ROOT, |entry| entry.owner);
        match self.paths.get(path) {
            Some((before, whose)) if own == Owner::ROOT && *whose != Some(*identity) => *before,
            _ => own,
        }
    }

    fn walk(&self, root: &OwnedFd, path: &Path, found: &mut BTreeMap<PathBuf, Owner>) {
        // Other file systems of the kernel's making, in which nothing can have been chowned for good.
        if [Path::new("/proc"), Path::new("/dev"), Path::new("/sys")].contains(&path) {
            return;
        }
        let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(folder) = openat2(root, path, folder, Mode::empty(), ResolveFlags::IN_ROOT) else {
            return;
        };
        let Ok(entries) = Dir::read_from(&folder) else {
            return;
        };
        for entry in entries.flatten() {
            let file_name = entry.file_name().to_bytes();
            if file_name == b"." || file_name == b".." {
                continue;
            }
            let Ok(stat) = statx(
                &folder,
                entry.file_name(),
                AtFlags::SYMLINK_NOFOLLOW,
                wanted(),
            ) else {
                continue;
            };
            let path = path.join(std::ffi::OsStr::from_bytes(file_name));
            let identity = Identity::of(&stat);
            if self.files.contains_key(&identity) {
                found.insert(path.clone(), self.final_owner(&identity, &path));
            }
            if is_folder(&stat) {
                self.walk(root, &path, found);
            }
        }
    }
}

fn is_folder(stat: &Statx) -> bool {
    FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME
}

fn stat_in(root: &OwnedFd, path: &Path) -> Result<Statx, Errno> {
    let file = openat2(
        root,
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT,
    )?;
    statx(&file, "", AtFlags::EMPTY_PATH, wanted())
}
