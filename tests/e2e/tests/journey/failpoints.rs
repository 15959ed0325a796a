//! kill -9 at the named moments where a half-done write would hurt most.

use std::os::unix::process::ExitStatusExt;

use e2e::app::App;
use e2e::program::{Longshore, executable};
use e2e::traces_left::assert_nothing_left;

/// Makes the program kill itself when it comes by.
const FAILPOINT: &str = "LONGSHORE_FAILPOINT";

#[test]
fn every_named_moment() {
    let app = App::copy_of("flask-plain");
    let longshore = Longshore::copied();
    let build = || longshore.build(app.path(), &["-t", "failpoint"]);
    let expected = build().digest().to_owned();
    let whole = [
        "build",
        app.path().to_str().unwrap(),
        "-t",
        "failpoint",
        "--clear-cache",
    ];
    for (round, moment) in store::FAILPOINTS.iter().enumerate() {
        // Something has to change, or there would be nothing to write.
        app.write("note.txt", format!("{round}"));
        let mut command = longshore.command(&whole);
        let killed = command.env(FAILPOINT, moment).output().unwrap();
        assert_eq!(
            killed.status.signal(),
            Some(9),
            "{moment} was not passed: {killed:?}"
        );
        assert_nothing_left(longshore.home().folder(), &executable());
        longshore.run(&["cache", "list"]).assert_code(0);
        build();
    }
    std::fs::remove_file(app.path().join("note.txt")).unwrap();
    assert_eq!(build().digest(), expected);
}
