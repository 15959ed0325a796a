//! Which lines of a program's output are compared: those that platforms and their tests match by text, and those that fixtures print.
//!
//! Errors and warnings are sentences for people, and each lifecycle has its own; the exit code tells what they mean.

/// How lines begin that are compared.
const COMPARED: &[&str] = &[
    // What a fixture's buildpacks and processes print.
    "bp:",
    "===> ",
    "======== ",
    "pass: ",
    "fail: ",
    "skip: ",
    "err: ",
    "Resolving plan... (try #",
    "Reusing layer '",
    "Adding layer '",
    "Reusing cache layer '",
    "Adding cache layer '",
    "Adding label '",
    "Setting default process type '",
    "Restoring data for \"",
    "Restoring metadata for \"",
    "Skipping buildpack layer analysis",
    "Skipping 'restore' due to clearing cache",
    "Saving ",
    "*** Images (",
    "*** Digest: ",
    "*** Image ID: ",
    "Prepending ",
    "Appending ",
    "Copying SBOM ",
];

/// Lines that come in any order: from several threads at once, or from a Go map.
const UNORDERED: &[&str] = &[
    "Restoring data for \"",
    "Restoring metadata for \"",
    "Reusing cache layer '",
    "Adding cache layer '",
    "Adding label '",
];

/// The lines that are compared, in an order that does not depend on threads.
pub(crate) fn compared(output: &str) -> Vec<String> {
    let plain = without_colours(output);
    let mut lines: Vec<String> = plain
        .lines()
        .map(str::trim_end)
        .filter(|line| COMPARED.iter().any(|start| line.starts_with(start)))
        .map(str::to_owned)
        .collect();
    for start in UNORDERED {
        for run in lines.chunk_by_mut(|one, next| one.starts_with(start) == next.starts_with(start))
        {
            if run[0].starts_with(start) {
                run.sort();
            }
        }
    }
    lines
}

/// Colours are for people, whatever the reference implementation writes them to.
fn without_colours(output: &str) -> String {
    let mut parts = output.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
    first + &rest.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compared_keeps_what_is_matched_and_sorts_what_threads_say() {
        let output = "Warning: x\n\u{1b}[36m===> EXPORTING\u{1b}[0m\nAdding layer 'b'\nAdding layer 'a'\nRestoring data for \"b\" from cache\nRestoring data for \"a\" from cache\nSaving app...  \n";
        let expected = [
            "===> EXPORTING",
            "Adding layer 'b'",
            "Adding layer 'a'",
            "Restoring data for \"a\" from cache",
            "Restoring data for \"b\" from cache",
            "Saving app...",
        ];
        assert_eq!(compared(output), expected);
    }
}
