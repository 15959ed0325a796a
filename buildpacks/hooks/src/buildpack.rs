//! detect and build, for libcnb.

use std::path::Path;

use buildpack_kit::{Message, Output};
use libcnb::build::{BuildContext, BuildResult, BuildResultBuilder};
use libcnb::data::build_plan::BuildPlanBuilder;
use libcnb::data::launch::{Label, Launch, LaunchBuilder, ProcessBuilder};
use libcnb::data::process_type;
use libcnb::detect::{DetectContext, DetectResult, DetectResultBuilder};
use libcnb::generic::{GenericMetadata, GenericPlatform};

use crate::errors::HooksError;
use crate::hooks::{self, Hook, Hooks};
use crate::line_endings;
use crate::predeploy;

/// The label in which platforms find both commands.
const LABEL: &str = "io.longshore.hooks";

/// What `longshore/deps` provides. predeploy may do without: another buildpack may have installed what it needs.
const PACKAGES: &str = "python-packages";

#[derive(Debug)]
pub(crate) struct HooksBuildpack;

impl libcnb::Buildpack for HooksBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = HooksError;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, HooksError> {
        match hooks::read(&context.app_dir) {
            Ok(hooks) if hooks.is_empty() => DetectResultBuilder::fail().build(),
            Ok(hooks) if hooks.predeploy.is_some() => {
                // predeploy looks into what was installed, so the lifecycle has to bring it back.
                let plan = BuildPlanBuilder::new().requires(PACKAGES).or().build();
                DetectResultBuilder::pass().build_plan(plan).build()
            }
            // An unreadable file passes too: this buildpack is optional in our order, and an optional one that fails is left out
            // silently. The build says what is wrong.
            Ok(_) | Err(_) => DetectResultBuilder::pass().build(),
        }
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, HooksError> {
        let hooks = hooks::read(&context.app_dir)?;
        let mut output = Output::stdout();
        for warning in &hooks.warnings {
            output.warning(warning);
        }
        if let Some(hook) = &hooks.predeploy {
            run_predeploy(hook, &context.app_dir, &mut output)?;
        }
        if let Some(Hook { command, source }) = &hooks.postdeploy {
            output.heading(&format!("postdeploy ({source})"));
            output.line(command);
            output.line("It is not run now: it is the process type 'postdeploy', for the platform to start after a deployment.");
        }
        BuildResultBuilder::new().launch(launch(&hooks)).build()
    }

    fn on_error(&self, error: libcnb::Error<HooksError>) {
        buildpack_kit::program::report(&error);
    }
}

impl From<HooksError> for libcnb::Error<HooksError> {
    fn from(error: HooksError) -> Self {
        Self::BuildpackError(error)
    }
}

fn run_predeploy(hook: &Hook, app_dir: &Path, output: &mut Output) -> Result<(), HooksError> {
    let Hook { command, source } = hook;
    output.heading(&format!("predeploy ({source})"));
    output.line(command);
    if let Some(script) = line_endings::windows_script(command, app_dir) {
        return Err(HooksError::WindowsScript {
            script,
            command: command.clone(),
        });
    }
    if let Some(warning) = root_warning(command) {
        output.warning(&warning);
    }
    // The lifecycle has set what earlier buildpacks' layers and the platform say; libcnb does not hand it on with its order and bytes.
    let environment = predeploy::environment_of_app(std::env::vars_os());
    predeploy::run(command, app_dir, &environment, output)
}

/// On Dash Enterprise 4 predeploy is root, and scripts that install OS packages are common.
fn root_warning(command: &str) -> Option<Message> {
    let wants_root = command
        .split_whitespace()
        .any(|word| matches!(word, "apt-get" | "apt" | "sudo" | "dpkg"));
    wants_root.then(|| {
        Message::new(
            "predeploy wants root",
            "Here predeploy runs as an ordinary user, so it cannot install OS packages.\n\
             List them in a file called 'apt-packages', a name a line, and remove the command from predeploy.",
        )
    })
}

fn launch(hooks: &Hooks) -> Launch {
    let Hooks {
        predeploy,
        postdeploy,
        warnings: _,
    } = hooks;
    let mut launch = LaunchBuilder::new();
    if let Some(hook) = postdeploy {
        let command = ["bash", "-e", "-o", "pipefail", "-c", &hook.command];
        launch.process(ProcessBuilder::new(process_type!("postdeploy"), command).build());
    }
    let named = [("predeploy", predeploy), ("postdeploy", postdeploy)];
    let commands: serde_json::Map<_, _> = named
        .into_iter()
        .filter_map(|(name, hook)| Some((name.to_owned(), hook.as_ref()?.command.clone().into())))
        .collect();
    if !commands.is_empty() {
        launch.label(Label {
            key: LABEL.to_owned(),
            value: serde_json::Value::Object(commands).to_string(),
        });
    }
    launch.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(command: &str) -> Hook {
        Hook {
            command: command.into(),
            source: "app.json".into(),
        }
    }

    #[test]
    fn launch_both() {
        let hooks = Hooks {
            predeploy: Some(hook("a \"b\"")),
            postdeploy: Some(hook("c")),
            warnings: Vec::new(),
        };
        insta::assert_snapshot!(toml::to_string(&launch(&hooks)).unwrap(), @r#"
        [[labels]]
        key = "io.longshore.hooks"
        value = '{"postdeploy":"c","predeploy":"a \"b\""}'

        [[processes]]
        type = "postdeploy"
        command = ["bash", "-e", "-o", "pipefail", "-c", "c"]
        "#);
    }

    #[test]
    fn launch_predeploy_only() {
        let hooks = Hooks {
            predeploy: Some(hook("a")),
            ..Hooks::default()
        };
        insta::assert_snapshot!(toml::to_string(&launch(&hooks)).unwrap(), @r#"
        [[labels]]
        key = "io.longshore.hooks"
        value = '{"predeploy":"a"}'
        "#);
    }

    #[test]
    fn run_predeploy_windows_script_does_not_run() {
        let app = tempfile::tempdir().unwrap();
        std::fs::write(app.path().join("p.sh"), "touch made\r\n").unwrap();
        let mut output = Output::captured();
        let result = run_predeploy(&hook("bash p.sh"), app.path(), &mut output);
        assert!(matches!(result, Err(HooksError::WindowsScript { .. })));
        assert!(!app.path().join("made").try_exists().unwrap());
        assert_eq!(output.text(), "\n[predeploy (app.json)]\nbash p.sh\n");
    }

    #[test]
    fn root_warning_words() {
        assert!(root_warning("apt-get install -y gcc").is_some());
        assert!(root_warning("cat apt-packages && bash my-apt.sh").is_none());
    }
}
