//! What is installed: every `*.dist-info` of a site-packages folder, read without running Python.
//! <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>

use crate::requirements::normalise_name;
use buildpack_kit::redact::redact;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// One installed distribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Distribution {
    /// Normalised (PEP 503).
    pub(crate) name: String,
    /// As its metadata says.
    pub(crate) version: String,
    /// Where it came from, where that is no index: a URL or a path (PEP 610), without passwords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
}

#[derive(Deserialize)]
struct DirectUrl {
    url: String,
    vcs_info: Option<VcsInfo>,
}

#[derive(Deserialize)]
struct VcsInfo {
    vcs: String,
    commit_id: String,
}

/// All distributions in `site_packages`, by name.
pub(crate) fn installed(site_packages: &Path) -> io::Result<Vec<Distribution>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(site_packages)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "dist-info")
        {
            found.extend(distribution(&path)?);
        }
    }
    found.sort();
    Ok(found)
}

fn distribution(dist_info: &Path) -> io::Result<Option<Distribution>> {
    // A folder without METADATA is the rest of something half removed; no tool counts it.
    let Some(metadata) = read_if_there(&dist_info.join("METADATA"))? else {
        return Ok(None);
    };
    let headers = headers(&String::from_utf8_lossy(&metadata));
    let (Some(name), Some(version)) = (headers.get("name"), headers.get("version")) else {
        return Ok(None);
    };
    let url = read_if_there(&dist_info.join("direct_url.json"))?
        .and_then(|bytes| serde_json::from_slice::<DirectUrl>(&bytes).ok())
        .map(|direct| match direct.vcs_info {
            Some(VcsInfo { vcs, commit_id }) => {
                redact(&format!("{vcs}+{}@{commit_id}", direct.url))
            }
            None => redact(&direct.url),
        });
    Ok(Some(Distribution {
        name: normalise_name(name),
        version: version.clone(),
        url,
    }))
}

/// The headers above the first empty line; the first of a name counts.
fn headers(text: &str) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':') {
            headers
                .entry(name.to_ascii_lowercase())
                .or_insert_with(|| value.trim().to_owned());
        }
    }
    headers
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_names_versions_and_origins() {
        let site = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = site.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "Flask_Caching-2.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: Flask_Caching\nVersion: 2.0\n\nName: body\n",
        );
        write("tool-1.dist-info/METADATA", "Name: tool\nVersion: 1\n");
        write(
            "tool-1.dist-info/direct_url.json",
            r#"{"url":"https://u:p@h/r.git","vcs_info":{"vcs":"git","commit_id":"abc"}}"#,
        );
        write("half-1.dist-info/RECORD", "");
        write("module.py", "");
        let distribution = |name: &str, version: &str, url: Option<&str>| Distribution {
            name: name.into(),
            version: version.into(),
            url: url.map(str::to_owned),
        };
        assert_eq!(
            installed(site.path()).unwrap(),
            [
                distribution("flask-caching", "2.0", None),
                distribution("tool", "1", Some("git+https://****@h/r.git@abc"))
            ]
        );
    }
}
