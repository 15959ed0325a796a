//! What the one executable carries: the buildpacks, the order of them, the launcher, the stack's definition and the Debian
//! archive keyring; and the `/cnb` folder of the sandbox made from them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use oci_image::Digest;
use store::Store;

use crate::embedded_launcher::LAUNCHER;

/// A buildpack of ours: its descriptor and the program behind `bin/detect` and `bin/build`.
#[derive(Debug)]
pub(crate) struct Buildpack {
    pub(crate) id: &'static str,
    pub(crate) descriptor: &'static str,
    pub(crate) run: fn() -> std::process::ExitCode,
}

/// All of them; `longshore/python-app` orders them.
pub(crate) const BUILDPACKS: [Buildpack; 5] = [
    Buildpack {
        id: "longshore/apt",
        descriptor: include_str!("../../../buildpacks/apt/buildpack.toml"),
        run: buildpack_apt::run,
    },
    Buildpack {
        id: "longshore/python",
        descriptor: include_str!("../../../buildpacks/python/buildpack.toml"),
        run: buildpack_python::run,
    },
    Buildpack {
        id: "longshore/deps",
        descriptor: include_str!("../../../buildpacks/deps/buildpack.toml"),
        run: buildpack_deps::run,
    },
    Buildpack {
        id: "longshore/hooks",
        descriptor: include_str!("../../../buildpacks/hooks/buildpack.toml"),
        run: buildpack_hooks::run,
    },
    Buildpack {
        id: "longshore/procfile",
        descriptor: include_str!("../../../buildpacks/procfile/buildpack.toml"),
        run: buildpack_procfile::run,
    },
];

const COMPOSITE_ID: &str = "longshore/python-app";
/// The descriptor of the composite that orders them.
pub(crate) const COMPOSITE: &str = include_str!("../../../buildpacks/python-app/buildpack.toml");

/// The version of every buildpack of ours; a test holds the descriptors to it.
pub(crate) const BUILDPACK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The default stack's folder, as data.
pub(crate) const STACK_FILES: [(&str, &[u8]); 3] = [
    (
        "stack.toml",
        include_bytes!("../../../stacks/trixie/stack.toml"),
    ),
    (
        "stack.lock",
        include_bytes!("../../../stacks/trixie/stack.lock"),
    ),
    (
        "debian-archive-keyring.pgp",
        include_bytes!("../../../stacks/trixie/debian-archive-keyring.pgp"),
    ),
];

/// The suite of the default stack: its Python is the one that needs no other.
pub(crate) fn default_suite() -> Option<String> {
    let [(_, definition), ..] = STACK_FILES;
    let table: toml::Table = std::str::from_utf8(definition).ok()?.parse().ok()?;
    Some(table.get("suite")?.as_str()?.to_owned())
}

/// The names under which the executable is one of the lifecycle's phases.
pub(crate) const PHASES: [&str; 6] = [
    "analyzer",
    "detector",
    "restorer",
    "builder",
    "exporter",
    "lifecycle",
];

/// Where the executable stands in the sandbox; `/cnb/lifecycle/<phase>` and the buildpacks' programs lead here.
pub(crate) const PROGRAM_IN_SANDBOX: &str = "/cnb/lifecycle/lifecycle";

/// What is written below the cache folder: `/cnb` of the sandbox, and the stack's folder.
#[derive(Debug, Clone)]
pub(crate) struct Unpacked {
    pub(crate) cnb: PathBuf,
    pub(crate) stack: PathBuf,
}

/// Writes what is embedded below `cache`, once for each version of it. Written elsewhere, synced and renamed, so that it is
/// there whole or not at all.
pub(crate) fn unpack(store: &Store, cache: &Path) -> io::Result<Unpacked> {
    let files = files();
    let listing: Vec<String> = files
        .iter()
        .map(|(path, bytes)| format!("{path} {}", Digest::of(bytes)))
        .collect();
    let key = Digest::of(listing.join("\n").as_bytes()).hex();
    let parent = cache.join("embedded");
    let folder = parent.join(&key);
    if !folder.try_exists()? {
        fs::create_dir_all(&parent)?;
        let scratch = store.temporary("embedded").map_err(io::Error::other)?;
        let staged = scratch.folder("new").map_err(io::Error::other)?;
        write_files(&staged, &files)?;
        // Somebody else may have been quicker with the same bytes.
        match fs::rename(&staged, &folder) {
            Ok(()) => File::open(&parent)?.sync_all()?,
            Err(_) if folder.try_exists()? => {}
            Err(error) => return Err(error),
        }
    }
    let cnb = folder.join("cnb");
    Ok(Unpacked {
        stack: folder.join("stack"),
        cnb,
    })
}

fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("cnb/order.toml".to_owned(), order().into_bytes()),
        ("cnb/lifecycle/launcher".to_owned(), LAUNCHER.to_vec()),
        (
            format!("cnb/buildpacks/{}/buildpack.toml", folder_of(COMPOSITE_ID)),
            COMPOSITE.as_bytes().to_vec(),
        ),
    ];
    for buildpack in &BUILDPACKS {
        let path = format!("cnb/buildpacks/{}/buildpack.toml", folder_of(buildpack.id));
        files.push((path, buildpack.descriptor.as_bytes().to_vec()));
    }
    files.extend(
        STACK_FILES
            .iter()
            .map(|(name, bytes)| (format!("stack/{name}"), bytes.to_vec())),
    );
    files
}

fn write_files(folder: &Path, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("every path has a folder"))?;
        let mut file = File::create_new(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    let lifecycle = folder.join("cnb/lifecycle");
    fs::set_permissions(
        lifecycle.join("launcher"),
        fs::Permissions::from_mode(0o755),
    )?;
    // The executable is mounted over this.
    fs::write(lifecycle.join("lifecycle"), b"")?;
    write_links(&folder.join("cnb"), Path::new(PROGRAM_IN_SANDBOX))
}

/// Writes a `/cnb` whose programs are links to `program`, for a place where nothing can be mounted.
pub(crate) fn write_cnb(cnb: &Path, program: &Path) -> io::Result<()> {
    for (path, bytes) in files() {
        if let Ok(below) = Path::new(&path).strip_prefix("cnb")
            && !below.starts_with("lifecycle")
        {
            let path = cnb.join(below);
            fs::create_dir_all(path.parent().expect("every path has a folder"))?;
            fs::write(&path, bytes)?;
        }
    }
    fs::create_dir_all(cnb.join("lifecycle"))?;
    write_links(cnb, program)
}

fn write_links(cnb: &Path, program: &Path) -> io::Result<()> {
    for phase in PHASES.iter().filter(|&&phase| phase != "lifecycle") {
        symlink(program, cnb.join("lifecycle").join(phase))?;
    }
    for buildpack in &BUILDPACKS {
        let bin = cnb.join(format!("buildpacks/{}/bin", folder_of(buildpack.id)));
        fs::create_dir_all(&bin)?;
        symlink(program, bin.join("detect"))?;
        symlink(program, bin.join("build"))?;
    }
    Ok(())
}

/// `<id with / as _>/<version>` (CNB platform specification, "Buildpacks Directory Layout").
fn folder_of(id: &str) -> String {
    format!("{}/{BUILDPACK_VERSION}", id.replace('/', "_"))
}

fn order() -> String {
    format!(
        "[[order]]\n[[order.group]]\nid = \"{COMPOSITE_ID}\"\nversion = \"{BUILDPACK_VERSION}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_have_the_ids_and_the_version() {
        let descriptors = BUILDPACKS
            .iter()
            .map(|b| (b.id, b.descriptor))
            .chain([(COMPOSITE_ID, COMPOSITE)]);
        for (id, descriptor) in descriptors {
            let table: toml::Table = descriptor.parse().unwrap();
            assert_eq!(table["buildpack"]["id"].as_str(), Some(id));
            assert_eq!(
                table["buildpack"]["version"].as_str(),
                Some(BUILDPACK_VERSION),
                "{id}"
            );
        }
    }

    #[test]
    fn write_cnb_leads_to_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let cnb = folder.path().join("cnb");
        let program = folder.path().join("longshore");
        write_cnb(&cnb, &program).unwrap();
        let bin = cnb.join(format!("buildpacks/longshore_apt/{BUILDPACK_VERSION}/bin"));
        for link in [
            bin.join("detect"),
            bin.join("build"),
            cnb.join("lifecycle/builder"),
        ] {
            assert_eq!(fs::read_link(link).unwrap(), program);
        }
        assert!(cnb.join("order.toml").is_file());
    }

    #[test]
    fn unpack_twice_is_the_same_folder() {
        let cache = tempfile::tempdir().unwrap();
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path(), cache.path()).unwrap();
        let first = unpack(&store, cache.path()).unwrap();
        let second = unpack(&store, cache.path()).unwrap();
        assert_eq!(first.cnb, second.cnb);
        let launcher = first.cnb.join("lifecycle/launcher");
        assert!(launcher.metadata().unwrap().permissions().mode() & 0o111 == 0o111);
        let detect = first
            .cnb
            .join("buildpacks/longshore_deps")
            .join(BUILDPACK_VERSION)
            .join("bin/detect");
        assert_eq!(
            fs::read_link(detect).unwrap(),
            Path::new(PROGRAM_IN_SANDBOX)
        );
        assert!(cache.path().join("embedded").read_dir().unwrap().count() == 1);
    }
}
