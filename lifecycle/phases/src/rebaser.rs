//! `rebaser`

use std::cell::RefCell;
use std::fmt::Display;

use cnb_spec::api::PlatformApi;
use cnb_spec::report::Report;

use crate::failure::{Failure, INVALID_ARGS, OTHER};
use crate::flags::Kind;
use crate::images::{Images, Opener, image_name, new_names};
use crate::privileges::become_user;
use crate::reach::{Asked, Place, Rights};
use crate::settings::Settings;
use lifecycle::analyze::choose_mirror;
use lifecycle::files::write_toml;
use lifecycle::image_name::ImageName;
use lifecycle::images::{ImageError, OpenedImage};
use lifecycle::rebase::{RebaseError, RebaseInputs, rebase, run_image_of};
use lifecycle::save::{image_report, save};

/// The exit code when the rebase fails.
const FAILED: u8 = 72;

pub(crate) fn flags(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let mut flags = vec![
        ("daemon", Kind::Bool),
        ("gid", Kind::Number),
        // The old name of -run-image.
        ("image", Kind::Text),
        ("report", Kind::Text),
        ("run-image", Kind::Text),
        ("uid", Kind::Number),
    ];
    if api.at_least(11) {
        flags.push(("previous-image", Kind::Text));
    }
    if api.at_least(12) {
        flags.push(("force", Kind::Bool));
    }
    if api.at_least(13) {
        flags.push(("insecure-registry", Kind::List));
    }
    flags
}

pub(crate) fn run(settings: &Settings<'_>) -> Result<(), Failure> {
    let request = Request::read(settings)?;
    let candidates = request.run_images(settings)?;
    let rights = Rights::take(settings, request.asked(candidates))?;
    become_user(settings.user(), &[])?;
    let reach = rights.connect(settings)?;
    let images = Opener::new(settings, &reach).images(&request.new)?;
    let output = &settings.output;

    let app = open_app(&request, &images)?;
    let run_image = match &request.run_image {
        Some(named) => named.clone(),
        None => choose(&request, &app, settings.api, &images)?,
    };
    let base = open(&run_image, &images);
    let base = base.map_err(|error| Failure::new(OTHER, "access run image", error))?;
    let inputs = RebaseInputs {
        platform_api: settings.api,
        run_image,
        force: settings.api.at_least(12) && settings.yes("force", "CNB_FORCE_REBASE"),
    };
    let failed = |error: &dyn Display| Failure::new(FAILED, "rebase", error);
    let rebased = rebase(&inputs, &app, &base, output).map_err(|error| failed(&error))?;
    let committed = save(images.store(), &request.names, &rebased, output);
    let committed = committed.map_err(|error| failed(&format_args!("saving image: {error}")))?;
    let report = Report {
        image: image_report(&request.names, &committed),
        build: None,
    };
    let path = settings.layers_file("report", "CNB_REPORT_PATH", "report.toml");
    write_toml(&path, &report).map_err(|error| Failure::new(FAILED, "write rebase report", error))
}

/// Which images are concerned.
#[derive(Debug)]
struct Request {
    /// The names of the image to be, its own first, as the platform wrote them.
    names: Vec<String>,
    /// The same, read.
    new: Vec<ImageName>,
    /// The image that is rebased.
    app: String,
    /// The run image that was named.
    run_image: Option<String>,
}

impl Request {
    fn read(settings: &Settings<'_>) -> Result<Self, Failure> {
        let names = settings.positionals().to_vec();
        if names.iter().all(String::is_empty) {
            let reason = "at least one image argument is required";
            return Err(Failure::new(INVALID_ARGS, "parse arguments", reason));
        }
        let new = new_names(&names, settings)?;
        let app = if settings.api.at_least(11) {
            settings.text("previous-image", "CNB_PREVIOUS_IMAGE", &names[0])
        } else {
            names[0].clone()
        };
        image_name(&app)?;
        let run_image = match (
            settings.optional("run-image", "CNB_RUN_IMAGE"),
            settings.optional("image", ""),
        ) {
            (Some(_), Some(_)) => {
                let reason = "supply only one of -run-image and -image, its old name";
                return Err(Failure::new(INVALID_ARGS, "resolve inputs", reason));
            }
            (run_image, old) => run_image.or(old),
        };
        run_image.as_deref().map(image_name).transpose()?;
        Ok(Self {
            names,
            new,
            app,
            run_image,
        })
    }

    /// All images whose credentials may be needed.
    fn asked(&self, run_images: Vec<String>) -> Asked {
        Asked {
            in_place: [self.names.clone(), vec![self.app.clone()], run_images].concat(),
            ..Asked::default()
        }
    }

    /// The run images of which one will be the new base. In a registry the image itself has to be asked, with root's rights: the credentials for what it
    /// names are read before they are given up.
    fn run_images(&self, settings: &Settings<'_>) -> Result<Vec<String>, Failure> {
        if let Some(named) = &self.run_image {
            return Ok(vec![named.clone()]);
        }
        if Place::of(settings)? != Place::Registry {
            return Ok(Vec::new());
        }
        let reach = Rights::take(settings, self.asked(Vec::new()))?.connect(settings)?;
        let images = Opener::new(settings, &reach).images(&self.new)?;
        let app = open_app(self, &images)?;
        let known = run_image_of(&app, settings.api).map_err(|error| no_run_image(&error))?;
        Ok(known.names().map(str::to_owned).collect())
    }
}

fn open_app(request: &Request, images: &Images) -> Result<OpenedImage, Failure> {
    open(&request.app, images).map_err(|error| {
        let reason = format!("failed to access image to rebase: {error}");
        Failure::new(FAILED, "set app image", reason)
    })
}

fn open(name: &str, images: &Images) -> Result<OpenedImage, ImageError> {
    let found = images.store().open(name)?;
    found.ok_or_else(|| ImageError::new(format!("image '{name}' not found")))
}

/// The run image that the app image names, or one of its mirrors: one in the app's registry rather than another, but one that is there.
fn choose(
    request: &Request,
    app: &OpenedImage,
    api: PlatformApi,
    images: &Images,
) -> Result<String, Failure> {
    let known = run_image_of(app, api).map_err(|error| no_run_image(&error))?;
    let near = image_name(&request.app)?;
    let reasons = RefCell::new(Vec::new());
    let accessible = |name: &str| {
        let found = open(name, images);
        if let Err(error) = &found {
            reasons.borrow_mut().push(format!("\n{name}: {error}"));
        }
        found.is_ok()
    };
    choose_mirror(&known, &near, accessible).map_err(|error| {
        let reason = format!("{error}{}", reasons.borrow().concat());
        Failure::new(FAILED, "set app image", reason)
    })
}

fn no_run_image(error: &RebaseError) -> Failure {
    match error {
        RebaseError::NoRunImage => Failure::new(FAILED, "set app image", error),
        _ => Failure::new(FAILED, "rebase", error),
    }
}
