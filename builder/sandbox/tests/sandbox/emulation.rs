//! Root emulation: what succeeds, and what is remembered.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::world::{World, callers};
use sandbox::{Owner, Syncs};

fn owners(expected: &[(&str, u32, u32)]) -> BTreeMap<PathBuf, Owner> {
    expected
        .iter()
        .map(|&(path, uid, gid)| (PathBuf::from(path), Owner { uid, gid }))
        .collect()
}

#[test]
fn chown_is_recorded_by_file_not_by_name() {
    for caller in callers() {
        let world = World::new(caller);
        world.write("root/etc/lower", "from the image");
        let outcome = world.run(
            &world.emulated(&[]),
            "set -e; cd /etc; touch a b c d; mkdir dir dir/sub; touch dir/sub/f; ln -s a link; ln b hard; \
             chown 1:2 a; chown -h 3:4 link; chown 5 b; chgrp 6 b; \
             chown 7:8 c; rm c; echo new > c; \
             chown 9:9 /etc/lower; echo more >> lower; \
             chown -R 10:11 dir; mv dir moved; \
             chown 12:12 d; chown 0:0 d; \
             chown --reference=a lower 2>/dev/null; chown 9:9 lower; \
             perl -e 'open F, \">\", \"g\"; chown 13, 14, *F'; mv g gg; \
             chown 15 link; \
             chown 1 nowhere 2>/dev/null || echo no such file; chown 1 /usr/bin 2>/dev/null || echo read-only; \
             ! stat -c %u a | grep -v 0",
        );
        assert_eq!(
            outcome.stdout, "no such file\nread-only\n",
            "{}",
            outcome.stderr
        );
        assert_eq!(outcome.code, 0, "{caller:?}: {}", outcome.stderr);
        assert_eq!(
            outcome.owners,
            owners(&[
                // Through the link.
                ("/etc/a", 15, 2),
                ("/etc/b", 5, 6),
                ("/etc/hard", 5, 6),
                ("/etc/d", 0, 0),
                ("/etc/gg", 13, 14),
                ("/etc/link", 3, 4),
                ("/etc/lower", 9, 9),
                ("/etc/moved", 10, 11),
                ("/etc/moved/sub", 10, 11),
                ("/etc/moved/sub/f", 10, 11),
            ]),
            "{caller:?}"
        );
    }
}

#[test]
fn copied_owner_of_a_replaced_file_is_the_old_one() {
    for caller in callers() {
        let world = World::new(caller);
        world.write("root/etc/gshadow", "g");
        let outcome = world.run(
            &world.emulated(&[("/etc/gshadow", Owner { uid: 0, gid: 42 })]),
            // As passwd's programs do it: the owner of the new file is copied from the old one, which looks like root's.
            "set -e; cd /etc; touch shadow plain; chown 0:42 shadow; \
             for name in shadow gshadow plain; do touch $name+; chown 0:0 $name+; mv $name+ $name; done; \
             touch explicit; chown 3:3 explicit; touch explicit+; mv explicit+ explicit; chown 0:0 explicit",
        );
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(
            outcome.owners,
            owners(&[
                ("/etc/explicit", 0, 0),
                ("/etc/gshadow", 0, 42),
                ("/etc/plain", 0, 0),
                ("/etc/shadow", 0, 42),
            ]),
            "{caller:?}"
        );
    }
}

#[test]
fn calls_of_root_succeed() {
    for caller in callers() {
        let world = World::new(caller);
        let outcome = world.run(
            &world.emulated(&[]),
            "mknod /device c 1 3 && mknod /pipe p && test -p /pipe && test ! -e /device && echo mknod; \
             perl -e '$( = 5; $) = \"5 5\"; $< = 33; $> = 33; print qq(setuid $!\\n)'; \
             setpriv --reuid 7 --regid 7 --clear-groups true && echo setpriv; \
             touch /f; chmod 4755 /f; chown 5 /f; stat -c %a /f; chroot / true && echo chroot",
        );
        assert_eq!(
            outcome.stdout, "mknod\nsetuid \nsetpriv\n755\nchroot\n",
            "{caller:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn many_files_at_once() {
    let world = World::new(crate::world::Caller::Me);
    let mut sandbox = world.emulated(&[]);
    sandbox.syncs = Syncs::Skipped;
    let outcome = world.run(
        &sandbox,
        "mkdir /many; cd /many; seq 5000 | xargs touch; chown -R 33:33 /many & chown -R 33:33 /many; wait; sync; mv /many /moved",
    );
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.owners.len(), 5001);
    assert!(outcome.owners.iter().all(|(path, owner)| {
        path.starts_with("/moved") && *owner == Owner { uid: 33, gid: 33 }
    }));
}

#[test]
fn modes_are_real() {
    for caller in callers() {
        let world = World::new(caller);
        let outcome = world.run(
            &world.emulated(&[]),
            "install -d -m 2755 -g 43 /var; install -m 0640 -o 1 -g 42 /dev/null /etc/secret; cat /etc/secret",
        );
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(
            outcome.owners,
            owners(&[("/etc/secret", 1, 42), ("/var", 0, 43)])
        );
        let mode = |name: &str| {
            std::fs::metadata(world.path(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777
        };
        assert_eq!(mode("upper/var"), 0o2755);
        assert_eq!(mode("upper/etc/secret"), 0o640);
    }
}
