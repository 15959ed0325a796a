//! May this run image take the place of the old one?
//!
//! An app that was built with Platform API 0.12 or later says its target; an earlier one belongs to a stack, of which some "mixins" may be needed.

use cnb_spec::api::PlatformApi;
use cnb_spec::labels::{REBASABLE, STACK_ID, STACK_MIXINS};
use cnb_spec::target::ImageTarget;
use std::collections::BTreeSet;

use super::RebaseInputs;
use crate::images::OpenedImage;
use crate::output::Output;

/// Says what stands against it, once forced as a warning.
pub(super) fn check(
    inputs: &RebaseInputs,
    app: &OpenedImage,
    run_image: &OpenedImage,
    output: &Output,
) -> Result<(), IncompatibleError> {
    let built_with = app.image.config().config.env_value("CNB_PLATFORM_API");
    let built_with = built_with.and_then(|api| api.parse::<PlatformApi>().ok());
    if built_with.is_none_or(|api| !api.at_least(12)) {
        check_stack(app, run_image)?;
        return check_mixins(app, run_image);
    }
    let found = [check_rebasable(app), check_target(app, run_image)];
    for error in found.into_iter().filter_map(Result::err) {
        if !inputs.force {
            return Err(error);
        }
        output.warn(error.without_advice());
    }
    Ok(())
}

fn check_stack(app: &OpenedImage, run_image: &OpenedImage) -> Result<(), IncompatibleError> {
    let stack = |image: &OpenedImage, which| match image.label(STACK_ID) {
        None | Some("") => Err(IncompatibleError::NoStack { which }),
        Some(stack) => Ok(stack.to_owned()),
    };
    let old = stack(app, "app image")?;
    let new = stack(run_image, "new base image")?;
    if old == new {
        return Ok(());
    }
    Err(IncompatibleError::Stack { new, old })
}

fn check_mixins(app: &OpenedImage, run_image: &OpenedImage) -> Result<(), IncompatibleError> {
    let wanted = mixins(app, "app image")?;
    let there = mixins(run_image, "new base image")?;
    let missing: Vec<String> = wanted.difference(&there).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(IncompatibleError::Mixins { missing })
}

/// Without the `build:` and `run:` that say where a mixin is needed.
fn mixins(image: &OpenedImage, which: &'static str) -> Result<BTreeSet<String>, IncompatibleError> {
    let text = image.label(STACK_MIXINS).filter(|text| !text.is_empty());
    let mixins: Option<Vec<String>> =
        serde_json::from_str(text.unwrap_or("null")).map_err(|error| {
            IncompatibleError::MixinsLabel {
                which,
                reason: error.to_string(),
            }
        })?;
    let bare = |mixin: String| match mixin.split_once(':') {
        Some((_, bare)) => bare.to_owned(),
        None => mixin,
    };
    Ok(mixins.unwrap_or_default().into_iter().map(bare).collect())
}

fn check_rebasable(app: &OpenedImage) -> Result<(), IncompatibleError> {
    match app.label(REBASABLE) {
        Some("false") => Err(IncompatibleError::NotRebasable),
        _ => Ok(()),
    }
}

fn check_target(app: &OpenedImage, run_image: &OpenedImage) -> Result<(), IncompatibleError> {
    let (old, new) = (app.target(), run_image.target());
    if satisfies(&new, &old) {
        return Ok(());
    }
    let json = |target| serde_json::to_string(target).expect("a target's keys are texts");
    let (new, old) = (json(&new), json(&old));
    Err(IncompatibleError::Target { new, old })
}

/// What an image does not say matches; a distribution that the new base names has to be the old one.
fn satisfies(new: &ImageTarget, old: &ImageTarget) -> bool {
    let either_empty = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
    let distribution = match (&new.distro, &old.distro) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(new), Some(old)) => {
            (new.name.is_empty() || new.name == old.name)
                && (new.version.is_empty() || new.version == old.version)
        }
    };
    new.os == old.os
        && new.arch == old.arch
        && either_empty(&new.arch_variant, &old.arch_variant)
        && distribution
}

/// Why a run image cannot take the place of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncompatibleError {
    /// Before Platform API 0.12 an image belongs to a stack.
    #[error("stack not defined on {which}")]
    NoStack {
        /// Which image.
        which: &'static str,
    },
    /// Another stack.
    #[error("incompatible stack: '{new}' is not compatible with '{old}'")]
    Stack {
        /// The new base's.
        new: String,
        /// The app's.
        old: String,
    },
    /// Not all mixins that the app was built with.
    #[error("missing required mixin(s): {}", missing.join(", "))]
    Mixins {
        /// Which ones.
        missing: Vec<String>,
    },
    /// The label with the mixins.
    #[error("the label '{STACK_MIXINS}' of the {which} is not a list of texts: {reason}")]
    MixinsLabel {
        /// Which image.
        which: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The app image says that it cannot be rebased.
    #[error("app image is not marked as rebasable; please provide -force to override")]
    NotRebasable,
    /// Another operating system, processor or distribution.
    #[error(
        "unable to satisfy target os/arch constraints; new run image: {new}, old run image: {old}; please provide -force to override"
    )]
    Target {
        /// The new base's, as JSON.
        new: String,
        /// The app's, as JSON.
        old: String,
    },
    /// The new run image is not among those that the app image names.
    #[error(
        "rebase app image: new base image '{new}' not found in existing run image metadata: {known}; please provide -force to override"
    )]
    NotListed {
        /// The new base's name.
        new: String,
        /// What the label names, as JSON.
        known: String,
    },
}

impl IncompatibleError {
    /// The message for somebody who has forced it already.
    pub(super) fn without_advice(&self) -> String {
        let text = self.to_string();
        let bare = text.strip_suffix("; please provide -force to override");
        bare.map_or(text.clone(), str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cnb_spec::target::Distro;

    #[test]
    fn satisfies_cases() {
        let target = |os: &str, arch_variant: &str, distro: Option<(&str, &str)>| ImageTarget {
            os: os.into(),
            arch: "amd64".into(),
            arch_variant: arch_variant.into(),
            distro: distro.map(|(name, version)| Distro {
                name: name.into(),
                version: version.into(),
            }),
            ..ImageTarget::default()
        };
        let debian = target("linux", "", Some(("debian", "13")));
        for (new, old, expected) in [
            (&debian, &debian, true),
            (&target("linux", "v2", None), &debian, true),
            (&debian, &target("linux", "", None), false),
            (&target("linux", "", Some(("debian", ""))), &debian, true),
            (&target("linux", "", Some(("debian", "14"))), &debian, false),
            (&target("windows", "", None), &debian, false),
            (
                &target("linux", "v7", None),
                &target("linux", "v8", None),
                false,
            ),
        ] {
            assert_eq!(satisfies(new, old), expected, "{new:?} {old:?}");
        }
    }
}
