//! apt's lists of repositories, in both forms (sources.list(5)).
//!
//! ```text
//! deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian trixie main contrib
//! ```
//! and, in files ending in `.sources`,
//! ```text
//! Types: deb
//! URIs: http://mirror.example/debian
//! Suites: trixie trixie-updates
//! Components: main
//! Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use url::Url;

use crate::paragraph::{Paragraph, paragraphs};

/// A list file of a megabyte is no list file.
const LARGEST_LIST: u64 = 1 << 20;

/// One repository of one suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptEntry {
    /// The repository's address.
    pub url: Url,
    /// The suite.
    pub suite: String,
    /// The components.
    pub components: Vec<String>,
    /// Whether its keys are said to be Debian's.
    pub has_debian_keys: bool,
    /// The file that names it.
    pub file: PathBuf,
}

impl AptEntry {
    /// True for suites of security updates: `trixie-security`, and `buster/updates` as they were called once.
    pub fn is_security(&self) -> bool {
        self.suite.ends_with("-security") || self.suite.ends_with("/updates")
    }

    /// The list of mirrors it names instead of a mirror.
    pub(super) fn mirror_list(&self) -> Option<Url> {
        let text = self.url.as_str();
        // `mirror://` is the old name of `mirror+http://`.
        let list = match text.strip_prefix("mirror+") {
            Some(list) => list.to_owned(),
            None => format!("http://{}", text.strip_prefix("mirror://")?),
        };
        list.parse().ok()
    }

    /// Third-party repositories are asked last: probing them costs time and says nothing.
    pub(super) fn unlikeliness(&self) -> u8 {
        match self {
            _ if self.has_debian_keys => 0,
            _ if self.url.path().contains("debian")
                && self.components.iter().any(|name| name == "main") =>
            {
                1
            }
            _ => 2,
        }
    }
}

/// All entries below apt's folder, in apt's order. Files that cannot be read are noted and skipped.
pub(super) fn read_folder(folder: &Path, notices: &mut Vec<String>) -> Vec<AptEntry> {
    let mut paths = vec![folder.join("sources.list")];
    let parts = fs::read_dir(folder.join("sources.list.d"));
    let mut others: Vec<_> = parts
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    others.sort();
    paths.extend(others);
    let mut entries = Vec::new();
    for path in paths {
        let read = match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => read_one_line,
            Some("sources") => read_stanzas,
            _ => continue,
        };
        match read_text(&path) {
            Ok(text) => entries.extend(read(&text, &path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => notices.push(format!("{} cannot be read: {error}", path.display())),
        }
    }
    entries
}

fn read_text(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST_LIST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a list of repositories",
        ));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// The form of `sources.list`: one entry a line. Lines that apt would refuse are left out.
pub fn read_one_line(text: &str, file: &Path) -> Vec<AptEntry> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter_map(|line| one_line(line, file)).collect()
}

fn one_line(line: &str, file: &Path) -> Option<AptEntry> {
    let rest = line
        .strip_prefix("deb")?
        .strip_prefix([' ', '\t'])?
        .trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let option = |name: &str| {
        options
            .split_whitespace()
            .filter_map(|option| option.split_once('='))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
    };
    if option("arch").is_some_and(|(_, list)| !list.split(',').any(|name| name == "amd64")) {
        return None;
    }
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    entry(
        uri,
        suite,
        words.map(str::to_owned).collect(),
        option("signed-by").map(|(_, key)| key),
        file,
    )
}

/// The form of `*.sources`: paragraphs.
pub fn read_stanzas(text: &str, file: &Path) -> Vec<AptEntry> {
    paragraphs(text)
        .unwrap_or_default()
        .iter()
        .flat_map(|paragraph| stanza(paragraph, file))
        .collect()
}

fn stanza(paragraph: &Paragraph<'_>, file: &Path) -> Vec<AptEntry> {
    let words = |field: &str| -> Vec<&str> {
        paragraph
            .get(field)
            .unwrap_or_default()
            .iter()
            .flat_map(|line| line.split_whitespace())
            .collect()
    };
    let disabled = words("Enabled").first().is_some_and(|value| {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "no" | "false" | "0" | "off" | "without"
        )
    });
    let architectures = words("Architectures");
    let other_machine = !architectures.is_empty() && !architectures.contains(&"amd64");
    if disabled || other_machine || !words("Types").contains(&"deb") {
        return Vec::new();
    }
    let components: Vec<_> = words("Components").into_iter().map(str::to_owned).collect();
    let keys = words("Signed-By").first().copied();
    let suites = words("Suites");
    let pairs = words("URIs")
        .into_iter()
        .flat_map(|uri| suites.iter().map(move |suite| (uri, *suite)));
    pairs
        .filter_map(|(uri, suite)| entry(uri, suite, components.clone(), keys, file))
        .collect()
}

fn entry(
    uri: &str,
    suite: &str,
    components: Vec<String>,
    keys: Option<&str>,
    file: &Path,
) -> Option<AptEntry> {
    // A suite that ends in a slash is a path: such repositories have no `dists`.
    if suite.ends_with('/') {
        return None;
    }
    let url: Url = uri.replace("$(ARCH)", "amd64").parse().ok()?;
    let has_debian_keys = keys.is_some_and(|keys| keys.contains("debian-archive"));
    Some(AptEntry {
        url,
        suite: suite.to_owned(),
        components,
        has_debian_keys,
        file: file.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(entries: Vec<AptEntry>) -> Vec<String> {
        entries
            .iter()
            .map(|entry| {
                format!(
                    "{} {} {}",
                    entry.url,
                    entry.suite,
                    entry.components.join(",")
                )
            })
            .collect()
    }

    #[test]
    fn read_one_line_forms() {
        let text = "# a comment\n\
            deb http://a.test/debian trixie main contrib # trailing\n\
            deb-src http://a.test/debian trixie main\n\
            \tdeb [ arch=amd64,i386 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg ] https://b.test/debian/ trixie main\n\
            deb [arch=arm64] http://c.test/debian trixie main\n\
            deb http://flat.test/ ./\n\
            deb [trusted=yes\n\
            deb\n\
            debx http://d.test trixie main\n\
            deb mirror+file:/etc/apt/mirrors.txt trixie main\n\
            deb file:/srv/mirror trixie-security main\n\
            deb cdrom:[Debian]/ trixie main\n";
        let entries = read_one_line(text, Path::new("x"));
        assert_eq!(
            entries
                .iter()
                .map(|entry| entry.has_debian_keys)
                .collect::<Vec<_>>(),
            [false, true, false, false, false]
        );
        assert_eq!(
            entries[2].mirror_list().map(String::from).as_deref(),
            Some("file:///etc/apt/mirrors.txt")
        );
        assert!(entries[3].is_security());
        assert_eq!(
            shown(entries),
            [
                "http://a.test/debian trixie main,contrib",
                "https://b.test/debian/ trixie main",
                "mirror+file:/etc/apt/mirrors.txt trixie main",
                "file:///srv/mirror trixie-security main",
                // left out later: nothing but http, https and file can be fetched
                "cdrom:[Debian]/ trixie main",
            ]
        );
    }

    #[test]
    fn read_stanzas_forms() {
        let text = "# comment\nTypes: deb deb-src\nURIs: http://a.test/debian\n  http://b.test/debian\nSuites: trixie trixie-updates\n\
            Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
            Types: deb-src\nURIs: http://c.test\nSuites: trixie\nComponents: main\n\n\
            Enabled: no\nTypes: deb\nURIs: http://d.test\nSuites: trixie\nComponents: main\n\n\
            Types: deb\nURIs: http://e.test\nSuites: trixie\nComponents: main\nArchitectures: arm64\n\n\
            Types: deb\nURIs: mirror://f.test/list\nSuites: trixie\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n";
        let entries = read_stanzas(text, Path::new("x"));
        assert_eq!(
            entries[4].mirror_list().map(String::from).as_deref(),
            Some("http://f.test/list")
        );
        assert!(entries[0].has_debian_keys && !entries[4].has_debian_keys);
        assert_eq!(
            shown(entries),
            [
                "http://a.test/debian trixie main",
                "http://a.test/debian trixie-updates main",
                "http://b.test/debian trixie main",
                "http://b.test/debian trixie-updates main",
                "mirror://f.test/list trixie main",
            ]
        );
        assert_eq!(read_stanzas("no field", Path::new("x")), []);
    }
}
