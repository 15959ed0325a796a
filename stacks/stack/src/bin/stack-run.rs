//! Makes a stack from the command line, for tests and benchmarks: `stack-run create|lock FOLDER DATA CACHE [OPTION…]`.
//!
//! Options: `--locked`, `--threads=N`, `--mirror=URL`, `--security-mirror=URL`, `--frozen`, `--verbose`.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use debian::mirror::MirrorSettings;
use debian::release::Freshness;
use sandbox::Helper;
use stack::{Event, LockUse, StackInputs};
use store::Store;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if let Some(code) = sandbox::dispatch(&name) {
        return code;
    }
    let arguments: Vec<String> = arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let [command, folder, data, cache, options @ ..] = arguments else {
        return Err("usage: stack-run create|lock FOLDER DATA CACHE [OPTION…]".into());
    };
    let client = fetch::Client::new(fetch::Config::default())?;
    let mut mirrors = MirrorSettings::default();
    let verbose = options.iter().any(|option| option == "--verbose");
    let mut inputs = StackInputs {
        folder: Path::new(folder),
        client: &client,
        mirrors: &MirrorSettings::default(),
        freshness: Freshness::Enforced,
        lock_use: LockUse::Prefer,
        now: SystemTime::now(),
        helper: Helper::default(),
        threads: std::thread::available_parallelism()?,
    };
    for option in options {
        match option.split_once('=').unwrap_or((option, "")) {
            ("--locked", _) => inputs.lock_use = LockUse::Require,
            ("--frozen", _) => inputs.freshness = Freshness::FrozenMirror,
            ("--threads", count) => inputs.threads = count.parse::<NonZeroUsize>()?,
            ("--mirror", url) => mirrors.main = Some((url.parse()?, "--mirror".to_owned())),
            ("--security-mirror", url) => {
                mirrors.security = Some((url.parse()?, "--security-mirror".to_owned()));
            }
            ("--verbose", _) => {}
            (other, _) => return Err(format!("unknown option {other}").into()),
        }
    }
    inputs.mirrors = &mirrors;
    let started = SystemTime::now();
    let progress = |event: Event<'_>| {
        let quiet = matches!(event, Event::Downloading { .. } | Event::Unpacking { .. });
        if verbose && !quiet || matches!(event, Event::Notice(_)) {
            let seconds = started.elapsed().unwrap_or_default().as_secs_f64();
            say(&format!("{seconds:7.2} {event:?}"));
        }
    };
    let store = Store::open(Path::new(data), Path::new(cache))?;
    let _hold = store.hold()?;
    match command.as_str() {
        "create" => {
            let stack = stack::create(&inputs, &store, &progress)?;
            for (image, tree) in [
                (&stack.build, &stack.build_tree),
                (&stack.run, &stack.run_tree),
            ] {
                print(&format!(
                    "{} {} {} {} {}\n",
                    image.name,
                    image.manifest,
                    image.layer.size,
                    image.layer.uncompressed_size,
                    tree.path.display()
                ))?;
            }
            for difference in &stack.differences {
                say(&format!("differs from the lock: {difference}"));
            }
        }
        "lock" => print(&stack::lock(&inputs, &store, &progress)?.to_text())?,
        other => return Err(format!("unknown command {other}").into()),
    }
    Ok(())
}

fn print(text: &str) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

#[expect(clippy::print_stderr, reason = "a program for tests says what it does")]
fn say(text: &str) {
    eprintln!("{text}");
}
