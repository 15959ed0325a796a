//! Fixtures: what both lifecycles are given, and the steps that they do.
//!
//! ```toml
//! about = "What this shows."
//! include = ["kits/layout"]                  # another file's buildpacks, files and images
//! order = ["a b?", "c"]                      # a group a line; without it, one group of all buildpacks
//! registry = true                            # docker-registry on 127.0.0.1:5000
//! daemon = true                              # dockerd at /var/run/docker.sock, with the images that have no registry
//! [vary]                                     # one case for each combination; @NAME@ stands for the value
//! PLATFORM_API = ["0.12", "0.15"]
//! [buildpacks.a]                             # /cnb/buildpacks/a/1
//! toml = "…"                                 # more of its buildpack.toml
//! detect = "…"                               # bash
//! build = "…"
//! [files]                                    # whole files; those that begin with #! can be run
//! "/workspace/app.txt" = "…"
//! [[steps]]
//! run = "detector -log-level debug"          # a phase or the launcher, in the world of each lifecycle
//! env = { CNB_EXEC_ENV = "test" }
//! by = "other"                               # done by the other lifecycle's program
//! [[steps]]
//! chain = "layout"                           # the steps of that name in chains.toml
//! more = { exporter = "-process-type web" }  # more flags for one of them
//! [[steps]]
//! sh = "rm -r /layers/*"                     # bash, to change something between phases
//! ```
//!
//! Buildpacks have `$LAYERS` and `layer NAME TYPE…`, which makes a layer with an empty folder.
//!
//! `@PLATFORM_API@` is 0.15 and `@BUILDPACK_API@` is 0.12 unless they are varied.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Deserialize;

/// What the scripts of buildpacks begin with.
const FUNCTIONS: &str = r#"
LAYERS=$1
layer() {
    mkdir -p "$LAYERS/$1"
    { echo '[types]'; for type in "${@:2}"; do echo "$type = true"; done; } >"$LAYERS/$1.toml"
}
"#;

/// What both lifecycles are given, every placeholder filled.
#[derive(Debug)]
pub(crate) struct Case {
    /// The values of what varies.
    pub(crate) varied: String,
    pub(crate) platform_api: String,
    /// Path and content.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) images: Vec<Image>,
    pub(crate) registry: bool,
    pub(crate) daemon: bool,
    pub(crate) steps: Vec<Step>,
}

/// One thing that is done, after which the worlds are compared.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    number: usize,
    /// The chain that it is a part of: steps of the same number in one list.
    pub(crate) chain: usize,
    pub(crate) action: Action,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) by: By,
    pub(crate) uid: u32,
}

impl Step {
    /// What people call it.
    pub(crate) fn title(&self) -> String {
        let (Action::Run(line) | Action::Sh(line)) = &self.action;
        format!("step {}, {}", self.number, line.trim())
    }
}

/// What a step does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A phase or the launcher, with its flags.
    Run(String),
    /// A bash script.
    Sh(String),
}

/// Whose program does a step: a world's own, or the other's.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    #[default]
    Own,
    Other,
}

/// An image that is there before the first step: one layer with an `os-release`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    /// `<registry>/<repository>:<tag>`
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) env: Vec<String>,
    #[serde(default)]
    pub(crate) arch: Option<String>,
    /// Has it Docker's media types?
    #[serde(default)]
    pub(crate) docker: bool,
}

/// A fixture's file, or a kit's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    about: String,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    order: Vec<String>,
    #[serde(default)]
    registry: bool,
    #[serde(default)]
    daemon: bool,
    #[serde(default)]
    vary: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    buildpacks: BTreeMap<String, Buildpack>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    images: Vec<Image>,
    #[serde(default)]
    steps: Vec<StepText>,
}

/// A component buildpack of version 1.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Buildpack {
    #[serde(default)]
    api: Option<String>,
    #[serde(default)]
    toml: String,
    #[serde(default)]
    detect: String,
    #[serde(default)]
    build: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    #[serde(default)]
    run: Option<String>,
    #[serde(default)]
    chain: Option<String>,
    #[serde(default)]
    sh: Option<String>,
    #[serde(default)]
    more: BTreeMap<String, String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    by: By,
    #[serde(default = "cnb_user")]
    uid: u32,
}

fn cnb_user() -> u32 {
    1000
}

impl Case {
    /// All cases of a fixture.
    pub(crate) fn all(name: &str) -> Vec<Self> {
        let text = read(&format!("fixtures/{name}.toml"));
        let varied = parse(name, &text).vary;
        let combinations = varied
            .iter()
            .fold(vec![Vec::new()], |found, (name, values)| {
                let longer = found.iter().flat_map(|before: &Vec<(&str, &str)>| {
                    values.iter().map(|value| {
                        let mut longer = before.clone();
                        longer.push((name.as_str(), value.as_str()));
                        longer
                    })
                });
                longer.collect()
            });
        let cases = combinations.iter();
        cases.map(|values| Self::new(name, &text, values)).collect()
    }

    fn new(name: &str, text: &str, values: &[(&str, &str)]) -> Self {
        let value_of = |name: &str, otherwise: &str| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.map_or(otherwise, |(_, value)| value).to_owned()
        };
        let platform_api = value_of("PLATFORM_API", "0.15");
        let mut all: Vec<(&str, String)> = values
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        all.push(("PLATFORM_API", platform_api.clone()));
        all.push(("BUILDPACK_API", value_of("BUILDPACK_API", "0.12")));
        let fill = |text: &str| {
            all.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("@{name}@"), value)
            })
        };
        let mut fixture = parse(name, &fill(text));
        assert!(
            !fixture.about.is_empty(),
            "{name} does not say what it shows"
        );
        for kit in std::mem::take(&mut fixture.include) {
            let kit = parse(&kit, &fill(&read(&format!("{kit}.toml"))));
            fixture.add(kit);
        }
        let chains: BTreeMap<String, Vec<String>> =
            toml::from_str(&fill(&read("chains.toml"))).expect("chains.toml is well-formed");
        let mut steps = Vec::new();
        for (chain, text) in fixture.steps.iter().enumerate() {
            for action in text.actions(&chains) {
                steps.push(Step {
                    number: steps.len() + 1,
                    chain,
                    action,
                    env: text.env.clone(),
                    by: text.by,
                    uid: text.uid,
                });
            }
        }
        let varied: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Self {
            varied: varied.join(" "),
            platform_api,
            files: fixture.all_files(&value_of("BUILDPACK_API", "0.12")),
            images: fixture.images,
            registry: fixture.registry,
            daemon: fixture.daemon,
            steps,
        }
    }
}

impl Text {
    /// Adds what a kit has and the fixture itself has not.
    fn add(&mut self, kit: Self) {
        for (id, buildpack) in kit.buildpacks {
            self.buildpacks.entry(id).or_insert(buildpack);
        }
        for (path, content) in kit.files {
            self.files.entry(path).or_insert(content);
        }
        self.images.extend(kit.images);
    }

    fn all_files(&self, api: &str) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for (id, buildpack) in &self.buildpacks {
            let dir = format!("/cnb/buildpacks/{}/1", id.replace('/', "_"));
            let api = buildpack.api.as_deref().unwrap_or(api);
            let more = &buildpack.toml;
            let text =
                format!("api = \"{api}\"\n[buildpack]\nid = \"{id}\"\nversion = \"1\"\n{more}");
            files.insert(format!("{dir}/buildpack.toml"), text);
            for (name, script) in [("detect", &buildpack.detect), ("build", &buildpack.build)] {
                let script = format!("#!/bin/bash\nset -eu\n. /cnb/functions.sh\n{script}");
                files.insert(format!("{dir}/bin/{name}"), script);
            }
        }
        let one_group = [self
            .buildpacks
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")];
        let order = if self.order.is_empty() {
            &one_group[..]
        } else {
            &self.order
        };
        files.insert("/cnb/order.toml".to_owned(), order_toml(order));
        files.insert("/cnb/functions.sh".to_owned(), FUNCTIONS.to_owned());
        files.extend(self.files.clone());
        files
    }
}

/// Groups of ids; a question mark follows those that are optional.
fn order_toml(groups: &[String]) -> String {
    let mut text = String::new();
    for group in groups {
        text.push_str("[[order]]\n");
        for word in group.split_whitespace() {
            let id = word.trim_end_matches('?');
            let optional = if word == id { "" } else { "optional = true\n" };
            write!(
                text,
                "[[order.group]]\nid = \"{id}\"\nversion = \"1\"\n{optional}"
            )
            .expect("text grows");
        }
    }
    text
}

impl StepText {
    fn actions(&self, chains: &BTreeMap<String, Vec<String>>) -> Vec<Action> {
        let lines = match (&self.run, &self.chain, &self.sh) {
            (Some(line), None, None) => vec![line.clone()],
            (None, Some(chain), None) => chains
                .get(chain)
                .unwrap_or_else(|| unreachable!("chains.toml has no {chain}"))
                .iter()
                .map(|line| self.with_more(line))
                .collect(),
            (None, None, Some(script)) => return vec![Action::Sh(script.clone())],
            _ => unreachable!("a step is one of run, chain and sh"),
        };
        lines.into_iter().map(Action::Run).collect()
    }

    fn with_more(&self, line: &str) -> String {
        let (program, flags) = line.split_once(' ').unwrap_or((line, ""));
        let more = self.more.get(program).map_or("", String::as_str);
        format!("{program} {more} {flags}")
    }
}

fn read(below: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| unreachable!("{}: {error}", path.display()))
}

fn parse(name: &str, text: &str) -> Text {
    toml::from_str(text).unwrap_or_else(|error| unreachable!("{name}: {error}"))
}
