//! The base images: found in the store, or made from Debian packages; `longshore stack create` and `stack lock`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use debian::mirror::MirrorSettings;
use debian::release::Freshness;
use fetch::{Client, Config};
use indicatif::ProgressBar;
use oci_image::{Image, Reference, write_layout};
use registry::{Push, Registry};
use sandbox::Helper;
use stack::{Event, LockUse, Origin, STACK_FOLDER_IN_BUILD_IMAGE, Stack, StackInputs};
use url::Url;

use crate::arguments;
use crate::cli::{MirrorOptions, StackArgs};
use crate::commands::Context;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::inspect;
use crate::output::{Output, Unit, size};
use crate::registries;

/// The default stack's images.
#[derive(Debug)]
pub(crate) struct Made {
    /// The build image's files.
    pub(crate) build_tree: PathBuf,
    /// The build image's name in the store.
    pub(crate) build_name: String,
    /// The run image's name in the store.
    pub(crate) run_name: String,
}

/// Where the flags' and variables' mirrors are told to the buildpacks, who look no further then.
pub(crate) const MIRROR_VARIABLES: [&str; 2] = [
    "LONGSHORE_DEBIAN_MIRROR",
    "LONGSHORE_DEBIAN_SECURITY_MIRROR",
];

/// Says to the buildpacks that indexes past their date are meant.
const FROZEN_VARIABLE: &str = "LONGSHORE_FROZEN_MIRROR";

/// Finds or makes the default stack's images.
pub(crate) fn ensure(options: &MirrorOptions, context: &Context) -> Result<Made, Failure> {
    let stack = make(&context.unpacked.stack, options, context)?;
    Ok(Made {
        build_tree: stack.build_tree.path,
        build_name: stack.build.name,
        run_name: stack.run.name,
    })
}

/// The run image's name in the store for a build in place: the one that belongs to this container's own stack, else the one that this program carries.
/// Neither can be made here.
pub(crate) fn find_run_image(context: &Context) -> Result<String, Failure> {
    let own = Path::new("/").join(STACK_FOLDER_IN_BUILD_IMAGE);
    let mut names = Vec::new();
    for folder in [&own, &context.unpacked.stack] {
        let name = stack::run_image_name(folder).map_err(|error| errors::stack(&error))?;
        let found = context.store.image(&name);
        if found.map_err(|error| errors::store(&error))?.is_some() {
            return Ok(name);
        }
        names.push(name);
    }
    names.dedup();
    Err(errors::no_run_image(&names, &context.folders.data))
}

/// A stack that is still to be made needs the sandbox, which is better said before hundreds of packages are downloaded.
fn need_a_sandbox(folder: &Path, context: &Context) -> Result<(), Failure> {
    let name = stack::run_image_name(folder).map_err(|error| errors::stack(&error))?;
    let found = context.store.image(&name);
    if found.map_err(|error| errors::store(&error))?.is_some() {
        return Ok(());
    }
    let scratch = context.store.temporary("probe");
    let scratch = scratch.map_err(|error| errors::store(&error))?;
    sandbox::probe(&Helper::default(), scratch.path())
        .map(drop)
        .map_err(|error| errors::no_sandbox_for_stack(&error))
}

/// `longshore stack create`
pub(crate) fn create(arguments: &StackArgs, context: &Context) -> Result<(), Failure> {
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let publishing = arguments
        .publish
        .as_ref()
        .map(|text| StackPublishing::prepare(text, &arguments.insecure, context))
        .transpose()?;
    need_a_sandbox(&arguments.dir, context)?;
    let stack = make(&arguments.dir, &arguments.mirrors, context)?;
    for (kind, image) in [("build", &stack.build), ("run", &stack.run)] {
        let found = inspect::find(&image.name, context)?;
        if let Some(folder) = &arguments.output {
            let name = image.name.parse().ok();
            write_layout(&folder.join(kind), &found.image, name.as_ref())
                .map_err(|error| errors::storage_of(&error))?;
        }
        context.output.info(&format!(
            "The {kind} image has {} compressed",
            size(image.layer.size)
        ));
        let reference = match &publishing {
            Some(publishing) => publishing.publish(kind, &found.image)?,
            None => format!("{}@{}", image.name, image.manifest),
        };
        context.output.result(&reference);
    }
    Ok(())
}

/// The two images of a stack on their way to a registry.
struct StackPublishing {
    registry: Registry,
    reference: Reference,
}

impl StackPublishing {
    /// Fails where pushing would not be allowed.
    fn prepare(text: &str, insecure: &[String], context: &Context) -> Result<Self, Failure> {
        let reference = arguments::tagged(registries::reference("--publish", text)?)?;
        let registry = registries::connect(context, insecure)?;
        let publishing = Self {
            registry,
            reference,
        };
        for kind in ["build", "run"] {
            let target = publishing.target(kind)?;
            let allowed = publishing.registry.check_push(&target);
            allowed.map_err(|error| registries::failure(&error))?;
        }
        Ok(publishing)
    }

    /// `registry.example/base:1` -> `registry.example/base-run:1`
    fn target(&self, kind: &str) -> Result<Reference, Failure> {
        let repository = self.reference.in_registry();
        let tag = self.reference.tag().unwrap_or("latest");
        registries::reference("--publish", &format!("{repository}-{kind}:{tag}"))
    }

    fn publish(&self, kind: &str, image: &Image) -> Result<String, Failure> {
        let target = self.target(kind)?;
        let push = Push {
            tags: std::slice::from_ref(&target),
            mount_from: &[],
            previous: None,
        };
        let pushed = self.registry.push_image(image, &push);
        let report = pushed.map_err(|error| registries::failure(&error))?;
        Ok(target.with_digest(report.digest).to_string())
    }
}

/// `longshore stack lock`: resolves the packages and writes `stack.lock`.
pub(crate) fn lock(arguments: &StackArgs, context: &Context) -> Result<(), Failure> {
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let lock = with_inputs(
        &arguments.dir,
        &arguments.mirrors,
        context,
        |inputs, progress| {
            stack::lock(inputs, &context.store, progress).map_err(|error| errors::stack(&error))
        },
    )?;
    let path = arguments.dir.join("stack.lock");
    let failed =
        |error| errors::storage(&format!("{} could not be written", path.display()), &error);
    let mut file = tempfile::NamedTempFile::new_in(&arguments.dir).map_err(failed)?;
    std::io::Write::write_all(&mut file, lock.to_text().as_bytes()).map_err(failed)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    context.output.info(&format!("Wrote {}", path.display()));
    Ok(())
}

fn make(folder: &Path, options: &MirrorOptions, context: &Context) -> Result<Stack, Failure> {
    let stack = with_inputs(folder, options, context, |inputs, progress| {
        stack::create(inputs, &context.store, progress).map_err(|error| errors::stack(&error))
    })?;
    if stack.origin == Origin::Made && !stack.differences.is_empty() {
        let list: Vec<String> = stack
            .differences
            .iter()
            .map(|difference| format!("  {difference}"))
            .collect();
        let text = format!(
            "the mirror no longer has every package of stack.lock; these were taken instead:\n{}",
            list.join("\n")
        );
        context.output.warning(&text);
    }
    Ok(stack)
}

fn with_inputs<T>(
    folder: &Path,
    options: &MirrorOptions,
    context: &Context,
    work: impl FnOnce(&StackInputs<'_>, stack::Progress<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let client = client(context)?;
    let mirrors = mirrors(options, context)?;
    let freshness = if options.frozen_mirror {
        Freshness::FrozenMirror
    } else {
        Freshness::Enforced
    };
    let inputs = StackInputs {
        folder,
        client: &client,
        mirrors: &mirrors,
        freshness,
        lock_use: if options.locked {
            LockUse::Require
        } else {
            LockUse::Prefer
        },
        now: context.now,
        helper: Helper::default(),
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let teller = Teller {
        output: &context.output,
        bar: Mutex::new(None),
    };
    let worked = work(&inputs, &|event| teller.tell(&event));
    teller.done();
    worked
}

fn client(context: &Context) -> Result<Client, Failure> {
    let config = Config {
        roots: context.trust.clone(),
        proxies: context.network.fetch_proxies(),
        ..Config::default()
    };
    Client::new(config).map_err(|error| errors::fetch(&error))
}

/// The mirrors that were given; what was not is looked for in apt's configuration, when it is needed.
fn mirrors(options: &MirrorOptions, context: &Context) -> Result<MirrorSettings, Failure> {
    let given = |flag: &str,
                 value: Option<&String>,
                 variable: &str|
     -> Result<Option<(Url, String)>, Failure> {
        let from_flag = value.map(|value| (value.clone(), flag.to_owned()));
        let found = from_flag.or_else(|| {
            context
                .env
                .text(variable)
                .map(|value| (value, variable.to_owned()))
        });
        let Some((text, by)) = found else {
            return Ok(None);
        };
        let url = text.parse().map_err(|error| {
            let body = format!("{by} names {text:?}, which is no address: {error}.\nWrite for example https://mirror.example/debian or file:///srv/debian.");
            Failure::new(Exit::Usage, "Not a mirror's address", body)
        })?;
        Ok(Some((url, by)))
    };
    let [main, security] = MIRROR_VARIABLES;
    Ok(MirrorSettings {
        main: given("--debian-mirror", options.debian_mirror.as_ref(), main)?,
        security: given(
            "--debian-security-mirror",
            options.debian_security_mirror.as_ref(),
            security,
        )?,
        ..MirrorSettings::default()
    })
}

/// The mirrors that were given, as variables for the buildpacks.
pub(crate) fn mirror_variables(
    options: &MirrorOptions,
    context: &Context,
) -> Vec<(String, String)> {
    let flags = [
        options.debian_mirror.as_ref(),
        options.debian_security_mirror.as_ref(),
    ];
    let pairs = MIRROR_VARIABLES.into_iter().zip(flags);
    let values = pairs.filter_map(|(variable, flag)| {
        Some((
            variable,
            flag.cloned().or_else(|| context.env.text(variable))?,
        ))
    });
    let frozen = options
        .frozen_mirror
        .then(|| (FROZEN_VARIABLE, "1".to_owned()));
    values
        .chain(frozen)
        .map(|(variable, value)| (variable.to_owned(), value))
        .collect()
}

/// What `file:` mirrors, given or in apt's configuration, are on this machine: the sandbox has to see them.
pub(crate) fn local_mirrors(options: &MirrorOptions, context: &Context) -> Vec<PathBuf> {
    let given = mirror_variables(options, context);
    let given = given.iter().filter_map(|(_, value)| value.parse().ok());
    let mut paths: Vec<PathBuf> = given
        .filter_map(|url| debian::mirror::local_path(&url))
        .collect();
    if paths.is_empty() {
        paths = debian::mirror::local_paths(&MirrorSettings::default().apt_folder);
    }
    paths
}

/// Shows how the making goes on.
struct Teller<'a> {
    output: &'a Output,
    /// What is under way, and its bar.
    bar: Mutex<Option<(&'static str, ProgressBar)>>,
}

impl Teller<'_> {
    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Resolving => self.output.heading("STACK: resolving Debian packages"),
            Event::Downloading { bytes, total } => {
                let what = "Downloading Debian packages";
                self.advance(what, Unit::Bytes, *bytes, *total);
            }
            Event::Unpacking { done, total } if done == total => {
                self.done();
                self.output.info(&format!("Unpacked {total} packages"));
            }
            Event::Unpacking { done, total } => {
                let (done, total) = (*done as u64, *total as u64);
                self.advance("Unpacking packages", Unit::Things, done, total);
            }
            Event::Configuring { image, line } => self.output.detail(&format!("[{image}] {line}")),
            Event::Writing { image } => self.output.info(&format!("Writing the {image} image")),
            Event::Notice(text) => self.output.info(text),
        }
    }

    fn advance(&self, what: &'static str, unit: Unit, done: u64, total: u64) {
        let mut shown = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if shown.as_ref().is_none_or(|(stage, _)| *stage != what) {
            if let Some((_, before)) = shown.take() {
                before.finish_and_clear();
            }
            if unit == Unit::Bytes {
                self.output.info(&format!("{what} ({})", size(total)));
            }
            *shown = Some((what, self.output.bar(what, unit, total)));
        }
        if let Some((_, bar)) = &*shown {
            // A program does not want to hear of every piece: hundredths are enough.
            let hundredth = |done: u64| done * 100 / total.max(1);
            if hundredth(done) != hundredth(bar.position()) || done == total {
                self.output.progress(what, unit, done, total);
            }
            bar.set_position(done);
        }
    }

    fn done(&self) {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some((_, bar)) = bar {
            bar.finish_and_clear();
        }
    }
}
