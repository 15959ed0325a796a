//! What users read when there is no answer.

use crate::made_up::{resolve, universe, universe_with};

fn message(text: &str, names: &str) -> String {
    resolve(&universe(text), names)
        .expect_err("no answer")
        .to_string()
}

#[test]
fn message_unknown_name() {
    let text = "libpq-dev 1\nlibpq5 1\nlibxml2-dev 1\n";
    assert_eq!(
        message(text, "libqp-dev"),
        "there is no package 'libqp-dev'; did you mean 'libpq-dev'?"
    );
    assert_eq!(
        message(text, "libpq4"),
        "there is no package 'libpq4'; did you mean 'libpq5'?"
    );
    assert_eq!(message(text, "zzzz"), "there is no package 'zzzz'");
}

#[test]
fn message_virtual_name() {
    let text =
        "exim4 1\n  Provides: mail-transport-agent\npostfix 1\n  Provides: mail-transport-agent\n";
    assert_eq!(
        message(text, "mail-transport-agent"),
        "'mail-transport-agent' is a virtual package; ask for one of the packages that provide it: exim4, postfix"
    );
    // with one provider there is nothing to choose
    let only = resolve(&universe("awk1 1\n  Provides: awk\n"), "awk").expect("solved");
    assert_eq!(only.notices, ["awk is a virtual package; awk1 provides it"]);
    // nor where one is installed
    let there = resolve(
        &universe_with(text, "postfix 1\n  Provides: mail-transport-agent\n"),
        "mail-transport-agent",
    )
    .expect("solved");
    assert_eq!((there.packages.len(), there.present.len()), (0, 1));
}

#[test]
fn message_version() {
    assert_eq!(
        message("lib 1\nlib 2\n", "lib=3"),
        "there is no 'lib=3'; the versions to be had: 2, 1"
    );
    assert_eq!(
        message("lib 1\n", "lib:i386"),
        "'lib:i386' asks for another architecture; packages are installed for amd64 only"
    );
}

#[test]
fn message_unsatisfiable() {
    insta::assert_snapshot!(message("app 1\n  Depends: lib (>= 2)\nlib 1\n", "app"));
    insta::assert_snapshot!(message(
        "app 1\n  Depends: mid\nmid 1\n  Depends: gone (>= 2), other | another\nother 1\n",
        "app"
    ));
    insta::assert_snapshot!(message(
        "exim 1\n  Conflicts: postfix\npostfix 1\n",
        "exim postfix"
    ));
    insta::assert_snapshot!(message(
        "app 1\n  Depends: lib (= 1)\ntool 1\n  Depends: lib (= 2)\nlib 1\nlib 2\n",
        "app tool"
    ));
    let installed = universe_with("app 1\n  Conflicts: base\n", "base 1\n");
    insta::assert_snapshot!(resolve(&installed, "app").expect_err("no answer"));
}
