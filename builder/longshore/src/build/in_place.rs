//! A build without a sandbox, where user namespaces are refused: in a container of our build image, which takes the sandbox's place.
//!
//! ```text
//! /                the container's own: it is the build image
//! /workspace       a copy of the app, without what stays out; empty before and afterwards
//! /layers          the restored layers as copies, and what the build adds; empty before and afterwards
//! /tmp/longshore-… platform, home, the host's CA bundle and pip configuration, and a /cnb whose programs are links to this executable
//! ```
//!
//! The paths are those of the sandbox, so the image is the same. Root gives all of this to uid 1000, which the programs run as; anybody
//! else is whoever he is. A helper process ([`sandbox::Here`]) ends what runs and empties the folders, however this program ends.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, StatVfsMountFlags, accessat, flock};
use sandbox::{Cleanup, Helper, Here, Program, User};
use stack::STACK_FOLDER_IN_BUILD_IMAGE;
use store::Temporary;

use super::phases::{self, PhaseEnd};
use super::request::Request;
use super::workspace::Overlays;
use crate::commands::{Context, overlays_of};
use crate::embedded;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::host::{Inside, PipConfig};
use crate::output::Output;

/// Where the layers are.
pub(crate) const LAYERS: &str = "/layers";
/// Where the app's copy is.
pub(crate) const WORKSPACE: &str = "/workspace";
/// What is for this build alone stands below this: a home folder or a cache of root's may be closed to uid 1000.
const TEMPORARY: &str = "/tmp";
/// What those two folders have in an image, and what keeps the bits of a mount (sticky, set-group-ID) out of it.
const FOLDER_MODE: u32 = 0o755;

/// What keeps a build apart from the rest of the machine.
#[derive(Debug)]
pub(crate) enum Place {
    /// A sandbox of our own.
    Sandbox(Overlays),
    /// The container that we are in.
    Here(InPlace),
}

impl Place {
    /// A sandbox where the kernel allows one; else this container, if it is one of a build image.
    pub(crate) fn find(
        scratch: &Temporary,
        request: &Request,
        context: &Context,
    ) -> Result<Self, Failure> {
        match sandbox::probe(&Helper::default(), scratch.path()) {
            Ok(allowed) => Ok(Self::Sandbox(overlays_of(
                allowed,
                scratch,
                &context.output,
            ))),
            Err(error) if error.is_refusal() && is_build_image(Path::new("/")) => {
                InPlace::enter(request, context).map(Self::Here)
            }
            Err(error) if error.is_refusal() => Err(errors::no_sandbox_for_build(&error)),
            Err(error) => Err(errors::sandbox(&error)),
        }
    }

    /// Where the build's programs find what the host gives them.
    pub(crate) fn inside(&self) -> Inside {
        match self {
            Self::Sandbox(_) => Inside::sandbox(),
            Self::Here(here) => here.inside(),
        }
    }
}

/// Any image that says what stack it is of: ours, and those that are made from it.
fn is_build_image(root: &Path) -> bool {
    root.join(STACK_FOLDER_IN_BUILD_IMAGE)
        .join("stack.toml")
        .is_file()
}

/// A build in this container.
#[derive(Debug)]
pub(crate) struct InPlace {
    helper: Here,
    /// This build's own folder in `/tmp`.
    scratch: PathBuf,
    /// Who the build's programs become; `None` where we are nobody to become another.
    user: Option<User>,
    /// The folders whose mode and owner cannot be changed: mounts of somebody else's that we may write to.
    foreign: Vec<&'static str>,
}

impl InPlace {
    fn enter(request: &Request, context: &Context) -> Result<Self, Failure> {
        check_paths(request, context)?;
        // The lock comes before the look: another build in this container may be emptying the folders.
        let lock = lock(&context.output)?;
        for folder in [LAYERS, WORKSPACE] {
            check_folder(Path::new(folder)).map_err(|found| unusable(folder, &found))?;
        }
        let user = rustix::process::geteuid().is_root().then_some(User::CNB);
        let scratch = tempfile::Builder::new()
            .prefix("longshore-")
            .tempdir_in(TEMPORARY)
            .map_err(|error| no_temporary_folder(&error))?;
        let cleanup = Cleanup {
            emptied: vec![LAYERS.into(), WORKSPACE.into()],
            removed: vec![scratch.path().to_owned()],
        };
        let helper = Here::start(&Helper::default(), cleanup, lock)
            .map_err(|error| errors::sandbox(&error))?;
        let mut place = Self {
            helper,
            // From here on the helper removes it.
            scratch: scratch.keep(),
            user,
            foreign: Vec::new(),
        };
        place.take_over()?;
        place
            .prepare(context)
            .map_err(|error| errors::storage("the build's folders could not be made", &error))?;
        // Of the same user, the build's programs could read this one's memory and environment, credentials included. Not having that is
        // no reason to stop.
        nix::sys::prctl::set_dumpable(false).ok();
        context.output.warning(&place.what_it_costs());
        Ok(place)
    }

    /// Makes the two folders the programs' own, where that can be done.
    fn take_over(&mut self) -> Result<(), Failure> {
        for folder in [LAYERS, WORKSPACE] {
            let path = Path::new(folder);
            if let Some(User { uid, gid }) = self.user {
                lchown(path, Some(uid), Some(gid)).map_err(|error| no_rights(folder, &error))?;
            }
            let mode = fs::Permissions::from_mode(FOLDER_MODE);
            if fs::set_permissions(path, mode).is_err() {
                self.foreign.push(folder);
            }
            let access = Access::WRITE_OK | Access::EXEC_OK;
            accessat(CWD, path, access, AtFlags::EACCESS).map_err(|errno| {
                let found = format!("cannot be written to: {}", io::Error::from(errno));
                unusable(folder, &found)
            })?;
        }
        Ok(())
    }

    fn prepare(&self, context: &Context) -> io::Result<()> {
        // Settings of package indexes may hold credentials: they are for the build's user alone.
        fs::set_permissions(&self.scratch, fs::Permissions::from_mode(0o700))?;
        let inside = self.inside();
        fs::create_dir(&inside.home)?;
        fs::create_dir(self.temporary())?;
        write(&inside.ca_bundle, context.trust.pem().as_bytes())?;
        for (path, config) in &context.network.pip_configs {
            // The machine's is where pip looks for it already.
            if *config != PipConfig::Site
                && let Ok(bytes) = fs::read(path)
            {
                write(&inside.place_of(*config), &bytes)?;
            }
        }
        embedded::write_cnb(&self.cnb(), &self.program(context)?)
    }

    /// This executable, or a copy where the programs' user could not start it.
    fn program(&self, context: &Context) -> io::Result<PathBuf> {
        let program = &context.program;
        if self.user.is_none() || is_open_to_all(program)? {
            return Ok(program.clone());
        }
        let copy = self.scratch.join("longshore");
        fs::copy(program, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(FOLDER_MODE))?;
        Ok(copy)
    }

    fn what_it_costs(&self) -> String {
        let who = match self.user {
            Some(_) => "as uid 1000",
            None => "as the user of this program",
        };
        format!(
            "this container allows no sandbox, so the app's build (installers, predeploy) runs in the container\n\
             itself, {who}: it sees this container's files, processes and network. README.md, \"In a container\", says how to allow the sandbox."
        )
    }

    pub(crate) fn inside(&self) -> Inside {
        Inside {
            ca_bundle: self.scratch.join("ca-certificates.crt"),
            pip_config: self.scratch.join("pip.conf"),
            home: self.scratch.join("home"),
        }
    }

    pub(crate) fn platform(&self) -> PathBuf {
        self.scratch.join("platform")
    }

    /// Where the phases have their own files, so that none is left in the container.
    fn temporary(&self) -> PathBuf {
        self.scratch.join("tmp")
    }

    fn cnb(&self) -> PathBuf {
        self.scratch.join("cnb")
    }

    /// The mode that the app's folder has in the image, where it cannot have it here.
    pub(crate) fn app_mode(&self) -> Option<u32> {
        self.foreign.contains(&WORKSPACE).then_some(FOLDER_MODE)
    }

    /// Runs a phase over copies of these trees' `layers` folders.
    pub(crate) fn run(
        &self,
        phase: &str,
        restored: &[PathBuf],
        output: &Output,
    ) -> Result<PhaseEnd, Failure> {
        for lower in restored {
            restore(lower, Path::new(LAYERS))?;
        }
        self.give_away()?;
        let program = Program {
            argv: phases::argv(&self.cnb(), phase, output),
            env: self.environment(),
            cwd: WORKSPACE.into(),
            user: self.user,
        };
        let (lines, streams) = phases::pipe()?;
        self.helper
            .spawn(&program, streams)
            .map_err(|error| errors::sandbox(&error))?;
        let said = phases::relay(lines, output);
        let status = self
            .helper
            .wait()
            .map_err(|error| errors::sandbox(&error))?;
        for folder in &self.foreign {
            forget_inherited_group(Path::new(folder)).map_err(|error| {
                errors::storage(
                    &format!("the modes below {folder} could not be set"),
                    &error,
                )
            })?;
        }
        Ok(PhaseEnd { status, said })
    }

    fn environment(&self) -> std::collections::BTreeMap<OsString, OsString> {
        let mut environment = phases::environment(&self.inside());
        for (name, path) in [
            ("CNB_BUILDPACKS_DIR", self.cnb().join("buildpacks")),
            ("CNB_ORDER_PATH", self.cnb().join("order.toml")),
            ("CNB_PLATFORM_DIR", self.platform()),
            ("TMPDIR", self.temporary()),
        ] {
            environment.insert(name.into(), path.into());
        }
        environment
    }

    /// What root has written is to be the programs' own.
    fn give_away(&self) -> Result<(), Failure> {
        let Some(user) = self.user else { return Ok(()) };
        for folder in [LAYERS.as_ref(), WORKSPACE.as_ref(), &*self.scratch] {
            give(folder, user).map_err(|error| no_rights(&folder.display().to_string(), &error))?;
        }
        Ok(())
    }
}

/// What the build puts into those folders is removed at its end, so nothing of the user's may be there.
fn check_paths(request: &Request, context: &Context) -> Result<(), Failure> {
    for folder in [LAYERS, WORKSPACE] {
        if request.app.starts_with(folder) {
            let body = format!(
                "The app is in {folder}, which the build needs empty: its own copy of the app and its layers are made in {LAYERS} and\n\
                 {WORKSPACE}. Mount the app elsewhere, for example with `-v \"$PWD\":/src:ro` (Docker, Podman), and build /src."
            );
            return Err(Failure::new(
                Exit::Usage,
                "The app is where the build works",
                body,
            ));
        }
        let written = request
            .outputs
            .iter()
            .filter_map(crate::arguments::Place::path);
        let kept = [&*context.folders.data, &*context.folders.cache];
        for path in written.chain(request.metadata_file.as_deref()).chain(kept) {
            if resolved(path).starts_with(folder) {
                let body = format!(
                    "{} is in {folder}, which is emptied at the end of the build.\nName a place elsewhere.",
                    path.display()
                );
                return Err(Failure::new(Exit::Usage, "Nothing stays there", body));
            }
        }
    }
    Ok(())
}

/// Without symlinks, as far as it is there: in our images `/app` is one.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute
        .ancestors()
        .find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match there {
        Some((ancestor, real)) => match absolute.strip_prefix(ancestor) {
            Ok(rest) => real.join(rest),
            Err(_) => real,
        },
        None => absolute,
    }
}

/// One build at a time: the lock is on the folder itself, so it is as far-reaching as the folder is.
fn lock(output: &Output) -> Result<OwnedFd, Failure> {
    let folder = File::open(LAYERS)
        .map_err(|error| unusable(LAYERS, &format!("cannot be opened: {error}")))?;
    let failed = |errno: rustix::io::Errno| {
        errors::storage(&format!("{LAYERS} could not be locked"), &errno.into())
    };
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => {
            output.info("Waiting for another build in this container");
            flock(&folder, FlockOperation::LockExclusive).map_err(failed)?;
        }
        tried => tried.map_err(failed)?,
    }
    Ok(folder.into())
}

/// An empty folder in which there can be files and programs. The error says what it is instead.
fn check_folder(folder: &Path) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot be read: {error}"))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    match &names[..] {
        [] => {}
        [only] => return Err(format!("is not empty: it has {only:?}")),
        [first, rest @ ..] => {
            return Err(format!(
                "is not empty: it has {first:?} and {} more",
                rest.len()
            ));
        }
    }
    let mount = rustix::fs::statvfs(folder)
        .map_err(|errno| format!("cannot be looked at: {}", io::Error::from(errno)))?;
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err("is mounted with noexec, and the build starts programs in it".to_owned());
    }
    if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err("is read-only".to_owned());
    }
    Ok(())
}

/// Copies a tree's `layers` folder over what is there.
fn restore(lower: &Path, layers: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        errors::storage(&format!("{} could not be read", lower.display()), &error)
    };
    for entry in fs::read_dir(lower).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = layers.join(entry.file_name());
        // A buildpack's folder, which holds a file for each restored layer already.
        fs::create_dir_all(&target).map_err(failed)?;
        sandbox::flatten(&[entry.path()], &target).map_err(|error| errors::storage_of(&error))?;
    }
    Ok(())
}

/// Gives a folder with all that is in it to a user. No program of the build runs meanwhile, so nothing is changed under our feet.
fn give(folder: &Path, User { uid, gid }: User) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry?;
        let found = entry.metadata()?;
        if (found.uid(), found.gid()) != (uid, gid) {
            lchown(entry.path(), Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// In a folder of a group (an `emptyDir` of a pod with `fsGroup`), new folders get the group's bit, which they would not have elsewhere.
fn forget_inherited_group(folder: &Path) -> io::Result<()> {
    const SET_GROUP_ID: u32 = 0o2000;
    if fs::metadata(folder)?.mode() & SET_GROUP_ID == 0 {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(folder).min_depth(1) {
        let entry = entry?;
        let mode = entry.metadata()?.mode();
        if entry.file_type().is_dir() && mode & SET_GROUP_ID != 0 {
            let without = fs::Permissions::from_mode(mode & 0o7777 & !SET_GROUP_ID);
            fs::set_permissions(entry.path(), without)?;
        }
    }
    Ok(())
}

/// May everybody start this program, by the modes of it and of the folders above?
fn is_open_to_all(program: &Path) -> io::Result<bool> {
    for path in program.ancestors() {
        let wanted = if path == program { 0o005 } else { 0o001 };
        if fs::metadata(path)?.mode() & wanted != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Readable whatever this program's umask is.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

fn unusable(folder: &str, found: &str) -> Failure {
    let body = format!(
        "This container allows no sandbox, so the build works in the container's own {LAYERS} and {WORKSPACE}, and {folder} {found}.\n\n\
         Give the container an empty one that the build may write to: `--tmpfs {folder}:uid=1000,exec` (Docker),\n\
         `--mount type=tmpfs,destination={folder},chown=true` (Podman), an emptyDir at {folder} (Kubernetes)."
    );
    Failure::new(Exit::Sandbox, format!("{folder} cannot be used"), body)
}

fn no_temporary_folder(error: &io::Error) -> Failure {
    let body = format!(
        "{TEMPORARY} cannot be written to: {error}.\n\
         Give the container one: `--tmpfs {TEMPORARY}:exec` (Docker, Podman), or an emptyDir at {TEMPORARY} (Kubernetes)."
    );
    Failure::new(Exit::Sandbox, format!("{TEMPORARY} cannot be used"), body)
}

fn no_rights(path: &str, error: &io::Error) -> Failure {
    let body = format!(
        "{path} could not be given to uid 1000, which the build runs as: {error}.\n\
         Start the container as that user (`--user 1000:1000`), or leave root its capabilities CHOWN, SETUID and SETGID."
    );
    Failure::new(Exit::Sandbox, "Root may not give files away here", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_build_image_by_its_stack() {
        let root = tempfile::tempdir().unwrap();
        assert!(!is_build_image(root.path()));
        let folder = root.path().join(STACK_FOLDER_IN_BUILD_IMAGE);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("stack.toml"), "").unwrap();
        assert!(is_build_image(root.path()));
    }

    #[test]
    fn check_folder_says_what_is_wrong() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("layers");
        assert_eq!(
            check_folder(&folder),
            Err("cannot be read: No such file or directory (os error 2)".to_owned())
        );
        fs::create_dir(&folder).unwrap();
        assert_eq!(check_folder(&folder), Ok(()));
        fs::write(folder.join("a"), "").unwrap();
        assert_eq!(
            check_folder(&folder),
            Err("is not empty: it has \"a\"".to_owned())
        );
        fs::write(folder.join("b"), "").unwrap();
        assert_eq!(
            check_folder(&folder),
            Err("is not empty: it has \"a\" and 1 more".to_owned())
        );
    }

    #[test]
    fn unusable_says_how_to_mount_one() {
        let failure = unusable("/layers", "is not empty: it has \"x\"");
        assert_eq!(
            failure.to_string(),
            "[Error: /layers cannot be used]\n\
             This container allows no sandbox, so the build works in the container's own /layers and /workspace, and /layers is not empty: \
             it has \"x\".\n\n\
             Give the container an empty one that the build may write to: `--tmpfs /layers:uid=1000,exec` (Docker),\n\
             `--mount type=tmpfs,destination=/layers,chown=true` (Podman), an emptyDir at /layers (Kubernetes)."
        );
    }

    #[test]
    fn resolved_goes_through_links_as_far_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        fs::create_dir(real.join("workspace")).unwrap();
        std::os::unix::fs::symlink("workspace", real.join("app")).unwrap();
        assert_eq!(
            resolved(&real.join("app/new/file")),
            real.join("workspace/new/file")
        );
    }

    #[test]
    fn forget_inherited_group_only_below_such_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&inner, 0o2750);
        forget_inherited_group(folder.path()).unwrap();
        assert_eq!(mode(&inner), 0o2750, "what a build has set stays");
        set(folder.path(), 0o2777);
        forget_inherited_group(folder.path()).unwrap();
        assert_eq!(
            (mode(folder.path()), mode(&inner)),
            (0o2777, 0o750),
            "what came from above goes"
        );
    }

    #[test]
    fn is_open_to_all_asks_every_folder() {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!is_open_to_all(&program).unwrap(), "a closed folder above");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert!(is_open_to_all(&program).unwrap());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(!is_open_to_all(&program).unwrap());
    }

    #[test]
    fn restore_merges_the_layers_of_a_buildpack() {
        let folder = tempfile::tempdir().unwrap();
        let layers = folder.path().join("layers");
        fs::create_dir_all(layers.join("x_y")).unwrap();
        fs::write(layers.join("x_y/one.toml"), "").unwrap();
        for layer in ["one", "two"] {
            let lower = folder.path().join(layer);
            fs::create_dir_all(lower.join("x_y").join(layer)).unwrap();
            fs::write(lower.join("x_y").join(layer).join("file"), layer).unwrap();
            restore(&lower, &layers).unwrap();
        }
        for file in ["one.toml", "one/file", "two/file"] {
            assert!(layers.join("x_y").join(file).is_file(), "{file}");
        }
    }
}
