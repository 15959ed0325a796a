//! Where a machine's user has credentials: what docker, podman and skopeo keep of logins, after what a CI system says for this run; and
//! where they keep certificates for registries.

use std::{ffi::OsString, path::PathBuf};

use oci_image::Reference;

use crate::{
    credentials::{CredentialFile, Credentials, CredentialsError},
    helper::Helpers,
};

impl Credentials {
    /// The credentials of the user whose environment this looks variables up in; empty values count as none.
    pub fn of_user(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, CredentialsError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let helpers = Helpers {
            path: variable("PATH").unwrap_or_default(),
            ..Helpers::default()
        };
        let mut credentials = Self::none().with_helpers(helpers);
        if let Some(text) = variable("CNB_REGISTRY_AUTH") {
            credentials = credentials.with_cnb_registry_auth(&text.to_string_lossy())?;
        }
        for file in credential_files(variable) {
            credentials = credentials.with_file(&file)?;
        }
        Ok(credentials)
    }

    /// The same credentials, with the helpers asked for these repositories now: a program that gives rights up cannot ask them later. A
    /// helper that gives no answer is asked again when its answer is needed, and its words are shown then.
    #[must_use]
    pub fn settled_for(mut self, repositories: &[Reference]) -> Self {
        for repository in repositories {
            let (registry, name) = (repository.registry(), repository.repository());
            if let Ok(login) = self.find(registry, name) {
                self.settle(registry, name, login);
            }
        }
        self
    }
}

/// containers-auth.json(5) and Docker's command-line reference, "Configuration files"; what is named comes before what is usual.
fn credential_files(variable: impl Fn(&str) -> Option<OsString>) -> Vec<CredentialFile> {
    let path = |name: &str| variable(name).map(PathBuf::from);
    let home = path("HOME");
    let below = |base: Option<PathBuf>, path: &str| base.map(|base| base.join(path));
    let docker = path("DOCKER_CONFIG");
    let candidates = [
        (path("REGISTRY_AUTH_FILE"), "REGISTRY_AUTH_FILE"),
        (below(docker.clone(), "config.json"), "DOCKER_CONFIG"),
        (
            below(path("XDG_RUNTIME_DIR"), "containers/auth.json"),
            "podman's and skopeo's logins",
        ),
        (
            below(
                path("XDG_CONFIG_HOME").or_else(|| below(home.clone(), ".config")),
                "containers/auth.json",
            ),
            "podman's and skopeo's logins",
        ),
        (
            below(home.filter(|_| docker.is_none()), ".docker/config.json"),
            "docker's logins",
        ),
    ];
    let file = |(path, origin): (Option<PathBuf>, &str)| {
        Some(CredentialFile {
            path: path?,
            origin: origin.to_owned(),
        })
    };
    candidates.into_iter().filter_map(file).collect()
}

/// Where Podman and Docker keep certificates for registries, for the user whose environment this looks variables up in: what is this user's
/// alone comes first (containers-certs.d(5); Docker's rootless mode reads the second).
pub fn certificate_folders(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let path = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let config = path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")));
    let own = ["containers/certs.d", "docker/certs.d"];
    let own = own
        .iter()
        .filter_map(|folder| Some(config.as_ref()?.join(folder)));
    let all = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.chain(all).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::login::Login;

    fn paths(variables: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        let files = credential_files(variable);
        files
            .iter()
            .map(|file| file.path.display().to_string())
            .collect()
    }

    #[test]
    fn credential_files_named_before_usual() {
        assert_eq!(
            paths(&[
                ("HOME", "/h"),
                ("REGISTRY_AUTH_FILE", "/named.json"),
                ("XDG_RUNTIME_DIR", "/run/user/1"),
            ]),
            [
                "/named.json",
                "/run/user/1/containers/auth.json",
                "/h/.config/containers/auth.json",
                "/h/.docker/config.json"
            ]
        );
        assert_eq!(
            paths(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d")]),
            ["/d/config.json", "/h/.config/containers/auth.json"]
        );
    }

    #[test]
    fn certificate_folders_own_before_all() {
        let shown = |name: &'static str, value: &'static str| {
            let folders = certificate_folders(|asked| (asked == name).then(|| value.into()));
            let folders = folders.iter().map(|folder| folder.display().to_string());
            folders.collect::<Vec<_>>()
        };
        let all = ["/etc/containers/certs.d", "/etc/docker/certs.d"];
        assert_eq!(shown("HOME", ""), all);
        let own = ["/h/.config/containers/certs.d", "/h/.config/docker/certs.d"];
        assert_eq!(shown("HOME", "/h"), [own, all].concat());
        let own = ["/c/containers/certs.d", "/c/docker/certs.d"];
        assert_eq!(shown("XDG_CONFIG_HOME", "/c"), [own, all].concat());
    }

    #[test]
    fn settled_for_asks_helpers_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("config.json"), r#"{"credsStore": "test"}"#).unwrap();
        let helper = at("docker-credential-test");
        fs::write(
            &helper,
            "#!/bin/sh\necho '{\"Username\": \"u\", \"Secret\": \"s\"}'\n",
        )
        .unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().as_os_str().to_owned();
        let variable = |name: &str| match name {
            "DOCKER_CONFIG" | "PATH" => Some(path.clone()),
            _ => None,
        };
        let repository: Reference = "r.test/app".parse().unwrap();
        let credentials = Credentials::of_user(variable).unwrap();
        let credentials = credentials.settled_for(std::slice::from_ref(&repository));
        fs::remove_file(helper).unwrap();
        let login = Login::Basic {
            user: "u".into(),
            password: "s".into(),
        };
        assert_eq!(credentials.find("r.test", "app").unwrap(), Some(login));
        assert!(credentials.find("r.test", "other").is_err());
    }
}
