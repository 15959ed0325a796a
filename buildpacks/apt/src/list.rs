//! `apt-packages` and `Aptfile`: which Debian packages an app asks for.
//!
//! ```text
//! # A comment, on a line of its own or after a name.
//! libgl1 libglib2.0-0     # several names on a line
//! gdal-bin=3.10.3+dfsg-1
//! ```
//!
//! `apt-packages` is Dash Enterprise 4's, `Aptfile` is Heroku's and Dash Enterprise 5's. Both are read alike, and both are obeyed where both
//! are there.

use std::path::Path;
use std::str::FromStr as _;

use buildpack_kit::{AppFile, ReadAppFileError};
use debian::solve::{ParseRequestError, Request};

/// The files, in the order in which they are read.
pub const FILES: [&str; 2] = ["apt-packages", "Aptfile"];

/// More would be a mistake.
const MOST_PACKAGES: usize = 2000;

/// Everything the app asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageList {
    entries: Vec<Entry>,
    notices: Vec<String>,
}

/// One package asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The package, perhaps of a certain version.
    pub request: Request,
    /// Where it stands.
    pub place: Place,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: &'static str,
    /// Counted from 1.
    pub line: usize,
}

impl PackageList {
    /// Reads both files in the app's folder; nothing where neither is there.
    pub fn read(app_dir: &Path) -> Result<Self, ListError> {
        let mut list = Self::default();
        for name in FILES {
            if let Some(file) = AppFile::read(app_dir, name)? {
                list.add_file(name, &file)?;
            }
        }
        Ok(list)
    }

    /// Every package once, in the order of the files.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What deserves a word.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Where a package is asked for.
    pub fn place_of(&self, name: &str) -> Option<&Place> {
        self.entries
            .iter()
            .find(|entry| entry.request.name().as_str() == name)
            .map(|entry| &entry.place)
    }

    fn add_file(&mut self, name: &'static str, file: &AppFile) -> Result<(), ListError> {
        self.notices.extend(file.oddity());
        for (line, text) in file.lines() {
            // The rest of the line is a comment for apt-packages' users too, although DE4 itself takes `#` for a package.
            let text = text.split('#').next().unwrap_or_default().trim();
            let place = Place { file: name, line };
            if text.starts_with(':') {
                return Err(ListError::Repository {
                    place,
                    text: text.to_owned(),
                });
            }
            for word in text.split_whitespace() {
                self.add_word(word, place.clone())?;
            }
        }
        Ok(())
    }

    fn add_word(&mut self, word: &str, place: Place) -> Result<(), ListError> {
        if word.contains("://")
            || word.contains('/')
            || Path::new(word)
                .extension()
                .is_some_and(|ending| ending == "deb")
        {
            return Err(ListError::DebFile {
                place,
                word: word.to_owned(),
            });
        }
        if word.contains(['*', '?', '[']) {
            return Err(ListError::Wildcard {
                place,
                word: word.to_owned(),
            });
        }
        let request = Request::from_str(word).map_err(|source| ListError::Word {
            place: place.clone(),
            source,
        })?;
        if self.entries.iter().any(|entry| entry.request == request) {
            return Ok(());
        }
        if self.entries.len() == MOST_PACKAGES {
            return Err(ListError::TooMany { place });
        }
        self.entries.push(Entry { request, place });
        Ok(())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of '{}'", self.line, self.file)
    }
}

/// Why a list of packages could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Not readable as text.
    #[error(transparent)]
    Read(#[from] ReadAppFileError),
    /// A word that is no package's name.
    #[error("{place}: {source}")]
    Word {
        /// Where.
        place: Place,
        /// Why.
        source: ParseRequestError,
    },
    /// `:repo:deb …`
    #[error("{place}: repositories are not supported")]
    Repository {
        /// Where.
        place: Place,
        /// The line.
        text: String,
    },
    /// An address or path of a `.deb`.
    #[error("{place}: .deb files are not supported")]
    DebFile {
        /// Where.
        place: Place,
        /// The word.
        word: String,
    },
    /// A pattern.
    #[error("{place}: patterns are not supported")]
    Wildcard {
        /// Where.
        place: Place,
        /// The word.
        word: String,
    },
    /// Thousands of names.
    #[error("{place}: more than {MOST_PACKAGES} packages")]
    TooMany {
        /// Where.
        place: Place,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(files: &[(&str, &[u8])]) -> Result<PackageList, ListError> {
        let app = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(app.path().join(name), bytes).unwrap();
        }
        PackageList::read(app.path())
    }

    fn names(list: &PackageList) -> Vec<String> {
        list.entries()
            .iter()
            .map(|entry| {
                format!(
                    "{} {}:{}",
                    entry.request, entry.place.file, entry.place.line
                )
            })
            .collect()
    }

    #[test]
    fn read_nothing() {
        assert_eq!(read(&[]).unwrap(), PackageList::default());
        assert_eq!(
            names(&read(&[("Aptfile", b"\n# only a comment\n")]).unwrap()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn read_both_files() {
        let list = read(&[
            (
                "apt-packages",
                b"# ours\r\nlibgl1   libglib2.0-0 # for opencv\r\n\r\n  gcc=4:14.2.0-1\r\n",
            ),
            ("Aptfile", b"libgl1\nunixodbc"),
        ]);
        let list = list.unwrap();
        let expected = [
            "libgl1 apt-packages:2",
            "libglib2.0-0 apt-packages:2",
            "gcc=4:14.2.0-1 apt-packages:4",
            "unixodbc Aptfile:2",
        ];
        assert_eq!(names(&list), expected);
        assert_eq!(list.notices().len(), 1, "{:?}", list.notices());
        assert_eq!(
            list.place_of("unixodbc").unwrap().to_string(),
            "line 2 of 'Aptfile'"
        );
    }

    #[test]
    fn read_refused() {
        for (text, expected) in [
            (
                ":repo:deb http://x/ y main",
                "line 1 of 'Aptfile': repositories are not supported",
            ),
            ("a\nhttps://x/y.deb", "line 1 of 'Aptfile': "), // One letter is no package's name.
            (
                "https://x/y.deb",
                "line 1 of 'Aptfile': .deb files are not supported",
            ),
            (
                "local.deb",
                "line 1 of 'Aptfile': .deb files are not supported",
            ),
            ("mysql-*", "line 1 of 'Aptfile': patterns are not supported"),
            ("-y", "line 1 of 'Aptfile': "),
            ("lib_gl1", "line 1 of 'Aptfile': "),
        ] {
            let error = read(&[("Aptfile", text.as_bytes())])
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn read_thousands() {
        let many: String = (0..=MOST_PACKAGES)
            .flat_map(|number| format!("package{number} ").into_bytes())
            .map(char::from)
            .collect();
        assert!(matches!(
            read(&[("Aptfile", many.as_bytes())]),
            Err(ListError::TooMany { .. })
        ));
    }
}
