//! The requirement set as two plain files for the installer, one entry a line, so that what the installer says about a line of them can be
//! told as a line of the user's file.

use crate::requirements::{Located, Location, Requirement};
use std::fmt::Write as _;

/// A generated file and where each of its lines came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlatFile {
    pub(crate) text: String,
    pub(crate) origins: Vec<Location>,
}

impl FlatFile {
    /// One line for each requirement, with its digests.
    pub(crate) fn new(requirements: &[Located<Requirement>]) -> Self {
        let mut file = Self::default();
        for Located { location, value } in requirements {
            file.text.push_str(&line(value));
            file.text.push('\n');
            file.origins.push(location.clone());
        }
        file
    }

    /// The user's line behind the byte `offset` of the generated text.
    pub(crate) fn origin_at(&self, offset: usize) -> Option<&Location> {
        let line = self
            .text
            .as_bytes()
            .iter()
            .take(offset)
            .filter(|byte| **byte == b'\n')
            .count();
        self.origins.get(line)
    }
}

fn line(requirement: &Requirement) -> String {
    match requirement {
        Requirement::Text(entry) => {
            let mut line = entry.text.clone();
            for hash in &entry.hashes {
                write!(line, " --hash={hash}").expect("writing to a string cannot fail");
            }
            line
        }
        Requirement::Local(local) => format!("{}{}", local.path.display(), local.rest),
        Requirement::Editable(local) => format!("-e {}{}", local.path.display(), local.rest),
        Requirement::EditableRepository(url) => format!("-e {url}"),
        Requirement::RemoteFile(url) => format!("-r {url}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::RequirementSet;
    use buildpack_kit::Variables;

    #[test]
    fn flat_file_lines_and_origins() {
        let app = tempfile::tempdir().unwrap();
        let text = "# top\ndash==3.0 \\\n  --hash=sha256:aa\n\n./pkg[x] ; python_version>'3'\n-e .\n-r https://h/r.txt\n";
        std::fs::create_dir(app.path().join("pkg")).unwrap();
        std::fs::write(app.path().join("requirements.txt"), text).unwrap();
        let set = RequirementSet::read(app.path(), &Variables::default())
            .unwrap()
            .unwrap();
        let flat = FlatFile::new(&set.requirements);
        let root = app.path().display();
        assert_eq!(
            flat.text,
            format!("dash==3.0 --hash=sha256:aa\n{root}/pkg[x] ; python_version>'3'\n-e {root}/\n-r https://h/r.txt\n").replace("/\n", "\n")
        );
        assert_eq!(flat.origin_at(0).unwrap().line, 2);
        assert_eq!(flat.origin_at(30).unwrap().line, 5);
        assert_eq!(
            flat.origins
                .iter()
                .map(|origin| origin.line)
                .collect::<Vec<_>>(),
            [2, 5, 6, 7]
        );
    }
}
