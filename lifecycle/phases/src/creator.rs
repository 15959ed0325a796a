//! `creator`: all phases in one program, for builders that the platform trusts with its credentials. Buildpacks run as the CNB user, which the program
//! becomes once it has read what only root may read.

use cnb_spec::api::PlatformApi;

use crate::analyzer::{Request, analyze_and_note};
use crate::builder::build_all;
use crate::detector::detect_and_note;
use crate::exporter::export_image;
use crate::failure::Failure;
use crate::flags::Kind;
use crate::images::Opener;
use crate::passwd;
use crate::privileges::become_user;
use crate::reach::Rights;
use crate::restorer::restore_layers;
use crate::settings::Settings;

/// The exit code when the order cannot be used.
const NOT_DETECTED: u8 = 22;

pub(crate) fn flags(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let mut flags = vec![
        ("app", Kind::Text),
        ("buildpacks", Kind::Text),
        ("cache-dir", Kind::Text),
        ("cache-image", Kind::Text),
        ("daemon", Kind::Bool),
        ("gid", Kind::Number),
        ("launch-cache", Kind::Text),
        ("launcher", Kind::Text),
        ("layers", Kind::Text),
        ("order", Kind::Text),
        ("parallel", Kind::Bool),
        ("platform", Kind::Text),
        ("previous-image", Kind::Text),
        ("process-type", Kind::Text),
        ("project-metadata", Kind::Text),
        ("report", Kind::Text),
        ("run-image", Kind::Text),
        ("skip-restore", Kind::Bool),
        ("stack", Kind::Text),
        ("tag", Kind::List),
        ("uid", Kind::Number),
    ];
    if api.at_least(11) {
        flags.extend([("build-config", Kind::Text), ("launcher-sbom", Kind::Text)]);
    }
    if api.at_least(12) {
        flags.extend([
            ("layout", Kind::Bool),
            ("layout-dir", Kind::Text),
            ("run", Kind::Text),
        ]);
    }
    if api.at_least(13) {
        flags.push(("insecure-registry", Kind::List));
    }
    if api.at_least(15) {
        flags.push(("system", Kind::Text));
    }
    flags
}

pub(crate) fn run(settings: &Settings<'_>) -> Result<(), Failure> {
    let request = Request::read(settings)?;
    let rights = Rights::take(settings, request.asked())?;
    let user = settings.user();
    become_user(user, &settings.volumes())?;
    settings.check_launch_cache()?;
    let reach = rights.connect(settings)?;
    let opener = Opener::new(settings, &reach);
    let images = opener.images(&request.new)?;
    let cache = opener.cache(request.new.first())?;
    // Buildpacks find the home of the user that they run as, not root's.
    let environment = passwd::environment_of(user.uid, settings.environment());
    let heading = |phase: &str| settings.output.info(format_args!("===> {phase}"));

    heading("ANALYZING");
    let analyzed = analyze_and_note(settings, &request, &reach, &images)?;
    heading("DETECTING");
    let group = detect_and_note(settings, environment.clone())?.group;
    if !group.group_extensions.is_empty() {
        let reason = "detected order contains extensions which is not supported by the creator";
        return Err(Failure::new(NOT_DETECTED, "detect", reason));
    }
    // Since Platform API 0.10 `store.toml` comes back although layers do not.
    if !settings.skips_layers() || settings.api.at_least(10) {
        heading("RESTORING");
        let metadata = analyzed.metadata.clone();
        restore_layers(settings, group.clone(), metadata, cache.as_deref())?;
    }
    heading("BUILDING");
    build_all(settings, environment)?;
    heading("EXPORTING");
    export_image(
        settings,
        &request.names,
        group,
        analyzed,
        &images,
        cache.as_deref(),
    )
}
