//! `report.toml`, for the platform.

use cnb_spec::api::PlatformApi;
use cnb_spec::bom::{BomOwner, OwnedBomEntry};
use cnb_spec::build_toml::BuildToml;
use cnb_spec::report::{BuildReport, Report};

use super::{BuiltBuildpack, ExportError, ExportInputs};
use crate::files::{parse_toml, read_text_below, write_toml};
use crate::images::CommittedImage;
use crate::save::image_report;

pub(super) fn write_report(
    inputs: &ExportInputs,
    buildpacks: &[BuiltBuildpack],
    image: &CommittedImage,
) -> Result<(), ExportError> {
    let report = Report {
        image: image_report(&inputs.names, image),
        build: if has_bom(inputs.platform_api) {
            Some(build_report(inputs, buildpacks)?)
        } else {
            None
        },
    };
    Ok(write_toml(&inputs.report_path, &report)?)
}

/// The old bill of materials went to `sbom.legacy.json` with Platform API 0.9.
fn has_bom(api: PlatformApi) -> bool {
    !api.at_least(9)
}

fn build_report(
    inputs: &ExportInputs,
    buildpacks: &[BuiltBuildpack],
) -> Result<BuildReport, ExportError> {
    let mut bom = Vec::new();
    for BuiltBuildpack { element, .. } in buildpacks {
        let below = std::path::Path::new(&element.id.escaped()).join("build.toml");
        let Some(text) = read_text_below(&inputs.layers_dir, &below)? else {
            continue;
        };
        let file: BuildToml = parse_toml(&inputs.layers_dir.join(&below), &text)?;
        bom.extend(file.bom.into_iter().map(|entry| OwnedBomEntry {
            name: entry.name,
            metadata: entry.metadata,
            buildpack: BomOwner {
                id: element.id.clone(),
                version: element.version.clone(),
            },
        }));
    }
    Ok(BuildReport { bom })
}
