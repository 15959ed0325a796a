//! Our trees beside mmdebstrap's, made of the very same packages: kind, owner, mode, link target and extended attributes of
//! every entry. What differs is listed in `differences.txt`, with the reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::Command;

use oci_image::archive::{Entry, Kind, ReadLimits, Reader};
use oci_image::{BlobSource, ExpansionLimits, LayerReader, TreePath};
use stack::{ImageKind, Lock};

use crate::world::{Made, World};

const DIFFERENCES: &str = include_str!("differences.txt");

#[test]
fn trees_are_mmdebstraps() {
    if !rustix::process::geteuid().is_root() {
        test_skip::because("mmdebstrap makes true owners only as root");
        return;
    }
    if Command::new("mmdebstrap")
        .arg("--version")
        .output()
        .is_err()
    {
        test_skip::because("mmdebstrap is not installed");
        return;
    }
    let world = World::new();
    let made = world.create(&[]);
    let lock =
        fs::read_to_string(made[0].tree.join("usr/share/longshore/stack/stack.lock")).unwrap();
    let lock = Lock::parse(&lock, Path::new("stack.lock")).unwrap();
    let mut found = Vec::new();
    for (image, made) in ImageKind::ALL.into_iter().zip(&made) {
        let theirs = entries(BufReader::new(
            File::open(mmdebstrap(&world, &lock, image)).unwrap(),
        ));
        let ours = our_entries(&world, made);
        assert!(ours.len() > 1000);
        found.extend(differences(image, &ours, &theirs));
    }
    check_against_list(&found);
}

/// A difference: the image, whose it is or what differs, the path.
type Difference = (ImageKind, String, String);

fn differences(
    image: ImageKind,
    ours: &BTreeMap<TreePath, Entry>,
    theirs: &BTreeMap<TreePath, Entry>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |what: String, path: &TreePath| {
        found.push((image, what, path.as_path().display().to_string()));
    };
    for (path, our) in ours {
        match theirs.get(path) {
            None => add("ours".to_owned(), path),
            Some(their) if said(our) != said(their) => {
                add(format!("{} instead of {}", said(our), said(their)), path);
            }
            Some(_) => {}
        }
    }
    for path in theirs.keys().filter(|path| !ours.contains_key(path)) {
        add("theirs".to_owned(), path);
    }
    found
}

fn said(entry: &Entry) -> String {
    let Entry {
        kind,
        mode,
        owner,
        xattrs,
        ..
    } = entry;
    let kind = match kind {
        Kind::File { .. } => "file".to_owned(),
        Kind::Directory => "folder".to_owned(),
        Kind::Symlink { target } => format!("link to {}", String::from_utf8_lossy(target)),
        Kind::Hardlink { target } => format!("name of {}", target.as_path().display()),
        other => format!("{other:?}"),
    };
    format!("{kind} {}:{} {mode:04o} {xattrs:?}", owner.uid, owner.gid)
}

/// Every difference is on the list, and everything on the list is a difference.
fn check_against_list(found: &[Difference]) {
    let rules: Vec<(&str, &str)> = DIFFERENCES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (rule, reason) = line.split_once('\t').unwrap();
            assert!(!reason.trim().is_empty(), "{line}");
            (rule, reason)
        })
        .collect();
    let meets = |(image, what, path): &Difference, rule: &str| {
        let line = format!("{image} {what} {path}");
        let any_image = format!("* {what} {path}");
        [line, any_image]
            .iter()
            .any(|line| match rule.strip_suffix("/**") {
                Some(folder) => line == folder || line.starts_with(&format!("{folder}/")),
                None => match rule.split_once("**") {
                    Some((start, end)) => line.starts_with(start) && line.ends_with(end),
                    None => line == rule,
                },
            })
    };
    let mut wrong = String::new();
    for difference in found
        .iter()
        .filter(|difference| !rules.iter().any(|(rule, _)| meets(difference, rule)))
    {
        let (image, what, path) = difference;
        writeln!(wrong, "not on the list: {image} {what} {path}").unwrap();
    }
    for (rule, _) in rules
        .iter()
        .filter(|(rule, _)| !found.iter().any(|difference| meets(difference, rule)))
    {
        writeln!(wrong, "no longer a difference: {rule}").unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn our_entries(world: &World, made: &Made) -> BTreeMap<TreePath, Entry> {
    let image = world.image(made);
    let BlobSource::File(path) = &image.layers()[0].source else {
        panic!("a file")
    };
    let layer = LayerReader::new(File::open(path).unwrap(), ExpansionLimits::default()).unwrap();
    entries(layer)
}

fn entries(tar: impl Read) -> BTreeMap<TreePath, Entry> {
    let mut reader = Reader::new(tar, ReadLimits::default());
    let mut entries = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        if !entry.path.is_root() {
            entries.insert(entry.path.clone(), entry);
        }
    }
    entries
}

/// mmdebstrap's tar of one image's packages, which come from a folder made into a repository.
fn mmdebstrap(world: &World, lock: &Lock, image: ImageKind) -> std::path::PathBuf {
    let repository = world.path(&format!("repository-{image}"));
    fs::create_dir(&repository).unwrap();
    let (mut index, mut names) = (String::new(), Vec::new());
    for package in lock.of(image) {
        let name = Path::new(&package.path).file_name().unwrap();
        let download = world.downloads().join(package.sha256.to_string());
        fs::hard_link(&download, repository.join(name)).unwrap();
        let control = Command::new("dpkg-deb")
            .arg("-f")
            .arg(&download)
            .output()
            .unwrap();
        writeln!(
            index,
            "{}\nFilename: ./{}\nSize: {}\nSHA256: {}\n",
            String::from_utf8(control.stdout).unwrap().trim_end(),
            name.to_str().unwrap(),
            package.size,
            package.sha256
        )
        .unwrap();
        names.push(package.name.as_str());
    }
    fs::write(repository.join("Packages"), index).unwrap();
    let definition =
        stack::Definition::parse(&world.read("stack/stack.toml"), Path::new("stack.toml")).unwrap();
    let option = |kind: &str, patterns: &[String]| -> Vec<String> {
        patterns
            .iter()
            .map(|pattern| format!("--dpkgopt=path-{kind}={pattern}"))
            .collect()
    };
    let tar = world.path(&format!("{image}.tar"));
    let output = Command::new("mmdebstrap")
        .args(["--mode=root", "--variant=custom", "--quiet"])
        .args(option("exclude", &definition.files.exclude))
        .args(option("include", &definition.files.include))
        .arg(format!("--include={}", names.join(",")))
        .arg(&definition.suite)
        .arg(&tar)
        .arg(format!(
            "deb [trusted=yes] copy:{} ./",
            repository.display()
        ))
        .env("SOURCE_DATE_EPOCH", lock.date.seconds().to_string())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    tar
}
