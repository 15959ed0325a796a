//! One preference or relation each.

use debian::{
    name::Architecture,
    solve::{Reason, Recommends},
    universe::{Suite, Universe},
};

use crate::made_up::{
    answer, installed, packages, requests, resolve, shown, suite, universe, universe_with,
};

#[test]
fn resolve_dependencies_come_first() {
    let universe = universe(
        "app 1\n  Depends: lib (>= 2), tool\n\
         lib 2\n  Pre-Depends: base\n\
         tool 1\n  Depends: lib\n\
         base 1\n\
         unrelated 1\n",
    );
    assert_eq!(answer(&universe, "app"), "base 1, lib 2, tool 1, app 1");
    assert_eq!(answer(&universe, "lib app"), "base 1, lib 2, tool 1, app 1");
}

#[test]
fn resolve_newest_version_that_fits() {
    let universe = universe(
        "lib 1.9\nlib 1.10\nlib 1.10~rc1\n\
         old-app 1\n  Depends: lib (<< 1.10)\n",
    );
    assert_eq!(answer(&universe, "lib"), "lib 1.10");
    assert_eq!(answer(&universe, "lib=1.9"), "lib 1.9");
    assert_eq!(answer(&universe, "old-app"), "lib 1.10~rc1, old-app 1");
    assert_eq!(answer(&universe, "lib old-app"), "lib 1.10~rc1, old-app 1");
}

#[test]
fn resolve_first_alternative_unless_another_is_there_anyway() {
    let text = "app 1\n  Depends: first | second\nfirst 1\nsecond 1\nother 1\n  Depends: second\n";
    assert_eq!(answer(&universe(text), "app"), "first 1, app 1");
    assert_eq!(answer(&universe_with(text, "second 1\n"), "app"), "app 1");
    // an alternative that does not exist
    assert_eq!(
        answer(
            &universe("app 1\n  Depends: gone | second\nsecond 1\n"),
            "app"
        ),
        "second 1, app 1"
    );
    // an alternative that cannot be installed
    let broken = "app 1\n  Depends: first | second\nfirst 1\n  Depends: gone\nsecond 1\n";
    assert_eq!(answer(&universe(broken), "app"), "second 1, app 1");
}

#[test]
fn resolve_real_package_before_its_providers() {
    let text = "app 1\n  Depends: mta\nmta 1\naaa 1\n  Provides: mta\n";
    assert_eq!(answer(&universe(text), "app"), "mta 1, app 1");
}

#[test]
fn resolve_versioned_provides() {
    let text = "app 1\n  Depends: abi (= 2)\n\
                old 1\n  Provides: abi (= 1)\n\
                new 1\n  Provides: abi (= 2)\n\
                vague 1\n  Provides: abi\n";
    assert_eq!(answer(&universe(text), "app"), "new 1, app 1");
    let plain = text.replace("abi (= 2)\nold", "abi\nold");
    assert_eq!(answer(&universe(&plain), "app"), "new 1, app 1");
}

#[test]
fn resolve_conflicts_and_breaks() {
    let text = "app 1\n  Depends: x1 | y1\n  Conflicts: x1\nx1 1\ny1 1\n\
                new 2\n  Breaks: old (<< 2)\nold 1\nold 2\n  Depends: heavy\nheavy 1\n\
                picky 1\n  Depends: old (= 1)\n";
    assert_eq!(answer(&universe(text), "app"), "y1 1, app 1");
    assert_eq!(answer(&universe(text), "new old"), "heavy 1, new 2, old 2");
    assert!(resolve(&universe(text), "new picky").is_err());
}

#[test]
fn resolve_only_one_provider_of_a_name() {
    let text = "exim 1\n  Provides: mta\n  Conflicts: mta\n\
                postfix 1\n  Provides: mta\n  Conflicts: mta\n\
                app 1\n  Depends: mta\n";
    assert_eq!(answer(&universe(text), "app exim"), "exim 1, app 1");
    assert_eq!(answer(&universe(text), "postfix app"), "postfix 1, app 1");
    assert!(resolve(&universe(text), "exim postfix").is_err());
}

#[test]
fn resolve_circles() {
    let universe = universe(
        "app 1\n  Depends: aa\n\
         aa 1\n  Depends: bb\n\
         bb 1\n  Pre-Depends: cc\n  Depends: aa\n\
         cc 1\n  Depends: dd\n\
         dd 1\n  Depends: bb\n",
    );
    // aa, bb, cc, dd are one circle; only bb's Pre-Depends counts inside
    assert_eq!(answer(&universe, "app"), "aa 1, cc 1, bb 1, dd 1, app 1");
}

#[test]
fn resolve_essential_packages_come_first() {
    let universe = universe("aa 1\nzz 1\n  Essential: yes\n  Depends: yy\nyy 1\n");
    assert_eq!(answer(&universe, "aa zz"), "yy 1, zz 1, aa 1");
}

#[test]
fn resolve_architecture_qualifiers() {
    let text = "app 1\n  Depends: py:any, lib:amd64\npy 3\nlib 1\nforeign 1\n  Depends: lib:i386 | py\nbroken 1\n  Depends: lib:i386\n";
    assert_eq!(answer(&universe(text), "app:amd64"), "py 3, lib 1, app 1");
    assert_eq!(answer(&universe(text), "foreign"), "py 3, foreign 1");
    assert!(resolve(&universe(text), "broken").is_err());
}

#[test]
fn resolve_recommends_only_when_asked() {
    let text = "app 1\n  Recommends: nice, gone, quarrel | other\n\
                nice 1\n  Recommends: nicer\nnicer 1\n\
                quarrel 1\n  Conflicts: app\nother 1\n  Conflicts: nicer\n";
    assert_eq!(answer(&universe(text), "app"), "app 1");
    let all = universe(text)
        .resolve(&requests("app"), Recommends::Install)
        .expect("solved");
    assert_eq!(shown(&all), "app 1, nice 1, nicer 1");
    assert_eq!(all.chain(&"nicer".parse().expect("a name")).len(), 3);
}

#[test]
fn resolve_installed_stays_unless_too_old() {
    let text = "libc 2.41\napp 1\n  Depends: libc (>= 2.36)\ndev 2.41\n  Depends: libc (= 2.41)\n";
    let universe = universe_with(text, "libc 2.40\n");
    let resolution = resolve(&universe, "app").expect("solved");
    assert_eq!(shown(&resolution), "app 1");
    assert_eq!(
        resolution
            .present
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["libc"]
    );

    let resolution = resolve(&universe, "dev").expect("solved");
    assert_eq!(shown(&resolution), "libc 2.41, dev 2.41");
    assert_eq!(
        resolution.packages[0]
            .replaces
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("2.40")
    );
}

#[test]
fn resolve_installed_with_broken_dependencies_does_no_harm() {
    let universe = universe_with(
        "app 1\n",
        "stripped 1\n  Depends: removed-by-hand\nfoe 1\n  Conflicts: stripped\n",
    );
    assert_eq!(answer(&universe, "app"), "app 1");
}

#[test]
fn resolve_quarrel_with_what_is_installed() {
    let universe = universe_with("app 1\n  Conflicts: base\n", "base 1\n");
    assert!(resolve(&universe, "app").is_err());
}

#[test]
fn resolve_already_installed() {
    let universe = universe_with("app 1\n", "app 1\n");
    let resolution = resolve(&universe, "app").expect("solved");
    assert_eq!(
        (shown(&resolution).as_str(), resolution.present.len()),
        ("", 1)
    );
}

#[test]
fn resolve_several_suites() {
    let suites = || {
        vec![
            suite("trixie", "lib 1-1\napp 1\n  Depends: lib\nsame 1\n"),
            suite("trixie-security", "lib 1-1+deb13u1\nsame 1\n"),
            Suite {
                name: "trixie-backports".to_owned(),
                automatic: false,
                packages: packages("lib 2-1~bpo13+1\nfresh 1\n  Depends: lib (>= 2)\n"),
            },
        ]
    };
    let universe = Universe::new(Architecture::amd64(), suites(), Vec::new());
    let resolution = resolve(&universe, "app same").expect("solved");
    let from: Vec<_> = resolution
        .packages
        .iter()
        .map(|planned| format!("{} {}", planned.package, planned.suite))
        .collect();
    assert_eq!(
        from,
        [
            "lib 1-1+deb13u1 trixie-security",
            "app 1 trixie",
            "same 1 trixie"
        ]
    );
    assert_eq!(answer(&universe, "fresh"), "lib 2-1~bpo13+1, fresh 1");

    let universe = Universe::new(Architecture::amd64(), suites(), installed("lib 1-1\n"));
    assert_eq!(answer(&universe, "app"), "app 1");
}

#[test]
fn resolve_says_why() {
    let universe = universe(
        "gcc 4:14\n  Depends: gcc-14 (>= 14)\ngcc-14 14.2\n  Pre-Depends: libcc1-0\nlibcc1-0 14.2\n",
    );
    let resolution = resolve(&universe, "gcc").expect("solved");
    let chain = resolution.chain(&"libcc1-0".parse().expect("a name"));
    assert_eq!(
        chain.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["gcc", "gcc-14", "libcc1-0"]
    );
    let reasons: Vec<_> = resolution
        .packages
        .iter()
        .map(|planned| match &planned.reason {
            Reason::Requested(text) => format!("requested {text}"),
            Reason::Installed => "installed".to_owned(),
            Reason::Needed {
                by,
                field,
                relation,
            } => format!("{by} {field}: {relation}"),
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "gcc-14 Pre-Depends: libcc1-0",
            "gcc Depends: gcc-14 (>= 14)",
            "requested gcc"
        ]
    );
}

#[test]
fn resolve_nothing() {
    assert_eq!(
        shown(
            &universe("aa 1\n")
                .resolve(&[], Recommends::Leave)
                .expect("solved")
        ),
        ""
    );
}
