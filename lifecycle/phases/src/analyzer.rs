//! `analyzer`

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;

use cnb_spec::analyzed::Analyzed;
use cnb_spec::api::PlatformApi;
use cnb_spec::run_image::RunImage;
use oci_image::Reference;

use crate::failure::{Failure, INVALID_ARGS, OTHER};
use crate::flags::{self, Kind};
use crate::images::{Images, Opener, cache_reference, image_name, new_names};
use crate::privileges::become_user;
use crate::reach::{Asked, Reach, Rights};
use crate::settings::Settings;
use lifecycle::analyze::{AnalyzeInputs, analyze, choose_run_image};
use lifecycle::files::write_toml;
use lifecycle::image_name::ImageName;
use lifecycle::images::{ImageError, ImageStore};
use lifecycle::output::{Level, Output};

/// The exit code when the analysis fails.
const FAILED: u8 = 32;

pub(crate) fn flags(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let mut flags = vec![
        ("analyzed", Kind::Text),
        ("cache-image", Kind::Text),
        ("daemon", Kind::Bool),
        ("gid", Kind::Number),
        ("layers", Kind::Text),
        ("previous-image", Kind::Text),
        ("run-image", Kind::Text),
        ("tag", Kind::List),
        ("uid", Kind::Number),
    ];
    if api.at_least(9) {
        flags.extend([("launch-cache", Kind::Text), ("skip-layers", Kind::Bool)]);
    }
    flags.extend(flags::of_images(api));
    flags
}

pub(crate) fn run(settings: &Settings<'_>) -> Result<(), Failure> {
    let request = Request::read(settings)?;
    let rights = Rights::take(settings, request.asked())?;
    become_user(settings.user(), &settings.volumes())?;
    settings.check_launch_cache()?;
    let reach = rights.connect(settings)?;
    let images = Opener::new(settings, &reach).images(&request.new)?;
    analyze_and_note(settings, &request, &reach, &images).map(drop)
}

/// Which images are concerned.
#[derive(Debug)]
pub(crate) struct Request {
    /// The names of the image to be, its own first, as the platform wrote them.
    pub(crate) names: Vec<String>,
    /// The same, read.
    pub(crate) new: Vec<ImageName>,
    cache: Option<String>,
    previous: String,
    /// The run image that was named.
    run_image: Option<String>,
    /// That one, or those of which one will be chosen.
    run_images: Vec<String>,
}

impl Request {
    pub(crate) fn read(settings: &Settings<'_>) -> Result<Self, Failure> {
        let [image] = settings.positionals() else {
            let count = settings.positionals().len();
            let reason = format!("received {count} arguments, but expected 1");
            return Err(Failure::new(INVALID_ARGS, "parse arguments", reason));
        };
        if image.is_empty() {
            let reason = "image argument is required";
            return Err(Failure::new(INVALID_ARGS, "resolve inputs", reason));
        }
        let mut names = vec![image.clone()];
        names.extend(settings.list("tag"));
        let new = new_names(&names, settings)?;
        let previous = settings.text("previous-image", "CNB_PREVIOUS_IMAGE", image);
        image_name(&previous)?;
        let run_image = settings.optional("run-image", "CNB_RUN_IMAGE");
        run_image.as_deref().map(image_name).transpose()?;
        let cache = cache_reference(settings)?.map(|cache| cache.to_string());
        settings.warn_of_launch_cache();
        Ok(Self {
            new,
            cache,
            previous,
            run_images: match &run_image {
                Some(named) => vec![named.clone()],
                None => candidates(settings),
            },
            run_image,
            names,
        })
    }

    /// All images whose credentials may be needed.
    pub(crate) fn asked(&self) -> Asked {
        let previous = vec![self.previous.clone()];
        Asked {
            in_place: [self.names.clone(), previous, self.run_images.clone()].concat(),
            in_registries: self.cache.iter().cloned().collect(),
        }
    }
}

/// Analyzes, and writes `analyzed.toml`.
pub(crate) fn analyze_and_note(
    settings: &Settings<'_>,
    request: &Request,
    reach: &Reach,
    images: &Images,
) -> Result<Analyzed, Failure> {
    let inputs = inputs(settings, request, images)?;
    check_access(&inputs, &request.new, settings, reach, images)?;
    let analyzed = analyze(&inputs, images.store(), &settings.output);
    let analyzed = analyzed.map_err(|error| Failure::new(FAILED, "analyze", error))?;
    let path = settings.analyzed_path();
    write_toml(&path, &analyzed)
        .map_err(|error| Failure::new(OTHER, "write analyzed metadata", error))?;
    Ok(analyzed)
}

/// The run images of which one will be chosen.
fn candidates(settings: &Settings<'_>) -> Vec<String> {
    // What is wrong with the file is said when it is read again to choose.
    let quiet = Output::new(Level::Error, |_, _| {});
    let images = settings.run_image_file().images(&quiet).unwrap_or_default();
    let names = images.first().into_iter().flat_map(RunImage::names);
    names.map(str::to_owned).collect()
}

fn inputs(
    settings: &Settings<'_>,
    request: &Request,
    images: &Images,
) -> Result<AnalyzeInputs, Failure> {
    let run_image = match &request.run_image {
        Some(named) => named.clone(),
        None => choose(settings, &request.new[0], images)?,
    };
    image_name(&run_image)?;
    Ok(AnalyzeInputs {
        previous_image: request.previous.clone(),
        run_image,
        layers_dir: settings.layers_dir(),
        restores_sbom: settings.api.at_least(8) && !settings.skips_layers(),
        records_target: settings.api.at_least(12),
    })
}

/// Chooses the run image. Only registries are asked whether they have it: in a layout or a daemon, it may still come.
fn choose(settings: &Settings<'_>, name: &ImageName, images: &Images) -> Result<String, Failure> {
    let reasons = RefCell::new(BTreeMap::new());
    let accessible = |candidate: &str| {
        let Images::Registry(registry) = images else {
            return true;
        };
        let reason = match registry.open(candidate) {
            Ok(Some(_)) => return true,
            Ok(None) => "the registry does not have it".to_owned(),
            Err(error) => error.to_string(),
        };
        reasons.borrow_mut().insert(candidate.to_owned(), reason);
        false
    };
    let file = settings.run_image_file();
    let chosen = choose_run_image(&file, name, accessible, &settings.output);
    chosen.map_err(|error| {
        let reasons = reasons.into_inner().into_iter();
        let reasons = reasons.map(|(candidate, reason)| format!("\n{candidate}: {reason}"));
        let text = format!("{error}{}", reasons.collect::<String>());
        Failure::new(INVALID_ARGS, "resolve inputs", text)
    })
}

/// Makes sure that the registries will not refuse what the build is made for: after it, it would be late to hear so.
fn check_access(
    inputs: &AnalyzeInputs,
    new: &[ImageName],
    settings: &Settings<'_>,
    reach: &Reach,
    images: &Images,
) -> Result<(), Failure> {
    let refused = |what: &str, access: &str, image: &dyn Display, error: &dyn Display| {
        let reason = format!(
            "validating registry {what} access: failed to ensure registry {access} access to {image}: {error}"
        );
        Failure::new(FAILED, "initialize analyzer", reason)
    };
    let mut written: Vec<Reference> = cache_reference(settings)?.into_iter().collect();
    if let Images::Registry(registry) = images {
        for image in [&inputs.previous_image, &inputs.run_image] {
            let readable = registry.check_read(image);
            readable.map_err(|error| refused("read", "read", image, &ImageError::new(error)))?;
        }
        written.extend(new.iter().map(|name| name.reference().clone()));
    }
    for (at, image) in written.iter().enumerate() {
        // Rights are a repository's.
        if written[..at].iter().any(|before| before.is_beside(image)) {
            continue;
        }
        let writable = reach.registry.check_push(image);
        writable.map_err(|error| refused("write", "read/write", image, &ImageError::new(error)))?;
    }
    Ok(())
}
