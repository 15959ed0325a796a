//! Maintainer scripts that do not run when a package is only unpacked, and what that means.
//!
//! dpkg runs `preinst` and `postinst` as root on the system itself. Most of what they do is done here in another way (library paths,
//! alternatives), has no meaning in an image (services) or in a first installation (moving an older version's files); the rest is said, so
//! that nobody looks for the fault elsewhere. The commands are found, not followed: a script is a program.

use crate::shell_text::{commands, logical_lines};

/// Programs that a script calls, and what does not happen without them.
const EFFECTS: [(&str, &str); 25] = [
    ("adduser", "creates no user"),
    ("useradd", "creates no user"),
    ("addgroup", "creates no group"),
    ("groupadd", "creates no group"),
    ("chown", "sets no owners"),
    ("dpkg-statoverride", "sets no owners or modes"),
    ("setcap", "sets no file capabilities"),
    ("db_get", "uses no debconf answers"),
    ("db_input", "uses no debconf answers"),
    ("ucf", "writes no configuration to /etc"),
    (
        "fc-cache",
        "builds no font cache (programs build their own, more slowly)",
    ),
    ("glib-compile-schemas", "compiles no settings schemas"),
    ("gdk-pixbuf-query-loaders", "registers no image loaders"),
    ("gio-querymodules", "registers no GIO modules"),
    ("update-mime-database", "updates no MIME database"),
    (
        "update-ca-certificates",
        "adds no certificates to the system's bundle",
    ),
    ("odbcinst", "registers no ODBC driver"),
    ("initdb", "creates no database cluster"),
    ("pg_createcluster", "creates no database cluster"),
    ("cp", MAKES_FILES),
    ("ln", MAKES_FILES),
    ("mv", MAKES_FILES),
    ("install", MAKES_FILES),
    ("mkdir", MAKES_FILES),
    ("touch", MAKES_FILES),
];

const MAKES_FILES: &str = "makes no files or links of its own outside the layer";

/// What debhelper adds needs no word: services, bytecode, icons, and the moving of older versions' files.
const GENERATED_BEGIN: &str = "# Automatically added by dh_";
const GENERATED_END: &str = "# End automatically added section";

/// The end of a sentence about what a package's scripts would have done; nothing where that is of no consequence.
pub(crate) fn consequence(scripts: &[&str], has_unread_alternatives: bool) -> Option<String> {
    let called: Vec<String> = scripts.iter().flat_map(|text| called(text)).collect();
    let is_called = |program: &str| called.iter().any(|name| name == program);
    let mut effects: Vec<&str> = EFFECTS
        .iter()
        .filter(|(program, _)| is_called(program))
        .map(|&(_, effect)| effect)
        .collect();
    if has_unread_alternatives {
        effects.push("sets not all of its alternatives");
    }
    effects.sort_unstable();
    effects.dedup();
    (!effects.is_empty()).then(|| effects.join(", "))
}

/// The programs that a script calls, without their folders.
fn called(script: &str) -> Vec<String> {
    let mut called = Vec::new();
    let mut is_generated = false;
    for line in logical_lines(script) {
        is_generated =
            (is_generated || line.starts_with(GENERATED_BEGIN)) && !line.starts_with(GENERATED_END);
        if !is_generated {
            called.extend(
                commands(&line)
                    .map(|command| command.rsplit('/').next().unwrap_or_default().to_owned()),
            );
        }
    }
    called
}

#[cfg(test)]
mod tests {
    use super::consequence;

    #[test]
    fn consequence_none() {
        for script in [
            "",
            "#!/bin/sh\nset -e\n# Automatically added by dh_installsystemd\nchown x y\n# End automatically added section\nexit 0\n",
            "#!/bin/sh\n# cp a b\nif [ \"$1\" = configure ]; then\n  update-alternatives --install /usr/bin/x \\\n   cp /usr/bin/y 10\nfi\n",
            "echo cp\ncase \"$1\" in\n  install|upgrade)\n  ;;\nesac\n",
        ] {
            assert_eq!(consequence(&[script], false), None, "{script}");
        }
    }

    #[test]
    fn consequence_each_effect_once() {
        let postinst = "#!/bin/sh\nif adduser --system x; then chown x /var/lib/x && chown y z; fi\n\"/usr/lib/x/glib-compile-schemas\" /usr || true\n";
        let said = consequence(&["! test -e /etc/x && cp a b\n", postinst], true).unwrap();
        assert_eq!(
            said,
            "compiles no settings schemas, creates no user, makes no files or links of its own outside the layer, \
             sets no owners, sets not all of its alternatives"
        );
    }
}
