//! Makes a test of every file below `fixtures/`, so that cargo names, filters, counts and runs them side by side as it does others.

#![expect(
    clippy::print_stdout,
    reason = "cargo reads a build script's standard output"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

fn main() {
    println!("cargo::rerun-if-changed=fixtures");
    let mut areas: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in WalkDir::new("fixtures").min_depth(2).sort_by_file_name() {
        let path = entry.expect("the fixtures can be listed").into_path();
        let area = path.parent().and_then(Path::file_name);
        let area = area.expect("a fixture is in a folder").to_string_lossy();
        let name = path.file_stem().expect("a file has a name");
        let name = name.to_string_lossy().into_owned();
        areas.entry(area.into_owned()).or_default().push(name);
    }
    let mut text = String::new();
    for (area, names) in areas {
        writeln!(text, "mod {area} {{").expect("text grows");
        for name in names {
            let function = name.replace('-', "_");
            writeln!(
                text,
                "    #[test]\n    fn {function}() {{ differential::check(\"{area}/{name}\"); }}"
            )
            .expect("text grows");
        }
        text.push_str("}\n");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names it"));
    std::fs::write(out.join("tests.rs"), text).expect("cargo's folder can be written");
}
