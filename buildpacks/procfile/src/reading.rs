//! From the app's folder to its process types, with everything that is to be said about them.

use std::path::Path;

use buildpack_kit::{AppFile, Explain, Message, ProjectToml, ProjectTomlError, ReadAppFileError};
use serde::Deserialize;

use crate::missing::MissingProcfile;
use crate::procfile::{Entry, Procfile, ProcfileError, Repair};

/// Exactly this name, at the app's root: what every platform reads.
pub const PROCFILE: &str = "Procfile";

/// Servers that listen on `$PORT`: a process that runs one is meant to be `web`.
const WEB_SERVERS: [&str; 7] = [
    "gunicorn",
    "uvicorn",
    "hypercorn",
    "waitress-serve",
    "daphne",
    "uwsgi",
    "streamlit",
];

/// The app's process types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    procfile: Procfile,
    oddity: Option<String>,
}

/// `[io.longshore.procfile]` in project.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    /// The app has no web page, and that is meant so.
    #[serde(default)]
    without_web: bool,
}

/// Reads `<app_dir>/Procfile`. That there is none is an error which says what was found instead; so is a Procfile without `web`, unless
/// project.toml says `[io.longshore.procfile] without-web = true`.
pub fn read(app_dir: &Path) -> Result<Reading, ReadingError> {
    let file = AppFile::read(app_dir, PROCFILE)?.ok_or_else(|| MissingProcfile::look(app_dir))?;
    let procfile = Procfile::parse(&file)?;
    if !procfile.entries().iter().any(|entry| entry.name.is_web()) && !is_without_web(app_dir)? {
        return Err(ReadingError::NoWeb(procfile));
    }
    Ok(Reading {
        procfile,
        oddity: file.oddity(),
    })
}

fn is_without_web(app_dir: &Path) -> Result<bool, ProjectTomlError> {
    let Some(project) = ProjectToml::read(app_dir)? else {
        return Ok(false);
    };
    let table: Option<Table> = project.longshore("procfile")?;
    Ok(table.unwrap_or_default().without_web)
}

impl Reading {
    /// The process types and their commands.
    pub fn procfile(&self) -> &Procfile {
        &self.procfile
    }

    /// What is worth a word, odd encodings and repairs; none of it stops the build.
    pub fn warning(&self) -> Option<Message> {
        let repairs = self.procfile.repairs().iter().map(Repair::sentence);
        let lines: Vec<String> = self.oddity.iter().cloned().chain(repairs).collect();
        (!lines.is_empty()).then(|| Message::new(PROCFILE, lines.join("\n")))
    }
}

/// A Dash app without `web` builds well and then never answers, so it is refused. A lone worker is legitimate, but has to be meant.
fn no_web(procfile: &Procfile) -> Message {
    let entries = procfile.entries();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let advice = match entries.iter().find(|entry| runs_web_server(entry)) {
        Some(Entry {
            name,
            command,
            line,
        }) => {
            format!(
                "'{name}' runs a web server. If it is the app, change line {line} to:\nweb: {command}"
            )
        }
        None => {
            "Add a line with the app's server, for example:\nweb: gunicorn app:server --workers 2"
                .to_owned()
        }
    };
    let body = format!(
        "The Procfile has no 'web' process, and only 'web' receives HTTP requests. Found: {}.\n\n{advice}\n\n\
         If the app has no web page on purpose, say so in project.toml:\n[io.longshore.procfile]\nwithout-web = true",
        names.join(", ")
    );
    Message::new("No web process", body)
}

fn runs_web_server(entry: &Entry) -> bool {
    let is_server = |word: &str| {
        word.rsplit('/')
            .next()
            .is_some_and(|name| WEB_SERVERS.contains(&name))
    };
    entry.command.split_whitespace().any(is_server)
}

/// Why the app's process types are unknown.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// No such file.
    #[error(transparent)]
    Missing(#[from] MissingProcfile),
    /// It cannot be read as text.
    #[error(transparent)]
    File(#[from] ReadAppFileError),
    /// Its text makes no sense.
    #[error(transparent)]
    Parse(#[from] ProcfileError),
    /// No process that receives requests.
    #[error("the Procfile has no 'web' process")]
    NoWeb(Procfile),
    /// `project.toml` cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectTomlError),
}

impl Explain for ReadingError {
    fn explain(&self) -> Message {
        match self {
            Self::Missing(error) => error.explain(),
            Self::File(error) => error.explain(),
            Self::Parse(error) => error.explain(),
            Self::NoWeb(procfile) => no_web(procfile),
            Self::Project(error) => error.explain(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(procfile: &str, project: &str) -> Result<Reading, ReadingError> {
        let app = tempfile::tempdir().expect("a scratch folder");
        std::fs::write(app.path().join(PROCFILE), procfile).expect("the Procfile");
        std::fs::write(app.path().join("project.toml"), project).expect("project.toml");
        read(app.path())
    }

    #[test]
    fn warning_none() {
        assert_eq!(reading("web: a\nworker: b\n", "").unwrap().warning(), None);
    }

    #[test]
    fn warning_oddities_together() {
        let warning = reading("Web: a\r\nworker: b\r\n", "")
            .unwrap()
            .warning()
            .unwrap();
        insta::assert_snapshot!(warning.as_warning(), @r"
        [Warning: Procfile]
        'Procfile' is written as Windows line endings; it is read as if it were plain UTF-8
        line 1: 'Web' is read as 'web'; platforms take lower-case letters, digits and '-' only
        ");
    }

    #[test]
    fn message_only_a_worker() {
        insta::assert_snapshot!(reading("worker: celery worker\n", "").unwrap_err().explain().as_error(), @r"
        [Error: No web process]
        The Procfile has no 'web' process, and only 'web' receives HTTP requests. Found: worker.

        Add a line with the app's server, for example:
        web: gunicorn app:server --workers 2

        If the app has no web page on purpose, say so in project.toml:
        [io.longshore.procfile]
        without-web = true
        ");
    }

    #[test]
    fn message_web_under_another_name() {
        let error = reading(
            "worker: celery worker\nserver: PYTHONPATH=. gunicorn app:server\n",
            "",
        )
        .unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @r"
        [Error: No web process]
        The Procfile has no 'web' process, and only 'web' receives HTTP requests. Found: worker, server.

        'server' runs a web server. If it is the app, change line 2 to:
        web: PYTHONPATH=. gunicorn app:server

        If the app has no web page on purpose, say so in project.toml:
        [io.longshore.procfile]
        without-web = true
        ");
    }

    #[test]
    fn read_without_web_on_purpose() {
        let project = "[io.longshore.procfile]\nwithout-web = true\n";
        let reading = reading("worker: a\n", project).unwrap();
        assert_eq!(
            reading
                .procfile()
                .default_entry()
                .map(|entry| entry.name.as_str()),
            Some("worker")
        );
    }

    #[test]
    fn read_missing() {
        let app = tempfile::tempdir().expect("a scratch folder");
        assert!(matches!(read(app.path()), Err(ReadingError::Missing(_))));
    }
}
