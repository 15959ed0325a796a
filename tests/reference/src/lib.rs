//! Differential tests: our lifecycle and the reference implementation do the same work, and what they leave behind is compared.
//!
//! ```text
//! fixtures/<area>/<name>.toml   the work: buildpacks in bash, files, steps            fixture.rs
//! a world for each lifecycle    the same paths, user, network and programs            world.rs, base.rs
//! a daemon for each, where it asks for one      at the same path, and with the same images     docker.rs
//! a snapshot after each step    exit code, lines, files as values, images             snapshot.rs, image.rs
//! differences.toml              what we mean to do otherwise, and why                 meant.rs
//! ```
//!
//! A test fails when something differs that is not in the table, and when the table names something that does not differ.

mod base;
mod compare;
mod docker;
mod fixture;
mod image;
mod lines;
mod meant;
mod programs;
mod snapshot;
mod world;

use std::fmt::Write;

use compare::{Difference, differences};
use docker::Docker;
use fixture::{Case, Step};
use meant::Table;
use programs::{Lifecycle, Programs};
use world::World;

/// Runs the fixture `fixtures/<name>.toml` with both lifecycles.
pub fn check(name: &str) {
    let Some(programs) = Programs::find() else {
        return;
    };
    let mut table = Table::of(name);
    let cases = Case::all(name);
    let dockers = match cases.iter().any(|case| case.daemon).then(Docker::start_two) {
        None => [None, None],
        Some(Some(started)) => started.map(Some),
        Some(None) => return,
    };
    let mut found = String::new();
    for case in cases {
        for (step, difference) in run(&case, &programs, dockers.each_ref().map(Option::as_ref)) {
            if table.means(&step.title(), &difference) {
                continue;
            }
            writeln!(found, "{}: {}\n{difference}", case.varied, step.title()).expect("text grows");
        }
    }
    for entry in table.unneeded() {
        writeln!(
            found,
            "differences.toml names what does not differ: {entry}"
        )
        .expect("text grows");
    }
    assert!(found.is_empty(), "\n{found}");
}

/// Does a case's steps one after another in both worlds. What differs after one step is not told again after the next;
/// nothing is compared after programs have ended differently.
fn run<'a>(
    case: &'a Case,
    programs: &Programs,
    dockers: [Option<&Docker>; 2],
) -> Vec<(&'a Step, Difference)> {
    let [of_ours, of_reference] = dockers;
    let mut ours = World::new(case, programs, Lifecycle::Ours, of_ours);
    let mut reference = World::new(case, programs, Lifecycle::Reference, of_reference);
    let mut found: Vec<(&Step, Difference)> = Vec::new();
    let mut failed_chain = None;
    for step in &case.steps {
        if failed_chain == Some(step.chain) {
            continue;
        }
        let snapshots = [ours.run(step), reference.run(step)];
        if snapshots[0].ended.code != Some(0) {
            failed_chain = Some(step.chain);
        }
        for difference in differences(&snapshots[0], &snapshots[1]) {
            if !found.iter().any(|(_, known)| known.is_again(&difference)) {
                found.push((step, difference));
            }
        }
        if found.last().is_some_and(|(_, last)| last.ends_all()) {
            break;
        }
    }
    for docker in dockers.into_iter().flatten() {
        docker.remove_all();
    }
    found
}
