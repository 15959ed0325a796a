//! What the kernel's overlay shows after random work is what `overlay::merge` makes of its folders.
//!
//! The overlay is a real one, mounted without privileges in namespaces of its own (`unshare`), with the attributes under `user.`.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use oci_image::unpack::{open_root, remove_all};
use store::overlay::{Change, LowerFiles, change, merge};

/// A small generator: the same work for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// A path of one to three parts out of few, so that the work meets itself.
    fn path(&mut self) -> String {
        let parts: Vec<&str> = (0..=self.below(3))
            .map(|_| self.of(&["a", "b", "c"]))
            .collect();
        parts.join("/")
    }

    /// Shell commands; what fails (no such folder) fails in both worlds alike, as only the overlay sees it.
    fn work(&mut self, steps: usize) -> String {
        let mut script = String::new();
        for step in 0..steps {
            let (path, other) = (self.path(), self.path());
            let command = match self.below(10) {
                0 => format!("rm -rf {path}"),
                1 => format!("mkdir -p {path}"),
                2 | 3 => format!("mkdir -p $(dirname {path}) && echo {step} > {path}"),
                4 => format!("mv -T {path} {other}"),
                5 => format!("chmod {} {path}", self.of(&["700", "755", "750"])),
                6 => format!("ln -sfn target-{step} {path}"),
                7 => format!("rm -rf {path} && mkdir -p {path} && echo {step} > {path}/new"),
                8 => format!("ln -f {path} {other}"),
                _ => format!("touch {path}"),
            };
            writeln!(script, "{command} 2>/dev/null || true").unwrap();
        }
        script
    }
}

/// Every path with kind, mode and content.
fn listing(folder: &Path) -> String {
    listing_of(folder, 0o7777)
}

/// The same, of modes only the bits in `mask`.
fn listing_of(folder: &Path, mask: u32) -> String {
    let mut lines = String::new();
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    for path in names {
        let found = fs::symlink_metadata(&path).unwrap();
        let content = if found.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if found.is_dir() {
            format!("folder {:o}", found.mode() & mask)
        } else {
            format!(
                "{:o} {:?}",
                found.mode() & mask,
                fs::read_to_string(&path).unwrap()
            )
        };
        writeln!(lines, "{} {content}", path.display()).unwrap();
        if found.is_dir() {
            lines += &listing_of(&path, mask);
        }
    }
    lines
}

/// Does the work in an overlay of `lower`; gives false where the kernel allows no overlay to ordinary users.
fn in_overlay(folder: &Path, script: &str) -> bool {
    for name in ["upper", "work", "merged"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let mount =
        "mount -t overlay overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work merged";
    // What the overlay shows is copied out while it is mounted.
    let whole = format!(
        "{mount} || exit 77\n(cd merged\nexec 2>/dev/null\n{script})\ncp -a merged shown\n"
    );
    let status = Command::new("unshare")
        .args(["-rm", "sh", "-c", &whole])
        .current_dir(folder)
        .status();
    match status.map(|status| status.code()) {
        Ok(Some(0)) => true,
        Ok(Some(77 | 1)) | Err(_) => false,
        other => unreachable!("the work ended with {other:?}"),
    }
}

fn scene(random: &mut Random) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lower = folder.path().join("lower");
    fs::create_dir(&lower).unwrap();
    fs::set_permissions(&lower, fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!("exec 2>/dev/null\n{}", random.work(12));
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .current_dir(&lower)
            .status()
            .unwrap()
            .success()
    );
    folder
}

#[test]
fn merge_is_what_the_kernel_shows() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let folder = scene(&mut random);
        let at = |name: &str| folder.path().join(name);
        let before = listing(&at("lower"));
        let steps = random.below(8);
        let script = random.work(steps);
        if !in_overlay(folder.path(), &script) {
            test_skip::because("no overlay can be mounted here");
            return;
        }
        let found = change(&at("lower"), &at("upper")).unwrap();
        if found == Change::Unchanged {
            let shown = listing(&at("shown")).replace("/shown/", "/lower/");
            assert_eq!(before, shown, "seed {seed}: {script}");
        }
        for lower_files in [LowerFiles::CopySources, LowerFiles::Link] {
            if lower_files == LowerFiles::Link {
                // The first merge took the upper folder's files.
                fs::remove_dir_all(at("target")).unwrap();
                // The kernel's work folder has mode 0; `rm -rf` gives up on it.
                let parent = open_root(folder.path()).unwrap();
                for name in ["upper", "work", "merged", "shown"] {
                    remove_all(parent.as_fd(), name.as_ref()).unwrap();
                }
                assert!(in_overlay(folder.path(), &script));
            }
            merge(&at("lower"), &at("upper"), &at("target"), lower_files).unwrap();
            // A copy of sources has modes of its own: what is shown of the lower folder is another test's.
            let mask = if lower_files == LowerFiles::Link {
                0o7777
            } else {
                0
            };
            let shown = listing_of(&at("shown"), mask).replace("/shown/", "/target/");
            assert_eq!(
                listing_of(&at("target"), mask),
                shown,
                "seed {seed}: {script}"
            );
            assert_eq!(
                listing(&at("lower")),
                before,
                "seed {seed}: the lower folder is not touched"
            );
        }
        // A temporary folder cannot remove it either.
        let parent = open_root(folder.path()).unwrap();
        remove_all(parent.as_fd(), "work".as_ref()).unwrap();
    }
}

#[test]
fn merge_gives_sources_their_usual_modes_and_keeps_those_that_the_build_chose() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let chmod = |name: &str, mode| {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["lower/kept", "lower/closed", "upper/kept", "upper/closed"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::write(at("lower/kept/secret.py"), "").unwrap();
    fs::write(at("lower/kept/run.sh"), "").unwrap();
    fs::write(at("upper/kept/made"), "").unwrap();
    for (name, mode) in [
        ("lower", 0o700),
        ("upper", 0o700),
        ("lower/kept", 0o775),
        ("upper/kept", 0o775),
        ("lower/closed", 0o755),
        ("upper/closed", 0o500),
        ("lower/kept/secret.py", 0o600),
        ("lower/kept/run.sh", 0o750),
        ("upper/kept/made", 0o640),
    ] {
        chmod(name, mode);
    }
    merge(
        &at("lower"),
        &at("upper"),
        &at("target"),
        LowerFiles::CopySources,
    )
    .unwrap();
    let mode = |name: &str| fs::metadata(at(name)).unwrap().mode() & 0o7777;
    assert_eq!(mode("target"), 0o755);
    assert_eq!(mode("target/kept"), 0o755);
    assert_eq!(mode("target/closed"), 0o500);
    assert_eq!(mode("target/kept/secret.py"), 0o644);
    assert_eq!(mode("target/kept/run.sh"), 0o755);
    assert_eq!(mode("target/kept/made"), 0o640);
}
