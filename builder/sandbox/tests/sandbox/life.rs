//! How programs start, end, and die with their caller.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

use crate::world::{Caller, World, callers, eventually, processes_with, run_here};
use sandbox::{
    Access, Helper, Mount, OverlayDirs, Root, SandboxError, Status, Stream, Streams, User, probe,
};

#[test]
fn status_is_the_programs() {
    let world = World::new(Caller::Me);
    assert_eq!(run_here(&world.sandbox(), "exit 7").0, Status::Exited(7));
    assert_eq!(
        run_here(&world.sandbox(), "kill -KILL $$").0,
        Status::Signaled(9)
    );
    assert_eq!(run_here(&world.sandbox(), "true").0, Status::Exited(0));
}

#[test]
fn streams_lead_through_pipes() {
    let world = World::new(Caller::Me);
    let streams = Streams {
        stdin: Stream::Piped,
        stdout: Stream::Piped,
        stderr: Stream::Piped,
    };
    let mut child = world
        .sandbox()
        .spawn(&["sh", "-c", "cat; echo bad >&2"], streams)
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"in and out")
        .unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    assert!(child.wait().unwrap().status.success());
    assert_eq!((out.as_str(), err.as_str()), ("in and out", "bad\n"));
}

#[test]
fn what_the_program_leaves_running_ends_with_it() {
    let world = World::new(Caller::Me);
    let word = "98765.11";
    let (status, _) = run_here(
        &world.sandbox(),
        &format!("setsid sleep {word} >/dev/null 2>&1 & trap '' TERM; exit 3"),
    );
    assert_eq!(status, Status::Exited(3));
    assert_eq!(processes_with(word), [0; 0]);
}

#[test]
fn signals_reach_the_program_or_its_group() {
    let world = World::new(Caller::Me);
    let script = "trap 'echo got TERM; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut child = world
        .sandbox()
        .spawn(&["sh", "-c", script], Streams::piped())
        .unwrap();
    let signaller = child.signaller();
    let mut out = child.stdout.take().unwrap();
    let mut ready = [0; 6];
    out.read_exact(&mut ready).unwrap();
    signaller.signal(libc::SIGTERM).unwrap();
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text, "got TERM\n");
    assert_eq!(child.wait().unwrap().status, Status::Exited(5));
    // Afterwards it goes nowhere, and says nothing.
    signaller.signal(libc::SIGTERM).unwrap();

    // As Ctrl-C on a terminal: the shell and what it waits for.
    let mut child = world
        .sandbox()
        .spawn(
            &["sh", "-c", "echo ready; sleep 98765.12; echo not reached"],
            Streams::piped(),
        )
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut ready).unwrap();
    // dash forgets a SIGINT that comes while it starts a command, so the command has to be there.
    eventually("the command runs", || {
        !processes_with("98765.12").is_empty()
    });
    child.signaller().signal_group(libc::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().status, Status::Signaled(libc::SIGINT));
    assert_eq!(processes_with("98765.12"), [0; 0]);
}

#[test]
fn dropping_the_child_kills_it() {
    let world = World::new(Caller::Me);
    let word = "98765.13";
    let child = world
        .sandbox()
        .spawn(&["sleep", word], Streams::piped())
        .unwrap();
    eventually("the program runs", || !processes_with(word).is_empty());
    drop(child);
    assert_eq!(processes_with(word), [0; 0]);
}

/// `kill -9` of the caller, of the helper, of init: nothing is left running, nothing mounted.
#[test]
fn kill_9_leaves_nothing() {
    for caller in callers() {
        for (number, victim) in ["sandbox-run", "longshore-sandbox", "init"]
            .iter()
            .enumerate()
        {
            let world = World::new(caller);
            let word = format!("98765.2{number}{}", u8::from(caller == Caller::Me));
            let script = format!("trap '' TERM INT HUP; setsid sleep {word} & sleep {word}");
            let mut command = world.command(&world.sandbox(), &world.path("out.json"), &script);
            let mut process = command
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            eventually("the program runs", || processes_with(&word).len() == 2);
            let helper = children_of(process.id())[0];
            let init = children_of(helper)[0];
            let pid = match number {
                0 => process.id(),
                1 => helper,
                _ => init,
            };
            kill_9(pid);
            let status = process.wait().unwrap();
            assert_eq!(status.code(), if number == 0 { None } else { Some(99) });
            eventually(&format!("nothing runs after the end of {victim}"), || {
                processes_with(&word).is_empty()
                    && !PathBuf::from(format!("/proc/{init}")).try_exists().unwrap()
            });
            assert!(
                !std::fs::read_to_string("/proc/self/mountinfo")
                    .unwrap()
                    .contains(world.folder.path().to_str().unwrap())
            );
        }
    }
}

fn kill_9(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn children_of(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap()
        .split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect()
}

#[test]
fn errors_say_what_failed() {
    let world = World::new(Caller::Me);
    let message = |sandbox: &sandbox::Sandbox, program: &str| {
        sandbox
            .spawn(&[program], Streams::piped())
            .unwrap_err()
            .to_string()
    };

    assert_eq!(
        message(&world.sandbox(), "no-such-program"),
        "could not start no-such-program in the sandbox: No such file or directory (os error 2)"
    );

    let mut sandbox = world.sandbox();
    sandbox.cwd = PathBuf::from("/nowhere");
    assert_eq!(
        message(&sandbox, "true"),
        "could not enter /nowhere: No such file or directory (os error 2)"
    );

    let mut sandbox = world.sandbox();
    sandbox.mounts.push(Mount::Bind {
        source: PathBuf::from("/no/such/folder"),
        target: PathBuf::from("/x"),
        access: Access::ReadOnly,
    });
    assert_eq!(
        message(&sandbox, "true"),
        "could not bring /no/such/folder into the sandbox: No such file or directory (os error 2)"
    );

    let mut sandbox = world.sandbox();
    sandbox.root = Root::Overlay(OverlayDirs {
        lowers: vec![world.path("root")],
        upper: PathBuf::from("/proc"),
        work: world.path("work"),
    });
    let error = sandbox.spawn(&["true"], Streams::piped()).unwrap_err();
    assert!(matches!(error, SandboxError::Overlay { .. }), "{error}");

    let mut sandbox = world.emulated(&[]);
    sandbox.user = User::CNB;
    assert_eq!(
        message(&sandbox, "true"),
        "root emulation needs the sandbox's user to be 0"
    );

    let mut sandbox = world.sandbox();
    sandbox.helper = Helper(PathBuf::from("/no/helper"));
    assert_eq!(
        message(&sandbox, "true"),
        "could not start the sandbox helper /no/helper"
    );
    // A program that does not know it is a helper.
    sandbox.helper = Helper(PathBuf::from("/bin/true"));
    assert_eq!(
        message(&sandbox, "true"),
        "the sandbox helper ended without saying why (was it killed?)"
    );
}

#[test]
fn probe_says_what_the_kernel_allows() {
    let world = World::new(Caller::Me);
    let helper = Helper(crate::world::program());
    let allowed = probe(&helper, world.folder.path()).unwrap();
    let (_, text) = run_here(&world.sandbox(), "echo overlay");
    assert_eq!(allowed.overlay, Ok(()));
    assert_eq!(text, "overlay\n");
    assert!(
        !std::fs::read_dir(world.folder.path())
            .unwrap()
            .any(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with(".probe")
            })
    );
}

/// A sandbox cannot be made inside a sandbox: the filter refuses, and the error says how to allow it.
#[test]
fn forbidden_user_namespaces_are_explained() {
    let world = World::new(Caller::Me);
    let mut outer = world.sandbox();
    outer.mounts.push(Mount::Bind {
        source: world.folder.path().to_owned(),
        target: PathBuf::from("/world"),
        access: Access::ReadWrite,
    });
    let inner = world.sandbox();
    std::fs::write(
        world.path("inner.json"),
        serde_json::to_vec(&inner).unwrap(),
    )
    .unwrap();
    let outcome = world.run(
        &outer,
        "/world/sandbox-run /world/inner.json /world/out true",
    );
    assert_eq!(outcome.code, 99);
    assert!(
        outcome.stderr.starts_with(
            "this machine does not let an ordinary process make a user namespace \
             (could not unshare the user namespace: Operation not permitted (os error 1))"
        ),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("--security-opt seccomp=unconfined"),
        "{}",
        outcome.stderr
    );
}
