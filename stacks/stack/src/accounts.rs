//! The user of builds and apps, in the image's own accounts files.

use std::fs;
use std::io;
use std::path::Path;

use crate::definition::CnbUser;

/// Adds the user and its group. Files of hashed passwords exist only where a package made them.
pub(crate) fn add_user(root: &Path, user: &CnbUser, days_since_1970: u64) -> io::Result<()> {
    let CnbUser {
        name,
        uid,
        gid,
        home,
    } = user;
    let shell = "/bin/bash";
    append(
        &root.join("etc/passwd"),
        &format!("{name}:x:{uid}:{gid}::{home}:{shell}\n"),
    )?;
    append(&root.join("etc/group"), &format!("{name}:x:{gid}:\n"))?;
    for (file, line) in [
        (
            "etc/shadow",
            format!("{name}:!:{days_since_1970}:0:99999:7:::\n"),
        ),
        ("etc/gshadow", format!("{name}:!::\n")),
    ] {
        let path = root.join(file);
        if path.try_exists()? {
            append(&path, &line)?;
        }
    }
    Ok(())
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let name = line.split(':').next().unwrap_or_default();
    // A package may have made it already; two lines of one name are none.
    let others = text
        .lines()
        .filter(|old| old.split(':').next() != Some(name));
    let mut text: String = others.flat_map(|old| [old, "\n"]).collect();
    text.push_str(line);
    // The mode is the package's; writing keeps it.
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_user_writes_each_file_that_is_there() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let etc = |name: &str| root.path().join("etc").join(name);
        fs::write(
            etc("passwd"),
            "root:*:0:0:root:/root:/bin/bash\ncnb:x:7:7:::\n",
        )
        .unwrap();
        fs::write(etc("group"), "root:*:0:").unwrap();
        fs::write(etc("shadow"), "root:*:1::::::\n").unwrap();
        let user = CnbUser {
            name: "cnb".to_owned(),
            uid: 1000,
            gid: 1001,
            home: "/home/cnb".to_owned(),
        };
        add_user(root.path(), &user, 20000).unwrap();
        let read = |name: &str| fs::read_to_string(etc(name)).unwrap();
        assert_eq!(
            read("passwd"),
            "root:*:0:0:root:/root:/bin/bash\ncnb:x:1000:1001::/home/cnb:/bin/bash\n"
        );
        assert_eq!(read("group"), "root:*:0:\ncnb:x:1001:\n");
        assert_eq!(read("shadow"), "root:*:1::::::\ncnb:!:20000:0:99999:7:::\n");
        assert!(!etc("gshadow").try_exists().unwrap());
    }
}
