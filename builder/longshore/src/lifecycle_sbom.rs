//! What the lifecycle's programs are made of: the files that stand beside them in a builder. The exporter copies them into the app's SBOM, the launcher's
//! into the image, so that `pack sbom download` shows what is started there, too (Platform specification 0.11, `-launcher-sbom`).

use buildpack_kit::sbom::{Component, cyclonedx};

/// The crates of each program, a line each, as `build.rs` found them: name and version.
const LAUNCHER: &str = include_str!(concat!(env!("OUT_DIR"), "/launcher.crates"));
const LIFECYCLE: &str = include_str!(concat!(env!("OUT_DIR"), "/lifecycle.crates"));
const LONGSHORE: &str = include_str!(concat!(env!("OUT_DIR"), "/longshore.crates"));

/// Which program is all phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phases {
    /// The one that has them and nothing else.
    Lifecycle,
    /// This one.
    Longshore,
}

/// The files' names and contents, in the names' order.
pub(crate) fn files(phases: Phases) -> [(&'static str, Vec<u8>); 2] {
    let phases = match phases {
        Phases::Lifecycle => LIFECYCLE,
        Phases::Longshore => LONGSHORE,
    };
    [
        ("launcher.sbom.cdx.json", document(LAUNCHER)),
        ("lifecycle.sbom.cdx.json", document(phases)),
    ]
}

fn document(crates: &str) -> Vec<u8> {
    let lines = crates.lines().filter_map(|line| line.split_once(' '));
    let components: Vec<Component> = lines
        .map(|(name, version)| Component {
            name: name.to_owned(),
            version: version.to_owned(),
            kind: format!("cargo/{name}"),
            url: None,
        })
        .collect();
    cyclonedx(&components)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(crates: &str) -> Vec<&str> {
        let lines = crates.lines();
        lines.map(|line| line.split(' ').next().unwrap()).collect()
    }

    #[test]
    fn crates_are_those_that_are_linked() {
        let (launcher, phases, all) = (names(LAUNCHER), names(LIFECYCLE), names(LONGSHORE));
        for (list, has, has_not) in [
            (&launcher, "cnb-spec", "registry"),
            (&phases, "registry", "debian"),
            (&all, "debian", "insta"),
        ] {
            assert!(list.contains(&has), "{has} in {list:?}");
            assert!(!list.contains(&has_not), "{has_not} in {list:?}");
            assert!(list.is_sorted(), "{list:?}");
        }
    }

    #[test]
    fn document_in_full() {
        let text = String::from_utf8(document("itoa 1.0.18\n")).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "bomFormat": "CycloneDX",
          "components": [
            {
              "bom-ref": "pkg:cargo/itoa@1.0.18",
              "name": "itoa",
              "purl": "pkg:cargo/itoa@1.0.18",
              "type": "library",
              "version": "1.0.18"
            }
          ],
          "specVersion": "1.5",
          "version": 1
        }
        "#);
    }
}
