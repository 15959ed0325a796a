//! The environment in which uv, pip, python and git run during a build: the lifecycle's own, the platform's variables over it, without
//! those that would send files elsewhere, and with the company's certificates under every name that a tool looks for.

use crate::command::Environment;
use crate::variables::Variables;
use std::ffi::OsStr;

/// Variables that would make pip or uv install somewhere else, use another interpreter, or break the interpreter.
const IGNORED: [&str; 34] = [
    "CONDA_PREFIX",
    "PIP_CACHE_DIR",
    "PIP_DRY_RUN",
    "PIP_NO_CACHE_DIR",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REPORT",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_SRC",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONPLATLIBDIR",
    "PYTHONUSERBASE",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_CACHE_DIR",
    "UV_COMPILE_BYTECODE",
    "UV_LINK_MODE",
    "UV_MANAGED_PYTHON",
    "UV_NO_CACHE",
    "UV_NO_MANAGED_PYTHON",
    "UV_PREVIEW",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_PYTHON_BIN_DIR",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_INSTALL_DIR",
    "UV_PYTHON_PREFERENCE",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
];

/// Names under which tools look for a file of trusted certificates.
const CERTIFICATE_FILE_NAMES: [&str; 5] = [
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
];

/// The environment for tools, and the names of the platform's variables that stayed out.
pub fn tool_environment(lifecycle: &Variables, platform: &Variables) -> (Environment, Vec<String>) {
    let mut ignored = Vec::new();
    let mut variables = lifecycle.clone();
    for (name, value) in platform.iter() {
        if IGNORED.contains(&name) {
            ignored.push(name.to_owned());
        } else {
            variables.set(name, value);
        }
    }
    let mut environment: Environment = variables
        .iter()
        .filter(|(name, _)| !IGNORED.contains(name))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let certificates = CERTIFICATE_FILE_NAMES
        .iter()
        .find_map(|name| variables.get(name));
    if let Some(file) = certificates {
        trust(&mut environment, file);
    } else if variables.get("SSL_CERT_DIR").is_none() && variables.get("UV_NATIVE_TLS").is_none() {
        // uv trusts a list of its own by default; pip, git and the operating system trust the system's.
        environment
            .entry("UV_SYSTEM_CERTS".into())
            .or_insert_with(|| "true".into());
    }
    reproducible_compilation(&mut environment);
    // Sets of strings would otherwise be written in another order into each build's bytecode, before Python 3.11.
    environment.insert("PYTHONHASHSEED".into(), "0".into());
    (environment, ignored)
}

/// Compiled packages shall be the same bytes in every build: debugging information names the random folder in which uv or pip compiles,
/// archives and some generated files hold the time.
fn reproducible_compilation(environment: &mut Environment) {
    for name in ["CFLAGS", "CXXFLAGS"] {
        let mut flags = environment.remove(OsStr::new(name)).unwrap_or_default();
        if flags.is_empty() {
            // Where the variable is set, `configure` scripts leave their own default (-g -O2) out.
            flags.push("-O2");
        }
        flags.push(" -g0");
        environment.insert(name.into(), flags);
    }
    // 1980-01-01T00:00:01Z, the time that layers have.
    environment
        .entry("SOURCE_DATE_EPOCH".into())
        .or_insert_with(|| "315532801".into());
}

/// Makes every tool trust the certificates in `file`, where it was not told otherwise.
pub fn trust(environment: &mut Environment, file: &str) {
    for name in CERTIFICATE_FILE_NAMES {
        environment
            .entry(name.into())
            .or_insert_with(|| file.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(
        lifecycle: &[(&str, &str)],
        platform: &[(&str, &str)],
    ) -> (Vec<String>, Vec<String>) {
        let (environment, ignored) = tool_environment(
            &lifecycle.iter().copied().collect(),
            &platform.iter().copied().collect(),
        );
        let lines = environment
            .into_iter()
            .filter(|(name, _)| {
                !["CFLAGS", "CXXFLAGS", "SOURCE_DATE_EPOCH"]
                    .iter()
                    .any(|other| name == other)
            })
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        (lines, ignored)
    }

    #[test]
    fn tool_environment_platform_over_lifecycle_without_dangerous_ones() {
        let (lines, ignored) = environment(
            &[("PATH", "/bin"), ("A", "1"), ("VIRTUAL_ENV", "/x")],
            &[
                ("A", "2"),
                ("PIP_TARGET", "/t"),
                ("PIP_INDEX_URL", "https://host/simple"),
            ],
        );
        assert_eq!(
            lines,
            [
                "A=2",
                "PATH=/bin",
                "PIP_INDEX_URL=https://host/simple",
                "PYTHONHASHSEED=0",
                "UV_SYSTEM_CERTS=true"
            ]
        );
        assert_eq!(ignored, ["PIP_TARGET"]);
    }

    #[test]
    fn tool_environment_compiles_reproducibly_with_the_users_flags() {
        let (environment, _) = tool_environment(
            &Variables::default(),
            &[("CFLAGS", "-Os")].into_iter().collect(),
        );
        assert_eq!(environment[OsStr::new("CFLAGS")], "-Os -g0");
        assert_eq!(environment[OsStr::new("CXXFLAGS")], "-O2 -g0");
        assert_eq!(environment[OsStr::new("SOURCE_DATE_EPOCH")], "315532801");
    }

    #[test]
    fn tool_environment_one_certificate_file_serves_all() {
        let (lines, _) = environment(
            &[],
            &[("PIP_CERT", "/ca.pem"), ("GIT_SSL_CAINFO", "/git.pem")],
        );
        assert_eq!(
            lines,
            [
                "CURL_CA_BUNDLE=/ca.pem",
                "GIT_SSL_CAINFO=/git.pem",
                "PIP_CERT=/ca.pem",
                "PYTHONHASHSEED=0",
                "REQUESTS_CA_BUNDLE=/ca.pem",
                "SSL_CERT_FILE=/ca.pem"
            ]
        );
    }
}
