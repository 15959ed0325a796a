//! detect and build, for libcnb.

use buildpack_kit::{Explain as _, Output};
use libcnb::build::{BuildContext, BuildResult, BuildResultBuilder};
use libcnb::data::launch::{Launch, LaunchBuilder, Process, ProcessBuilder, ProcessType};
use libcnb::detect::{DetectContext, DetectResult, DetectResultBuilder};
use libcnb::generic::{GenericMetadata, GenericPlatform};

use crate::procfile::Procfile;
use crate::reading::{self, Reading, ReadingError};

#[derive(Debug)]
pub(crate) struct ProcfileBuildpack;

impl libcnb::Buildpack for ProcfileBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = ReadingError;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, ReadingError> {
        match reading::read(&context.app_dir) {
            Ok(_) => DetectResultBuilder::pass().build(),
            // Not an error: in an order of somebody else's making, another buildpack may define the processes.
            Err(ReadingError::Missing(missing)) => {
                Output::stdout().line(missing.explain().as_error());
                DetectResultBuilder::fail().build()
            }
            // Said now, before other buildpacks have spent minutes.
            Err(error) => Err(error.into()),
        }
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, ReadingError> {
        let reading = reading::read(&context.app_dir)?;
        report(&reading, &mut Output::stdout());
        BuildResultBuilder::new()
            .launch(launch(reading.procfile()))
            .build()
    }

    fn on_error(&self, error: libcnb::Error<ReadingError>) {
        buildpack_kit::program::report(&error);
    }
}

impl From<ReadingError> for libcnb::Error<ReadingError> {
    fn from(error: ReadingError) -> Self {
        Self::BuildpackError(error)
    }
}

/// The table of process types, then what is odd about it.
fn report(reading: &Reading, output: &mut Output) {
    let procfile = reading.procfile();
    let default = procfile.default_entry();
    let width = procfile
        .entries()
        .iter()
        .map(|entry| entry.name.as_str().len())
        .max()
        .unwrap_or_default();
    output.heading("Process types of the Procfile");
    for entry in procfile.entries() {
        let mark = if Some(entry) == default {
            " (default)"
        } else {
            ""
        };
        output.line(format!(
            "{:width$}  {}{mark}",
            entry.name.as_str(),
            entry.command
        ));
    }
    if let Some(warning) = reading.warning() {
        output.warning(&warning);
    }
}

/// `bash -c COMMAND`, as Heroku runs it. What a user adds at `docker run IMAGE …` becomes the script's own arguments.
fn launch(procfile: &Procfile) -> Launch {
    let default = procfile.default_entry();
    let process = |entry: &crate::procfile::Entry| -> Process {
        let kind: ProcessType = entry
            .name
            .as_str()
            .parse()
            .expect("our process names are a part of CNB's");
        ProcessBuilder::new(kind, ["bash", "-c", &entry.command])
            .default(Some(entry) == default)
            .build()
    };
    LaunchBuilder::new()
        .processes(procfile.entries().iter().map(process))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Reading {
        let app = tempfile::tempdir().expect("a scratch folder");
        std::fs::write(app.path().join(reading::PROCFILE), text).expect("the Procfile");
        reading::read(app.path()).expect("a good Procfile")
    }

    #[test]
    fn launch_toml() {
        let launch = launch(reading("worker: b \"c\"\nweb: gunicorn app:server\n").procfile());
        insta::assert_snapshot!(toml::to_string(&launch).expect("TOML"), @r#"
        [[processes]]
        type = "worker"
        command = ["bash", "-c", 'b "c"']

        [[processes]]
        type = "web"
        command = ["bash", "-c", "gunicorn app:server"]
        default = true
        "#);
    }

    #[test]
    fn report_table() {
        let mut output = Output::captured();
        report(
            &reading("web: gunicorn app:server\nscheduler: celery beat\n"),
            &mut output,
        );
        insta::assert_snapshot!(output.text().trim_start(), @r"
        [Process types of the Procfile]
        web        gunicorn app:server (default)
        scheduler  celery beat
        ");
    }
}
