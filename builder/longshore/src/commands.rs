//! The command line's main path: read what was typed and where we are, run one command, report one error.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser as _;
use fetch::trust::Roots;
use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{BlobSource, DiffId, Image, ImageName, Layer, LayerBlob};
use sandbox::{Allowed, Helper};
use store::{Durability, NamedImage, Store, Temporary};

use crate::build::workspace::Overlays;
use crate::ci_log::Sections;
use crate::cli::{
    BuilderCommand, BuildpackCommand, CacheCommand, Cli, Command, LifecycleCommand, ProgressKind,
    StackCommand,
};
use crate::embedded::{self, Unpacked};
use crate::errors;
use crate::failure::{Exit, Failure, chain};
use crate::host::{Environment, Folders, Network};
use crate::output::{Audience, Level, Output};
use crate::{
    build, builder_image, buildpackage, cache, inspect, lifecycle_programs, rebase, run,
    stack_images,
};

/// What every command needs: where things are, what is trusted, how to speak.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) env: Environment,
    pub(crate) folders: Folders,
    pub(crate) network: Network,
    pub(crate) trust: Roots,
    pub(crate) store: Store,
    pub(crate) unpacked: Unpacked,
    /// This executable, to be mounted into the sandbox.
    pub(crate) program: PathBuf,
    pub(crate) output: Output,
    /// The time it is: for signatures' dates and the ages of caches, never for an image.
    pub(crate) now: SystemTime,
}

impl Context {
    /// The trees of an image's layers, the lowest first, unpacked where need be.
    pub(crate) fn trees(&self, image: &Image) -> Result<Vec<PathBuf>, Failure> {
        let failed = |error| errors::layer("a layer of the image could not be read", &error);
        let tree = |layer| self.tree(layer).map_err(failed);
        image.layers().iter().map(tree).collect()
    }

    /// The tree of a layer. If it is not there, it is unpacked from its blob in the store, or else while that is fetched: nobody needs
    /// the blob besides.
    pub(crate) fn tree(&self, layer: &Layer) -> std::io::Result<PathBuf> {
        let store = &self.store;
        let found = store.tree(&layer.diff_id).map_err(std::io::Error::other)?;
        if let Some(tree) = found {
            return Ok(tree.path);
        }
        let blob = store.layer(&layer.diff_id).map_err(std::io::Error::other)?;
        let tree = match blob {
            Some(blob) => store.unpacked(&blob),
            None => store.unpack(layer.diff_id, layer.open()?, Durability::ThisBoot),
        };
        Ok(tree.map_err(std::io::Error::other)?.path)
    }

    /// The layer with this content, if its blob is in the store.
    pub(crate) fn stored_layer(&self, diff_id: &DiffId) -> std::io::Result<Option<Layer>> {
        let blob = self.store.layer(diff_id).map_err(std::io::Error::other)?;
        let Some(blob) = blob else {
            return Ok(None);
        };
        let path = self.store.blob(&blob.digest, blob.size);
        let path = path.map_err(std::io::Error::other)?;
        Ok(path.map(|path| Layer::new(blob, BlobSource::File(path))))
    }

    /// Writes a layer into the store.
    pub(crate) fn store_layer(
        &self,
        contents: &LayerContents<'_>,
        durability: Durability,
    ) -> std::io::Result<Layer> {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let writer = self.store.blob_writer(durability);
        let mut writer = writer.map_err(std::io::Error::other)?;
        let blob = write_layer(contents, &mut writer, Compression::Gzip { threads })
            .map_err(std::io::Error::other)?;
        let path = writer.commit(&blob.digest).map_err(std::io::Error::other)?;
        self.store
            .note_layer(&blob)
            .map_err(std::io::Error::other)?;
        Ok(Layer::new(blob, BlobSource::File(path)))
    }

    /// Gives an image its names here. Layers that are elsewhere, or here for a while, are copied: a name must not lead to half an image.
    pub(crate) fn keep(&self, image: &Image, names: &[ImageName]) -> std::io::Result<()> {
        let store = &self.store;
        for layer in image.layers() {
            let there = store.lasting_blob(&layer.digest, layer.size);
            if there.map_err(std::io::Error::other)?.is_none() {
                self.take_in(layer)?;
            }
        }
        let documents = image.documents();
        store
            .write_blob(&documents.config.bytes)
            .map_err(std::io::Error::other)?;
        let manifest = store
            .write_blob(&documents.manifest.bytes)
            .map_err(std::io::Error::other)?;
        for name in names {
            let named = NamedImage {
                name: name.to_string(),
                manifest,
            };
            store.name_image(&named).map_err(std::io::Error::other)?;
        }
        Ok(())
    }

    /// Copies a layer into the store, to last.
    pub(crate) fn take_in(&self, layer: &Layer) -> std::io::Result<()> {
        let known = self.store.layer(&layer.diff_id);
        let known = known.map_err(std::io::Error::other)?;
        let writer = self.store.blob_writer(Durability::Lasting);
        let mut writer = writer.map_err(std::io::Error::other)?;
        std::io::copy(&mut layer.open()?, &mut writer)?;
        writer
            .commit(&layer.digest)
            .map_err(std::io::Error::other)?;
        let blob = known
            .filter(|known| known.digest == layer.digest)
            .unwrap_or(LayerBlob {
                diff_id: layer.diff_id,
                digest: layer.digest,
                size: layer.size,
                uncompressed_size: 0,
            });
        self.store.note_layer(&blob).map_err(std::io::Error::other)
    }
}

/// Whether the kernel lets us mount overlays over this folder.
pub(crate) fn overlays(scratch: &Temporary, output: &Output) -> Result<Overlays, Failure> {
    let allowed = sandbox::probe(&Helper::default(), scratch.path())
        .map_err(|error| errors::sandbox(&error))?;
    Ok(overlays_of(allowed, scratch, output))
}

/// The same from what was found; where there are none, files are copied, and the user knows why it takes longer.
pub(crate) fn overlays_of(allowed: Allowed, scratch: &Temporary, output: &Output) -> Overlays {
    match allowed.overlay {
        Ok(()) => Overlays::Mounted,
        Err(reason) => {
            let folder = scratch.path().display();
            output.info(&format!(
                "Files are copied, which is slower: no overlay can be mounted below {folder} ({reason})"
            ));
            Overlays::Refused
        }
    }
}

/// Runs the command line and returns the exit code that `--help` documents.
pub(crate) fn main(arguments: Vec<OsString>, env: &Environment) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // clap's own: 0 for --help and --version, 2 for a wrong command line.
        Err(error) => {
            drop(error.print());
            return ExitCode::from(if error.use_stderr() {
                Exit::Usage as u8
            } else {
                0
            });
        }
    };
    let level = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    let audience = match (cli.global.progress, Sections::of(env)) {
        (ProgressKind::Json, _) => Audience::Program,
        (ProgressKind::Plain, Some(sections)) => Audience::Log(sections),
        (ProgressKind::Plain, None) => Audience::People,
    };
    let output = Output::new(level, audience, env.get("NO_COLOR").is_some());
    let ended =
        context(&cli, env, output.clone()).and_then(|context| dispatch(&cli.command, &context));
    match ended {
        Ok(code) => {
            output.end_section();
            code
        }
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn dispatch(command: &Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Build(arguments) => {
            let built = build::build(arguments, context)?;
            context.output.result(&built.reference());
        }
        Command::Run(arguments) => return run::run(arguments, context),
        Command::Stack(StackCommand::Create(arguments)) => {
            stack_images::create(arguments, context)?;
        }
        Command::Stack(StackCommand::Lock(arguments)) => stack_images::lock(arguments, context)?,
        Command::Rebase(arguments) => rebase::rebase(arguments, context)?,
        Command::Builder(BuilderCommand::Create(arguments)) => {
            builder_image::create(arguments, context)?;
        }
        Command::Buildpack(BuildpackCommand::Package(arguments)) => {
            buildpackage::package(arguments, context)?;
        }
        Command::Lifecycle(LifecycleCommand::Package(arguments)) => {
            lifecycle_programs::package(arguments, context)?;
        }
        Command::Inspect(arguments) => inspect::inspect(arguments, context)?,
        Command::Cache(CacheCommand::List) => cache::list(context)?,
        Command::Cache(CacheCommand::Prune(arguments)) => cache::prune(arguments, context)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Tests let the program die at one of these moments.
fn arm_failpoint(env: &Environment, output: &Output) {
    let moments = [
        &store::FAILPOINTS[..],
        &registry::FAILPOINTS,
        &daemon::FAILPOINTS,
    ]
    .concat();
    if let Some(moment) = env.text("LONGSHORE_FAILPOINT")
        && !failpoint::arm(&moment, moments.iter().copied())
    {
        let text = format!(
            "LONGSHORE_FAILPOINT names {moment:?}; there are: {}",
            moments.join(", ")
        );
        output.warning(&text);
    }
}

fn context(cli: &Cli, env: &Environment, output: Output) -> Result<Context, Failure> {
    let folders = Folders::find(env)?;
    let network = Network::find(env);
    let (trust, notices) = fetch::trust::load(&fetch::trust::TrustSettings {
        ssl_cert_file: network.ssl_cert_file.clone(),
        ssl_cert_dir: network.ssl_cert_dir.clone(),
        ca_cert: cli.global.ca_cert.iter().cloned().collect(),
        ..Default::default()
    })
    .map_err(|error| Failure::new(Exit::Usage, "Certificates cannot be read", chain(&error)))?;
    for notice in notices {
        output.warning(&notice);
    }
    arm_failpoint(env, &output);
    let store =
        Store::open(&folders.data, &folders.cache).map_err(|error| errors::store(&error))?;
    let unpacked = embedded::unpack(&store, &folders.cache).map_err(|error| {
        errors::storage(
            &format!("{} could not be written", folders.cache.display()),
            &error,
        )
    })?;
    let program = std::env::current_exe()
        .map_err(|error| errors::storage("the path of this program could not be found", &error))?;
    let now = SystemTime::now();
    Ok(Context {
        env: env.clone(),
        folders,
        network,
        trust,
        store,
        unpacked,
        program,
        output,
        now,
    })
}
