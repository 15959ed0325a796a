//! The launcher itself, run on made-up layers: every test starts real processes and reads what they saw.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Layers and app of an image, in a scratch folder.
struct Image {
    folder: tempfile::TempDir,
    processes: String,
    buildpacks: String,
}

impl Image {
    fn new() -> Self {
        let image = Self {
            folder: tempfile::tempdir().expect("a scratch folder"),
            processes: String::new(),
            buildpacks: String::new(),
        };
        fs::create_dir_all(image.app()).expect("the app's folder");
        fs::create_dir_all(image.layers().join("config")).expect("the layers' folder");
        image
    }

    fn app(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    fn layers(&self) -> PathBuf {
        self.folder.path().join("layers")
    }

    fn buildpack(mut self, id: &str, api: &str) -> Self {
        self.buildpacks.extend([format!(
            "[[buildpacks]]\nid = \"{id}\"\nversion = \"1\"\napi = \"{api}\"\n"
        )]);
        self
    }

    fn process(mut self, toml: &str) -> Self {
        self.processes.extend([format!("[[processes]]\n{toml}\n")]);
        self
    }

    /// A file of a layer, as `a_b/layer/env/NAME`; programs and scripts are executable.
    fn file(self, path: &str, content: &str) -> Self {
        write(&self.layers().join(path), content);
        self
    }

    fn app_file(self, path: &str, content: &str) -> Self {
        write(&self.app().join(path), content);
        self
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        fs::write(
            self.layers().join("config/metadata.toml"),
            format!("{}{}", self.processes, self.buildpacks),
        )
        .expect("metadata.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
        command.arg0(name).args(args).env_clear().current_dir("/");
        command
            .env("PATH", "/cnb/process:/cnb/lifecycle:/usr/bin:/bin")
            .env("CNB_PLATFORM_API", "0.12");
        command
            .env("CNB_LAYERS_DIR", self.layers())
            .env("CNB_APP_DIR", self.app());
        command
    }

    fn launch(&self, name: &str, args: &[&str]) -> Output {
        self.command(name, args)
            .output()
            .expect("the launcher runs")
    }

    /// The environment that the process type `web` sees when it is `env -0`.
    fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let output = self.launch(name, &[]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        text.split_terminator('\0')
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
    fs::write(path, content).expect("the file");
    if content.starts_with("#!") {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("executable");
    }
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn failure(output: &Output) -> (Option<i32>, String) {
    (
        output.status.code(),
        String::from_utf8(output.stderr.clone()).expect("text"),
    )
}

const ENV_PROCESS: &str =
    "type = \"web\"\ncommand = [\"env\", \"-0\"]\ndirect = true\nbuildpack-id = \"a/b\"";

#[test]
fn environment_of_layers_in_order() {
    let image = Image::new()
        .buildpack("z/first", "0.10")
        .buildpack("a/b", "0.8")
        .buildpack("no/folder", "0.10")
        .process(ENV_PROCESS)
        // The first buildpack's folder sorts last: order is the build's, not the alphabet's.
        .file("z_first/l/bin/tool", "#!/bin/sh\n")
        .file("z_first/l/lib/lib.so", "")
        .file("z_first/l/env/A", "first")
        .file("z_first/l/env/LIST.append", "z")
        .file("z_first/l/env/LIST.delim", ":")
        .file("a_b/one/bin/tool", "#!/bin/sh\n")
        .file("a_b/one/env/A", "second")
        .file("a_b/one/env/LIST.append", "1")
        .file("a_b/one/env/LIST.delim", ":")
        .file("a_b/two/bin/tool", "#!/bin/sh\n")
        .file("a_b/two/env.launch/LIST.prepend", "2,")
        .file("a_b/two/env.launch/DEF.default", "default")
        .file("a_b/two/env.launch/web/ONLY_WEB", "yes")
        .file("a_b/two/env.launch/worker/ONLY_WORKER", "yes")
        .file("a_b/two/env.build/BUILD", "no")
        .file("a_b/notes.toml", "launch = true");
    symlink(
        image.layers().join("a_b/two"),
        image.layers().join("a_b/zlink"),
    )
    .expect("a link to a layer, which is none itself");
    let mut environment = image.environment("/cnb/process/web");
    // What the static C library and `env` add is none of ours.
    environment.remove("_");
    let layers = image.layers();
    let path = format!(
        "{0}/a_b/two/bin:{0}/a_b/one/bin:{0}/z_first/l/bin:/usr/bin:/bin",
        layers.display()
    );
    let expected = [
        ("A", "second".to_owned()),
        ("DEF", "default".to_owned()),
        (
            "LD_LIBRARY_PATH",
            format!("{}/z_first/l/lib", layers.display()),
        ),
        ("LIST", "2,z:1".to_owned()),
        ("ONLY_WEB", "yes".to_owned()),
        ("PATH", path),
    ];
    assert_eq!(
        environment,
        expected
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    );
}

#[test]
fn environment_value_is_kept_byte_for_byte() {
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(ENV_PROCESS)
        .file("a_b/l/env/A", "line one\nline = two\n");
    assert_eq!(
        image.environment("web").get("A").map(String::as_str),
        Some("line one\nline = two\n")
    );
}

#[test]
fn environment_nul_is_refused() {
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(ENV_PROCESS)
        .file("a_b/l/env/A", "a\0b");
    let expected = format!(
        "ERROR: failed to launch: modify env: read '{}/a_b/l/env/A': it holds a NUL byte, which no environment variable can\n",
        image.layers().display()
    );
    assert_eq!(failure(&image.launch("web", &[])), (Some(82), expected));
}

#[test]
fn exec_d_sets_variables_in_order() {
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(ENV_PROCESS)
        .file("a_b/l/env/FROM_ENV", "env")
        .file(
            "a_b/l/exec.d/1-first",
            "#!/bin/sh\necho \"SEEN = '$FROM_ENV'\" >&3\necho \"WHERE = '$PWD'\" >&3\n",
        )
        .file(
            "a_b/l/exec.d/2-second",
            "#!/bin/sh\nprintf 'SEEN = \"\"\"%s\\nand more\"\"\"' \"$SEEN\" >&3\n",
        )
        .file(
            "a_b/l/exec.d/web/3-web",
            "#!/bin/sh\necho \"WEB = 'yes'\" >&3\n",
        )
        .file("a_b/l/exec.d/worker/3-worker", "#!/bin/sh\nexit 1\n");
    let environment = image.environment("web");
    assert_eq!(
        environment.get("SEEN").map(String::as_str),
        Some("env\nand more")
    );
    assert_eq!(
        environment.get("WHERE"),
        Some(&image.app().display().to_string())
    );
    assert_eq!(environment.get("WEB").map(String::as_str), Some("yes"));
}

#[test]
fn exec_d_may_say_nothing() {
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(ENV_PROCESS)
        .file("a_b/l/exec.d/quiet", "#!/bin/sh\nexec 3>&-\n");
    assert!(image.launch("web", &[]).status.success());
}

#[test]
fn exec_d_failures() {
    for (content, reason) in [
        (
            "#!/bin/sh\nexit 7\n",
            "failed to execute exec.d file at path 'PATH': exit status: 7",
        ),
        (
            "#!/no/such/shell\n",
            "failed to execute exec.d file at path 'PATH': No such file or directory (os error 2)",
        ),
        (
            "not executable",
            "failed to execute exec.d file at path 'PATH': Permission denied (os error 13)",
        ),
        (
            "#!/bin/sh\necho 'A = 1' >&3\n",
            "failed to decode output from exec.d file at path 'PATH': the value of 'A' has to be a string",
        ),
    ] {
        let image = Image::new()
            .buildpack("a/b", "0.10")
            .process(ENV_PROCESS)
            .file("a_b/l/exec.d/x", content);
        let reason = reason.replace(
            "PATH",
            &image.layers().join("a_b/l/exec.d/x").display().to_string(),
        );
        assert_eq!(
            failure(&image.launch("web", &[])),
            (
                Some(82),
                format!("ERROR: failed to launch: exec.d: {reason}\n")
            )
        );
    }
}

#[test]
fn exec_d_output_larger_than_a_pipe() {
    let script = "#!/bin/sh\nprintf 'BIG = \"' >&3\ni=0; while [ $i -lt 1000 ]; do printf '%0100d' 0 >&3; i=$((i+1)); done\nprintf '\"' >&3\n";
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(ENV_PROCESS)
        .file("a_b/l/exec.d/big", script);
    assert_eq!(
        image.environment("web").get("BIG").map(String::len),
        Some(100_000)
    );
}

/// Prints each argument in brackets.
const SHOW: &str = "#!/bin/sh\nprintf '[%s]' \"$@\"\n";

#[test]
fn arguments_by_buildpack_api() {
    for (api, expected) in [
        ("0.7", "[a][u v]"),
        ("0.8", "[a][u v]"),
        ("0.9", "[u v]"),
        ("0.10", "[u v]"),
        ("0.11", "[u v]"),
        ("0.12", "[u v]"),
    ] {
        let image = Image::new()
            .buildpack("a/b", api)
            .process("type = \"web\"\ncommand = [\"show\"]\nargs = [\"a\"]\ndirect = true\nbuildpack-id = \"a/b\"")
            .file("a_b/l/bin/show", SHOW);
        assert_eq!(
            stdout(&image.launch("web", &[])),
            "[a]",
            "Buildpack API {api}"
        );
        assert_eq!(
            stdout(&image.launch("web", &["u v"])),
            expected,
            "Buildpack API {api}"
        );
    }
}

#[test]
fn arguments_of_a_list_command() {
    let process = "type = \"web\"\ncommand = [\"show\", \"always\"]\nargs = [\"a\"]\ndirect = true\nbuildpack-id = \"a/b\"";
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(process)
        .file("a_b/l/bin/show", SHOW);
    assert_eq!(stdout(&image.launch("web", &[])), "[always][a]");
    assert_eq!(stdout(&image.launch("web", &["u"])), "[always][u]");
    let old_platform = image
        .command("web", &["u"])
        .env("CNB_PLATFORM_API", "0.9")
        .output()
        .expect("the launcher runs");
    assert_eq!(stdout(&old_platform), "[always][a][u]");
}

#[test]
fn shell_process_without_arguments_is_a_script() {
    let process =
        "type = \"web\"\ncommand = \"A=$B; printf '%s|' \\\"$A\\\" $B\"\nbuildpack-id = \"a/b\"";
    let image = Image::new()
        .buildpack("a/b", "0.8")
        .process(process)
        .file("a_b/l/env/B", "x  y");
    assert_eq!(stdout(&image.launch("web", &[])), "x  y|x|y|");
}

#[test]
fn shell_process_with_arguments_expands_each_and_splits_none() {
    let process = "type = \"web\"\ncommand = \"$TOOL\"\nargs = [\"$B\", \"-n\", \"plain\", \"$(echo sub)\"]\nbuildpack-id = \"a/b\"";
    let image = Image::new()
        .buildpack("a/b", "0.8")
        .process(process)
        .file("a_b/l/env/B", "x  y")
        .file("a_b/l/env/TOOL", "show")
        .file("a_b/l/bin/show", SHOW);
    assert_eq!(
        stdout(&image.launch("web", &["${B}u"])),
        "[x  y][-n][plain][sub][x  yu]"
    );
}

#[test]
fn shell_process_sources_profiles_in_order() {
    let process = "type = \"web\"\ncommand = \"echo \\\"$A $PWD\\\"; test -z \\\"$HIDDEN\\\"\"\nworking-dir = \"/usr\"\nbuildpack-id = \"a/b\"";
    let image = Image::new()
        .buildpack("a/b", "0.8")
        .process(process)
        .file(
            "a_b/l/profile.d/1.sh",
            "export A=one:$(basename \"$PWD\")\nHIDDEN=not exported\n",
        )
        .file("a_b/l/profile.d/it's.sh", "A=$A:two\n")
        .file("a_b/l/profile.d/web/3.sh", "A=$A:web\n")
        .file("a_b/l/profile.d/worker/3.sh", "exit 9\n")
        .app_file(".profile", "A=$A:app\n");
    assert_eq!(
        stdout(&image.launch("web", &[])),
        "one:workspace:two:web:app /usr\n"
    );
}

#[test]
fn shell_process_profile_and_arguments() {
    let process = "type = \"web\"\ncommand = \"show\"\nargs = [\"$A\"]\nbuildpack-id = \"a/b\"";
    let image = Image::new()
        .buildpack("a/b", "0.8")
        .process(process)
        .file("a_b/l/bin/show", SHOW)
        .app_file(".profile", "export A='p q'\n");
    assert_eq!(stdout(&image.launch("web", &["$A-$A"])), "[p q][p q-p q]");
}

#[test]
fn direct_process_ignores_profiles() {
    let process =
        "type = \"web\"\ncommand = [\"echo\", \"$A\"]\ndirect = true\nbuildpack-id = \"a/b\"";
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(process)
        .app_file(".profile", "exit 1\n");
    assert_eq!(stdout(&image.launch("web", &[])), "$A\n");
}

#[test]
fn working_dir() {
    let process = "type = \"web\"\ncommand = [\"pwd\"]\ndirect = true\nbuildpack-id = \"a/b\"";
    let image = Image::new().buildpack("a/b", "0.10").process(process);
    assert_eq!(
        stdout(&image.launch("web", &[])),
        format!("{}\n", image.app().display())
    );
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(&format!("{process}\nworking-dir = \"/usr\""));
    assert_eq!(stdout(&image.launch("web", &[])), "/usr\n");
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(&format!("{process}\nworking-dir = \"/no/such\""));
    let expected = "ERROR: failed to launch: change to folder '/no/such': No such file or directory (os error 2)\n";
    assert_eq!(
        failure(&image.launch("web", &[])),
        (Some(82), expected.to_owned())
    );
}

#[test]
fn user_command_with_and_without_shell() {
    let image = Image::new()
        .buildpack("a/b", "0.10")
        .process(ENV_PROCESS)
        .file("a_b/l/env/A", "x y")
        .file("a_b/l/bin/show", SHOW);
    assert_eq!(
        stdout(&image.launch("/cnb/lifecycle/launcher", &["show $A"])),
        "[x][y]"
    );
    assert_eq!(
        stdout(&image.launch("/cnb/lifecycle/launcher", &["show", "$A"])),
        "[x y]"
    );
    assert_eq!(
        stdout(&image.launch("/cnb/lifecycle/launcher", &["--", "show", "$A"])),
        "[$A]"
    );
}

#[test]
fn user_command_missing() {
    let image = Image::new().buildpack("a/b", "0.10").process(ENV_PROCESS);
    let expected = "ERROR: failed to launch: determine start command: when there is no default process a command is required; this image \
                    defines the process types web: start one with '/cnb/process/web' as entrypoint\n";
    assert_eq!(
        failure(&image.launch("/cnb/lifecycle/launcher", &[])),
        (Some(82), expected.to_owned())
    );
}

#[test]
fn exit_code_and_signals_are_the_process_own() {
    let process = "type = \"web\"\ncommand = [\"sh\", \"-c\", \"exit 42\"]\ndirect = true\nbuildpack-id = \"a/b\"";
    assert_eq!(
        Image::new()
            .buildpack("a/b", "0.10")
            .process(process)
            .launch("web", &[])
            .status
            .code(),
        Some(42)
    );
    // A Rust program ignores SIGPIPE; the app must not inherit that, or `yes | head` never ends.
    let process = "type = \"web\"\ncommand = [\"sh\", \"-c\", \"kill -PIPE $$; echo survived\"]\ndirect = true\nbuildpack-id = \"a/b\"";
    let output = Image::new()
        .buildpack("a/b", "0.10")
        .process(process)
        .launch("web", &[]);
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&output.status),
        Some(libc::SIGPIPE),
        "{output:?}"
    );
}

#[test]
fn process_type_variable_is_a_warning() {
    let process =
        "type = \"web\"\ncommand = [\"echo\", \"web\"]\ndirect = true\nbuildpack-id = \"a/b\"";
    let image = Image::new().buildpack("a/b", "0.10").process(process);
    let output = image
        .command("web", &[])
        .env("CNB_PROCESS_TYPE", "worker")
        .output()
        .expect("the launcher runs");
    assert_eq!(stdout(&output), "web\n");
    let warning = "Warning: CNB_PROCESS_TYPE is not supported in Platform API 0.12\n\
                   Warning: Run with ENTRYPOINT 'worker' to invoke the 'worker' process type\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), warning);
}

#[test]
fn api_versions_are_checked() {
    let image = Image::new().buildpack("a/b", "0.10").process(ENV_PROCESS);
    for version in [
        "0.7", "0.8", "0.9", "0.10", "0.11", "0.12", "0.13", "0.14", "0.15",
    ] {
        let output = image
            .command("web", &[])
            .env("CNB_PLATFORM_API", version)
            .output()
            .expect("the launcher runs");
        assert!(
            output.status.success(),
            "Platform API {version}: {output:?}"
        );
    }
    for version in ["0.6", "0.16", "1.0", "x", ""] {
        let output = image
            .command("web", &[])
            .env("CNB_PLATFORM_API", version)
            .output()
            .expect("the launcher runs");
        assert_eq!(
            output.status.code(),
            Some(11),
            "Platform API {version:?}: {output:?}"
        );
    }
    for version in ["0.6", "0.13", ""] {
        let output = Image::new()
            .buildpack("a/b", version)
            .process(ENV_PROCESS)
            .launch("web", &[]);
        assert_eq!(
            output.status.code(),
            Some(12),
            "Buildpack API {version:?}: {output:?}"
        );
    }
}

#[test]
fn programs_that_cannot_start() {
    let process = |command: &str| {
        format!("type = \"web\"\ncommand = [\"{command}\"]\ndirect = true\nbuildpack-id = \"a/b\"")
    };
    for (command, reason) in [
        (
            "no-such-tool",
            "path lookup: there is no program 'no-such-tool' in any folder of PATH (/usr/bin:/bin)",
        ),
        (
            "./script.sh",
            "path lookup: './script.sh' is not executable; set its executable bit (chmod +x) before the build",
        ),
        (
            "./lost",
            "exec './lost': No such file or directory (os error 2); the file is there, so the interpreter or loader that its first line names \
             is not in this image",
        ),
    ] {
        let image = Image::new()
            .buildpack("a/b", "0.10")
            .process(&process(command))
            .app_file("script.sh", "echo")
            .app_file("lost", "#!/no/such\n");
        assert_eq!(
            failure(&image.launch("web", &[])),
            (Some(82), format!("ERROR: failed to launch: {reason}\n"))
        );
    }
}

#[test]
fn metadata_missing_or_broken() {
    let image = Image::new().process("type = 1");
    let output = image.launch("web", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("config/metadata.toml': 'type' has to be a string"),
        "{output:?}"
    );
    let output = image
        .command("web", &[])
        .env("CNB_LAYERS_DIR", "/no/such")
        .output()
        .expect("the launcher runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("is CNB_LAYERS_DIR the layers folder"),
        "{output:?}"
    );
}

#[test]
fn version_needs_no_environment() {
    let output = Command::new(env!("CARGO_BIN_EXE_launcher"))
        .arg0("launcher")
        .arg("-version")
        .env_clear()
        .output()
        .expect("the launcher runs");
    assert!(
        stdout(&output).starts_with(concat!(env!("CARGO_PKG_VERSION"), "+")),
        "{output:?}"
    );
}
