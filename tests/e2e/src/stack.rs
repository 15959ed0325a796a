//! Base images in a registry, as an operator puts them there.

use std::path::Path;

use crate::program::Longshore;
use crate::registry::Registry;

/// Makes our builder for a run image, and puts it where the last words say: `--output` or `--publish`, and a name.
pub fn create_builder(longshore: &Longshore, run_image: &str, destination: [&str; 2]) {
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../builder/builder.toml");
    let definition = definition.to_str().expect("the repository's path is UTF-8");
    let words = ["builder", "create", definition, "--run-image", run_image];
    let said = longshore.run(&[&words[..], &destination].concat());
    said.assert_code(0);
}

/// Publishes our stack; gives the names of the build and the run image.
pub fn publish(longshore: &Longshore, registry: &Registry) -> (String, String) {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stacks/trixie");
    let stack = stack.to_str().expect("the repository's path is UTF-8");
    let base = format!("{}/base/trixie", registry.host());
    let name = format!("{base}:13");
    let mut words = vec!["stack", "create", stack, "--publish", &name];
    let authority = registry.authority_file();
    if let Some(file) = &authority {
        words.extend(["--ca-cert", file]);
    }
    let said = longshore.run(&words);
    said.assert_code(0);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", said.stdout);
    let first = format!("{base}-build@sha256:");
    assert!(lines[0].starts_with(&first), "{lines:?}");
    (format!("{base}-build:13"), format!("{base}-run:13"))
}
