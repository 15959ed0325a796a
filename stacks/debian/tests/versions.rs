//! The order of versions beside dpkg's own.

use std::{
    cmp::Ordering,
    process::{Command, Stdio},
};

use debian::version::Version;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

/// Odd ones that real archives have, or that crates have got wrong.
const ODD: [&str; 20] = [
    "1.",
    "1.0",
    "1-0",
    "1",
    "0:1",
    "1.0~",
    "1.0a",
    "1.0+",
    "1~~",
    "1~",
    "1-1.",
    "1-1.0",
    "1:1",
    "a1",
    "1.99999999999999999999",
    "1.099",
    "1+b1",
    "1-1+b1",
    "2.41-12+deb13u4",
    "1.0-1~bpo12+1",
];

fn dpkg_says(a: &str, operator: &str, b: &str) -> Option<bool> {
    let mut command = Command::new("dpkg");
    command
        .args(["--compare-versions", a, operator, b])
        .stderr(Stdio::null());
    command.status().ok().map(|status| status.success())
}

fn assert_same(a: &str, b: &str) {
    let ours = a
        .parse::<Version>()
        .expect("a version")
        .cmp(&b.parse().expect("a version"));
    let theirs = match (dpkg_says(a, "lt", b), dpkg_says(a, "eq", b)) {
        (Some(true), _) => Ordering::Less,
        (_, Some(true)) => Ordering::Equal,
        _ => Ordering::Greater,
    };
    assert_eq!(ours, theirs, "{a} {b}");
}

#[test]
fn versions_as_dpkg_orders_them() {
    if dpkg_says("1", "eq", "1") != Some(true) {
        return test_skip::because("dpkg is not here to compare with");
    }
    for (place, a) in ODD.iter().enumerate() {
        ODD[place..].iter().for_each(|b| assert_same(a, b));
    }
    let part = "[0-9a-z.+~]{0,4}";
    let version = (
        prop::option::of(0..2_u8),
        part,
        prop::option::of("[0-9a-z.+~]{1,3}"),
    )
        .prop_map(|(epoch, upstream, revision)| {
            let epoch = epoch.map_or_else(String::new, |epoch| format!("{epoch}:"));
            let revision = revision.map_or_else(String::new, |revision| format!("-{revision}"));
            // dpkg warns about, and older ones refuse, what does not begin with a digit
            format!("{epoch}1{upstream}{revision}")
        });
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..150 {
        let pair = (&version, &version)
            .new_tree(&mut runner)
            .expect("a pair")
            .current();
        assert_same(&pair.0, &pair.1);
    }
}
