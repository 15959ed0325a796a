//! Runs every check and every test, goes on after a failure, and ends with one line of counts.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::steps::{ChoreError, built, cargo, run, say, words};
use crate::{demo, install, tidy};

/// The end-to-end harness appends a line here for each test that could not run.
const SKIPPED_FILE: &str = "LONGSHORE_SKIPPED_FILE";

/// How much is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Everything,
    /// No end-to-end tests.
    Quick,
}

/// Installs what is missing, builds once, then runs all there is to run.
pub(crate) fn test(extent: Extent) -> Result<(), ChoreError> {
    let start = Instant::now();
    install::launcher_target()?;
    if extent == Extent::Everything {
        install::test_tools()?;
    }
    // One profile and one set of features for all that follows: nothing is compiled twice.
    run(cargo().args(["build", "--locked", "--workspace", "--all-targets"]))?;

    let built = built("debug")?;
    let skipped = built.join("skipped-tests");
    std::fs::write(&skipped, "").map_err(ChoreError::file(&skipped))?;

    let mut tests = Counts::default();
    let mut failures = Vec::new();
    let mut check = |done: Result<(), ChoreError>| {
        if let Err(error) = done {
            say(&error.to_string());
            failures.push(
                error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
    };
    check(run(cargo().args(["fmt", "--all", "--check"])));
    check(tidy::tidy());
    // What is not built is not looked at there; here it was built a moment ago.
    for program in ["longshore", "lifecycle"] {
        if !built.join(program).is_file() {
            check(Err(ChoreError::Said(format!("{program} was not built"))));
        }
    }
    check(run(cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])));
    let mut doc = cargo();
    check(run(doc
        .args(["doc", "--locked", "--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")));
    // The end-to-end tests come last: what they would show is often said more plainly by a smaller one. Both commands
    // select the whole workspace, since another selection would mean other features, and compiling again.
    check(count(
        test_command(&skipped).args(["--", "--skip", "journey::"]),
        &mut tests,
    ));
    if extent == Extent::Everything {
        check(count(
            test_command(&skipped).args(["--test", "journey"]),
            &mut tests,
        ));
        // The README's first command, in the home that the tests before it have warmed.
        let longshore = built.join("longshore");
        check(demo::serve(
            &longshore,
            demo::Until::PageSeen,
            Some(&built.join("e2e-home")),
        ));
    }

    let notes = std::fs::read_to_string(&skipped).map_err(ChoreError::file(&skipped))?;
    report(&tests, &notes, &failures, start)
}

fn test_command(skipped: &Path) -> Command {
    let mut command = cargo();
    command
        .args(["test", "--locked", "--workspace", "--no-fail-fast"])
        .env(SKIPPED_FILE, skipped);
    command
}

/// Says what was skipped and what failed, and closes with the counts.
fn report(
    tests: &Counts,
    notes: &str,
    failures: &[String],
    start: Instant,
) -> Result<(), ChoreError> {
    let Counts { passed, failed } = tests;
    let skipped = skipped_tests(notes);
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    say(&format!("\n{minutes:.1} minutes"));
    notes.lines().for_each(say);
    for failure in failures {
        say(&format!("FAILED: {failure}"));
    }
    // A test that found a part missing counted as passed, to cargo.
    let line = format!(
        "{} passed, {failed} failed, {skipped} skipped",
        passed.saturating_sub(skipped)
    );
    say(&line);
    if failures.is_empty() {
        Ok(())
    } else {
        Err(ChoreError::Said(format!(
            "{} checks failed",
            failures.len()
        )))
    }
}

/// How many tests said that they could not run, or not all of them: a test may miss several parts.
fn skipped_tests(notes: &str) -> u64 {
    let names: BTreeSet<&str> = notes
        .lines()
        .filter_map(|line| line.strip_prefix("SKIPPED: ")?.split_once(": "))
        .map(|(test, _)| test)
        .collect();
    names.len() as u64
}

/// How many tests ended how.
#[derive(Debug, Default)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Runs `cargo test`, shows what it prints, and adds up its `test result:` lines.
fn count(command: &mut Command, counts: &mut Counts) -> Result<(), ChoreError> {
    say(&format!("+ {}", words(command)));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| ChoreError::start(command, source))?;
    let stdout = child.stdout.take().expect("standard output is piped");
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|source| ChoreError::start(command, source))?;
        if let Some(results) = line.strip_prefix("test result: ") {
            counts.passed += number_before(results, " passed");
            counts.failed += number_before(results, " failed");
        }
        say(&line);
    }
    let status = child
        .wait()
        .map_err(|source| ChoreError::start(command, source))?;
    if status.success() {
        Ok(())
    } else {
        Err(ChoreError::Failed {
            command: words(command),
            status,
        })
    }
}

/// `ok. 12 passed; 3 failed` has 12 before ` passed`.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split_once(word).map_or("", |(before, _)| before);
    before
        .rsplit(' ')
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_tests_counts_each_once() {
        let notes = "SKIPPED: a::b: no podman\nSKIPPED: a::b: no docker\nSKIPPED: c: no cc\n";
        assert_eq!(skipped_tests(notes), 2);
    }

    #[test]
    fn number_before_reads_a_result_line() {
        let line =
            "FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(
            (
                number_before(line, " passed"),
                number_before(line, " failed")
            ),
            (12, 3)
        );
        assert_eq!(number_before(line, " broken"), 0);
    }
}
