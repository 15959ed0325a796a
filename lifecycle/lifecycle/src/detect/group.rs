//! Walks the order: expands composite buildpacks depth first and tries the groups that come out.

use std::collections::BTreeMap;
use std::thread;

use cnb_spec::env::Vars;
use cnb_spec::group::{Group, GroupElement};
use cnb_spec::id::BuildpackId;
use cnb_spec::order::{OrderEntry, OrderGroup};
use cnb_spec::target::ImageTarget;

use super::resolve::{Candidate, resolve};
use super::run::{Outcome, Run, run_detect};
use super::transcript::Transcript;
use super::{DetectError, DetectInputs, Detected};
use crate::buildpacks::Buildpack;
use crate::environment::{BuildEnvironment, Overrides};
use crate::output::Level;

/// How trying a group, or an order, ended.
pub(super) enum Attempt {
    /// Everything passed.
    Passed(Box<Detected>),
    /// Something did not pass.
    Failed,
    /// Something did not pass, and a buildpack failed with an error.
    Errored,
}

/// Detection under way.
pub(super) struct Detector<'a> {
    inputs: &'a DetectInputs,
    target: ImageTarget,
    environment: BuildEnvironment,
    /// By `id@version`: a buildpack's `bin/detect` runs once, in however many groups it is.
    runs: BTreeMap<String, Run>,
    transcript: Transcript,
}

/// An element that is still to be looked at, with the composite buildpacks that it comes from.
#[derive(Clone)]
struct Pending {
    entry: OrderEntry,
    within: Vec<String>,
}

/// A component of the group.
#[derive(Clone)]
struct Member {
    element: GroupElement,
    optional: bool,
}

impl<'a> Detector<'a> {
    pub(super) fn new(inputs: &'a DetectInputs, target: ImageTarget) -> Self {
        Self {
            inputs,
            target,
            environment: BuildEnvironment::new(&inputs.environment),
            runs: BTreeMap::new(),
            transcript: Transcript::default(),
        }
    }

    pub(super) fn into_transcript(self) -> Transcript {
        self.transcript
    }

    pub(super) fn try_order(&mut self, groups: &[OrderGroup]) -> Result<Attempt, DetectError> {
        self.try_groups(groups, &[], &[], &[])
    }

    /// Tries the groups one after another, each with `rest` behind it.
    fn try_groups(
        &mut self,
        groups: &[OrderGroup],
        within: &[String],
        done: &[Member],
        rest: &[Pending],
    ) -> Result<Attempt, DetectError> {
        let mut errored = false;
        for group in groups {
            let entries = group.group.iter().map(|entry| Pending {
                entry: entry.clone(),
                within: within.to_vec(),
            });
            let pending: Vec<_> = entries.chain(rest.iter().cloned()).collect();
            match self.try_group(&pending, done.to_vec())? {
                Attempt::Failed => {}
                Attempt::Errored => errored = true,
                passed @ Attempt::Passed(_) => return Ok(passed),
            }
        }
        Ok(if errored {
            Attempt::Errored
        } else {
            Attempt::Failed
        })
    }

    /// Goes through a group until it meets a composite buildpack, whose groups then take its place, or its end.
    fn try_group(
        &mut self,
        pending: &[Pending],
        mut done: Vec<Member>,
    ) -> Result<Attempt, DetectError> {
        for (at, Pending { entry, within }) in pending.iter().enumerate() {
            if done.iter().any(|member| member.element.id == entry.id) {
                continue;
            }
            let dir = &self.inputs.buildpacks_dir;
            let buildpack = Buildpack::find(dir, &entry.id, &entry.version)?;
            if !buildpack.toml.order.is_empty() {
                let rest = &pending[at + 1..];
                let within = deeper(within, entry)?;
                let attempt = self.try_groups(&buildpack.toml.order, &within, &done, rest)?;
                return match attempt {
                    Attempt::Failed | Attempt::Errored if entry.optional => {
                        self.try_group(rest, done)
                    }
                    attempt => Ok(attempt),
                };
            }
            if let Some(member) = self.member(entry, buildpack) {
                done.push(member);
            }
        }
        self.run_missing(&done)?;
        Ok(self.resolve(&done))
    }

    /// The component as a member of the group; none if it is to be passed over.
    fn member(&mut self, entry: &OrderEntry, buildpack: Buildpack) -> Option<Member> {
        let name = format!("{}@{}", entry.id, entry.version);
        let mut exec_envs = vec![&entry.exec_env];
        if buildpack.api.at_least(12) {
            exec_envs.push(&buildpack.toml.buildpack.exec_env);
        }
        let wanted = &self.inputs.exec_env;
        if self.inputs.checks_exec_env && exec_envs.iter().any(|list| !list.include(wanted)) {
            self.transcript.debug(format_args!(
                "Skipping {name} due to execution environment mismatch; current: {wanted}, buildpack supports: {}",
                exec_envs.last().map(ToString::to_string).unwrap_or_default()
            ));
            return None;
        }
        let element = GroupElement {
            id: entry.id.clone(),
            version: entry.version.clone(),
            api: buildpack.toml.api.clone(),
            homepage: buildpack.toml.buildpack.homepage.clone(),
        };
        if self.inputs.checks_targets && !self.fits(&buildpack) {
            let run_image = serde_json::to_string(&self.target).unwrap_or_default();
            let targets = serde_json::to_string(&buildpack.targets).unwrap_or_default();
            let reason = format!(
                "unable to satisfy target os/arch constraints; run image: {run_image}, buildpack: {targets}"
            );
            self.runs.entry(name).or_insert_with(|| Run::error(reason));
        }
        Some(Member {
            element,
            optional: entry.optional,
        })
    }

    fn fits(&self, buildpack: &Buildpack) -> bool {
        let targets = &buildpack.targets;
        targets.is_empty() || targets.iter().any(|target| target.includes(&self.target))
    }

    /// Runs the `bin/detect` of those that have not run yet, all at once.
    fn run_missing(&mut self, members: &[Member]) -> Result<(), DetectError> {
        let mut missing = Vec::new();
        for member in members {
            let element = &member.element;
            if self.runs.contains_key(&element.to_string()) {
                continue;
            }
            let dir = &self.inputs.buildpacks_dir;
            let buildpack = Buildpack::find(dir, &element.id, &element.version)?;
            let vars = self.vars_for(&buildpack)?;
            missing.push((element.to_string(), buildpack, vars));
        }
        let inputs = self.inputs;
        let target = &self.target;
        let finished: Vec<_> = thread::scope(|scope| {
            let start = |(name, buildpack, vars): (String, Buildpack, Vars)| {
                let run = move || (name, run_detect(&buildpack, vars, target, inputs));
                scope.spawn(run)
            };
            let running: Vec<_> = missing.into_iter().map(start).collect();
            let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
            joined.collect()
        });
        for result in finished {
            let (name, run) = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let run = run.map_err(|source| DetectError::Scratch {
                buildpack: name.clone(),
                source,
            })?;
            self.runs.insert(name, run);
        }
        Ok(())
    }

    fn vars_for(&self, buildpack: &Buildpack) -> Result<Vars, DetectError> {
        let inputs = self.inputs;
        let platform_dir = (!buildpack.toml.buildpack.clear_env).then_some(&*inputs.platform_dir);
        let overrides = Overrides {
            platform_dir,
            build_config_dir: &inputs.build_config_dir,
        };
        let vars = self.environment.with(overrides);
        vars.map_err(DetectError::Environment)
    }

    /// Decides whether a group passes, and says so.
    fn resolve(&mut self, members: &[Member]) -> Attempt {
        let transcript = &mut self.transcript;
        let runs = &self.runs;
        let run_of = |member: &Member| &runs[&member.element.to_string()];
        for member in members {
            show_output(&member.element, run_of(member), transcript);
        }
        transcript.debug("======== Results ========");
        let mut candidates = Vec::new();
        let mut passed = true;
        let mut errored = false;
        for Member { element, optional } in members {
            let run = &runs[&element.to_string()];
            match &run.outcome {
                Outcome::Pass(plan) => {
                    transcript.debug(format_args!("pass: {element}"));
                    candidates.push(Candidate {
                        element,
                        optional: *optional,
                        options: plan.options().collect(),
                    });
                    continue;
                }
                Outcome::Fail if *optional => transcript.debug(format_args!("skip: {element}")),
                Outcome::Fail => transcript.debug(format_args!("fail: {element}")),
                Outcome::Error(None) => {
                    transcript.info(format_args!("err:  {element}"));
                    errored = true;
                }
                Outcome::Error(Some(code)) => {
                    transcript.info(format_args!("err:  {element} ({code})"));
                    errored = true;
                }
            }
            passed &= optional;
        }
        if !passed {
            return if errored {
                Attempt::Errored
            } else {
                Attempt::Failed
            };
        }
        let Some(resolved) = resolve(&candidates, transcript) else {
            return Attempt::Failed;
        };
        let group: Vec<GroupElement> = resolved.group.into_iter().cloned().collect();
        say_who_participates(&group, members.len(), transcript);
        Attempt::Passed(Box::new(Detected {
            group: Group {
                group,
                group_extensions: Vec::new(),
            },
            plan: resolved.plan,
        }))
    }
}

/// The composites that the groups of `entry` come from.
fn deeper(within: &[String], entry: &OrderEntry) -> Result<Vec<String>, DetectError> {
    let name = format!("{}@{}", entry.id, entry.version);
    let mut chain = within.to_vec();
    let seen = chain.iter().position(|other| *other == name);
    chain.push(name);
    match seen {
        Some(first) => Err(DetectError::Cycle {
            chain: chain.split_off(first),
        }),
        None => Ok(chain),
    }
}

fn show_output(element: &GroupElement, run: &Run, transcript: &mut Transcript) {
    let level = match run.outcome {
        Outcome::Pass(_) | Outcome::Fail => Level::Debug,
        Outcome::Error(_) => Level::Info,
    };
    if !run.output.is_empty() {
        transcript.line(level, format_args!("======== Output: {element} ========"));
        transcript.line(level, String::from_utf8_lossy(&run.output));
    }
    if let Some(error) = &run.error {
        transcript.line(level, format_args!("======== Error: {element} ========"));
        transcript.line(level, error);
    }
}

fn say_who_participates(group: &[GroupElement], asked: usize, transcript: &mut Transcript) {
    if group.len() != asked {
        let count = group.len();
        transcript.info(format_args!("{count} of {asked} buildpacks participating"));
    }
    let id_length = |id: &BuildpackId| id.as_str().len();
    let widest = group.iter().map(|el| id_length(&el.id)).max();
    let width = widest.unwrap_or_default();
    for GroupElement { id, version, .. } in group {
        let id = id.as_str();
        transcript.info(format_args!("{id:<width$} {version}"));
    }
}
