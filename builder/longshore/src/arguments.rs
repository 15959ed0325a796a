//! What the typed texts mean: image names, outputs, variables. Each is parsed once, here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use oci_image::{ImageName, ParseImageNameError, Reference};

use crate::failure::{Exit, Failure};
use crate::host::Environment;

/// The default name of an app's image: the folder's own name, with what no image name may hold replaced by `-`.
pub(crate) fn name_of_folder(folder: &Path) -> Result<ImageName, Failure> {
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let keep = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '-'
        }
    };
    let cleaned: String = name.chars().map(keep).collect();
    let parts: Vec<&str> = cleaned.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-").parse().map_err(|_: ParseImageNameError| {
        let body = format!(
            "The folder {} gives no usable image name. Give one with --tag.",
            folder.display()
        );
        Failure::new(Exit::Usage, "No image name", body)
    })
}

/// Reads a name that the user gave.
pub(crate) fn image_name(text: &str) -> Result<ImageName, Failure> {
    text.parse().map_err(|error: ParseImageNameError| {
        Failure::new(
            Exit::Usage,
            "Not an image name",
            format!("{error}.\nWrite for example: my-app, team/my-app:v2."),
        )
    })
}

/// Where an image is written besides the store, or read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Layout(PathBuf),
    OciArchive(PathBuf),
    DockerArchive(PathBuf),
    /// A Docker daemon has it under this name.
    Daemon(ImageName),
}

impl Place {
    /// `None` where the text has none of the known prefixes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, path) = text.split_once(':')?;
        if kind == "docker-daemon" {
            return path.parse().ok().map(Self::Daemon);
        }
        let path = PathBuf::from(path);
        match kind {
            _ if path.as_os_str().is_empty() => None,
            "oci" => Some(Self::Layout(path)),
            "oci-archive" => Some(Self::OciArchive(path)),
            "docker-archive" => Some(Self::DockerArchive(path)),
            _ => None,
        }
    }

    /// Where it is in the file system.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Layout(path) | Self::OciArchive(path) | Self::DockerArchive(path) => Some(path),
            Self::Daemon(_) => None,
        }
    }

    pub(crate) fn parse_output(text: &str) -> Result<Self, Failure> {
        Self::parse(text).ok_or_else(|| {
            let body = format!(
                "--output {text:?} names no place to write to.\n\
                 Write oci:DIR, oci-archive:FILE, docker-archive:FILE or docker-daemon:NAME."
            );
            Failure::new(Exit::Usage, "Unknown output", body)
        })
    }
}

/// The name of an image that is to be: a digest is not known before.
pub(crate) fn tagged(reference: Reference) -> Result<Reference, Failure> {
    if reference.digest().is_none() {
        return Ok(reference);
    }
    let body = format!(
        "{reference} has a digest, which an image that is yet to be built cannot be given. Leave it out."
    );
    Err(Failure::new(Exit::Usage, "A name with a digest", body))
}

/// Reads labels: `K=V`.
pub(crate) fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let label = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => {
            let body = format!("--label {text:?} is not of the form K=V.");
            Err(Failure::new(Exit::Usage, "Label not understood", body))
        }
    };
    texts.iter().map(label).collect()
}

/// `--creation-time`, else SOURCE_DATE_EPOCH (reproducible-builds.org), in seconds since 1970.
pub(crate) fn creation_time(
    text: Option<&str>,
    env: &Environment,
    now: SystemTime,
) -> Result<Option<u64>, Failure> {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok().map(|it| it.as_secs());
    let (text, by) = match (text, env.text("SOURCE_DATE_EPOCH")) {
        (Some(text), _) => (text.to_owned(), "--creation-time"),
        (None, Some(text)) => (text, "SOURCE_DATE_EPOCH"),
        (None, None) => return Ok(None),
    };
    let time = match text.as_str() {
        "now" => seconds(now),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        time => humantime::parse_rfc3339_weak(time).ok().and_then(seconds),
    };
    // The year 9999 is the last that RFC 3339 can say.
    match time.filter(|&seconds| seconds < 253_402_300_800) {
        Some(seconds) => Ok(Some(seconds)),
        None => {
            let body = format!(
                "{by} is {text:?}. Write seconds since 1970, a time like 2026-01-31T12:00:00Z, or `now`."
            );
            Err(Failure::new(Exit::Usage, "Not a time", body))
        }
    }
}

/// Reads `K=V`, or `K` for the value it has here.
pub(crate) fn variables(
    texts: &[String],
    env: &Environment,
) -> Result<BTreeMap<String, String>, Failure> {
    texts.iter().map(|text| variable(text, env)).collect()
}

fn variable(text: &str, env: &Environment) -> Result<(String, String), Failure> {
    let wrong = |body: String| Failure::new(Exit::Usage, "Variable not understood", body);
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => {
            let value = env.text(text).ok_or_else(|| {
                wrong(format!("--env {text} takes the value of {text} from here, but it is not set. Write --env {text}=VALUE."))
            })?;
            (text, value)
        }
    };
    if !is_variable_name(name) {
        return Err(wrong(format!(
            "--env {text:?} does not begin with a variable's name. Write --env NAME=VALUE."
        )));
    }
    Ok((name.to_owned(), value))
}

/// Reads files of variables: a line each, as `--env` has it; empty lines and those that begin with `#` mean nothing (docker's `--env-file`).
pub(crate) fn variable_files(
    paths: &[PathBuf],
    env: &Environment,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for path in paths {
        let wrong = |reason: String| {
            let body = format!("--env-file {}: {reason}", path.display());
            Failure::new(Exit::Usage, "Variables not understood", body)
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("{error}.")))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = variable(line, env)
                .map_err(|failure| wrong(format!("line {}: {}", number + 1, failure.body)))?;
            all.insert(name, value);
        }
    }
    Ok(all)
}

/// A folder or file that the build sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) writable: bool,
}

/// Folders whose contents are the lifecycle's to say: what is mounted there would get lost, or into the image.
const RESERVED: [&str; 4] = ["/cnb", "/layers", "/platform/env", "/run/longshore"];

impl Volume {
    /// Reads `SRC:DST[:ro|rw]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |reason: &str| {
            let body = format!(
                "--volume {text:?}: {reason}.\nWrite SRC:DST, or SRC:DST:rw for one that may be written to; both are absolute paths."
            );
            Failure::new(Exit::Usage, "Volume not understood", body)
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts[..] {
            [source, target] => (source, target, "ro"),
            [source, target, mode] => (source, target, mode),
            _ => return Err(wrong("it has not two or three parts")),
        };
        let writable = match mode {
            "ro" => false,
            "rw" => true,
            _ => return Err(wrong("the third part is neither ro nor rw")),
        };
        let target = PathBuf::from(target);
        let climbs = |path: &Path| path.components().any(|part| part.as_os_str() == "..");
        if !target.is_absolute() || climbs(&target) || target == Path::new("/") {
            return Err(wrong("DST is no absolute path"));
        }
        if let Some(reserved) = RESERVED
            .iter()
            .find(|reserved| target.starts_with(reserved))
        {
            return Err(wrong(&format!("{reserved} is the lifecycle's own")));
        }
        let source = Path::new(source)
            .canonicalize()
            .map_err(|error| wrong(&format!("SRC: {error}")))?;
        Ok(Self {
            source,
            target,
            writable,
        })
    }
}

/// A variable becomes a file of this name below /platform/env (CNB platform specification), so a name that leads elsewhere is none.
pub(crate) fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0', '=']) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_folder_is_cleaned() {
        let name = |path: &str| name_of_folder(Path::new(path)).map(|name| name.to_string());
        assert_eq!(name("/x/My Dash.App").unwrap(), "my-dash-app:latest");
        assert_eq!(name("/").unwrap_err().title, "No image name");
        assert_eq!(image_name("No Name").unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn place_kinds() {
        assert_eq!(Place::parse("oci:out"), Some(Place::Layout("out".into())));
        assert_eq!(
            Place::parse("docker-archive:a.tar"),
            Some(Place::DockerArchive("a.tar".into()))
        );
        assert_eq!(
            Place::parse("docker-daemon:a/b:1"),
            Some(Place::Daemon("a/b:1".parse().unwrap()))
        );
        assert_eq!(Place::parse("docker-daemon:A"), None);
        assert_eq!(Place::parse("oci:"), None);
        assert_eq!(Place::parse("s3:x"), None);
    }

    #[test]
    fn creation_time_forms() {
        let now = UNIX_EPOCH + std::time::Duration::from_secs(7);
        let none = Environment::default();
        let time = |text: &str| creation_time(Some(text), &none, now).map_err(|it| it.title);
        assert_eq!(time("now"), Ok(Some(7)));
        assert_eq!(time("86400"), Ok(Some(86_400)));
        assert_eq!(time("1970-01-02T00:00:01Z"), Ok(Some(86_401)));
        for text in ["", "yesterday", "-1", "999999999999"] {
            assert_eq!(time(text), Err("Not a time".to_owned()), "{text}");
        }
        let env = Environment::of([("SOURCE_DATE_EPOCH", "12")]);
        assert_eq!(creation_time(None, &env, now).unwrap(), Some(12));
        assert_eq!(creation_time(None, &none, now).unwrap(), None);
    }

    #[test]
    fn labels_and_names_to_be_given() {
        let read = |text: &str| labels(&[text.to_owned()]);
        assert_eq!(read("a.b=c=d").unwrap()["a.b"], "c=d");
        assert!(read("a").is_err() && read("=c").is_err());
        let digest = format!("r.example/a@sha256:{}", "0".repeat(64));
        assert!(tagged(digest.parse().unwrap()).is_err());
        assert!(tagged("r.example/a:1".parse().unwrap()).is_ok());
    }

    #[test]
    fn volume_forms() {
        let read = |text: &str| Volume::parse(text).map(|it| (it.target, it.writable));
        assert_eq!(read("/tmp:/data"), Ok(("/data".into(), false)));
        assert_eq!(read("/tmp:/data:rw"), Ok(("/data".into(), true)));
        for text in [
            "/tmp",
            "/tmp:data",
            "/tmp:/x:z",
            "/tmp:/cnb/x",
            "/tmp:/a/../cnb",
            "/missing:/x",
            "/tmp:/layers",
        ] {
            assert_eq!(
                read(text).unwrap_err().title,
                "Volume not understood",
                "{text}"
            );
        }
    }

    #[test]
    fn variable_files_say_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        let env = Environment::of([("HERE", "h")]);
        std::fs::write(&path, "# words\n\nA=1=2\nHERE\n").unwrap();
        let found = variable_files(std::slice::from_ref(&path), &env).unwrap();
        assert_eq!(found["A"], "1=2");
        assert_eq!(found["HERE"], "h");
        std::fs::write(&path, "A=1\na/b=x\n").unwrap();
        let failure = variable_files(&[path], &env).unwrap_err();
        assert!(failure.body.contains("line 2"), "{}", failure.body);
    }

    #[test]
    fn variables_from_here_and_given() {
        let env = Environment::of([("HERE", "h")]);
        let read = |texts: &[&str]| {
            variables(
                &texts.iter().map(|&t| t.to_owned()).collect::<Vec<_>>(),
                &env,
            )
        };
        let expected = [("A", "1=2"), ("HERE", "h")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(read(&["A=1=2", "HERE"]).unwrap(), BTreeMap::from(expected));
        assert!(read(&["NOT_HERE"]).unwrap_err().body.contains("is not set"));
        assert!(read(&["=x"]).is_err());
        assert!(read(&["a/b=x"]).is_err());
    }
}
