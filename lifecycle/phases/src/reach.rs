//! What a program reaches beyond its folders: registries, a Docker daemon. Both may want root's rights, which are given up before anything is
//! done: credentials are read and the daemon's socket is held before that ([`Rights`]), and used afterwards ([`Reach`]).

use std::ffi::OsStr;
use std::path::PathBuf;

use daemon::{Daemon, Endpoint};
use fetch::trust::TrustSettings;
use fetch::{Config, Proxies};
use lifecycle::environment::text_of;
use oci_image::Reference;
use registry::{Credentials, Registry};

use crate::docker_socket::DockerSocket;
use crate::failure::{Failure, INVALID_ARGS, OTHER};
use crate::images::guard_experimental;
use crate::settings::Settings;

/// Where a program's images are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In OCI layouts below this folder.
    Layouts(PathBuf),
    /// In a Docker daemon.
    Daemon,
    /// In registries.
    Registry,
}

impl Place {
    /// What the platform asks for.
    pub(crate) fn of(settings: &Settings<'_>) -> Result<Self, Failure> {
        if settings.yes("layout", "CNB_USE_LAYOUT") {
            guard_experimental("export to OCI layout format", settings)?;
            let dir = settings.optional_path("layout-dir", "CNB_LAYOUT_DIR");
            let reason = "-layout-dir is required with -layout";
            let missing = || Failure::new(INVALID_ARGS, "resolve inputs", reason);
            return dir.map(Self::Layouts).ok_or_else(missing);
        }
        if settings.yes("daemon", "CNB_USE_DAEMON") {
            return Ok(Self::Daemon);
        }
        Ok(Self::Registry)
    }
}

/// What root's rights were needed for.
#[derive(Debug)]
pub(crate) struct Rights {
    place: Place,
    /// None where no registry will be asked: what is wrong with somebody's logins is no matter then.
    credentials: Option<Credentials>,
    socket: Option<DockerSocket>,
}

/// The images that a program will ask for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Where all images are: in a registry, maybe.
    pub(crate) in_place: Vec<String>,
    /// In a registry, wherever others are: a cache, a build image.
    pub(crate) in_registries: Vec<String>,
}

impl Rights {
    /// Reads the credentials for these images, and takes hold of the daemon. A text that is no name needs none.
    pub(crate) fn take(settings: &Settings<'_>, asked: Asked) -> Result<Self, Failure> {
        let place = Place::of(settings)?;
        let mut images = asked.in_registries;
        if place == Place::Registry {
            images.extend(asked.in_place);
        }
        let variables = settings.environment();
        let credentials = match &images[..] {
            [] => None,
            images => {
                let found = Credentials::of_user(|name| variables.get(OsStr::new(name)).cloned());
                let found = found.map_err(|error| Failure::new(OTHER, "resolve keychain", error));
                let repositories: Vec<Reference> = images
                    .iter()
                    .filter_map(|image| image.parse().ok())
                    .collect();
                Some(found?.settled_for(&repositories))
            }
        };
        let socket = match place {
            Place::Daemon => {
                let wrong = |error: String| Failure::new(OTHER, "initialize docker client", error);
                let endpoint =
                    Endpoint::of_variables(|name| variables.get(OsStr::new(name)).cloned());
                let endpoint = endpoint.map_err(|error| wrong(error.to_string()))?;
                let socket = DockerSocket::hold(endpoint, settings.user(), &settings.temp_dir());
                Some(socket.map_err(|error| wrong(error.to_string()))?)
            }
            Place::Layouts(_) | Place::Registry => None,
        };
        Ok(Self {
            place,
            credentials,
            socket,
        })
    }

    /// Makes the clients, whose threads have the rights that the program has now.
    pub(crate) fn connect(self, settings: &Settings<'_>) -> Result<Reach, Failure> {
        let Self {
            place,
            credentials,
            socket,
        } = self;
        let http = match (&credentials, &socket) {
            (None, None) => Config::default(),
            _ => http(settings)?,
        };
        let registry = Registry::new(registry::Settings {
            http: http.clone(),
            credentials: credentials.unwrap_or_default(),
            insecure: insecure_registries(settings),
            ..registry::Settings::default()
        });
        let registry = registry.map_err(|error| Failure::new(OTHER, "access registries", error))?;
        let daemon = match &socket {
            None => None,
            Some(socket) => Some(
                Daemon::new(daemon::Settings {
                    endpoint: socket.endpoint().clone(),
                    http,
                    scratch: settings.temp_dir(),
                    ..daemon::Settings::default()
                })
                .map_err(|error| Failure::new(OTHER, "initialize docker client", error))?,
            ),
        };
        Ok(Reach {
            place,
            registry,
            daemon,
            _socket: socket,
        })
    }
}

/// The clients.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) place: Place,
    pub(crate) registry: Registry,
    /// There if that is where the images are.
    pub(crate) daemon: Option<Daemon>,
    _socket: Option<DockerSocket>,
}

/// Trust and proxies, as curl and Docker read them from the environment.
fn http(settings: &Settings<'_>) -> Result<Config, Failure> {
    let variables = settings.environment();
    let variable = |name: &str| variables.get(OsStr::new(name)).cloned();
    let trust = TrustSettings {
        ssl_cert_file: variable("SSL_CERT_FILE").map(PathBuf::from),
        ssl_cert_dir: variable("SSL_CERT_DIR"),
        ..TrustSettings::default()
    };
    let (roots, notices) = fetch::trust::load(&trust)
        .map_err(|error| Failure::new(OTHER, "read trusted certificates", error))?;
    for notice in notices {
        settings.output.debug(notice);
    }
    Ok(Config {
        roots,
        proxies: Proxies::of_variables(|name| Some(text_of(variables, name).into_owned())),
        ..Config::default()
    })
}

/// Registries that may be spoken to without TLS. Platforms write lists with commas, one at the end included; what follows the host is no part of a registry's name.
fn insecure_registries(settings: &Settings<'_>) -> Vec<String> {
    let mut texts = settings.list("insecure-registry");
    texts.extend(settings.optional("", "CNB_INSECURE_REGISTRIES"));
    let hosts = texts.iter().flat_map(|text| text.split(','));
    hosts
        .filter_map(|text| text.trim().split('/').next())
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect()
}
