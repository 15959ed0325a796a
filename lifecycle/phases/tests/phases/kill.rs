//! kill -9 at every named moment of restore, cache and export: with the image in a layout and in a registry, and with the cache in a folder and in an
//! image. What is found after it is the old state or the new one, whole, and the next build goes on from there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lifecycle::FAILPOINTS;
use oci_image::{Digest, ExpansionLimits, HashingReader, Image, LayerReader, Platform};
use registry::{Registry, Settings};
use test_registry::TestRegistry;

use crate::chain::{Logs, PHASES};
use crate::fixture::Fixture;
use crate::images;
use crate::registry::Site;

/// The file of a cache folder, and the label of a cache image.
const CACHE_METADATA: &str = "io.buildpacks.lifecycle.cache.metadata";

/// A buildpack with a layer that stays, one that changes with the app, and one for builds alone that does, too. It says what it finds in them.
const BUILD: &str = r#"version=$(cat version); noise=$(cat noise); cd "$1"
fill() {
  if [ -d $1 ]; then echo "$1: $(cat $1/a $1/d/b $1/d/c | tr '\n' ' ')"; else echo "$1: new"; fi
  rm -rf $1; mkdir -p $1/d; for file in a d/b d/c; do echo $2 >$1/$file; done
}
fill kept 0; printf '[types]\nlaunch = true\ncache = true\n' >kept.toml
fill changed $version; printf '[types]\nlaunch = true\ncache = true\n' >changed.toml
fill cached $version; printf '[types]\ncache = true\n' >cached.toml
echo "{\"version\": $version}" >cached.sbom.cdx.json; echo "{\"noise\": \"$noise\"}" >changed.sbom.cdx.json"#;

/// Where the image and the cache go.
enum Place {
    /// Into a layout, and a folder.
    Layout(Fixture),
    /// Into a registry, and a folder.
    Registry(Site),
    /// Into a layout, and a registry: what is sent and received is the cache's alone.
    CacheImage(Fixture, TestRegistry),
}

/// Which cache a build uses.
#[derive(Clone, Copy, PartialEq)]
enum Cache {
    Kept,
    /// One that is empty.
    Fresh,
}

/// What a build leaves.
#[derive(Debug, PartialEq)]
struct State {
    /// The manifest's digest.
    image: String,
    /// The cache's metadata, which names layers by their digests.
    cache: String,
}

impl Place {
    fn layout() -> Self {
        Self::Layout(Fixture::with_run_image("0.12")).prepared()
    }

    fn cache_image() -> Self {
        let fixture = Fixture::with_run_image("0.12");
        Self::CacheImage(fixture, TestRegistry::start()).prepared()
    }

    fn registry() -> Self {
        Self::Registry(Site::new("0.12")).prepared()
    }

    fn prepared(self) -> Self {
        let formats = "sbom-formats = [\"application/vnd.cyclonedx+json\"]\n";
        self.fixture().order(&["x/y"]);
        self.fixture().buildpack("x/y", "0.10", formats, "", BUILD);
        self
    }

    fn fixture(&self) -> &Fixture {
        match self {
            Self::Layout(fixture) | Self::CacheImage(fixture, _) => fixture,
            Self::Registry(site) => &site.fixture,
        }
    }

    /// Changes the app.
    fn change(&self, version: usize) {
        self.fixture().write("app/version", &version.to_string());
        self.fixture().write("app/noise", &noise(version));
    }

    /// Builds, up to where the program dies. `None` if it does.
    fn try_build(&self, failpoint: Option<&str>, cache: Cache) -> Option<Logs> {
        let fixture = self.fixture();
        fixture.fresh_layers();
        if cache == Cache::Fresh {
            fs::remove_dir_all(fixture.path("cache")).unwrap();
            fs::create_dir(fixture.path("cache")).unwrap();
        }
        let moment = failpoint.map(|name| ("LONGSHORE_FAILPOINT", name));
        let run = |phase: &str| match self {
            Self::Layout(fixture) => fixture.phase(phase, &[], moment.as_slice()),
            Self::Registry(site) => {
                let name = site.name("app");
                let takes_name = matches!(phase, "analyzer" | "exporter");
                let more = [name.as_str()];
                let more = if takes_name { &more[..] } else { &[] };
                let env = [("CNB_USE_LAYOUT", "false")].into_iter().chain(moment);
                let env: Vec<_> = env.collect();
                fixture.phase(phase, more, &env)
            }
            Self::CacheImage(fixture, registry) => {
                let image = format!("-cache-image={}", Self::cache_name(registry, cache));
                let takes_cache = !matches!(phase, "detector" | "builder");
                let more = [image.as_str()];
                let more = if takes_cache { &more[..] } else { &[] };
                fixture.phase(phase, more, moment.as_slice())
            }
        };
        let mut printed = Vec::new();
        for phase in PHASES {
            let ended = run(phase);
            if failpoint.is_some() && ended.signal == Some(libc::SIGKILL) {
                return None;
            }
            assert_eq!(ended.code, Some(0), "{failpoint:?} {phase}: {ended:?}");
            printed.push(ended.stdout);
        }
        let [analyzer, _, restorer, builder, exporter] = printed.try_into().unwrap();
        Some(Logs {
            analyzer,
            restorer,
            builder,
            exporter,
        })
    }

    fn build(&self, cache: Cache) -> Logs {
        self.try_build(None, cache).unwrap()
    }

    fn cache_name(registry: &TestRegistry, cache: Cache) -> String {
        let repository = match cache {
            Cache::Kept => "cache",
            Cache::Fresh => "fresh",
        };
        format!("{}/{repository}", registry.host())
    }

    /// What is there now, all of it read.
    fn state(&self, cache: Cache) -> State {
        let image = match self {
            Self::Layout(fixture) | Self::CacheImage(fixture, _) => {
                images::read(&fixture.layouts(), "app/latest")
            }
            Self::Registry(site) => pulled(&site.client(), &site.name("app")),
        };
        let cache = match self {
            Self::Layout(fixture) | Self::Registry(Site { fixture, .. }) => {
                whole_cache(&fixture.path("cache/committed"))
            }
            Self::CacheImage(_, registry) => {
                let client = Registry::new(Settings::default()).unwrap();
                let image = pulled(&client, &Self::cache_name(registry, cache));
                whole_cache_image(&image)
            }
        };
        State {
            image: whole_image(&image),
            cache,
        }
    }
}

fn pulled(client: &Registry, name: &str) -> Image {
    let found = client.image(&name.parse().unwrap(), Platform::LINUX_AMD64);
    found.unwrap().unwrap().image
}

/// Text that stays so long when it is compressed that it is sent, and received, in several pieces.
fn noise(version: usize) -> String {
    let mut last = version.to_string();
    let digests = (0..12_000).map(|_| {
        last = Digest::of(last.as_bytes()).hex();
        last.clone()
    });
    digests.collect()
}

/// Reads all layers of an image, which checks that they are what its manifest and its configuration say; gives the manifest's digest.
fn whole_image(image: &Image) -> String {
    for layer in image.layers() {
        let blob = layer.open().unwrap();
        let tar = LayerReader::new(blob, ExpansionLimits::default()).unwrap();
        let (digest, _) = HashingReader::new(tar).finish().unwrap();
        assert_eq!(digest.to_string(), layer.diff_id.to_string());
    }
    image.documents().manifest.digest.to_string()
}

/// Every tar is what its name says, and they are those that the metadata names; gives the metadata.
fn whole_cache(committed: &Path) -> String {
    let metadata = fs::read_to_string(committed.join(CACHE_METADATA)).unwrap();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(committed).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if let Some(digest) = name.strip_suffix(".tar") {
            let tar = fs::read(entry.path()).unwrap();
            assert_eq!(Digest::of(&tar).to_string(), digest, "a torn tar");
            found.insert(digest.to_owned());
        } else {
            assert_eq!(name, CACHE_METADATA);
        }
    }
    assert_eq!(found, digests_in(&metadata));
    metadata
}

/// The same of a cache image.
fn whole_cache_image(image: &Image) -> String {
    whole_image(image);
    let metadata = image.config().config.labels[CACHE_METADATA].clone();
    let layers = image.layers().iter();
    let found: BTreeSet<String> = layers.map(|layer| layer.diff_id.to_string()).collect();
    assert_eq!(found, digests_in(&metadata));
    metadata
}

fn digests_in(metadata: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    collect_digests(&serde_json::from_str(metadata).unwrap(), &mut named);
    named
}

fn collect_digests(value: &serde_json::Value, digests: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) if text.starts_with("sha256:") => {
            digests.insert(text.clone());
        }
        serde_json::Value::Array(list) => {
            for item in list {
                collect_digests(item, digests);
            }
        }
        serde_json::Value::Object(map) => {
            for item in map.values() {
                collect_digests(item, digests);
            }
        }
        _ => {}
    }
}

/// Which of the two states was found after a program died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Old,
    New,
}

impl Age {
    fn of(found: &str, old: &str, new: &str) -> Self {
        assert_ne!(old, new);
        match found {
            found if found == old => Self::Old,
            found if found == new => Self::New,
            torn => panic!("neither {old} nor {new}: {torn}"),
        }
    }
}

/// Kills a build of something new at one moment, and lets the next one go on; gives which image and which cache the killed one left.
fn kill_and_go_on(place: &Place, version: usize, moment: &str) -> (Age, Age) {
    let fixture = place.fixture();
    let old = place.state(Cache::Kept);
    place.change(version);
    let ended = place.try_build(Some(moment), Cache::Kept);
    assert!(ended.is_none(), "{moment} is not passed: {ended:?}");
    let found = place.state(Cache::Kept);

    let next = place.build(Cache::Kept);
    let new = place.state(Cache::Kept);
    let image = Age::of(&found.image, &old.image, &new.image);
    let cache = Age::of(&found.cache, &old.cache, &new.cache);
    assert_went_on(&next, version, image, cache);
    let left = fs::read_dir(fixture.path("cache")).unwrap().count();
    assert!(left <= 1, "{moment} left something beside the cache");
    (image, cache)
}

/// The build after the killed one found what the killed one left, and used it.
fn assert_went_on(logs: &Logs, version: usize, image: Age, cache: Age) {
    let has = |log: &str, line: &str| assert!(log.contains(line), "{line} in {logs:?}");
    let verb = |age| if age == Age::New { "Reusing" } else { "Adding" };
    for layer in ["kept", "cached"] {
        let line = format!("Restoring data for \"x/y:{layer}\" from cache\n");
        has(&logs.restorer, &line);
    }
    let cached = if cache == Age::New {
        version
    } else {
        version - 1
    };
    has(&logs.builder, "kept: 0 0 0 \n");
    has(
        &logs.builder,
        &format!("cached: {cached} {cached} {cached} \n"),
    );
    for line in [
        "Reusing layer 'x/y:kept'\n".to_owned(),
        "Reusing cache layer 'x/y:kept'\n".to_owned(),
        format!("{} layer 'x/y:changed'\n", verb(image)),
        format!("{} cache layer 'x/y:changed'\n", verb(cache)),
        format!("{} cache layer 'x/y:cached'\n", verb(cache)),
    ] {
        has(&logs.exporter, &line);
    }
}

/// Kills a build at every moment; gives the states that were left.
fn kill_at_every(place: &Place, moments: &[&str]) -> BTreeSet<(Age, Age)> {
    place.change(0);
    place.build(Cache::Kept);
    let mut left = BTreeSet::new();
    for (version, moment) in (1..).zip(moments) {
        if left.insert(kill_and_go_on(place, version, moment)) {
            // Nothing of a killed build is in the result: without a cache, it is the same.
            let new = place.state(Cache::Kept);
            place.build(Cache::Fresh);
            assert_eq!(place.state(Cache::Fresh), new, "{moment}");
        }
    }
    left
}

/// The image is saved before the cache, and both in one step each.
fn expected() -> BTreeSet<(Age, Age)> {
    BTreeSet::from([
        (Age::Old, Age::Old),
        (Age::New, Age::Old),
        (Age::New, Age::New),
    ])
}

#[test]
fn kill_with_layout() {
    let left = kill_at_every(&Place::layout(), &FAILPOINTS);
    assert_eq!(left, expected());
}

#[test]
fn kill_with_registry() {
    let moments = [&FAILPOINTS[..], &registry::FAILPOINTS].concat();
    let left = kill_at_every(&Place::registry(), &moments);
    assert_eq!(left, expected());
}

/// The moments of a cache in a folder are not passed; those of a push are, all of them by the cache.
#[test]
fn kill_with_cache_image() {
    let of_phases = FAILPOINTS.into_iter();
    let of_phases = of_phases.filter(|moment| !moment.starts_with("cache-"));
    let moments: Vec<&str> = of_phases.chain(registry::FAILPOINTS).collect();
    let left = kill_at_every(&Place::cache_image(), &moments);
    assert_eq!(left, expected());
}

#[test]
fn kill_unknown_moment_is_a_warning() {
    let fixture = Fixture::new("0.12");
    let env = [("LONGSHORE_FAILPOINT", "none")];
    let ended = fixture.run_with("detector", &["-version"], &env);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let start =
        "Warning: LONGSHORE_FAILPOINT names \"none\"; there are: restore-metadata-written, ";
    assert!(ended.stdout.starts_with(start), "{ended:?}");
}
