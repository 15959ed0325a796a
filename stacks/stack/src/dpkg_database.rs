//! dpkg's database below a tree's `/var/lib/dpkg`, of packages that are unpacked and not yet configured.
//!
//! A package's preinst waits in `tmp.ci.<name>`, with the control file, until it has run.

use std::io;
use std::path::Path;

use debian::deb::{Control, Script, UnpackedDeb};
use debian::dpkg::{info_files, unpacked_paragraph};

use crate::files;

/// Where dpkg keeps it all.
pub(crate) const FOLDER: &str = "var/lib/dpkg";

/// What dpkg appends to the name of a conffile that it has not moved into place.
pub(crate) const NEW_CONFFILE: &[u8] = b".dpkg-new";

/// Writes the database below `root`. What is not written here dpkg makes itself.
pub(crate) fn write(root: &Path, packages: &[(&Control, &UnpackedDeb)]) -> io::Result<()> {
    let folder = root.join(FOLDER);
    for name in ["info", "updates", "triggers", "alternatives"] {
        files::make_folder(root, &format!("{FOLDER}/{name}"), 0o755)?;
    }
    files::write(&folder.join("info/format"), b"1\n", 0o644)?;
    let mut status = String::new();
    for (control, unpacked) in packages {
        status.push_str(&unpacked_paragraph(control));
        for file in info_files(control, unpacked) {
            files::write(
                &folder.join("info").join(file.name),
                &file.content,
                file.mode,
            )?;
        }
        if let Some(preinst) = control.script(Script::Preinst) {
            let staged = format!("tmp.ci.{}", control.name);
            files::make_folder(&folder, &staged, 0o755)?;
            files::write(&folder.join(&staged).join("preinst"), preinst, 0o755)?;
            files::write(
                &folder.join(&staged).join("control"),
                control.text.as_bytes(),
                0o644,
            )?;
        }
    }
    files::write(&folder.join("status"), status.as_bytes(), 0o644)?;
    files::write(&folder.join("available"), b"", 0o644)
}
