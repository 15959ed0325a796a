//! Files beside `apt-packages` that say something about OS packages and are not read: misspelled ones, and the rest of Dash Enterprise 4's.

use std::path::Path;

use buildpack_kit::Message;

/// Names that occur where `apt-packages` or `Aptfile` was meant.
const MISSPELLED: [(&str, &str); 8] = [
    ("apt-packages.txt", "apt-packages"),
    ("apt_packages", "apt-packages"),
    ("apt-package", "apt-packages"),
    ("Apt-packages", "apt-packages"),
    ("aptfile", "Aptfile"),
    ("AptFile", "Aptfile"),
    ("Aptfile.txt", "Aptfile"),
    ("packages.txt", "apt-packages"),
];

/// What dokku-apt reads besides, and what happens without it.
const UNREAD: [(&str, &str); 8] = [
    ("apt-repositories", "only Debian's own archive is used"),
    ("apt-sources-list", "only Debian's own archive is used"),
    ("apt-keys", "only Debian's own archive is used"),
    (
        "apt-preferences",
        "versions are chosen by name: write NAME=VERSION into apt-packages",
    ),
    ("apt-conf", "apt itself does not run"),
    ("apt-env", "maintainer scripts do not run"),
    ("apt-debconf", "maintainer scripts do not run"),
    ("dpkg-packages", ".deb files of your own are not installed"),
];

/// A warning where such files are there.
pub(crate) fn warning(app_dir: &Path) -> Option<Message> {
    let there = |name: &str| app_dir.join(name).symlink_metadata().is_ok();
    let misspelled = MISSPELLED
        .iter()
        .filter(|(name, meant)| there(name) && !there(meant))
        .map(|(name, meant)| format!("'{name}' is not read: if it lists OS packages, its name has to be exactly '{meant}'."));
    let unread = UNREAD
        .iter()
        .filter(|(name, _)| there(name))
        .map(|(name, effect)| format!("'{name}' is not read yet: {effect}."));
    let lines: Vec<String> = misspelled.chain(unread).collect();
    (!lines.is_empty()).then(|| Message::new("OS packages", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::warning;
    use std::fs;

    #[test]
    fn warning_of_each_kind() {
        let app = tempfile::tempdir().unwrap();
        assert_eq!(warning(app.path()), None);
        for name in ["apt-packages", "aptfile", "apt-keys", "apt-package"] {
            fs::write(app.path().join(name), "").unwrap();
        }
        fs::create_dir(app.path().join("dpkg-packages")).unwrap();
        insta::assert_snapshot!(warning(app.path()).unwrap().as_warning(), @r"
        [Warning: OS packages]
        'aptfile' is not read: if it lists OS packages, its name has to be exactly 'Aptfile'.
        'apt-keys' is not read yet: only Debian's own archive is used.
        'dpkg-packages' is not read yet: .deb files of your own are not installed.
        ");
    }
}
