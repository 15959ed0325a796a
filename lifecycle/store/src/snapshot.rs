//! Has anything in the app's folder changed since its layer was made? Asked of the file system alone: no file is opened.
//!
//! A file that kept its kind, mode, size, inode and both its times kept its content, with one exception, known from git (its
//! "racy" index entries): times have a grain, and a file that was written in the same grain in which it was looked at may be written again
//! without a trace. So of files that were changed just before the snapshot, the content's digest is kept too, and they alone
//! are read when the question comes.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use oci_image::layer::{FileKind, Selection};
use oci_image::{Digest, HashingReader, ParseTreePathError, TreePath};
use serde::{Deserialize, Serialize};

/// The kernel stamps files with a clock that ticks every 1 to 10 ms, and that may lag behind ours by a tick.
const GRAIN: Duration = Duration::from_millis(50);

/// Where no time has a fraction of a second, the file system keeps none: FAT counts in steps of 2 s.
const COARSE_GRAIN: Duration = Duration::from_secs(2);

/// What the folder of an app looked like at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    files: BTreeMap<TreePath, Seen>,
}

/// A folder to look at, and which of its files count: the same rule by which they go into the layer.
#[derive(Clone, Copy)]
pub struct Watched<'a> {
    /// The folder on disk.
    pub folder: &'a Path,
    /// Where it goes in the image; the rule is asked about paths there.
    pub at: &'a TreePath,
    /// Which files count.
    pub selection: &'a dyn Fn(&TreePath, FileKind) -> Selection,
    /// The time now, taken before the looking starts.
    pub now: SystemTime,
}

/// A path that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path in the image.
    pub path: TreePath,
    /// What happened to it.
    pub what: What,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It was not there before.
    Added,
    /// It is no longer there.
    Removed,
    /// It is something else, or its content may be another.
    Changed,
}

/// What the file system says of one path. The times are seconds and nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    #[serde(rename = "m")]
    mode: u32,
    /// `None` for folders: what is in them is looked at by itself.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    stamp: Option<Stamp>,
    /// The content's digest, if the file was changed too recently for its times to be believed.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    content: Option<Digest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp(u64, u64, (i64, i64), (i64, i64));

impl Snapshot {
    /// Looks at the folder. The layer is to be made after this: what changes in between shows as changed the next time.
    pub fn take(watched: &Watched<'_>) -> Result<Self, SnapshotError> {
        Self::default()
            .look_again(watched)
            .map(|(snapshot, _)| snapshot)
    }

    /// Looks again, and says what is not as it was. Without differences the layer made for `self` is still right. The new snapshot
    /// replaces the old one either way: its recently changed files have aged and need not be read any more.
    pub fn look_again(
        &self,
        watched: &Watched<'_>,
    ) -> Result<(Self, Vec<Difference>), SnapshotError> {
        let mut walk = Walk {
            watched,
            before: self,
            now: Self::default(),
        };
        let found = Walk::metadata(watched.folder)?;
        walk.folder(watched.folder, watched.at, &found)?;
        let now = walk.now;
        let removed = self
            .files
            .keys()
            .filter(|path| !now.files.contains_key(path));
        let mut differences: Vec<Difference> = removed
            .map(|path| Difference {
                path: path.clone(),
                what: What::Removed,
            })
            .collect();
        for (path, seen) in &now.files {
            let what = match self.files.get(path) {
                None => What::Added,
                Some(before) if before.is_same(seen) => continue,
                Some(_) => What::Changed,
            };
            differences.push(Difference {
                path: path.clone(),
                what,
            });
        }
        differences.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((now.believed(watched.now), differences))
    }

    /// Drops the digests of files that are old enough now: they were read only to be compared.
    fn believed(mut self, now: SystemTime) -> Self {
        for seen in self.files.values_mut() {
            if seen.stamp.is_some_and(|stamp| !stamp.is_recent(now)) {
                seen.content = None;
            }
        }
        self
    }
}

impl Seen {
    fn is_same(&self, now: &Self) -> bool {
        let Self {
            mode,
            stamp,
            content,
        } = self;
        *mode == now.mode
            && *stamp == now.stamp
            && content.is_none_or(|content| now.content == Some(content))
    }
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self(
            found.size(),
            found.ino(),
            (found.mtime(), found.mtime_nsec()),
            (found.ctime(), found.ctime_nsec()),
        )
    }

    /// Whether the file could still be changed without either of its times changing.
    fn is_recent(&self, now: SystemTime) -> bool {
        let Self(_, _, modified, changed) = *self;
        let grain = if modified.1 == 0 && changed.1 == 0 {
            COARSE_GRAIN
        } else {
            GRAIN
        };
        let since_epoch = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let trusted = i128::try_from(since_epoch.saturating_sub(grain).as_nanos()).unwrap_or(0);
        [modified, changed]
            .into_iter()
            .any(|(seconds, nanoseconds)| {
                i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds) >= trusted
            })
    }
}

struct Walk<'a> {
    watched: &'a Watched<'a>,
    before: &'a Snapshot,
    now: Snapshot,
}

impl Walk<'_> {
    fn folder(
        &mut self,
        folder: &Path,
        path: &TreePath,
        found: &Metadata,
    ) -> Result<(), SnapshotError> {
        let selection = if path.is_root() {
            Selection::Inside
        } else {
            (self.watched.selection)(path, FileKind::Folder)
        };
        match selection {
            Selection::Leave => return Ok(()),
            Selection::Inside => {}
            Selection::Take => {
                let seen = Seen {
                    mode: found.mode(),
                    stamp: None,
                    content: None,
                };
                self.now.files.insert(path.clone(), seen);
            }
        }
        let failed = |source| SnapshotError::Read {
            path: folder.to_owned(),
            source,
        };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let below = path
                .child(&entry.file_name())
                .map_err(SnapshotError::Path)?;
            let found = Self::metadata(&entry.path())?;
            if found.is_dir() {
                self.folder(&entry.path(), &below, &found)?;
            } else {
                self.file(&entry.path(), below, &found)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &Path, path: TreePath, found: &Metadata) -> Result<(), SnapshotError> {
        let kind = match found.file_type() {
            kind if kind.is_file() => FileKind::File,
            kind if kind.is_symlink() => FileKind::Symlink,
            // Sockets do not go into layers.
            kind if kind.is_socket() => return Ok(()),
            _ => FileKind::Special,
        };
        if (self.watched.selection)(&path, kind) != Selection::Take {
            return Ok(());
        }
        let stamp = Stamp::of(found);
        let before = self
            .before
            .files
            .get(&path)
            .filter(|before| before.stamp == Some(stamp));
        let has_to_be_read = stamp.is_recent(self.watched.now)
            || before.is_some_and(|before| before.content.is_some());
        let content = if has_to_be_read {
            content(file, kind)?
        } else {
            None
        };
        self.now.files.insert(
            path,
            Seen {
                mode: found.mode(),
                stamp: Some(stamp),
                content,
            },
        );
        Ok(())
    }

    fn metadata(path: &Path) -> Result<Metadata, SnapshotError> {
        fs::symlink_metadata(path).map_err(|source| SnapshotError::Read {
            path: path.to_owned(),
            source,
        })
    }
}

fn content(file: &Path, kind: FileKind) -> Result<Option<Digest>, SnapshotError> {
    let failed = |source| SnapshotError::Read {
        path: file.to_owned(),
        source,
    };
    match kind {
        FileKind::File => {
            let (digest, _) = File::open(file)
                .and_then(|file| HashingReader::new(file).finish())
                .map_err(failed)?;
            Ok(Some(digest))
        }
        FileKind::Symlink => {
            let target = fs::read_link(file).map_err(failed)?;
            Ok(Some(Digest::of(target.as_os_str().as_bytes())))
        }
        FileKind::Folder | FileKind::Special => Ok(None),
    }
}

/// Why a folder could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file or folder could not be read.
    #[error("{} could not be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name that no image can hold.
    #[error("a file of the app cannot go into an image: {0}")]
    Path(ParseTreePathError),
}

impl std::fmt::Debug for Watched<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            folder,
            at,
            selection: _,
            now,
        } = self;
        f.debug_struct("Watched")
            .field("folder", folder)
            .field("at", at)
            .field("now", now)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::inotify;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    /// An app of four files, and looking at it as if at different times.
    struct App {
        folder: tempfile::TempDir,
        at: TreePath,
    }

    impl App {
        fn new() -> Self {
            let app = Self {
                folder: tempfile::tempdir().unwrap(),
                at: "workspace".parse().unwrap(),
            };
            for path in ["app.py", "pages/one.py", "pages/two.py", ".git/config"] {
                fs::create_dir_all(app.file(path).parent().unwrap()).unwrap();
                fs::write(app.file(path), path).unwrap();
            }
            symlink("app.py", app.file("link")).unwrap();
            app
        }

        fn file(&self, path: &str) -> PathBuf {
            self.folder.path().join(path)
        }

        fn look(&self, before: &Snapshot, later: Duration) -> (Snapshot, Vec<String>) {
            let selection = |path: &TreePath, _| {
                if path.file_name() == ".git" {
                    Selection::Leave
                } else {
                    Selection::Take
                }
            };
            let now = SystemTime::now() + later;
            let watched = Watched {
                folder: self.folder.path(),
                at: &self.at,
                selection: &selection,
                now,
            };
            let (snapshot, differences) = before.look_again(&watched).unwrap();
            (
                snapshot,
                differences
                    .iter()
                    .map(|difference| format!("{} {:?}", difference.path, difference.what))
                    .collect(),
            )
        }

        /// A snapshot that believes all times: as if a minute had passed since the last change.
        fn settled(&self) -> Snapshot {
            self.look(&Snapshot::default(), Duration::from_mins(1)).0
        }
    }

    fn recent(snapshot: &Snapshot) -> usize {
        snapshot
            .files
            .values()
            .filter(|seen| seen.content.is_some())
            .count()
    }

    /// Counts how often files (not folders) below `folder` are opened while `work` runs.
    fn opens(folder: &Path, work: impl FnOnce()) -> usize {
        fn watch(inotify: &impl std::os::fd::AsFd, folder: &Path) {
            inotify::add_watch(inotify, folder, inotify::WatchFlags::OPEN).unwrap();
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    watch(inotify, &entry.path());
                }
            }
        }
        let inotify =
            inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        watch(&inotify, folder);
        work();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 8192];
        let mut events = inotify::Reader::new(&inotify, &mut buffer);
        let mut opened = 0;
        while let Ok(event) = events.next() {
            opened += usize::from(!event.events().contains(inotify::ReadFlags::ISDIR));
        }
        opened
    }

    #[test]
    fn unchanged_opens_no_file() {
        let app = App::new();
        let snapshot = app.settled();
        assert_eq!(
            opens(app.folder.path(), || assert_eq!(
                app.look(&snapshot, Duration::from_secs(61)).1,
                Vec::<String>::new()
            )),
            0
        );
        // The counter counts.
        assert_eq!(
            opens(app.folder.path(), || drop(
                fs::read(app.file("pages/one.py")).unwrap()
            )),
            1
        );
    }

    #[test]
    fn every_kind_of_change_shows() {
        let app = App::new();
        let snapshot = app.settled();
        let minute = Duration::from_mins(1);
        fs::write(app.file("app.py"), "other").unwrap();
        fs::write(app.file("new.py"), "").unwrap();
        fs::remove_file(app.file("pages/two.py")).unwrap();
        fs::set_permissions(app.file("pages"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(app.file(".git/config"), "does not count").unwrap();
        fs::remove_file(app.file("link")).unwrap();
        symlink("new.py", app.file("link")).unwrap();
        assert_eq!(
            app.look(&snapshot, minute).1,
            [
                "/workspace/app.py Changed",
                "/workspace/link Changed",
                "/workspace/new.py Added",
                "/workspace/pages Changed",
                "/workspace/pages/two.py Removed",
            ]
        );
    }

    #[test]
    fn same_size_and_time_but_another_inode_or_content() {
        let app = App::new();
        let snapshot = app.settled();
        let times = fs::metadata(app.file("app.py"))
            .unwrap()
            .modified()
            .unwrap();
        fs::write(app.file("app.py"), "APP.PY").unwrap();
        File::options()
            .write(true)
            .open(app.file("app.py"))
            .unwrap()
            .set_modified(times)
            .unwrap();
        // Somebody set the time back; the inode's own time cannot be set.
        assert_eq!(
            app.look(&snapshot, Duration::from_mins(1)).1,
            ["/workspace/app.py Changed"]
        );
    }

    #[test]
    fn recent_files_are_compared_by_content_until_they_have_aged() {
        let app = App::new();
        let (fresh, _) = app.look(&Snapshot::default(), Duration::ZERO);
        assert_eq!(recent(&fresh), 4, "all files are new");
        // Exactly what the times cannot show: the same stamp, another content.
        let mut lied = fresh.clone();
        lied.files
            .get_mut(&"workspace/app.py".parse().unwrap())
            .unwrap()
            .content = Some(Digest::of(b"another"));
        assert_eq!(
            app.look(&lied, Duration::from_mins(1)).1,
            ["/workspace/app.py Changed"]
        );

        let (aged, differences) = app.look(&fresh, Duration::from_mins(1));
        assert_eq!((recent(&aged), differences), (0, Vec::new()));
        assert_eq!(
            opens(app.folder.path(), || drop(
                app.look(&aged, Duration::from_secs(61))
            )),
            0
        );
    }

    #[test]
    fn recent_needs_the_grain_of_the_file_system() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1000, 500_000_000);
        let stamp = |time: (i64, i64)| Stamp(0, 0, time, time);
        let table = [
            ((1000, 499_999_999), true),
            ((1000, 450_000_000), true),
            ((1000, 449_999_999), false),
            ((1001, 1), true),
            // Whole seconds: nothing finer is kept.
            ((999, 0), true),
            ((998, 0), false),
        ];
        for (time, expected) in table {
            assert_eq!(stamp(time).is_recent(now), expected, "{time:?}");
        }
    }

    #[test]
    fn json_round_trip() {
        let (snapshot, _) = App::new().look(&Snapshot::default(), Duration::ZERO);
        let json = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
    }
}
