//! Which images and which cache a program works on.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use lifecycle::cache::LayerCache;
use lifecycle::image_name::ImageName;
use lifecycle::images::ImageStore;
use lifecycle::layouts::OciLayouts;
use lifecycle::volume_cache::VolumeCache;
use oci_image::Reference;

use crate::cache_image::CacheImage;
use crate::daemon_images::DaemonImages;
use crate::failure::{Failure, INVALID_ARGS, OTHER};
use crate::reach::{Place, Reach};
use crate::registry_images::{KnownLayers, RegistryImages, Shared};
use crate::scratch::Scratch;
use crate::settings::Settings;

/// Beyond this many threads a layer is not compressed faster, but needs more memory.
const MOST_THREADS: usize = 6;

/// The place with the images.
#[derive(Debug)]
pub(crate) enum Images {
    Layouts(OciLayouts),
    Registry(Box<RegistryImages>),
    Daemon(DaemonImages),
}

impl Images {
    pub(crate) fn store(&self) -> &dyn ImageStore {
        match self {
            Self::Layouts(layouts) => layouts,
            Self::Registry(images) => images.as_ref(),
            Self::Daemon(images) => images,
        }
    }
}

/// Opens images and the cache, which share what they know.
#[derive(Debug)]
pub(crate) struct Opener<'a> {
    settings: &'a Settings<'a>,
    reach: &'a Reach,
    shared: Shared,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(settings: &'a Settings<'a>, reach: &'a Reach) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            settings,
            reach,
            shared: Shared {
                registry: reach.registry.clone(),
                known: KnownLayers::default(),
                scratch: Arc::new(Scratch::new(settings.temp_dir())),
                threads: NonZeroUsize::new(cores.min(MOST_THREADS)).unwrap_or(NonZeroUsize::MIN),
            },
        }
    }

    /// The place with the images; `new` are the names of the one that is built.
    pub(crate) fn images(&self, new: &[ImageName]) -> Result<Images, Failure> {
        let shared = &self.shared;
        match (&self.reach.place, &self.reach.daemon, new) {
            (Place::Layouts(dir), _, [first, ..]) => {
                Ok(Images::Layouts(OciLayouts::new(dir, first, shared.threads)))
            }
            (Place::Daemon, Some(daemon), _) => Ok(Images::Daemon(DaemonImages::new(
                daemon,
                Arc::clone(&shared.scratch),
            ))),
            _ => {
                let new = new.iter().map(|name| name.reference().clone());
                let cache = cache_reference(self.settings)?;
                let images = RegistryImages::new(shared.clone(), new.collect(), cache);
                Ok(Images::Registry(Box::new(images)))
            }
        }
    }

    /// The cache, if one is given: an image rather than a folder. `app` is the image that is built, if it is in a registry, too.
    pub(crate) fn cache(
        &self,
        app: Option<&ImageName>,
    ) -> Result<Option<Box<dyn LayerCache>>, Failure> {
        let output = &self.settings.output;
        if let Some(reference) = cache_reference(self.settings)? {
            let app = app.filter(|_| self.reach.place == Place::Registry);
            return Ok(Some(Box::new(CacheImage::open(
                self.shared.clone(),
                reference,
                app.map(|name| name.reference().clone()),
                output,
            ))));
        }
        let Some(dir) = self.settings.optional_path("cache-dir", "CNB_CACHE_DIR") else {
            output.warn("No cached data will be used, no cache specified.");
            return Ok(None);
        };
        let cache = VolumeCache::open(&dir)
            .map_err(|error| Failure::new(OTHER, "create volume cache", error))?;
        Ok(Some(Box::new(cache)))
    }
}

/// The cache image's name.
pub(crate) fn cache_reference(settings: &Settings<'_>) -> Result<Option<Reference>, Failure> {
    let Some(text) = settings.optional("cache-image", "CNB_CACHE_IMAGE") else {
        return Ok(None);
    };
    let name = image_name(&text)?;
    Ok(Some(name.reference().clone()))
}

/// Reads the name of an image.
pub(crate) fn image_name(text: &str) -> Result<ImageName, Failure> {
    let wrong = |error| Failure::new(INVALID_ARGS, "resolve inputs", error);
    text.parse()
        .map_err(|error: lifecycle::image_name::ImageNameError| wrong(error.to_string()))
}

/// Experimental features have to be asked for.
pub(crate) fn guard_experimental(feature: &str, settings: &Settings<'_>) -> Result<(), Failure> {
    let mode = settings.text("", "CNB_EXPERIMENTAL_MODE", "error");
    let output = &settings.output;
    let request = format!("Platform requested experimental feature '{feature}'");
    match mode.as_str() {
        // The reference implementation reads `quiet`, the specification says `silent`.
        "quiet" | "silent" => {}
        "error" => {
            output.error(request);
            let message = format!(
                "experimental features are disabled by CNB_EXPERIMENTAL_MODE={mode}; set it to 'warn' to use them"
            );
            return Err(Failure {
                code: OTHER,
                message,
            });
        }
        _ => output.warn(request),
    }
    Ok(())
}

/// Reads the names of the image that is built, which all have to be in the same registry, unless they are a daemon's.
pub(crate) fn new_names(
    names: &[String],
    settings: &Settings<'_>,
) -> Result<Vec<ImageName>, Failure> {
    let parsed = names.iter().map(|name| image_name(name));
    let parsed: Vec<ImageName> = parsed.collect::<Result<_, _>>()?;
    let registries: Vec<&str> = parsed.iter().map(ImageName::registry).collect();
    let several = registries.windows(2).any(|pair| pair[0] != pair[1]);
    if several && !settings.yes("daemon", "CNB_USE_DAEMON") {
        let registries = registries.join(", ");
        let reason = format!("writing to multiple registries is unsupported: {registries}");
        return Err(Failure::new(INVALID_ARGS, "resolve inputs", reason));
    }
    Ok(parsed)
}
