//! `longshore run`: starts a process of an image in the sandbox, without Docker.
//!
//! The root is one overlay of all the image's layer trees; what the process writes goes to a folder that is thrown away.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sandbox::{
    Access, Network, OverlayDirs, Root, Sandbox, Signaller, Status, Stream, Streams, User,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::arguments;
use crate::build::phases::trust_mounts;
use crate::build::workspace::Overlays;
use crate::cli::{BuildArgs, BuildOptions, RunArgs};
use crate::commands::{Context, overlays};
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::host::Inside;
use crate::inspect::{self, Found};
use crate::ports;

/// Signals that reach the process instead of ending us.
const FORWARDED: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// The program behind every entrypoint (CNB platform specification, "Launch").
const LAUNCHER: &str = "/cnb/lifecycle/launcher";

/// Starts the process and ends with its exit code.
pub(crate) fn run(arguments: &RunArgs, context: &Context) -> Result<ExitCode, Failure> {
    // Held to the end, so that nobody removes the trees below a running app.
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let image = find_or_build(arguments, context)?;
    let argv = command(&image, arguments)?;
    let serves = arguments.command.is_empty()
        && arguments
            .process
            .as_deref()
            .is_none_or(|process| process == "web");
    let mut variables = arguments::variables(&arguments.env, &context.env)?;
    let port = ports::choose(arguments.port, variables.remove("PORT").as_deref())?;
    let number = port.number;

    let scratch = context
        .store
        .temporary("run")
        .map_err(|error| errors::store(&error))?;
    let folder = |name: &str| -> Result<PathBuf, Failure> {
        let path = scratch.path().join(name);
        std::fs::create_dir(&path)
            .map_err(|error| errors::storage("a folder for the run could not be made", &error))?;
        Ok(path)
    };
    let mut lowers = context.trees(&image.image)?;
    lowers.reverse();
    let upper = folder("upper")?;
    let root = match overlays(&scratch, &context.output)? {
        Overlays::Mounted => Root::Overlay(OverlayDirs {
            lowers,
            upper,
            work: folder("work")?,
        }),
        Overlays::Refused => {
            sandbox::flatten(&lowers, &upper).map_err(|error| errors::storage_of(&error))?;
            Root::Folder {
                path: upper,
                access: Access::ReadWrite,
            }
        }
    };
    let mut sandbox = Sandbox::new(root);
    sandbox.user = User::CNB;
    sandbox.network = Network::Host;
    sandbox.cwd = working_directory(&image);
    sandbox.mounts = trust_mounts(context.trust.pem().as_bytes());
    sandbox.env = environment(&image, number, variables, context);

    let mut signals = Signals::new(FORWARDED)
        .map_err(|error| errors::storage("signals could not be caught", &error))?;
    let streams = Streams {
        stdin: Stream::Inherit,
        stdout: Stream::Inherit,
        stderr: Stream::Inherit,
    };
    let child = sandbox
        .spawn(&argv, streams)
        .map_err(|error| errors::sandbox(&error))?;
    if serves {
        context
            .output
            .info(&format!("Listening on http://127.0.0.1:{number}"));
    }
    let signaller = child.signaller();
    let handle = signals.handle();
    let forwarder = std::thread::spawn(move || forward(&mut signals, &signaller));
    let finished = child.wait().map_err(|error| errors::sandbox(&error));
    handle.close();
    drop(forwarder.join());
    drop(port);
    Ok(match finished?.status {
        Status::Exited(code) => ExitCode::from(code as u8),
        Status::Signaled(signal) => ExitCode::from(128 + signal as u8),
    })
}

fn forward(signals: &mut Signals, signaller: &Signaller) {
    for signal in signals.forever() {
        // What a terminal sends goes to all processes of a job: of `sh setup.sh && python app.py`, too, where a shell waits for the app
        // and does nothing before it has ended. SIGTERM goes to the process alone, as from Docker: it ends its children in its own way.
        let sent = match signal {
            SIGINT | SIGQUIT | SIGHUP | SIGWINCH => signaller.signal_group(signal),
            _ => signaller.signal(signal),
        };
        // A process that has just ended needs no signal.
        drop(sent);
    }
}

/// A folder is built first; everything else is the name of an image, or a place to read one from.
fn find_or_build(arguments: &RunArgs, context: &Context) -> Result<Found, Failure> {
    let target = arguments.target.as_str();
    let path = Path::new(target);
    // `my-app` is a name even where a folder of that name stands here, unless it was never built.
    let is_path = target.contains('/') || target == "." || target == "..";
    if !is_path && let Some(found) = inspect::find_named(target, context)? {
        if inspect::is_folder(target) {
            context.output.info(&format!(
                "Running the image {target} as it was built; `longshore run ./{target}` builds the folder first"
            ));
        }
        return Ok(found);
    }
    if inspect::is_folder(target) {
        let options = BuildOptions {
            mirrors: arguments.mirrors.clone(),
            ..BuildOptions::default()
        };
        let built = crate::build::build(
            &BuildArgs {
                app: path.to_owned(),
                options,
            },
            context,
        )?;
        return inspect::find(&built.name.to_string(), context);
    }
    inspect::find(target, context)
}

/// What is executed: a command given after `--`, a process type's entrypoint, or the image's own.
fn command(image: &Found, arguments: &RunArgs) -> Result<Vec<String>, Failure> {
    if !arguments.command.is_empty() {
        let mut argv = vec![LAUNCHER.to_owned(), "--".to_owned()];
        argv.extend(arguments.command.iter().cloned());
        return Ok(argv);
    }
    let processes = image.processes();
    match &arguments.process {
        Some(process) if processes.contains(process) => Ok(vec![format!("/cnb/process/{process}")]),
        Some(process) => {
            let body = format!(
                "{} has no process {process:?}. It has: {}.\nProcess types come from the app's Procfile.",
                image.name,
                listing(&processes)
            );
            Err(Failure::new(Exit::Usage, "No such process", body))
        }
        None => {
            let argv = image.config().config.entrypoint.clone();
            if argv.is_empty() || argv == [LAUNCHER] {
                let body = format!(
                    "{} has no default process. Choose one with --process: {}.",
                    image.name,
                    listing(&processes)
                );
                return Err(Failure::new(Exit::Usage, "No default process", body));
            }
            Ok(argv)
        }
    }
}

fn listing(processes: &[String]) -> String {
    if processes.is_empty() {
        "none".to_owned()
    } else {
        processes.join(", ")
    }
}

fn working_directory(image: &Found) -> PathBuf {
    match image.config().config.working_dir.as_str() {
        "" => "/workspace".into(),
        folder => folder.into(),
    }
}

/// The image's own variables, then the port, the host's trust and proxies, and last what the user says.
fn environment(
    image: &Found,
    port: u16,
    variables: BTreeMap<String, String>,
    context: &Context,
) -> BTreeMap<OsString, OsString> {
    let mut env: BTreeMap<String, String> = image
        .config()
        .config
        .env
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    env.insert("PORT".to_owned(), port.to_string());
    let inside = Inside::sandbox();
    env.insert("HOME".to_owned(), inside.home.display().to_string());
    env.extend(context.network.variables(&inside));
    env.extend(variables);
    env.into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}
