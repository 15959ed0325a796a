//! The build phase: read the wishes, compare with the last build, and where something changed, fetch an interpreter.

use crate::PythonBuildpack;
use crate::catalog::{Candidate, Catalog, Source};
use crate::choose::{Choice, choose, disagreements, end_of_life_warning};
use crate::debian_packages::{self, UnpackedPackages};
use crate::errors::PythonError;
use crate::import_check::check_standard_library;
use crate::layout;
use crate::metadata::{HeadersMetadata, Inputs, PythonMetadata, RECIPE};
use crate::private_libraries::add_private_libraries;
use crate::sources::{Wish, find_wishes, misspelt_files};
use crate::standalone::{self, DOWNLOADS_URL_VARIABLE, StandaloneError};
use crate::version::PythonVersion;
use buildpack_kit::command::Environment;
use buildpack_kit::interpreter::{INTERPRETER_FILE, Interpreter, InterpreterFacts};
use buildpack_kit::layers::{Layer, Restored, Use, keep_layer, new_layer, tell_reuse};
use buildpack_kit::network::NetworkSettings;
use buildpack_kit::sbom::{Component, cyclonedx};
use buildpack_kit::stack::{Stack, StackError};
use buildpack_kit::tool_environment::tool_environment;
use buildpack_kit::uv::{keep_uv_layer, uv_layer};
use buildpack_kit::{Output, Variables, bytecode, civil_time, redact};
use libcnb::Platform as _;
use libcnb::build::{BuildContext, BuildResult, BuildResultBuilder};
use libcnb::data::launch::{Label, LaunchBuilder};
use libcnb::data::layer_name;
use libcnb::data::sbom::SbomFormat;
use libcnb::layer_env::{LayerEnv, ModificationBehavior, Scope};
use libcnb::sbom::Sbom;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The label that says which interpreter an image has, and who asked for it.
const PYTHON_LABEL: &str = "io.longshore.python";

/// Set by `longshore build --refresh`: Debian's newest revision is fetched.
const REFRESH_VARIABLE: &str = "LONGSHORE_REFRESH";

type BuildError = libcnb::Error<PythonError>;

/// All that is read before anything is decided.
struct Given {
    wishes: Vec<Wish>,
    /// `None` where the build image is not Debian's: then only standalone interpreters fit.
    stack: Option<Stack>,
    network: NetworkSettings,
    platform: Variables,
    tools: Environment,
    refresh: bool,
}

pub(crate) fn build(
    context: &BuildContext<PythonBuildpack>,
) -> libcnb::Result<BuildResult, PythonError> {
    let mut output = Output::stdout();
    output.heading("Python");
    let given = read(context, &mut output)?;
    let inputs = given.inputs(context)?;
    let restored = Restored::<PythonMetadata>::read(&context.layers_dir, &layer_name!("python"));
    let mut reasons = restored.reasons(|last| last.inputs.changes_to(&inputs));
    if given.refresh {
        reasons.push("a refresh was asked for".to_owned());
    }
    let metadata = if let (Restored::Present(metadata), []) = (restored, &reasons[..]) {
        let what = format!("Python {} from {}", metadata.version, metadata.source);
        tell_reuse(&mut output, &what, &reasons);
        reuse(context, &mut output)?;
        metadata
    } else {
        tell_reuse(&mut output, "Python", &reasons);
        install(context, &given, inputs, &mut output)?
    };
    warn(&given, &metadata, &mut output);
    finish(&given, &metadata)
}

fn read(
    context: &BuildContext<PythonBuildpack>,
    output: &mut Output,
) -> Result<Given, PythonError> {
    let lifecycle = Variables::from(&libcnb::Env::from_current());
    let platform = Variables::from(context.platform.env());
    let (tools, _) = tool_environment(&lifecycle, &platform);
    let wishes = find_wishes(&context.app_dir, &platform)?;
    for wish in &wishes {
        output.line(format!("{}: {}", wish.place, wish.text));
    }
    if wishes.is_empty() {
        output.line("Nothing asks for a version; the stack's own is used");
    }
    for (name, meant) in
        misspelt_files(&context.app_dir).map_err(files_error("read the app's folder"))?
    {
        output.notice(format!(
            "there is a file named '{name}', which is not read; was '{meant}' meant?"
        ));
    }
    let stack = match Stack::read(Path::new("/")) {
        Ok(stack) => Some(stack),
        Err(StackError::NotDebian { .. } | StackError::NoKeyring) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Given {
        wishes,
        stack,
        network: NetworkSettings::new(&lifecycle, &platform)?,
        refresh: platform.is_on(REFRESH_VARIABLE),
        platform,
        tools,
    })
}

impl Given {
    fn suite(&self) -> Option<&str> {
        self.stack.as_ref().map(|stack| stack.suite.as_str())
    }

    /// What an unchanged build is recognised by. No list is fetched for that: where the variables name one, its address stands for it.
    fn inputs(&self, context: &BuildContext<PythonBuildpack>) -> Result<Inputs, PythonError> {
        let wanted = match self.platform.get(DOWNLOADS_URL_VARIABLE) {
            Some(list) => {
                let text = self
                    .wishes
                    .first()
                    .map_or("the stack's own", |wish| wish.text.as_str());
                format!("{text}, of those in {}", redact::redact(list))
            }
            None => wanted(&choose(&self.wishes, Catalog::shipped(), self.suite())?),
        };
        let target = &context.target;
        Ok(Inputs {
            recipe: RECIPE,
            wanted,
            run_image: self
                .stack
                .as_ref()
                .map(|stack| stack.status_digest.clone())
                .unwrap_or_default(),
            target: format!(
                "{} {}, {} {}",
                target.os, target.arch, target.distro_name, target.distro_version
            ),
        })
    }

    fn choice(&self) -> Result<Choice, PythonError> {
        if self.platform.get(DOWNLOADS_URL_VARIABLE).is_none() {
            return Ok(choose(&self.wishes, Catalog::shipped(), self.suite())?);
        }
        let (client, _) = self.network.client().map_err(StandaloneError::from)?;
        let listed = standalone::listed_versions(&self.platform, &client)?.unwrap_or_default();
        let catalog = Catalog::shipped().with_standalone(listed);
        Ok(choose(&self.wishes, &catalog, self.suite())?)
    }
}

fn wanted(choice: &Choice) -> String {
    let words: Vec<String> = choice
        .candidates
        .iter()
        .map(|candidate| format!("{} from {}", candidate.version, candidate.source))
        .collect();
    words.join(", else ")
}

fn reuse(context: &BuildContext<PythonBuildpack>, output: &mut Output) -> Result<(), BuildError> {
    keep_layer::<_, PythonMetadata>(context, layer_name!("python"), Use::BuildAndLaunch)?;
    if let Restored::Present(_) =
        Restored::<HeadersMetadata>::read(&context.layers_dir, &layer_name!("headers"))
    {
        keep_layer::<_, HeadersMetadata>(context, layer_name!("headers"), Use::Build)?;
        tell_reuse(output, "Headers for compiling", &[]);
    }
    keep_uv_layer(context, output)
}

/// An interpreter in its place, not yet checked.
struct Placed {
    prefix: PathBuf,
    version: String,
    packages: Vec<String>,
    /// Folders of headers.
    cpath: Vec<PathBuf>,
}

fn install(
    context: &BuildContext<PythonBuildpack>,
    given: &Given,
    inputs: Inputs,
    output: &mut Output,
) -> Result<PythonMetadata, BuildError> {
    let choice = given.choice()?;
    let layer = new_layer(context, layer_name!("python"), Use::BuildAndLaunch)?;
    let headers = new_layer(context, layer_name!("headers"), Use::Build)?;
    let mut attempts = Vec::new();
    for candidate in &choice.candidates {
        let placed = match &candidate.source {
            Source::Debian { suite } => from_debian(
                given,
                candidate,
                suite,
                &layer.path(),
                &headers.path(),
                output,
            )?,
            Source::Standalone => from_standalone(
                context,
                given,
                candidate,
                &layer.path(),
                &headers.path(),
                output,
            )?,
        };
        match placed {
            Ok(placed) => {
                headers.write_env(headers_env(&placed.cpath))?;
                let metadata = complete(given, candidate, placed, inputs, &layer, output)?;
                headers.write_metadata(HeadersMetadata {
                    version: metadata.version.clone(),
                    source: metadata.source.clone(),
                })?;
                return Ok(metadata);
            }
            Err(reason) => {
                output.notice(format!(
                    "Python {} from {} cannot be had: {reason}",
                    candidate.version, candidate.source
                ));
                attempts.push((candidate.clone(), reason));
            }
        }
    }
    let version = choice
        .candidates
        .first()
        .map(|candidate| candidate.version.to_string())
        .unwrap_or_default();
    Err(PythonError::Unreachable { version, attempts }.into())
}

/// The outer error stops the build; the inner reason lets the next source try.
fn from_debian(
    given: &Given,
    candidate: &Candidate,
    suite: &str,
    layer: &Path,
    headers: &Path,
    output: &mut Output,
) -> Result<Result<Placed, String>, BuildError> {
    let Some(stack) = &given.stack else {
        return Ok(Err("the build image is not Debian's".to_owned()));
    };
    let minor = minor_text(&candidate.version);
    let scratch = tempfile::tempdir().map_err(files("make a scratch folder"))?;
    let unpacked = match debian_packages::fetch_and_unpack(
        &minor,
        suite,
        stack,
        &given.network,
        scratch.path(),
        output,
    ) {
        Ok(unpacked) => unpacked,
        Err(error) if error.is_absence() => {
            return Ok(Err(buildpack_kit::message::with_causes(&error)));
        }
        Err(error) => return Err(PythonError::from(error).into()),
    };
    let UnpackedPackages {
        root,
        version,
        packages,
    } = unpacked;
    if !still_wanted(given, &version) {
        return Ok(Err(format!("Debian {suite} now has {version}")));
    }
    let prefix = layer.join(&minor);
    layout::lay_out_debian(&root, &minor, &prefix).map_err(files("lay the interpreter out"))?;
    let private = add_private_libraries(&prefix, &root).map_err(PythonError::from)?;
    if !private.is_empty() {
        output.line(format!(
            "Libraries that the run image lacks, for Python alone: {}",
            private.join(", ")
        ));
    }
    let cpath = layout::lay_out_debian_headers(&root, &minor, headers)
        .map_err(files("lay the headers out"))?;
    Ok(Ok(Placed {
        prefix,
        version,
        packages,
        cpath,
    }))
}

fn still_wanted(given: &Given, version: &str) -> bool {
    let request = given
        .wishes
        .first()
        .and_then(|wish| wish.request.as_ref().ok());
    match (request, version.parse::<PythonVersion>()) {
        (Some(request), Ok(version)) => request.accepts(&version),
        (None, Ok(_)) => true,
        (_, Err(_)) => false,
    }
}

fn from_standalone(
    context: &BuildContext<PythonBuildpack>,
    given: &Given,
    candidate: &Candidate,
    layer: &Path,
    headers: &Path,
    output: &mut Output,
) -> Result<Result<Placed, String>, BuildError> {
    let uv = uv_layer(context, &given.tools, None, output)?;
    let installed = match standalone::install(&uv, &candidate.version, layer, &given.tools, output)
    {
        Ok(installed) => installed,
        Err(StandaloneError::Uv(text)) => return Ok(Err(text)),
        Err(error) => return Err(PythonError::from(error).into()),
    };
    let minor = minor_text(&candidate.version);
    let cpath = layout::trim_standalone(&installed, &minor, headers)
        .map_err(files("trim the interpreter"))?;
    // uv wrote the folder's name into the interpreter's configuration, so it stays; the short name stays the same from patch to patch.
    let prefix = layer.join(&minor);
    symlink(installed.file_name().unwrap_or_default(), &prefix)
        .map_err(files("link the interpreter"))?;
    Ok(Ok(Placed {
        prefix,
        version: candidate.version.to_string(),
        packages: Vec::new(),
        cpath,
    }))
}

fn minor_text(version: &PythonVersion) -> String {
    let (major, minor) = version.minor();
    format!("{major}.{minor}")
}

/// Checks the interpreter, compiles its library, and describes the layer.
fn complete(
    given: &Given,
    candidate: &Candidate,
    placed: Placed,
    inputs: Inputs,
    layer: &Layer<PythonBuildpack>,
    output: &mut Output,
) -> Result<PythonMetadata, BuildError> {
    let Placed {
        prefix,
        version,
        packages,
        cpath: _,
    } = placed;
    let interpreter = Interpreter {
        executable: prefix.join("bin/python3"),
        facts: InterpreterFacts {
            version: version.clone(),
            source: candidate.source.to_string(),
        },
    };
    let modules = check_standard_library(&interpreter.executable).map_err(PythonError::from)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let library = prefix
        .join("lib")
        .join(format!("python{}", interpreter.facts.minor_version()));
    let compiled = bytecode::compile(&library, &interpreter, &given.tools, workers)
        .map_err(files("compile bytecode"))?;
    output.line(format!(
        "Python {version} from {}: imported {modules} modules of its library, compiled {compiled}",
        candidate.source
    ));
    let facts = toml::to_string(&interpreter.facts)
        .map_err(|error| files("describe the interpreter")(io::Error::other(error)))?;
    fs::write(prefix.join(INTERPRETER_FILE), facts).map_err(files("describe the interpreter"))?;
    layer.write_env(layer_env(&prefix))?;
    let metadata = PythonMetadata {
        inputs,
        version,
        source: candidate.source.to_string(),
        packages,
    };
    layer.write_metadata(metadata.clone())?;
    Ok(metadata)
}

fn layer_env(prefix: &Path) -> LayerEnv {
    LayerEnv::new()
        .chainable_insert(
            Scope::All,
            ModificationBehavior::Prepend,
            "PATH",
            prefix.join("bin"),
        )
        .chainable_insert(Scope::All, ModificationBehavior::Delimiter, "PATH", ":")
        // A container's log shall show a line when it is printed, not when 8 KB are full.
        .chainable_insert(
            Scope::Launch,
            ModificationBehavior::Default,
            "PYTHONUNBUFFERED",
            "1",
        )
}

/// Where compilers find `Python.h`: `sysconfig` names a folder of the prefix, which has no headers.
fn headers_env(cpath: &[PathBuf]) -> LayerEnv {
    let folders: Vec<String> = cpath
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    LayerEnv::new()
        .chainable_insert(
            Scope::Build,
            ModificationBehavior::Prepend,
            "CPATH",
            folders.join(":"),
        )
        .chainable_insert(Scope::Build, ModificationBehavior::Delimiter, "CPATH", ":")
}

fn warn(given: &Given, metadata: &PythonMetadata, output: &mut Output) {
    let Ok(version) = metadata.version.parse::<PythonVersion>() else {
        return;
    };
    for warning in disagreements(&given.wishes, &version) {
        output.warning(&warning);
    }
    let today = &civil_time::minute(SystemTime::now())[..10];
    if let Some(warning) = end_of_life_warning(&version, Catalog::shipped(), today) {
        output.warning(&warning);
    }
}

fn finish(given: &Given, metadata: &PythonMetadata) -> libcnb::Result<BuildResult, PythonError> {
    let requested_by = given
        .wishes
        .first()
        .map(|wish| format!("{}: {}", wish.place, wish.text));
    let value = serde_json::json!({
        "version": metadata.version,
        "source": metadata.source,
        "requested-by": requested_by,
    });
    let label = Label {
        key: PYTHON_LABEL.to_owned(),
        value: value.to_string(),
    };
    let sbom = Sbom::from_bytes(SbomFormat::CycloneDxJson, cyclonedx(&components(metadata)));
    BuildResultBuilder::new()
        .launch(LaunchBuilder::new().label(label).build())
        .launch_sbom(sbom)
        .build()
}

/// Debian's packages, or the interpreter as one thing.
fn components(metadata: &PythonMetadata) -> Vec<Component> {
    if metadata.packages.is_empty() {
        return vec![Component {
            name: "python".to_owned(),
            version: metadata.version.clone(),
            kind: "github/astral-sh/python-build-standalone".to_owned(),
            url: None,
        }];
    }
    let packages = metadata
        .packages
        .iter()
        .filter_map(|package| package.split_once(' '));
    packages
        // Headers are for building only.
        .filter(|(name, _)| !name.ends_with("-dev"))
        .map(|(name, version)| Component {
            name: name.to_owned(),
            version: version.to_owned(),
            kind: format!("deb/debian/{name}"),
            url: None,
        })
        .collect()
}

fn files_error(attempt: &'static str) -> impl FnOnce(io::Error) -> PythonError {
    move |source| PythonError::Files { attempt, source }
}

fn files(attempt: &'static str) -> impl FnOnce(io::Error) -> BuildError {
    move |source| files_error(attempt)(source).into()
}
