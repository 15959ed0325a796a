//! Where names lead that a registry tells: not into this machine's own network, unless the registry is there as well.
//!
//! Everything here listens on 127.0.0.1. As an IPv6 address (`::ffff:127.0.0.1`) that counts as outside in these tests, as itself as inside.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use fetch::Names;
use oci_image::{Image, Platform, Reference};
use registry::{Push, Registry, RegistryError, Settings};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use test_registry::{Auth, Fault, Options, TestRegistry};

use crate::fixture::{image, read, settings};

const INSIDE: &str = "127.0.0.1";
const OUTSIDE: &str = "::ffff:127.0.0.1";

fn is_inside(address: IpAddr) -> bool {
    address.is_ipv4()
}

/// Where each name leads: first here, then there, and from then on to the last place.
#[derive(Clone)]
struct Hosts {
    names: BTreeMap<&'static str, Vec<&'static str>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Resolve for Hosts {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let mut asked = self.asked.lock().expect("nobody panics meanwhile");
        let before = asked.iter().filter(|known| **known == name).count();
        asked.push(name.clone());
        let places = self.names.get(&*name).map(Vec::as_slice);
        let place = places.and_then(|places| places.get(before).or(places.last()));
        // Several addresses of one look-up have a space between.
        let found = place.map(|place| {
            let addresses = place.split(' ').map(|address| {
                let address: IpAddr = address.parse().expect("an address");
                SocketAddr::new(address, 0)
            });
            addresses.collect::<Vec<_>>()
        });
        Box::pin(async move {
            let found = found.ok_or_else(|| format!("there is no {name}"))?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

struct World {
    server: TestRegistry,
    hosts: Hosts,
}

impl World {
    /// A registry that leads to `other.test`, where names lead like this.
    fn new(auth: Auth, names: &[(&'static str, &[&'static str])]) -> Self {
        let server = TestRegistry::with(Options {
            auth,
            name: Some("other.test".to_owned()),
            ..Options::default()
        });
        let names = names.iter().map(|(name, places)| (*name, places.to_vec()));
        let hosts = Hosts {
            names: names.collect(),
            asked: Arc::default(),
        };
        Self { server, hosts }
    }

    fn host(&self) -> String {
        format!("registry.test:{}", self.port())
    }

    fn port(&self) -> String {
        let host = self.server.host();
        let (_, port) = host.rsplit_once(':').expect("it has a port");
        port.to_owned()
    }

    fn app(&self) -> Reference {
        format!("{}/app:1", self.host()).parse().expect("a name")
    }

    fn client(&self) -> Registry {
        let settings = settings(&self.server);
        Registry::new(Settings {
            http: fetch::Config {
                names: Some(Names::by(self.hosts.clone())),
                ..settings.http
            },
            credentials: settings
                .credentials
                .with_login(&self.host(), crate::fixture::login()),
            insecure: vec![self.host()],
            is_local: is_inside,
            ..settings
        })
        .expect("a client")
    }

    fn push(&self, registry: &Registry) -> Result<(), RegistryError> {
        let push = Push {
            tags: &[self.app()],
            mount_from: &[],
            previous: None,
        };
        registry.push_image(&pushed(), &push).map(drop)
    }

    /// How often a name was looked up.
    fn asked(&self, name: &str) -> usize {
        let asked = self.hosts.asked.lock().expect("nobody panics meanwhile");
        asked.iter().filter(|known| *known == name).count()
    }
}

fn pushed() -> Image {
    image(1, &[70_000])
}

fn tokens() -> Auth {
    Auth::token(Duration::from_mins(5))
}

#[test]
fn realm_that_leads_inside() {
    let world = World::new(
        tokens(),
        &[("registry.test", &[OUTSIDE]), ("other.test", &[INSIDE])],
    );
    let error = world.push(&world.client()).expect_err("refused");
    let said = error.to_string();
    assert!(
        said.starts_with(&format!("GET http://other.test:{}/token", world.port())),
        "{said}"
    );
    let why = " is not done: `other.test` is 127.0.0.1 here, in this machine's own network, and the registry that leads there is not. \
               If that server is meant to be there, the registry's own name has to lead into this network as well";
    assert!(said.ends_with(why), "{said}");
    let asked = world.server.log();
    assert!(
        !asked
            .iter()
            .any(|logged| logged.target.starts_with("/token"))
    );
}

/// A company's registry and its token server: both are inside.
#[test]
fn realm_inside_of_a_registry_inside() {
    let world = World::new(
        tokens(),
        &[("registry.test", &[INSIDE]), ("other.test", &[INSIDE])],
    );
    world
        .client()
        .check_push(&world.app())
        .expect("allowed by a token");
    let asked = world.server.log();
    assert!(
        asked
            .iter()
            .any(|logged| logged.target.starts_with("/token"))
    );
}

#[test]
fn upload_that_goes_on_inside() {
    for (place, allowed) in [(OUTSIDE, true), (INSIDE, false)] {
        let world = World::new(
            Auth::None,
            &[("registry.test", &[OUTSIDE]), ("other.test", &[place])],
        );
        let result = world.push(&world.client());
        if allowed {
            result.expect("pushed");
            continue;
        }
        let error = result.expect_err("refused");
        assert!(matches!(error, RegistryError::OwnNetwork { .. }), "{error}");
        let sent = |logged: &test_registry::Logged| logged.method == "PUT";
        assert!(!world.server.log().iter().any(sent));
    }
}

/// A blob's redirect: by the name's addresses, what is asked.
#[test]
fn redirect_asks_only_what_is_outside() {
    for (other, is_followed) in [
        (&[INSIDE][..], false),
        (&[OUTSIDE], true),
        // Of several, the one that may be asked.
        (&["127.0.0.1 ::ffff:127.0.0.1"], true),
        (&["127.0.0.1 127.0.0.2"], false),
        // What was looked at is what is connected to; the next answer is not asked for.
        (&[OUTSIDE, INSIDE], true),
        (&[INSIDE, OUTSIDE], false),
    ] {
        let world = World::new(
            Auth::None,
            &[("registry.test", &[OUTSIDE]), ("other.test", other)],
        );
        let digest = world
            .server
            .put_blob("app", &read(&pushed().layers()[0]).expect("ours"));
        assert_eq!(digest, pushed().layers()[0].digest.to_string());
        let documents = pushed().documents();
        world.server.put_blob("app", &documents.config.bytes);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        world
            .server
            .put_manifest("app", Some("1"), kind, &documents.manifest.bytes);
        let registry = world.client();
        let found = registry.image(&world.app(), Platform::LINUX_AMD64);
        let found = found.expect("asked").expect("there").image;
        world.server.forget();
        world.server.fail_at(0, Fault::RedirectElsewhere);
        // The other host has nothing, and the registry is asked again.
        let result = read(&found.layers()[0]).map_err(|error| error.to_string());
        let followed = world.server.log().iter().any(|logged| logged.elsewhere);
        assert_eq!(followed, is_followed, "{other:?}");
        assert_eq!(result.is_ok(), is_followed, "{other:?}");
        assert_eq!(world.asked("other.test"), 1, "{other:?}");
    }
}

/// The registry's own name, too, may not lead inside once it was outside.
#[test]
fn registry_that_moves_inside() {
    // Asked for: whether it speaks TLS, and then without.
    let world = World::new(
        Auth::None,
        &[("registry.test", &[OUTSIDE, OUTSIDE, INSIDE])],
    );
    let registry = world.client();
    let ask = || registry.image(&world.app(), Platform::LINUX_AMD64);
    assert!(ask().expect("asked").is_none());
    world.server.forget();
    world.server.fail_at(0, Fault::ResetBeforeHeaders);
    let error = ask().expect_err("refused");
    assert!(matches!(error, RegistryError::OwnNetwork { .. }), "{error}");
    assert_eq!(world.server.requests(), 1);
    assert_eq!(world.asked("registry.test"), 3);
}
