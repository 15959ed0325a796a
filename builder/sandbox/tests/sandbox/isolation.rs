//! What a program in the sandbox sees and may do.

use std::fs;
use std::path::PathBuf;

use crate::world::{World, callers};
use sandbox::{Access, Mount, Network, OverlayInterface, Root, User};

#[test]
fn nothing_of_the_host_is_visible() {
    for caller in callers() {
        let world = World::new(caller);
        let outcome = world.run(
            &world.sandbox(),
            "ls /; echo --; ls /dev; echo --; ls /tmp; cut -d' ' -f2 /proc/mounts | grep -v -e ^/proc -e ^/dev; \
             echo --; env; echo --; hostname; ls /proc | grep -c '^[0-9]'; ls -A /etc",
        );
        assert_eq!(
            outcome.stdout,
            "bin\ndev\netc\nlib\nlib64\nproc\ntmp\nusr\n--\n\
             fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n--\n\
             /\n/tmp\n/usr\n--\n\
             PATH=/usr/bin:/usr/sbin\nPWD=/\n--\n\
             longshore\n4\n",
            "{caller:?}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.code, 0);
    }
}

#[test]
fn user_1000_has_no_privilege() {
    for caller in callers() {
        let world = World::new(caller);
        let outcome = world.run(
            &world.sandbox(),
            "id -u; id -g; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status | tr -d '\\t'; \
             for call in 'mount -t tmpfs none /tmp' 'unshare -U true' 'unshare -m true' 'chroot / true' \
                 'nsenter -m -t 1 true' 'dmesg'; do \
                 $call >/dev/null 2>&1 && echo \"allowed: $call\"; \
             done; \
             echo x > /proc/sys/kernel/core_pattern; echo x > /proc/sysrq-trigger; umask",
        );
        assert_eq!(
            outcome.stdout,
            "1000\n1000\n\
             CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\n\
             CapBnd:0000000000000000\nCapAmb:0000000000000000\n\
             NoNewPrivs:1\nSeccomp:2\n0022\n",
            "{caller:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn root_without_emulation_can_neither_mount_nor_give_away() {
    for caller in callers() {
        let world = World::new(caller);
        let mut sandbox = world.sandbox();
        sandbox.user = User::ROOT;
        let outcome = world.run(
            &sandbox,
            "id -u; touch /f; chmod 000 /f; echo kept > /f; cat /f; chown 5 /f 2>/dev/null || echo refused; \
             mount -t tmpfs none /tmp 2>/dev/null || echo refused; unshare -U true 2>/dev/null || echo refused; \
             echo x 2>/dev/null > /proc/sys/kernel/core_pattern || echo refused",
        );
        assert_eq!(
            outcome.stdout, "0\nkept\nrefused\nrefused\nrefused\nrefused\n",
            "{caller:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn terminal_cannot_be_typed_into() {
    let world = World::new(crate::world::Caller::Me);
    let (_, text) = crate::world::run_here(
        &world.sandbox(),
        "perl -e 'my $x = qq(x); ioctl(STDIN, 0x5412, $x); print $!+0, qq(\\n); ioctl(STDIN, 0x5401, my $t); print $!+0'",
    );
    // EPERM by the filter; another request reaches the device, which is not a terminal (ENOTTY).
    assert_eq!(text, "1\n25");
}

#[test]
fn network_is_a_loopback_or_the_hosts() {
    for caller in callers() {
        let world = World::new(caller);
        let mut sandbox = world.sandbox();
        let script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; \
                      perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, inet_aton(\"127.0.0.1\"))) and listen(S, 1); \
                      socket(C, PF_INET, SOCK_STREAM, 0); print connect(C, getsockname S) ? \"up\\n\" : \"down\\n\"'";
        let outcome = world.run(&sandbox, script);
        assert_eq!(outcome.stdout, "lo\nup\n", "{caller:?}: {}", outcome.stderr);
        sandbox.network = Network::Host;
        let outcome = world.run(&sandbox, "cat /proc/net/route");
        assert_eq!(
            outcome.stdout,
            fs::read_to_string("/proc/net/route").unwrap()
        );
    }
}

#[test]
fn mounts_are_what_they_say() {
    for caller in callers() {
        let world = World::new(caller);
        let read = world.make("read");
        world.write("read/text", "of the host");
        let write = world.make("write");
        let file = world.write("file", "one file");
        let mut sandbox = world.sandbox();
        let target = PathBuf::from;
        sandbox.mounts.extend([
            Mount::Bind {
                source: read,
                target: target("/layers/read"),
                access: Access::ReadOnly,
            },
            Mount::Bind {
                source: write.clone(),
                target: target("/etc/../layers/write"),
                access: Access::ReadWrite,
            },
            Mount::Bind {
                source: file,
                target: target("/etc/file"),
                access: Access::ReadOnly,
            },
            Mount::Contents {
                target: target("/etc/resolv.conf"),
                bytes: b"nameserver \xff\n".to_vec(),
            },
            Mount::Tmpfs {
                target: target("/small"),
                size: Some(64 << 10),
            },
        ]);
        sandbox.cwd = target("/layers");
        let outcome = world.run(
            &sandbox,
            "pwd; cat read/text; echo; cat /etc/file; echo; od -An -c /etc/resolv.conf | tr -d ' \\n'; echo; \
             echo x > read/new || echo refused; echo x > /etc/resolv.conf || echo refused; echo x > /etc/file || echo refused; \
             echo x > write/new && head -c 100000 /dev/zero > /small/big || echo full",
        );
        assert_eq!(
            outcome.stdout,
            "/layers\nof the host\none file\nnameserver377\\n\nrefused\nrefused\nrefused\nfull\n",
            "{caller:?}: {}",
            outcome.stderr
        );
        assert_eq!(fs::read_to_string(write.join("new")).unwrap(), "x\n");
    }
}

#[test]
fn mount_points_that_had_to_be_made_are_taken_away() {
    for caller in callers() {
        let world = World::new(caller);
        let mut sandbox = world.sandbox();
        sandbox.mounts.push(Mount::Contents {
            target: PathBuf::from("/deep/er/file"),
            bytes: b"x".to_vec(),
        });
        assert_eq!(
            world
                .run(&sandbox, "cat /deep/er/file; touch /deep/kept")
                .stdout,
            "x"
        );
        let left: Vec<PathBuf> = fs::read_dir(world.path("upper"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(left, [world.path("upper/deep")]);
        assert!(!world.path("upper/deep/er").try_exists().unwrap());
        assert!(world.path("upper/deep/kept").try_exists().unwrap());
    }
}

#[test]
fn targets_never_leave_the_root() {
    let world = World::new(crate::world::Caller::Me);
    let outside = world.make("outside");
    std::os::unix::fs::symlink(&outside, world.path("root/link")).unwrap();
    let mut sandbox = world.sandbox();
    sandbox.mounts.push(Mount::Contents {
        target: PathBuf::from("/link/../../../../x/file"),
        bytes: b"x".to_vec(),
    });
    let outcome = world.run(&sandbox, "cat /x/file");
    // The link leads nowhere inside; whatever is made, is made inside.
    assert_eq!(
        fs::read_dir(&outside).unwrap().count(),
        0,
        "{}",
        outcome.stderr
    );
}

#[test]
fn overlay_keeps_its_upper_folder_between_runs() {
    for caller in callers() {
        let world = World::new(caller);
        world.write("root/etc/old", "old");
        let first = world.run(
            &world.sandbox(),
            "echo new > /etc/new; rm /etc/old; echo gone > /tmp/x",
        );
        assert_eq!(first.code, 0, "{}", first.stderr);
        let second = world.run(&world.sandbox(), "cd /etc; ls; cat new; ls /tmp");
        assert_eq!(second.stdout, "new\nnew\n", "{caller:?}: {}", second.stderr);
        assert!(world.path("root/etc/old").try_exists().unwrap());
    }
}

#[test]
fn overlay_of_many_folders_with_long_names() {
    for caller in callers() {
        for interface in [OverlayInterface::OneByOne, OverlayInterface::OneString] {
            let world = World::new(caller);
            let mut sandbox = world.sandbox();
            sandbox.overlay_interface = interface;
            let Root::Overlay(dirs) = &mut sandbox.root else {
                unreachable!()
            };
            for number in 0..60 {
                let folder = world.make(&format!(
                    "{number}-{},:\\ {}",
                    "long".repeat(40),
                    "é".repeat(30)
                ));
                fs::write(folder.join(format!("file-{number}")), "").unwrap();
                fs::write(folder.join("top"), format!("{number}")).unwrap();
                dirs.lowers.insert(0, folder);
            }
            let outcome = world.run(&sandbox, "ls / | grep -c file-; cat /top; touch /new");
            assert_eq!(
                outcome.stdout, "60\n59",
                "{caller:?} {interface:?}: {}",
                outcome.stderr
            );
            assert!(world.path("upper/new").try_exists().unwrap());
        }
    }
}

#[test]
fn folder_as_root_is_written_to_or_not() {
    for caller in callers() {
        let world = World::new(caller);
        let mut sandbox = world.sandbox();
        for name in ["proc", "dev", "tmp"] {
            world.make(&format!("root/{name}"));
        }
        for (access, expected) in [(Access::ReadOnly, "refused\n"), (Access::ReadWrite, "")] {
            sandbox.root = Root::Folder {
                path: world.path("root"),
                access,
            };
            let outcome = world.run(&sandbox, "touch /etc/new || echo refused");
            assert_eq!(outcome.stdout, expected, "{caller:?}: {}", outcome.stderr);
        }
        assert!(world.path("root/etc/new").try_exists().unwrap());
    }
}
