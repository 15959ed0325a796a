//! What to say when there is no Procfile: names that were meant to be it, and the line that would start this app.
//!
//! Of the whole public index, 8,342 root folders hold a `Procfile.txt` and 13,641 a `procfile`.

use std::fs;
use std::path::Path;

use buildpack_kit::{Explain, Message};

/// Where Dash and Flask apps keep their server, in the order in which they are looked for.
const USUAL_MODULES: [&str; 6] = ["app", "index", "main", "run", "wsgi", "server"];

/// How many names are shown at most.
const SHOWN: usize = 3;

/// There is no Procfile in the app's root folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("there is no 'Procfile' in the app's root folder")]
pub struct MissingProcfile {
    /// Files that look as if they were meant, below the app folder.
    pub similar: Vec<String>,
    /// The Python module that an example line can name.
    pub module: Option<String>,
}

impl MissingProcfile {
    /// Looks at the app's root folder and at the folders in it.
    pub fn look(app_dir: &Path) -> Self {
        let (files, folders) = names(app_dir);
        let mut similar: Vec<String> = files
            .iter()
            .filter(|name| is_similar(name))
            .cloned()
            .collect();
        for folder in folders.iter().filter(|name| !name.starts_with('.')) {
            let (inner, _) = names(&app_dir.join(folder));
            similar.extend(
                inner
                    .iter()
                    .filter(|name| is_similar(name))
                    .map(|name| format!("{folder}/{name}")),
            );
        }
        let module = USUAL_MODULES
            .iter()
            .find(|module| files.contains(&format!("{module}.py")));
        Self {
            similar,
            module: module.map(|&module| module.to_owned()),
        }
    }
}

/// Names of files and of folders, sorted. A folder that cannot be read has none: this only looks for a hint.
fn names(folder: &Path) -> (Vec<String>, Vec<String>) {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => folders.push(name),
            Ok(_) => files.push(name),
            Err(_) => {}
        }
    }
    files.sort();
    folders.sort();
    (files, folders)
}

/// `procfile`, `ProcFile`, `Procfile.txt`, `Procfile (1)`, `Proc file`, `Profile`: what editors, browsers and fingers make of it.
fn is_similar(name: &str) -> bool {
    let plain: String = name
        .to_lowercase()
        .chars()
        .filter(|c| !matches!(c, ' ' | '_' | '-'))
        .collect();
    plain.starts_with("procfile")
        || plain == "profile"
        || plain == "profile.txt"
        || plain == "procfiles"
}

impl Explain for MissingProcfile {
    fn explain(&self) -> Message {
        let module = self.module.as_deref().unwrap_or("app");
        let mut body =
            "There is no file called 'Procfile' in the app's root folder, so nothing says how the app is started.\n\n".to_owned();
        match &self.similar[..] {
            [] => body.extend([format!(
                "Write a file with the name 'Procfile' (no ending, capital P). For a Dash or Flask app whose server is\n\
                 the variable 'server' in '{module}.py', it is one line:\nweb: gunicorn {module}:server --workers 2"
            )]),
            [first, ..] => {
                let shown = &self.similar[..self.similar.len().min(SHOWN)];
                body.extend([format!(
                    "Found instead: '{}'. The name has to be exactly 'Procfile', in the app's root folder:\nmv '{first}' Procfile",
                    shown.join("', '")
                )]);
            }
        }
        Message::new("No Procfile", body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[&str]) -> String {
        let app = tempfile::tempdir().expect("a scratch folder");
        for file in files {
            let path = app.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
            fs::write(path, "").expect("the file");
        }
        MissingProcfile::look(app.path()).explain().as_error()
    }

    #[test]
    fn message_nothing_similar() {
        insta::assert_snapshot!(look(&["index.py", "requirements.txt", "process.py"]), @r"
        [Error: No Procfile]
        There is no file called 'Procfile' in the app's root folder, so nothing says how the app is started.

        Write a file with the name 'Procfile' (no ending, capital P). For a Dash or Flask app whose server is
        the variable 'server' in 'index.py', it is one line:
        web: gunicorn index:server --workers 2
        ");
    }

    #[test]
    fn message_similar_names() {
        insta::assert_snapshot!(look(&["Procfile.txt", "procfile", "src/Procfile", ".git/Procfile"]), @r"
        [Error: No Procfile]
        There is no file called 'Procfile' in the app's root folder, so nothing says how the app is started.

        Found instead: 'Procfile.txt', 'procfile', 'src/Procfile'. The name has to be exactly 'Procfile', in the app's root folder:
        mv 'Procfile.txt' Procfile
        ");
    }

    #[test]
    fn is_similar_table() {
        for name in [
            "Procfile.txt",
            "procfile",
            "ProcFile",
            "PROCFILE",
            "Proc file",
            "Procfile (1)",
            "Procfile.windows",
            "Profile",
        ] {
            assert!(is_similar(name), "{name}");
        }
        for name in [".profile", "process.py", "profile.py", "proc"] {
            assert!(!is_similar(name), "{name}");
        }
    }
}
