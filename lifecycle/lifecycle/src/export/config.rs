//! The image's configuration: the run image's own, with what the launcher needs and what platforms read.

use std::collections::BTreeMap;

use cnb_spec::labels::{
    BUILD_METADATA, BuildMetadataLabel, EXEC_ENV, LIFECYCLE_METADATA, LayersMetadata,
    PROJECT_METADATA,
};
use cnb_spec::metadata::BuildMetadata;
use cnb_spec::project::ProjectMetadata;
use oci_image::{ContainerConfig, History, Image};

use super::write::ExportedLayer;
use super::{ExportError, ExportInputs};
use crate::images::OpenedImage;

/// 1980-01-01T00:00:01Z, the time of every image that is not told another.
const CREATED: u64 = 315_532_801;

/// The process that the image starts: the platform's choice, else the buildpacks'.
pub(super) fn default_process(
    inputs: &ExportInputs,
    metadata: &BuildMetadata,
) -> Result<Option<String>, ExportError> {
    let types = metadata.processes.iter();
    let present: Vec<String> = types
        .map(|process| process.process_type.to_string())
        .collect();
    match &inputs.default_process_type {
        Some(asked) if present.contains(asked) => Ok(Some(asked.clone())),
        Some(asked) => Err(ExportError::NoSuchProcess {
            asked: asked.clone(),
            present,
        }),
        None => {
            let default = Some(metadata.buildpack_default_process_type.clone());
            Ok(default.filter(|name| present.contains(name)))
        }
    }
}

/// The image.
pub(super) fn image(
    inputs: &ExportInputs,
    run_image: &OpenedImage,
    layers: &[ExportedLayer],
    default_process: Option<&str>,
    labels: BTreeMap<String, String>,
) -> Image {
    let created = rfc3339(inputs.created.unwrap_or(CREATED));
    // Earlier Platform APIs have no history: entries that say nothing.
    let tells = inputs.platform_api.at_least(12);
    let base = run_image.image.clone().with_config(|config| {
        config.created = Some(created.clone());
        // The reference implementation gives all entries the time of the image.
        config.history = if tells {
            let entries = config.history_of_layers().into_iter();
            entries.map(|entry| entry_of(entry, &created)).collect()
        } else {
            vec![blank(&created); config.rootfs.diff_ids.len()]
        };
        set_container(&mut config.config, inputs, default_process);
        config.config.labels.extend(labels);
    });
    layers.iter().fold(base, |image, layer| {
        let history = History {
            created_by: tells.then(|| layer.history.clone()),
            ..blank(&created)
        };
        image.with_layer(layer.blob.clone(), history)
    })
}

fn set_container(
    container: &mut ContainerConfig,
    inputs: &ExportInputs,
    default_process: Option<&str>,
) {
    let app_dir = inputs.app_dir_in_image.to_string_lossy().into_owned();
    let layers_dir = inputs.layers_dir_in_image.to_string_lossy();
    container.set_env("CNB_LAYERS_DIR", &layers_dir);
    container.set_env("CNB_APP_DIR", &app_dir);
    container.set_env("CNB_PLATFORM_API", &inputs.platform_api.to_string());
    container.set_env("CNB_DEPRECATION_MODE", "quiet");
    let path = match container.env_value("PATH") {
        // An empty part would stand for the working folder.
        None | Some("") => "/cnb/process:/cnb/lifecycle".to_owned(),
        Some(path) => format!("/cnb/process:/cnb/lifecycle:{path}"),
    };
    container.set_env("PATH", &path);
    container.working_dir = app_dir;
    container.cmd.clear();
    let entrypoint = match default_process {
        Some(process) => format!("/cnb/process/{process}"),
        None => "/cnb/lifecycle/launcher".to_owned(),
    };
    container.entrypoint = vec![entrypoint];
}

fn blank(created: &str) -> History {
    entry_of(History::default(), created)
}

fn entry_of(entry: History, created: &str) -> History {
    History {
        created: Some(created.to_owned()),
        ..entry
    }
}

/// The labels that this build adds. A buildpack's own cannot take the place of the lifecycle's.
pub(super) fn labels(
    inputs: &ExportInputs,
    metadata: &BuildMetadata,
    layers: &LayersMetadata,
    project: &ProjectMetadata,
) -> BTreeMap<String, String> {
    let bom = (!inputs.platform_api.at_least(9)).then_some(metadata.bom.as_slice());
    let build = BuildMetadataLabel::new(metadata, inputs.launcher.clone(), bom);
    let json = |value: serde_json::Result<String>| value.expect("these types have text keys only");
    let own = metadata.labels.iter();
    // Of several with one key the last wins; the platform's own win over all of them.
    let own = own.map(|label| (label.key.clone(), label.value.clone()));
    let mut labels: BTreeMap<String, String> = own.collect();
    labels.extend(inputs.labels.clone());
    let mut set = |name: &str, value: String| labels.insert(name.to_owned(), value);
    set(LIFECYCLE_METADATA, json(serde_json::to_string(layers)));
    set(BUILD_METADATA, json(serde_json::to_string(&build)));
    set(PROJECT_METADATA, project.label());
    if inputs.platform_api.at_least(15) {
        set(EXEC_ENV, inputs.exec_env.clone());
    }
    labels
}

/// Seconds since 1970 as RFC 3339 in UTC, by Howard Hinnant's civil-from-days.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (CREATED, "1980-01-01T00:00:01Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_795_219_200, "2026-11-21T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
