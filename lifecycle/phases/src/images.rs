//! Which images a program works on, and where they are.

use std::num::NonZeroUsize;
use std::thread;

use crate::failure::{Failure, INVALID_ARGS, OTHER};
use crate::settings::Settings;
use lifecycle::image_name::ImageName;
use lifecycle::layouts::OciLayouts;
use lifecycle::volume_cache::VolumeCache;

/// Beyond this many threads a layer is not compressed faster, but needs more memory.
const MOST_THREADS: usize = 6;

/// Opens the place with the images. `new` is the name of the image that is built; `code` is the phase's exit code.
pub(crate) fn open_images(
    settings: &Settings<'_>,
    new: &ImageName,
    code: u8,
) -> Result<OciLayouts, Failure> {
    if !settings.yes("layout", "CNB_USE_LAYOUT") {
        let what = if settings.yes("daemon", "CNB_USE_DAEMON") {
            "a Docker daemon (-daemon)"
        } else {
            "a registry"
        };
        let reason = format!(
            "images in {what} are not supported yet; use OCI layouts: -layout -layout-dir=<folder>, with CNB_PLATFORM_API=0.12 or later and CNB_EXPERIMENTAL_MODE=warn"
        );
        return Err(Failure::new(code, "access images", reason));
    }
    guard_experimental("export to OCI layout format", settings)?;
    let Some(dir) = settings.optional_path("layout-dir", "CNB_LAYOUT_DIR") else {
        let reason = "-layout-dir is required with -layout";
        return Err(Failure::new(INVALID_ARGS, "resolve inputs", reason));
    };
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = NonZeroUsize::new(cores.min(MOST_THREADS)).unwrap_or(NonZeroUsize::MIN);
    Ok(OciLayouts::new(&dir, new, threads))
}

/// Experimental features have to be asked for.
fn guard_experimental(feature: &str, settings: &Settings<'_>) -> Result<(), Failure> {
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

/// Opens the cache, if one is given.
pub(crate) fn open_cache(
    settings: &Settings<'_>,
    code: u8,
) -> Result<Option<VolumeCache>, Failure> {
    refuse_cache_image(settings, code)?;
    let Some(dir) = settings.optional_path("cache-dir", "CNB_CACHE_DIR") else {
        settings
            .output
            .warn("No cached data will be used, no cache specified.");
        return Ok(None);
    };
    let cache = VolumeCache::open(&dir);
    cache
        .map(Some)
        .map_err(|error| Failure::new(OTHER, "create volume cache", error))
}

/// A cache image is in a registry.
pub(crate) fn refuse_cache_image(settings: &Settings<'_>, code: u8) -> Result<(), Failure> {
    match settings.optional("cache-image", "CNB_CACHE_IMAGE") {
        None => Ok(()),
        Some(image) => {
            let reason = format!(
                "'{image}': cache images in a registry are not supported yet; use a folder: -cache-dir=<folder>"
            );
            Err(Failure::new(code, "create image cache", reason))
        }
    }
}

/// Reads names of images, which all have to be in the same registry.
pub(crate) fn same_registry(names: &[String]) -> Result<Vec<ImageName>, Failure> {
    let wrong = |reason: String| Failure::new(INVALID_ARGS, "resolve inputs", reason);
    let parsed: Result<Vec<ImageName>, _> = names.iter().map(|name| name.parse()).collect();
    let parsed =
        parsed.map_err(|error: lifecycle::image_name::ImageNameError| wrong(error.to_string()))?;
    let registries: Vec<&str> = parsed.iter().map(ImageName::registry).collect();
    if registries.windows(2).any(|pair| pair[0] != pair[1]) {
        let registries = registries.join(", ");
        return Err(wrong(format!(
            "writing to multiple registries is unsupported: {registries}"
        )));
    }
    Ok(parsed)
}
