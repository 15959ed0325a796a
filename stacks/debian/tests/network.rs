//! The real thing: this machine's own mirror, trixie, and what apt would say. Without a mirror it says loudly that it did nothing.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    time::{Instant, SystemTime},
};

use debian::{
    cache::DownloadCache,
    deb::{Conffiles, Deb},
    keyring::Keyring,
    mirror::{MirrorError, MirrorSettings, find},
    name::Architecture,
    release::Freshness,
    repository::{Loaded, Trust, load},
    solve::{Recommends, Resolution},
    universe::Universe,
};
use fetch::{Client, Config};
use oci_image::{
    Owner, Owners, TreePath,
    unpack::{UnpackOptions, open_root},
};

const KEYRING: &[u8] = include_bytes!("../../trixie/debian-archive-keyring.pgp");

/// Loads a suite from this machine's mirror.
fn loaded(suite: &str, cache: &DownloadCache) -> Result<Loaded, MirrorError> {
    let client = Client::new(Config::default()).expect("a client");
    let mirrors = find(&client, &MirrorSettings::default(), suite)?;
    let keyring = Keyring::from_bytes(KEYRING).expect("a keyring");
    // A frozen mirror is as good for this test.
    let trust = Trust {
        keyring: &keyring,
        now: SystemTime::now(),
        freshness: Freshness::FrozenMirror,
    };
    Ok(load(
        &client,
        &mirrors.sources(suite, &["main".to_owned()]),
        &trust,
        &Architecture::amd64(),
        cache,
    )
    .expect("loaded"))
}

fn versions(resolution: &Resolution) -> BTreeMap<String, String> {
    resolution
        .packages
        .iter()
        .map(|planned| {
            (
                planned.package.name.to_string(),
                planned.package.version.to_string(),
            )
        })
        .collect()
}

#[test]
fn trixie_resolves_python_and_gcc() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = DownloadCache::new(folder.path());
    let begun = Instant::now();
    let mut loaded = match loaded("trixie", &cache) {
        Ok(loaded) => loaded,
        Err(error) => {
            return test_skip::because(&format!(
                "no Debian mirror can be reached from here: {error}"
            ));
        }
    };
    println!("loaded in {:?}", begun.elapsed());
    let begun = Instant::now();
    let universe = Universe::new(
        Architecture::amd64(),
        std::mem::take(&mut loaded.suites),
        Vec::new(),
    );
    println!("universe in {:?}", begun.elapsed());
    let mut requests: Vec<_> = universe
        .newest_where(|package| package.essential)
        .iter()
        .map(|name| name.as_str().parse().expect("a name"))
        .collect();
    requests.extend(
        ["python3", "python3-venv", "gcc", "ca-certificates"]
            .map(|name| name.parse().expect("a name")),
    );
    let begun = Instant::now();
    let resolution = universe
        .resolve(&requests, Recommends::Leave)
        .expect("solved");
    println!(
        "{} packages in {:?}",
        resolution.packages.len(),
        begun.elapsed()
    );

    let versions = versions(&resolution);
    assert!(versions["python3"].starts_with("3.13"), "{versions:?}");
    for name in [
        "libc6",
        "dpkg",
        "bash",
        "python3.13",
        "gcc-14",
        "libssl3t64",
        "openssl",
        "mawk",
    ] {
        assert!(
            versions.contains_key(name),
            "{name} is missing: {versions:?}"
        );
    }
    // Nothing that is only recommended: gcc recommends libc6-dev.
    assert!(
        !versions.contains_key("libc6-dev") && !versions.contains_key("systemd"),
        "{versions:?}"
    );
    // What a package needs comes before it.
    let place = |name: &str| {
        resolution
            .packages
            .iter()
            .position(|planned| planned.package.name.as_str() == name)
            .expect("there")
    };
    assert!(place("libssl3t64") < place("openssl") && place("openssl") < place("ca-certificates"));
    assert!(
        place("libc6") < place("python3.13-minimal")
            && place("python3.13-minimal") < place("python3")
    );
    let chain = resolution.chain(&"libcc1-0".parse().expect("a name"));
    assert_eq!(chain.first().map(|name| name.as_str()), Some("gcc"));

    // The answer does not depend on anything but the input.
    assert_eq!(
        universe
            .resolve(&requests, Recommends::Leave)
            .expect("solved"),
        resolution
    );
}

/// Downloads and unpacks a small system, and lets dpkg-deb do the same where it is there.
#[test]
fn trixie_unpacks_as_dpkg_deb_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = DownloadCache::new(folder.path().join("cache"));
    let mut loaded = match loaded("trixie", &cache) {
        Ok(loaded) => loaded,
        Err(error) => {
            return test_skip::because(&format!(
                "no Debian mirror can be reached from here: {error}"
            ));
        }
    };
    let universe = Universe::new(
        Architecture::amd64(),
        std::mem::take(&mut loaded.suites),
        Vec::new(),
    );
    let requests = [
        "base-files",
        "bash",
        "login",
        "passwd",
        "tzdata",
        "libpam-runtime",
    ]
    .map(|name| name.parse().expect("a name"));
    let resolution = universe
        .resolve(&requests, Recommends::Leave)
        .expect("solved");
    let wanted: Vec<_> = resolution
        .packages
        .iter()
        .map(|planned| loaded.wanted(planned).expect("its suite"))
        .collect();
    let client = Client::new(Config::default()).expect("a client");
    let begun = Instant::now();
    cache
        .fetch(&client, &wanted, &mut |_| {})
        .expect("downloaded");
    let bytes: u64 = wanted.iter().map(|file| file.size).sum();
    println!(
        "{} packages, {bytes} bytes downloaded in {:?}",
        wanted.len(),
        begun.elapsed()
    );

    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    fs::create_dir(&ours).expect("made");
    fs::create_dir(&theirs).expect("made");
    let root = open_root(&ours).expect("opened");
    let mut owners = Owners::new(Owner::ROOT);
    for planned in &resolution.packages {
        let path = cache.path(planned.package.file.sha256);
        let deb =
            Deb::open_checked(&path, &planned.package).expect("the package that was promised");
        deb.unpack(
            root.as_fd(),
            &mut owners,
            Conffiles::InPlace,
            UnpackOptions::debian_package(),
        )
        .expect("unpacked");
        match Command::new("dpkg-deb")
            .arg("-x")
            .args([&path, &theirs])
            .status()
        {
            Ok(status) => assert!(status.success()),
            Err(error) => {
                return test_skip::because(&format!(
                    "dpkg-deb is not here to compare with: {error}"
                ));
            }
        }
    }
    assert_eq!(tree(&ours), tree(&theirs));
    assert_eq!(
        owners.mode(
            &TreePath::from_bytes(b"usr/bin/passwd").expect("a path"),
            0o755
        ),
        0o4755
    );
    let shadow = |gid| {
        owners
            .iter()
            .any(|(_, facts)| facts.owner == Some(Owner::new(0, gid)))
    };
    assert!(shadow(42), "chage belongs to the group shadow");
}

/// Every path below a folder with its kind, size or target.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("there");
            let shown = match metadata.file_type() {
                kind if kind.is_dir() => {
                    waiting.push(path.clone());
                    "folder".to_owned()
                }
                kind if kind.is_symlink() => {
                    format!("-> {}", fs::read_link(&path).expect("a link").display())
                }
                _ => format!(
                    "{} bytes, {:?}",
                    metadata.len(),
                    metadata.modified().expect("a time")
                ),
            };
            found.insert(path.strip_prefix(folder).expect("below").to_owned(), shown);
        }
    }
    found
}
