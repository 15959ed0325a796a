//! The same lock gives the same bytes; the images are what they should be.

use std::fs;
use std::path::PathBuf;

use oci_image::{BlobSource, ImageConfig};
use sandbox::{Access, Helper, Root, Sandbox, Streams};

use crate::world::{Made, World};

/// The whole default stack: as this user, and as one who owns nothing else, with another umask, time zone, locale and number
/// of threads.
#[test]
fn same_lock_same_bytes() {
    let Some(other) = World::ordinary() else {
        test_skip::because("only root can also be another user");
        return;
    };
    let theirs = {
        let mut command = other.command(&["create", "--threads=1"]);
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = other.wrapped(
            "sh",
            &["-c", "umask 077; exec \"$@\"", "sh"],
            &program,
            &arguments,
        );
        command
            .env("TZ", "Asia/Tokyo")
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("HOME", "/nowhere");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", crate::world::stderr(&output));
        crate::world::parse(&crate::world::stdout(&output))
    };
    drop(other);
    let world = World::new();
    let ours = world.create(&[]);
    let names = |made: &[Made; 2]| made.clone().map(|image| (image.name, image.manifest));
    assert_eq!(names(&ours), names(&theirs));

    // Found again, without a mirror.
    let again = world.create(&["--mirror=http://127.0.0.1:1/", "--locked"]);
    assert_eq!(again, ours);

    images_say_what_they_are(&world, &ours);
    run_image_holds_what_python_needs_and_no_more(&ours[1]);
    build_image_knows_what_it_is_made_of(&ours);
}

fn images_say_what_they_are(world: &World, [build, run]: &[Made; 2]) {
    let label = |config: &ImageConfig, name: &str| {
        config.config.labels.get(name).cloned().unwrap_or_default()
    };
    for made in [build, run] {
        let image = world.image(made);
        let config = image.config();
        assert_eq!(label(config, "io.buildpacks.stack.id"), "longshore.trixie");
        assert_eq!(label(config, "io.buildpacks.base.id"), "longshore.trixie");
        assert_eq!(label(config, "io.buildpacks.base.distro.name"), "debian");
        assert_eq!(label(config, "io.buildpacks.base.distro.version"), "13");
        assert_eq!(config.config.user, "1000:1000");
        let [layer] = image.layers() else {
            panic!("one layer")
        };
        assert!(matches!(&layer.source, BlobSource::File(path) if path.is_file()));
    }
    let image = world.image(build);
    assert_eq!(image.config().config.env_value("CNB_USER_ID"), Some("1000"));
    assert_eq!(
        image.config().config.env_value("CNB_GROUP_ID"),
        Some("1000")
    );
    // The interpreter's layer has 8 MB; together they are to stay below 45 MB.
    let size = world.image(run).layers()[0].size;
    assert!(size < 32_000_000, "{size}");
}

fn run_image_holds_what_python_needs_and_no_more(run: &Made) {
    let there = |path: &str| fs::symlink_metadata(run.tree.join(path)).is_ok();
    for path in [
        "usr/bin/bash",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/share/zoneinfo/Europe/Berlin",
        "usr/lib/locale/C.utf8",
        "usr/lib/x86_64-linux-gnu/libssl.so.3",
        "usr/lib/x86_64-linux-gnu/libsqlite3.so.0",
        "usr/lib/x86_64-linux-gnu/libffi.so.8",
        "usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "usr/share/doc/bash/copyright",
    ] {
        assert!(there(path), "{path}");
    }
    for path in [
        "usr/bin/python3",
        "usr/bin/gcc",
        "usr/bin/apt",
        "var/lib/apt/lists",
        "usr/share/man/man1",
        "usr/share/doc/bash/changelog.Debian.gz",
        "var/lib/dpkg/status-old",
        "var/log/dpkg.log",
    ] {
        assert!(!there(path), "{path}");
    }
    assert_eq!(
        fs::read_link(run.tree.join("app")).unwrap(),
        PathBuf::from("workspace")
    );
    let text = in_image(
        run,
        "id -un; locale charmap; dpkg --audit; dpkg-query -W -f '${db:Status-Abbrev}\\n' | sort -u; \
        TZ=Europe/Berlin date -d 2026-07-01T12:00Z +%H; cd /app/ && pwd -P; \
        openssl verify /etc/ssl/certs/ca-certificates.crt | tail -1 | sed 's/.*: //'; find / -xdev -perm /6000",
    );
    assert_eq!(text, "cnb\nUTF-8\nii \n14\n/workspace\nOK\n");
}

fn build_image_knows_what_it_is_made_of([build, run]: &[Made; 2]) {
    let folder = build.tree.join("usr/share/longshore/stack");
    for name in ["stack.toml", "stack.lock", "debian-archive-keyring.pgp"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    assert_eq!(
        fs::read_to_string(folder.join("run.dpkg-status")).unwrap(),
        fs::read_to_string(run.tree.join("var/lib/dpkg/status")).unwrap()
    );
    let text = in_image(
        build,
        "printf 'int main(void) { return 7; }' > /tmp/a.c && gcc -o /tmp/a /tmp/a.c; /tmp/a; echo $?; \
        python3 -m venv /tmp/venv && /tmp/venv/bin/pip --version | cut -d' ' -f1; git --version | cut -d' ' -f1; \
        python3 -c 'import ssl, sqlite3, ctypes, lzma, bz2, readline, zlib; print(ssl.OPENSSL_VERSION.split()[0])'; \
        dpkg --audit",
    );
    assert_eq!(text, "7\npip\ngit\nOpenSSL\n");
}

/// What a script prints in an image, as its user, with nothing kept.
fn in_image(image: &Made, script: &str) -> String {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut sandbox = Sandbox::new(Root::Folder {
        path: image.tree.clone(),
        access: Access::ReadOnly,
    });
    sandbox.helper = Helper(PathBuf::from(env!("CARGO_BIN_EXE_stack-run")));
    sandbox.env = [
        ("PATH", "/usr/sbin:/usr/bin"),
        ("LC_ALL", "C.UTF-8"),
        ("HOME", "/tmp"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into();
    let mut child = sandbox
        .spawn(
            &["sh", "-c", &format!("exec 2>&1; {script}")],
            Streams::piped(),
        )
        .unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut text).unwrap();
    assert!(child.wait().unwrap().status.success(), "{text}");
    drop(scratch);
    text
}
