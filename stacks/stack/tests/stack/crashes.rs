//! `kill -9` in the middle: nothing runs on, nothing stays mounted, and the next run makes the same stack.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::world::World;

/// Killed when it says this.
const MOMENTS: [&str; 5] = [
    "Preparing base-files",
    "Setting up dpkg ",
    "Updating certificates",
    "Writing { image: Run }",
    "Writing { image: Build }",
];

#[test]
fn kill_9_leaves_nothing_behind() {
    let world = World::small();
    for moment in MOMENTS {
        let mut process = world
            .command(&["create", "--verbose"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = lines.map(Result::unwrap).any(|line| line.contains(moment));
        assert!(said, "it never came to {moment:?}");
        process.kill().unwrap();
        process.wait().unwrap();
        nothing_runs_in(&world, moment);
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(world.path("").to_str().unwrap()));

    let [build, run] = world.create(&[]);
    // What the dead left in the store's folder for unfinished work is swept.
    assert_eq!(fs::read_dir(world.path("cache/tmp")).unwrap().count(), 0);
    drop(world);
    let undisturbed = World::small().create(&[]);
    assert_eq!(
        [build.manifest, run.manifest],
        undisturbed.map(|image| image.manifest)
    );
}

/// No process has its root or its program in the world's folder; the sandboxes die with their caller, a moment later.
#[track_caller]
fn nothing_runs_in(world: &World, moment: &str) {
    let folder = world.path("");
    let inside = || {
        fs::read_dir("/proc").unwrap().flatten().any(|process| {
            ["root", "exe", "cwd"].iter().any(|link| {
                fs::read_link(process.path().join(link))
                    .is_ok_and(|target| target.starts_with(&folder))
            }) || fs::read_to_string(process.path().join("mountinfo"))
                .is_ok_and(|mounts| mounts.contains(folder.to_str().unwrap()))
        })
    };
    for _ in 0..200 {
        if !inside() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("something still runs two seconds after it was killed at {moment:?}");
}
