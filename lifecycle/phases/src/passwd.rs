//! passwd(5), read here: a static C library cannot ask for users.

use std::ffi::OsString;
use std::fs;

use cnb_spec::env::Vars;

const FILE: &str = "/etc/passwd";

/// The environment with the name and the home of a user. A user without an entry, as platforms that choose random ones have, keeps what is there.
pub(crate) fn environment_of(uid: u32, environment: &Vars) -> Vars {
    let mut environment = environment.clone();
    let text = fs::read_to_string(FILE).unwrap_or_default();
    if let Some((name, home)) = entry_of(uid, &text) {
        let set = [("USER", name), ("HOME", home)];
        environment.extend(set.map(|(key, value)| (OsString::from(key), OsString::from(value))));
    }
    environment
}

/// Name and home.
fn entry_of(uid: u32, text: &str) -> Option<(&str, &str)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found = fields.nth(1)?.parse::<u32>().ok()?;
        let home = fields.nth(2)?;
        (found == uid && !home.is_empty()).then_some((name, home))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_of_cases() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# x\ncnb:x:1000:1000::/home/cnb:/bin/bash\nbare:x:7\nhomeless:x:8:8:::\n";
        assert_eq!(entry_of(1000, text), Some(("cnb", "/home/cnb")));
        assert_eq!(entry_of(0, text), Some(("root", "/root")));
        for uid in [7, 8, 9] {
            assert_eq!(entry_of(uid, text), None, "{uid}");
        }
    }
}
