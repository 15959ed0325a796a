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
    /// Make builder images
    #[command(subcommand)]
    Builder(BuilderCommand),
    /// Package buildpacks
    #[command(subcommand)]
    Buildpack(BuildpackCommand),
    /// Package the lifecycle, for builders that others make
    #[command(subcommand)]
    Lifecycle(LifecycleCommand),
    /// Show what an image or a builder holds
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
    #[command(flatten)]
    pub(crate) platform: PlatformOptions,
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

/// Other builders and buildpacks, and what they see.
#[derive(Debug, Default, Args, Clone)]
pub(crate) struct PlatformOptions {
    /// Build with another builder: in a registry, kept here, or oci:DIR, oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME
    #[arg(long, value_name = "REF|oci:DIR|…", conflicts_with = "build_image")]
    pub(crate) builder: Option<String>,
    /// Use these buildpacks, in this order (repeatable): a folder, a tar, a .cnb file, docker://REF, ID or ID@VERSION of the builder, or
    /// from=builder for the builder's own order
    #[arg(long, value_name = "DIR|FILE|ID|…")]
    pub(crate) buildpack: Vec<String>,
    /// Show the buildpacks a folder or file of this machine (repeatable); read-only unless it ends with :rw
    #[arg(long, value_name = "SRC:DST[:ro|rw]")]
    pub(crate) volume: Vec<String>,
    /// Variables for the build, a line each: K=V, or K to take its value from here; --env comes on top (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// The project descriptor (default: project.toml in the app folder); the builder and the buildpacks in it are used, unless others are
    /// named here
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptor: Option<PathBuf>,
    /// The process that the image starts (default: the one that a buildpack names)
    #[arg(long, value_name = "TYPE")]
    pub(crate) default_process: Option<String>,
    /// What of the network the buildpacks reach
    #[arg(long, value_enum, value_name = "NETWORK", default_value_t)]
    pub(crate) network: NetworkKind,
}

/// What of the network a build reaches.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum NetworkKind {
    /// This machine's.
    #[default]
    Host,
    /// Nothing, the machine's own services included.
    None,
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
    /// Where the result goes; without any, it takes the place of IMAGE
    #[command(flatten)]
    pub(crate) destinations: DestinationOptions,
    /// Only warn where the run image is not one that the image names, or is for another target
    #[arg(long)]
    pub(crate) force: bool,
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

#[derive(Debug, Subcommand)]
pub(crate) enum BuilderCommand {
    /// Make a builder image from builder.toml
    Create(BuilderArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore builder create builder/builder.toml --tag my-builder
  longshore builder create builder.toml --publish registry.example/builder:1 --run-image registry.example/run:1
  longshore builder create builder.toml --output docker-daemon:my-builder")]
pub(crate) struct BuilderArgs {
    /// The builder.toml
    #[arg(value_name = "FILE")]
    pub(crate) definition: PathBuf,
    /// The image that builds run in, instead of the one that the file names under `build`
    #[arg(long, value_name = "REF|oci:DIR|…")]
    pub(crate) build_image: Option<String>,
    /// The image that apps stand on, instead of the file's [[run.images]]; given again: its mirrors
    #[arg(long, value_name = "REF")]
    pub(crate) run_image: Vec<String>,
    #[command(flatten)]
    pub(crate) destinations: DestinationOptions,
    #[command(flatten)]
    pub(crate) mirrors: MirrorOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BuildpackCommand {
    /// Make a buildpackage from a buildpack's folder and package.toml
    Package(BuildpackPackageArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore buildpack package my-buildpack --file my-buildpack.cnb
  longshore buildpack package longshore:python-app --publish registry.example/python-app:1")]
pub(crate) struct BuildpackPackageArgs {
    /// The buildpack: a folder, a tar of one, or longshore:NAME for one of this program
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) buildpack: String,
    /// The package.toml (default: the one in the folder, if there is one)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write a .cnb file
    #[arg(long, value_name = "FILE.cnb")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) destinations: DestinationOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LifecycleCommand {
    /// Write the lifecycle as an image, or as the archive that `pack builder create` takes
    Package(LifecyclePackageArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LifecyclePackageArgs {
    /// The program that is all phases (default: this one, which is more; `cargo xtask dist` makes the smaller)
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// What the image stands on: longshore:run for the default stack's run image, which has certificates to reach registries by TLS; or
    /// any other (default: nothing but a list of users)
    #[arg(long, value_name = "REF|oci:DIR|…")]
    pub(crate) base: Option<String>,
    #[command(flatten)]
    pub(crate) mirrors: MirrorOptions,
    /// Write the archive for `[lifecycle] uri` in builder.toml
    #[arg(long, value_name = "FILE.tgz")]
    pub(crate) archive: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) destinations: DestinationOptions,
}

/// Where an image that is put together goes.
#[derive(Debug, Default, Args, Clone)]
pub(crate) struct DestinationOptions {
    /// Keep the image here under this name (repeatable)
    #[arg(short, long, value_name = "NAME")]
    pub(crate) tag: Vec<String>,
    /// Write the image: oci:DIR, oci-archive:FILE, docker-archive:FILE or docker-daemon:NAME (repeatable)
    #[arg(long, value_name = "KIND:PATH")]
    pub(crate) output: Vec<String>,
    /// Push the image to a registry under this name (repeatable)
    #[arg(long, value_name = "REF")]
    pub(crate) publish: Vec<String>,
    /// A registry (host or host:port) that may be spoken to without TLS (repeatable); loopback addresses always may
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub(crate) insecure: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The name of a built image, one in a registry, or oci:DIR, oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// A registry (host or host:port) that may be spoken to without TLS (repeatable); loopback addresses always may
    #[arg(long = "insecure-registry", value_name = "HOST")]
    pub(crate) insecure: Vec<String>,
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
