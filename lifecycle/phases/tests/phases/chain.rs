//! All phases one after another, as a platform calls them.

use std::fs;
use std::path::PathBuf;

use crate::fixture::{Ended, Fixture};
use crate::images;

/// What each phase printed.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(crate) analyzer: String,
    pub(crate) restorer: String,
    pub(crate) builder: String,
    pub(crate) exporter: String,
}

/// The order in which phases run.
pub(crate) const PHASES: [&str; 5] = ["analyzer", "detector", "restorer", "builder", "exporter"];

impl Fixture {
    /// A fixture with a run image, a launcher and an empty cache.
    pub(crate) fn with_run_image(platform_api: &'static str) -> Self {
        let fixture = Self::new(platform_api);
        images::write_run_image(&fixture.layouts());
        fixture.write("launcher", "the launcher\n");
        fs::create_dir_all(fixture.path("cache")).unwrap();
        fixture.write(
            "run.toml",
            "[[images]]\nimage = \"test/run\"\nmirrors = [\"mirror.example/test/run\"]\n",
        );
        fixture.write(
            "stack.toml",
            "[run-image]\nimage = \"test/run\"\nmirrors = [\"mirror.example/test/run\"]\n",
        );
        fixture
    }

    pub(crate) fn layouts(&self) -> PathBuf {
        self.path("layouts")
    }

    /// Runs one phase as part of a build.
    pub(crate) fn phase(&self, phase: &str, more: &[&str], env: &[(&str, &str)]) -> Ended {
        let path = |below: &str| self.path(below).to_str().unwrap().to_owned();
        let launcher = format!("-launcher={}", path("launcher"));
        let cache = format!("-cache-dir={}", path("cache"));
        let user = ["-uid=1000", "-gid=1000"];
        let mut args: Vec<&str> = match phase {
            "analyzer" => user.to_vec(),
            "restorer" => [&user[..], &[&cache]].concat(),
            "exporter" => [&user[..], &[&cache, &launcher]].concat(),
            _ => Vec::new(),
        };
        args.extend(more);
        if matches!(phase, "analyzer" | "exporter") && more.iter().all(|arg| arg.starts_with('-')) {
            args.push("test/app");
        }
        let (layouts, run, stack) = (path("layouts"), path("run.toml"), path("stack.toml"));
        let mut all = vec![
            ("CNB_USE_LAYOUT", "true"),
            ("CNB_LAYOUT_DIR", layouts.as_str()),
            ("CNB_EXPERIMENTAL_MODE", "silent"),
            ("CNB_RUN_PATH", run.as_str()),
            ("CNB_STACK_PATH", stack.as_str()),
        ];
        all.retain(|(name, _)| env.iter().all(|(other, _)| other != name));
        all.extend(env);
        self.run_with(phase, &args, &all)
    }

    /// Runs one phase, which has to work.
    pub(crate) fn phase_ok(&self, phase: &str) -> String {
        let ended = self.phase(phase, &[], &[]);
        assert_eq!(ended.code, Some(0), "{phase}: {ended:?}");
        ended.stdout
    }

    /// A build, in a fresh layers folder with the same order.
    pub(crate) fn build(&self) -> Logs {
        self.fresh_layers();
        let [analyzer, _, restorer, builder, exporter] = PHASES.map(|phase| self.phase_ok(phase));
        Logs {
            analyzer,
            restorer,
            builder,
            exporter,
        }
    }

    /// Removes what the last build left in the layers folder.
    pub(crate) fn fresh_layers(&self) {
        let order = fs::read(self.path("layers/order.toml")).unwrap();
        fs::remove_dir_all(self.path("layers")).unwrap();
        fs::create_dir(self.path("layers")).unwrap();
        fs::write(self.path("layers/order.toml"), order).unwrap();
    }
}
