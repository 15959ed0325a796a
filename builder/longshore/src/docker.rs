//! The Docker daemon of this machine: `docker-daemon:NAME` as a place to write to and to read from.

use daemon::{Daemon, DaemonError, Endpoint, Known, Load, Settings};
use fetch::Config;
use oci_image::{Image, ImageName, LayerBlob};

use crate::commands::Context;
use crate::errors;
use crate::failure::{Exit, Failure, chain};
use crate::output::{Unit, size};

/// The image that the daemon has under this name.
pub(crate) fn read(name: &ImageName, context: &Context) -> Result<Option<Image>, Failure> {
    let known = Known {
        configs: &[],
        layers: &[],
    };
    let found = connect(context)?.image(&name.to_string(), &known);
    Ok(found
        .map_err(|error| failure(&error))?
        .map(|found| found.image))
}

/// Gives the daemon an image under this name: only the layers that it lacks, uncompressed where it stores them so.
pub(crate) fn write(name: &ImageName, image: &Image, context: &Context) -> Result<(), Failure> {
    let daemon = connect(context)?;
    let known = known_layers(image, context)?;
    let load = Load {
        names: std::slice::from_ref(name),
        known: &known,
        previous: &[],
    };
    let what = "Giving the image to the Docker daemon";
    let mut last = 0;
    let loaded = daemon.load(image, &load, &mut |progress| {
        let hundredth = progress.sent * 100 / progress.total.max(1);
        if hundredth != last {
            last = hundredth;
            let (sent, total) = (progress.sent, progress.total);
            context.output.progress(what, Unit::Bytes, sent, total);
        }
    });
    let loaded = loaded.map_err(|error| failure(&error))?;
    context.output.info(&format!(
        "The Docker daemon has {name} ({} of {} layers sent, {})",
        loaded.sent_layers.len(),
        image.layers().len(),
        size(loaded.sent_bytes)
    ));
    Ok(())
}

/// What is known of the layers' sizes: otherwise each would have to be read twice.
fn known_layers(image: &Image, context: &Context) -> Result<Vec<LayerBlob>, Failure> {
    let mut known = Vec::new();
    for layer in image.layers() {
        let blob = context.store.layer(&layer.diff_id);
        let blob = blob.map_err(|error| errors::store(&error))?;
        // A layer that was fetched as it is was never unpacked to be measured.
        known.extend(blob.filter(|blob| blob.uncompressed_size > 0));
    }
    Ok(known)
}

fn connect(context: &Context) -> Result<Daemon, Failure> {
    let endpoint = Endpoint::of_user(|name| context.env.get(name).cloned()).map_err(|error| {
        let title = "The settings for the Docker daemon cannot be used";
        Failure::new(Exit::Registry, title, chain(&error))
    })?;
    let settings = Settings {
        endpoint,
        http: Config {
            roots: context.trust.clone(),
            proxies: context.network.fetch_proxies(),
            ..Config::default()
        },
        scratch: context.folders.cache.clone(),
        ..Settings::default()
    };
    Daemon::new(settings).map_err(|error| failure(&error))
}

fn failure(error: &DaemonError) -> Failure {
    let title = if error.is_unreachable() {
        "The Docker daemon is not there"
    } else {
        "The Docker daemon does not take part"
    };
    Failure::new(Exit::Registry, title, chain(error))
}
