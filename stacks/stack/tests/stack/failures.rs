//! What is said when something is wrong, and that nothing half-made is left.

use std::fs;

use crate::world::{World, stderr, stdout};

#[test]
fn dead_mirror_is_named() {
    let world = World::new();
    empty_downloads(&world);
    let message = world.create_fails(&[
        "--mirror=http://127.0.0.1:1/debian",
        "--security-mirror=http://127.0.0.1:1/security",
    ]);
    assert!(message.contains("http://127.0.0.1:1/"), "{message}");
    assert_nothing_made(&world);
}

#[test]
fn wrong_signature_is_refused() {
    let world = World::new();
    let mirror = World::mirror(&world, &[]);
    let release = mirror.join("dists/trixie/InRelease");
    let text = fs::read_to_string(&release).unwrap();
    fs::write(
        &release,
        text.replacen("Suite: stable", "Suite: stabler", 1),
    )
    .unwrap();
    let output = world.run(&[
        "lock",
        &format!("--mirror=file://{}", mirror.display()),
        "--frozen",
    ]);
    assert!(!output.status.success(), "{}", stdout(&output));
    let message = stderr(&output);
    assert!(message.contains("InRelease is refused"), "{message}");
    assert!(message.contains("signature"), "{message}");
}

#[test]
fn truncated_deb_is_refused() {
    let world = World::new();
    let package = world.locked("make");
    let mirror = World::mirror(&world, &[&package.path]);
    let deb = mirror.join(&package.path);
    fs::write(&deb, vec![0; 1000]).unwrap();
    fs::remove_file(world.downloads().join(package.sha256.to_string())).unwrap();
    let message = world.create_fails(&[&format!("--mirror=file://{}", mirror.display())]);
    assert!(message.contains(&package.path), "{message}");
    assert_nothing_made(&world);
}

/// A damaged file in the cache counts as missing.
#[test]
fn damaged_download_is_fetched_again() {
    let world = World::small();
    let package = world.locked("make");
    let path = world.downloads().join(package.sha256.to_string());
    fs::remove_file(&path).unwrap();
    fs::write(&path, vec![0; usize::try_from(package.size).unwrap()]).unwrap();
    world.create(&[]);
    assert_eq!(fetch::Sha256::of(&fs::read(&path).unwrap()), package.sha256);
}

/// Mirrors drop superseded versions.
#[test]
fn locked_package_that_is_gone() {
    let world = World::small();
    let package = world.locked("make");
    let gone = fetch::Sha256::of(b"gone").to_string();
    let lock = world.read("stack/stack.lock");
    let lock = lock
        .replace(&package.sha256.to_string(), &gone)
        .replace(&package.path, "pool/main/m/make/make_0.1_amd64.deb")
        .replace(&format!("\"{}\"", package.version), "\"0.1\"");
    world.write("stack/stack.lock", &lock);

    let message = world.create_fails(&["--locked"]);
    assert!(message.contains("make_0.1_amd64.deb"), "{message}");
    assert!(message.contains("--locked forbids others"), "{message}");

    let output = world.run(&["create"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = format!(
        "differs from the lock: make {} (locked: 0.1)",
        package.version
    );
    assert!(stderr(&output).contains(&said), "{}", stderr(&output));
    // Found the next time, and not with --locked.
    assert_eq!(stdout(&world.run(&["create"])), stdout(&output));
    assert!(
        world
            .create_fails(&["--locked"])
            .contains("make_0.1_amd64.deb")
    );
}

#[test]
fn lock_is_needed_with_locked() {
    let world = World::new();
    fs::remove_file(world.path("stack/stack.lock")).unwrap();
    let message = world.create_fails(&["--locked"]);
    assert!(
        message.contains("has no stack.lock, and --locked needs one"),
        "{message}"
    );
}

#[test]
fn unknown_package_is_named() {
    let world = World::small();
    let text = world
        .read("stack/stack.toml")
        .replace("\"make\"]", "\"maek\"]");
    world.write("stack/stack.toml", &text);
    let output = world.run(&["lock"]);
    let message = stderr(&output);
    assert!(
        message.contains("the build image's packages cannot be installed"),
        "{message}"
    );
    assert!(
        message.contains("maek") && message.contains("make"),
        "{message}"
    );
}

#[test]
fn maintainer_script_that_fails_is_shown() {
    let world = World::small();
    // A dpkg that cannot run: no file of libc6 is unpacked, so no script can either.
    let text = world.read("stack/stack.toml").replacen(
        "exclude = [",
        "exclude = [\n  \"/usr/lib/x86_64-linux-gnu/libc.so.6\",",
        1,
    );
    world.write("stack/stack.toml", &text);
    let message = world.create_fails(&[]);
    assert!(message.contains("could not make the "), "{message}");
    assert_nothing_made(&world);
}

#[test]
fn full_disk_is_said() {
    let world = World::small();
    let small = world.path("small");
    fs::create_dir(&small).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=40m none {small} && mkdir -p {small}/downloads && ln -s {downloads} {small}/downloads/sha256 && \
         {program} create {stack} {data} {small}; code=$?; ls {small}/tmp; exit $code",
        small = small.display(),
        downloads = world.downloads().display(),
        program = world.path("stack-run").display(),
        stack = world.path("stack").display(),
        data = world.path("data").display(),
    );
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("No space left on device"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&output), "");
}

fn empty_downloads(world: &World) {
    for entry in fs::read_dir(world.downloads()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

fn assert_nothing_made(world: &World) {
    for folder in ["data/images", "cache/trees/sha256", "cache/tmp"] {
        assert_eq!(
            fs::read_dir(world.path(folder)).unwrap().count(),
            0,
            "{folder}"
        );
    }
}
