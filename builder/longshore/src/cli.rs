//! What was typed: the command line as clap sees it. Nothing here touches the system.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// From a Python app folder to a container image, with no Docker and no root.
#[derive(Debug, Parser)]
#[command(
    name = "longshore",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  longshore build . -t my-app             build the app in this folder into the image `my-app`
  longshore run my-app                    start its web process; the page is on http://127.0.0.1:8000
  longshore run my-app --process worker   start another process of its Procfile
  longshore build . --output oci:../image write an OCI layout for skopeo, umoci or podman
  longshore build . --output docker-archive:../app.tar && docker load -i ../app.tar

Exit codes:
  0 done   1 something else failed   2 the command line is wrong   3 the app is wrong (the message says where)
  20 no buildpack group detected the app   51 a buildpack failed   60 a download failed
  61 a signature or digest is wrong   62 a registry wants other credentials   63 a registry or Docker daemon refuses, or is not there
  70 the kernel or container forbids the sandbox   74 the disk or store failed
  `longshore run` ends with the code of the process; 128+N where signal N ended it.";

/// Flags that every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print what is done in detail
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// What stderr is: lines for people (bars on a terminal, sections in CI logs), or a JSON object a line for programs
    #[arg(long, global = true, value_name = "KIND", value_enum, default_value_t = ProgressKind::Plain)]
    pub(crate) progress: ProgressKind,
    /// A PEM file of certificates to trust besides the system's (a company's proxy, a private mirror)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
}

/// For whom progress is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ProgressKind {
    Plain,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an app folder into an image
    Build(Box<BuildArgs>),
    /// Start a process of an image, or of an app folder, which is built first
    Run(RunArgs),
    /// Put an image on a newer run image, without building it again
    Rebase(RebaseArgs),
    /// Make base images from Debian packages
    #[command(subcommand)]
    Stack(StackCommand),
    /// Show what an image holds
    Inspect(InspectArgs),
    /// Look at the store, and free space in it
    #[command(subcommand)]
    Cache(CacheCommand),
}

/// `longshore build`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore build examples/dash-minimal
  longshore build . -t shop:v3 --env DASH_DEBUG=false --metadata-file build.json
  longshore build . --publish registry.example/shop:v3 --cache-image registry.example/shop:cache
  longshore build . --output oci:../image --output docker-archive:../image.tar")]
pub(crate) struct BuildArgs {
    /// The app folder
    #[arg(value_name = "APP")]
    pub(crate) app: PathBuf,
    #[command(flatten)]
    pub(crate) options: BuildOptions,
}

/// What `build` and a `run` that builds first have in common.
#[derive(Debug, Default, Args, Clone)]
pub(crate) struct BuildOptions {
    /// A name of the image here (repeatable; default: the app folder's name, or none with --publish)
    #[arg(short, long = "tag", value_name = "NAME")]
    pub(crate) tag: Vec<String>,
    #[command(flatten)]
    pub(crate) registry: RegistryOptions,
    #[command(flatten)]
    pub(crate) bases: BaseOptions,
    /// A label of the image (repeatable)
    #[arg(long, value_name = "K=V")]
    pub(crate) label: Vec<String>,
    /// When the image says it was made: seconds since 1970, a time like 2026-01-31T12:00:00Z, or `now` (default: SOURCE_DATE_EPOCH, else 1980)
    #[arg(long, value_name = "TIME")]
    pub(crate) creation_time: Option<String>,
    /// Write the image elsewhere too: oci:DIR, oci-archive:FILE, docker-archive:FILE or docker-daemon:NAME (repeatable)
    #[arg(long, value_name = "KIND:PATH")]
    pub(crate) output: Vec<String>,
    /// A variable for the build, K=V, or K to take its value from here (repeatable)
    #[arg(long, value_name = "K=V")]
    pub(crate) env: Vec<String>,
    /// Forget this app's cached layers first
    #[arg(long)]
    pub(crate) clear_cache: bool,
    /// Resolve what is not pinned afresh
    #[arg(long)]
    pub(crate) refresh: bool,
    #[command(flatten)]
    pub(crate) mirrors: MirrorOptions,
    /// Write what was built as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,
}

/// Images in registries. What docker, podman or skopeo logged in is used, or CNB_REGISTRY_AUTH.
#[derive(Debug, Default, Args, Clone)]
pub(crate) struct RegistryOptions {
    /// Push the image to a registry under this name (repeatable)
    #[arg(long, value_name = "REF")]
    pub(crate) publish: Vec<String>,
    /// Keep cached layers in a registry under this name, for builds on other machines
    #[arg(long, value_name = "REF")]
    pub(crate) cache_image: Option<String>,
    /// The image whose layers are reused (default: what stands under the first name that is given)
    #[arg(long, value_name = "REF|oci:DIR|…")]
    pub(crate) previous_image: Option<String>,
    /// A registry (host or host:port) that may be spoken to without TLS (repeatable); loopback addresses always may
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub(crate) insecure: Vec<String>,
}

/// Base images that are not made here.
#[derive(Debug, Default, Args, Clone)]
pub(crate) struct BaseOptions {
    /// The image to build in: in a registry, or oci:DIR, oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME (default: made
    /// from Debian packages)
    #[arg(long, value_name = "REF|oci:DIR|…")]
    pub(crate) build_image: Option<String>,
    /// The image that the app's layers come on top of (default: as above)
    #[arg(long, value_name = "REF|oci:DIR|…")]
    pub(crate) run_image: Option<String>,
}

/// Where Debian packages come from.
#[derive(Debug, Default, Args, Clone)]
pub(crate) struct MirrorOptions {
    /// The Debian mirror (default: LONGSHORE_DEBIAN_MIRROR, else this machine's apt configuration)
    #[arg(long, value_name = "URL")]
    pub(crate) debian_mirror: Option<String>,
    /// The mirror of Debian's security archive (default: LONGSHORE_DEBIAN_SECURITY_MIRROR, else as above)
    #[arg(long, value_name = "URL")]
    pub(crate) debian_security_mirror: Option<String>,
    /// Accept a mirror whose indexes are past their date, because it was frozen on purpose
    #[arg(long)]
    pub(crate) frozen_mirror: bool,
    /// Fail where a package of stack.lock is no longer to be had, instead of resolving afresh
    #[arg(long)]
    pub(crate) locked: bool,
}

/// `longshore run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore run examples/dash-minimal
  longshore run my-app --process worker --env REDIS_URL=redis://127.0.0.1:6379
  longshore run my-app -- python manage.py migrate")]
pub(crate) struct RunArgs {
    /// An app folder, the name of a built image, or oci:DIR, oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME
    #[arg(value_name = "APP|IMAGE|NAME")]
    pub(crate) target: String,
    /// The process type of the Procfile (default: the image's default process)
    #[arg(long, value_name = "TYPE")]
    pub(crate) process: Option<String>,
    /// A variable for the process, K=V, or K to take its value from here (repeatable)
    #[arg(long, value_name = "K=V")]
    pub(crate) env: Vec<String>,
    /// The port in PORT (default: 8000, or the next that is free)
    #[arg(long)]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) mirrors: MirrorOptions,
    /// A command to start instead of a process type
    #[arg(last = true, value_name = "CMD", conflicts_with = "process")]
    pub(crate) command: Vec<String>,
}

/// `longshore rebase`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore rebase registry.example/shop:v3
  longshore rebase registry.example/shop:v3 --run-image registry.example/base/run:13.2 --publish registry.example/shop:v3.1
  longshore rebase docker-daemon:shop")]
pub(crate) struct RebaseArgs {
    /// The image: a name in a registry or here, or oci:DIR, oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// The new run image (default: what now stands under the name that the image remembers, or under a mirror of it)
    #[arg(long, value_name = "REF|oci:DIR|…")]
    pub(crate) run_image: Option<String>,
    /// Push the result to a registry under this name (repeatable; default: it takes the place of IMAGE, wherever that is)
    #[arg(long, value_name = "REF")]
    pub(crate) publish: Vec<String>,
    /// A name of the result here (repeatable)
    #[arg(short, long = "tag", value_name = "NAME")]
    pub(crate) tag: Vec<String>,
    /// Write the result to oci:DIR, oci-archive:FILE, docker-archive:FILE or docker-daemon:NAME (repeatable)
    #[arg(long, value_name = "KIND:PATH")]
    pub(crate) output: Vec<String>,
    /// Only warn where the run image is not one that the image names, or is for another target
    #[arg(long)]
    pub(crate) force: bool,
    /// A registry (host or host:port) that may be spoken to without TLS (repeatable); loopback addresses always may
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub(crate) insecure: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StackCommand {
    /// Make the build image and the run image of a stack
    Create(StackArgs),
    /// Resolve a stack's packages and write its lock file
    Lock(StackArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StackArgs {
    /// The folder with stack.toml
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) mirrors: MirrorOptions,
    /// Write the build and the run image below this folder as OCI layouts too
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Push both to a registry: REPOSITORY-build and REPOSITORY-run, with the tag that is given
    #[arg(long, value_name = "REPOSITORY:TAG")]
    pub(crate) publish: Option<String>,
    /// A registry (host or host:port) that may be spoken to without TLS (repeatable); loopback addresses always may
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub(crate) insecure: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The name of a built image, or oci:DIR, oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List images, unpacked layers, downloads and apps with cached layers, and how much there is of each
    List,
    /// Remove what no image and no recent build needs
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Remove the caches of apps that were not built for this many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) older_than_days: u64,
    /// Keep at most this many megabytes of cached layers and downloads, those used last
    #[arg(long, value_name = "MB")]
    pub(crate) keep_mb: Option<u64>,
    /// Remove every cached layer and download; named images stay
    #[arg(long)]
    pub(crate) all: bool,
}
