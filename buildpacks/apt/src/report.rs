//! What the log and the image say about the packages: each with the reason why it is there.

use buildpack_kit::Output;
use debian::solve::{Field, Planned, Reason, Resolution};

use crate::list::PackageList;
use crate::metadata::{InLayer, Metadata};

/// The label in which the image says what it holds.
pub(crate) const LABEL: &str = "io.longshore.apt";

/// The packages as the layer remembers them, sorted by name.
pub(crate) fn in_layer(resolution: &Resolution, list: &PackageList) -> Vec<InLayer> {
    let mut packages: Vec<InLayer> = resolution
        .packages
        .iter()
        .map(|planned| InLayer {
            name: planned.package.name.to_string(),
            version: planned.package.version.to_string(),
            architecture: planned.package.architecture.to_string(),
            sha256: planned.package.file.sha256.to_string(),
            reason: reason(planned, list),
        })
        .collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    packages
}

fn reason(planned: &Planned, list: &PackageList) -> String {
    match &planned.reason {
        Reason::Requested(_) | Reason::Installed => {
            list.place_of(planned.package.name.as_str()).map_or_else(
                // A virtual name was asked for, and this package provides it.
                || "asked for".to_owned(),
                |place| format!("asked for in {place}"),
            )
        }
        Reason::Needed {
            by,
            field: Field::Recommends,
            ..
        } => format!("recommended by {by}"),
        Reason::Needed {
            by,
            field: Field::Depends | Field::PreDepends,
            ..
        } => format!("needed by {by}"),
    }
}

/// One line a package.
pub(crate) fn table(packages: &[InLayer], output: &mut Output) {
    let width = |text: fn(&InLayer) -> &str| {
        packages
            .iter()
            .map(|package| text(package).len())
            .max()
            .unwrap_or_default()
    };
    let (names, versions) = (
        width(|package| &package.name),
        width(|package| &package.version),
    );
    for InLayer {
        name,
        version,
        reason,
        ..
    } in packages
    {
        output.line(format!("  {name:names$}  {version:versions$}  {reason}"));
    }
}

/// What the resolution says besides the packages themselves.
pub(crate) fn remarks(resolution: &Resolution, list: &PackageList, output: &mut Output) {
    for notice in &resolution.notices {
        output.notice(notice);
    }
    let asked = |name: &str| list.place_of(name).is_some();
    let present: Vec<&str> = resolution
        .present
        .iter()
        .map(debian::name::PackageName::as_str)
        .filter(|name| asked(name))
        .collect();
    if !present.is_empty() {
        output.line(format!("Already in the run image: {}", present.join(", ")));
    }
    for planned in resolution
        .packages
        .iter()
        .filter(|planned| planned.replaces.is_some())
    {
        let old = planned
            .replaces
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        output.notice(format!(
            "{} {} is used in the place of the run image's {old}, for the app only",
            planned.package.name, planned.package.version
        ));
    }
    if list
        .entries()
        .iter()
        .any(|entry| entry.request.name().as_str().starts_with("python3-"))
    {
        output.notice("Debian's Python modules (python3-…) are for Debian's own Python; the app's Python sees what is in requirements.txt");
    }
}

/// What unpacking alone could not do.
pub(crate) fn left_undone(lines: &[String], output: &mut Output) {
    if lines.is_empty() {
        return;
    }
    output.line("Packages are unpacked, not configured: their maintainer scripts do not run. What that leaves out:");
    for line in lines {
        output.line(format!("  {line}"));
    }
}

/// The label's value.
pub(crate) fn label(metadata: &Metadata) -> String {
    let Metadata {
        inputs,
        packages,
        left_undone: _,
    } = metadata;
    let packages: serde_json::Map<_, _> = packages
        .iter()
        .map(|package| (package.name.clone(), package.version.clone().into()))
        .collect();
    serde_json::json!({ "suite": inputs.suite, "requested": inputs.requests, "packages": packages })
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Inputs;

    fn package(name: &str, version: &str, reason: &str) -> InLayer {
        InLayer {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            sha256: "00".into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn table_columns() {
        let mut output = Output::captured();
        let packages = [
            package(
                "libqrencode4",
                "4.1.1-2",
                "asked for in line 1 of 'apt-packages'",
            ),
            package("x1", "1", "needed by libqrencode4"),
        ];
        table(&packages, &mut output);
        assert_eq!(
            output.text(),
            "  libqrencode4  4.1.1-2  asked for in line 1 of 'apt-packages'\n  x1            1        needed by libqrencode4\n"
        );
    }

    #[test]
    fn label_is_sorted_json() {
        let metadata = Metadata {
            inputs: Inputs {
                layout: 1,
                suite: "trixie".into(),
                components: vec![],
                run_image: String::new(),
                requests: vec!["b".into()],
            },
            packages: vec![package("a", "1", ""), package("b", "2", "")],
            left_undone: Vec::new(),
        };
        assert_eq!(
            label(&metadata),
            r#"{"packages":{"a":"1","b":"2"},"requested":["b"],"suite":"trixie"}"#
        );
    }
}
