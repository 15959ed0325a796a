//! The variables with which programs find what is in the layer.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use libcnb::layer_env::{LayerEnv, ModificationBehavior, Scope};

use crate::runpath;

/// Folders put in front of a search path, where the layer has them: variable, when, folders. `MULTIARCH` stands for `x86_64-linux-gnu`.
const SEARCH_PATHS: [(&str, Scope, &[&str]); 5] = [
    (
        "PATH",
        Scope::All,
        &["usr/local/bin", "usr/bin", "usr/sbin", "usr/games"],
    ),
    (
        "LIBRARY_PATH",
        Scope::Build,
        &["usr/lib/MULTIARCH", "usr/lib"],
    ),
    (
        "CPATH",
        Scope::Build,
        &["usr/include/MULTIARCH", "usr/include"],
    ),
    (
        "PKG_CONFIG_PATH",
        Scope::Build,
        &[
            "usr/lib/MULTIARCH/pkgconfig",
            "usr/lib/pkgconfig",
            "usr/share/pkgconfig",
        ],
    ),
    ("PERL5LIB", Scope::All, &["usr/share/perl5"]),
];

/// Where programs look for shared data when nobody says otherwise (XDG base directory specification).
const XDG_DATA_DIRS: &str = "/usr/local/share:/usr/share";

/// Settings for programs whose data is at a fixed place of their own: where the layer has the path, the variable leads there. An app's own
/// setting wins.
const DATA: [(&str, &str, &str); 12] = [
    ("usr/share/gdal", "GDAL_DATA", "usr/share/gdal"),
    ("usr/share/proj", "PROJ_DATA", "usr/share/proj"),
    ("usr/share/proj", "PROJ_LIB", "usr/share/proj"), // PROJ before 9.1.
    ("etc/odbcinst.ini", "ODBCSYSINI", "etc"),
    ("etc/odbc.ini", "ODBCSYSINI", "etc"),
    ("etc/fonts/fonts.conf", "FONTCONFIG_PATH", "etc/fonts"),
    (
        "usr/share/tesseract-ocr/5/tessdata",
        "TESSDATA_PREFIX",
        "usr/share/tesseract-ocr/5/tessdata",
    ),
    (
        "usr/share/tesseract-ocr/4.00/tessdata",
        "TESSDATA_PREFIX",
        "usr/share/tesseract-ocr/4.00/tessdata",
    ),
    ("usr/lib/git-core", "GIT_EXEC_PATH", "usr/lib/git-core"),
    (
        "usr/share/git-core/templates",
        "GIT_TEMPLATE_DIR",
        "usr/share/git-core/templates",
    ),
    (
        "usr/lib/jvm/default-java",
        "JAVA_HOME",
        "usr/lib/jvm/default-java",
    ),
    (
        "usr/share/misc/magic.mgc",
        "MAGIC",
        "usr/share/misc/magic.mgc",
    ),
];

/// Works out the variables for the layer as it stands.
pub(crate) fn of_layer(layer: &Path, multiarch: &str) -> io::Result<LayerEnv> {
    let mut env = LayerEnv::new();
    for (variable, scope, folders) in SEARCH_PATHS {
        let folders = folders
            .iter()
            .map(|folder| layer.join(folder.replace("MULTIARCH", multiarch)));
        prepend(
            &mut env,
            scope,
            variable,
            folders.filter(|folder| folder.is_dir()).collect(),
        );
    }
    prepend(
        &mut env,
        Scope::All,
        "LD_LIBRARY_PATH",
        library_folders(layer, multiarch)?,
    );
    if layer.join("usr/share").is_dir() {
        let folders = format!("{}:{XDG_DATA_DIRS}", layer.join("usr/share").display());
        env.insert(
            Scope::All,
            ModificationBehavior::Default,
            "XDG_DATA_DIRS",
            folders,
        );
    }
    for (there, variable, path) in DATA {
        if layer.join(there).try_exists()? {
            env.insert(
                Scope::All,
                ModificationBehavior::Default,
                variable,
                layer.join(path),
            );
        }
    }
    Ok(env)
}

fn prepend(env: &mut LayerEnv, scope: Scope, variable: &str, folders: Vec<PathBuf>) {
    if folders.is_empty() {
        return;
    }
    let joined: Vec<OsString> = folders.into_iter().map(PathBuf::into_os_string).collect();
    env.insert(
        scope.clone(),
        ModificationBehavior::Delimiter,
        variable,
        ":",
    );
    env.insert(
        scope,
        ModificationBehavior::Prepend,
        variable,
        joined.join(":".as_ref()),
    );
}

/// The usual folders, those that packages add to ldconfig's configuration, and private ones that programs name themselves.
fn library_folders(layer: &Path, multiarch: &str) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![
        format!("usr/lib/{multiarch}"),
        "usr/lib".to_owned(),
        "usr/local/lib".to_owned(),
    ];
    folders.extend(ldconfig_folders(&layer.join("etc/ld.so.conf.d"))?);
    folders.extend(
        runpath::own_folders(layer)?
            .into_iter()
            .map(|folder| folder.trim_start_matches('/').to_owned()),
    );
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders
        .into_iter()
        .map(|folder| layer.join(folder))
        .filter(|folder| folder.is_dir())
    {
        if !found.contains(&folder) {
            found.push(folder);
        }
    }
    Ok(found)
}

/// The folders that `ld.so.conf.d/*.conf` names, without the leading slash.
fn ldconfig_folders(folder: &Path) -> io::Result<Vec<String>> {
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut files: Vec<PathBuf> = listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut folders = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = String::from_utf8_lossy(&fs::read(file)?).into_owned();
        let named = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with('/') && !line.contains(".."));
        folders.extend(named.map(|line| line.trim_start_matches('/').to_owned()));
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::of_layer;
    use libcnb::Env;
    use libcnb::layer_env::Scope;
    use std::fs;
    use std::path::Path;

    fn applied(layer: &Path, scope: Scope, start: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut env = Env::new();
        for (name, value) in start {
            env.insert(name, value);
        }
        let env = of_layer(layer, "x86_64-linux-gnu")
            .unwrap()
            .apply(scope, &env);
        let text = |value: &std::ffi::OsString| {
            value
                .to_string_lossy()
                .replace(&layer.display().to_string(), "L")
        };
        let mut variables: Vec<_> = env
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        variables.sort();
        variables
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn of_layer_empty() {
        let layer = tempfile::tempdir().unwrap();
        assert_eq!(applied(layer.path(), Scope::Build, &[]), []);
    }

    #[test]
    fn of_layer_everything() {
        let layer = tempfile::tempdir().unwrap();
        for folder in [
            "usr/bin",
            "usr/lib/x86_64-linux-gnu/pkgconfig",
            "usr/lib/x86_64-linux-gnu/extra",
            "usr/include",
            "usr/share/gdal",
            "etc/ld.so.conf.d",
        ] {
            fs::create_dir_all(layer.path().join(folder)).unwrap();
        }
        fs::write(
            layer.path().join("etc/ld.so.conf.d/x.conf"),
            "# c\n/usr/lib/x86_64-linux-gnu/extra\n/not/there\n",
        )
        .unwrap();
        let libraries = "L/usr/lib/x86_64-linux-gnu:L/usr/lib:L/usr/lib/x86_64-linux-gnu/extra";
        let launch = [
            pair("GDAL_DATA", "mine"),
            pair("LD_LIBRARY_PATH", libraries),
            pair("PATH", "L/usr/bin:/bin"),
            pair("XDG_DATA_DIRS", "L/usr/share:/usr/local/share:/usr/share"),
        ];
        let start = [("PATH", "/bin"), ("GDAL_DATA", "mine")];
        assert_eq!(applied(layer.path(), Scope::Launch, &start), launch);
        let mut build = launch.to_vec();
        build.extend([
            pair("CPATH", "L/usr/include"),
            pair("LIBRARY_PATH", "L/usr/lib/x86_64-linux-gnu:L/usr/lib"),
            pair("PKG_CONFIG_PATH", "L/usr/lib/x86_64-linux-gnu/pkgconfig"),
        ]);
        build.sort();
        assert_eq!(applied(layer.path(), Scope::Build, &start), build);
    }
}
