//! One `.deb` into the layer, without what no app reads.

use std::os::fd::AsFd as _;
use std::path::Path;

use debian::deb::{Conffiles, Control, Deb, Script};
use oci_image::archive::Entry;
use oci_image::unpack::{Placement, UnpackOptions, open_root};
use oci_image::{Owner, Owners};

use crate::errors::AptError;
use crate::install::DebFile;

/// Documentation and translations: more than half of many packages. The stacks leave out the same.
const LEFT_OUT: [&str; 9] = [
    "usr/share/doc/",
    "usr/share/doc-base/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/linda/",
    "usr/share/groff/",
    "usr/share/bug/",
];

/// Unpacks the package; its control part says what else its installation would do.
pub(crate) fn unpack(deb: &DebFile, layer: &Path) -> Result<Control, AptError> {
    let opened = Deb::open_checked(&deb.path, &deb.package)?;
    let root = open_root(layer).map_err(AptError::layer("open the layer's folder"))?;
    let options = UnpackOptions::debian_package().placed_by(|entry: &Entry| {
        if is_left_out(&String::from_utf8_lossy(entry.path.as_bytes())) {
            Placement::Skip
        } else {
            Placement::AsIs
        }
    });
    // Whose the files are is not kept: a layer belongs to the user of the build.
    let mut owners = Owners::new(Owner::ROOT);
    opened.unpack(root.as_fd(), &mut owners, Conffiles::InPlace, options)?;
    Ok(opened.control().clone())
}

/// The text of a maintainer script; empty where there is none.
pub(crate) fn script(control: &Control, script: Script) -> String {
    control
        .script(script)
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .unwrap_or_default()
}

/// Licences stay, and the folders that they are in: they have to go along with the programs.
fn is_left_out(path: &str) -> bool {
    let in_doc = path.strip_prefix("usr/share/doc/");
    let is_licence = in_doc.is_some_and(|rest| rest.ends_with("/copyright") || !rest.contains('/'));
    let is_in_it = |folder: &&str| {
        path.starts_with(*folder)
            || (*folder != "usr/share/doc/" && path == folder.trim_end_matches('/'))
    };
    !is_licence && LEFT_OUT.iter().any(is_in_it)
}

#[cfg(test)]
mod tests {
    use super::is_left_out;

    #[test]
    fn is_left_out_table() {
        for (path, expected) in [
            ("usr/share/doc/x/README.gz", true),
            ("usr/share/doc", false),
            ("usr/share/doc/x", false),
            ("usr/share/doc/x/copyright", false),
            ("usr/share/doc/x/examples", true),
            ("usr/share/man", true),
            ("usr/share/man/man1/x.1.gz", true),
            ("usr/share/locale/de/LC_MESSAGES/x.mo", true),
            ("usr/share/documents/x", false),
            ("usr/lib/x.so", false),
        ] {
            assert_eq!(is_left_out(path), expected, "{path}");
        }
    }
}
