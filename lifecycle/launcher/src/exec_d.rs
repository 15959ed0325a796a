//! `exec.d`: programs of a layer that compute environment variables at start.
//!
//! Each is run in the app's folder with the environment so far, and writes TOML key/value pairs, strings only, to file descriptor 3.
//! (Buildpack API, "Exec.d".)

use std::io::{self, PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use toml::de::DeTable;

use cnb_spec::env::Vars;

/// Far more than the kernel takes as an environment (`MAX_ARG_STRLEN` is 128 KiB a variable).
const MAX_OUTPUT: u64 = 8 << 20;

/// Runs one program and sets what it answers.
pub(crate) fn run(program: &Path, environment: &mut Vars) -> Result<(), ExecDError> {
    let output = output_of(program, environment)?;
    let unusable = |reason: String| ExecDError::Output {
        program: program.to_owned(),
        reason,
    };
    let text = str::from_utf8(&output).map_err(|error| unusable(error.to_string()))?;
    for (name, value) in parse_output(text).map_err(unusable)? {
        environment.insert(name.into(), value.into());
    }
    Ok(())
}

fn output_of(program: &Path, environment: &Vars) -> Result<Vec<u8>, ExecDError> {
    let not_run = |source| ExecDError::Run {
        program: program.to_owned(),
        source,
    };
    let (mut reader, writer) = io::pipe().map_err(not_run)?;
    let mut child = with_descriptor_3(program, environment, &writer)
        .spawn()
        .map_err(not_run)?;
    // Without our own copy of the writing end, the pipe ends when the program does.
    drop(writer);
    let mut output = Vec::new();
    let read = reader
        .by_ref()
        .take(MAX_OUTPUT + 1)
        .read_to_end(&mut output);
    drop(reader);
    let status = child.wait().map_err(not_run)?;
    if !status.success() {
        return Err(ExecDError::Failed {
            program: program.to_owned(),
            status,
        });
    }
    read.map_err(not_run)?;
    if output.len() as u64 > MAX_OUTPUT {
        return Err(ExecDError::Output {
            program: program.to_owned(),
            reason: "it is longer than 8 MiB".to_owned(),
        });
    }
    Ok(output)
}

fn with_descriptor_3(program: &Path, environment: &Vars, writer: &PipeWriter) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env_clear().envs(environment);
    let descriptor = writer.as_raw_fd();
    let give_descriptor_3 = move || {
        #[expect(
            unsafe_code,
            reason = "dup2 and fcntl are async-signal-safe, and the writing end is open until the child has started"
        )]
        // SAFETY: plain system calls on descriptors of this process; no memory is touched.
        let result = unsafe {
            if descriptor == 3 {
                libc::fcntl(3, libc::F_SETFD, 0)
            } else {
                libc::dup2(descriptor, 3)
            }
        };
        if result == -1 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    #[expect(
        unsafe_code,
        reason = "the standard library can hand on descriptors 0 to 2 only"
    )]
    // SAFETY: the closure makes one async-signal-safe system call and allocates nothing.
    unsafe {
        command.pre_exec(give_descriptor_3);
    }
    command
}

/// Reads the program's answer: top-level keys with strings.
fn parse_output(text: &str) -> Result<Vec<(String, String)>, String> {
    let document = DeTable::parse(text).map_err(|error| error.to_string())?;
    let mut variables = Vec::new();
    for (name, value) in document.get_ref() {
        let name = name.get_ref().to_string();
        let Some(value) = value.get_ref().as_str() else {
            return Err(format!("the value of '{name}' has to be a string"));
        };
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!(
                "{name:?} cannot be an environment variable with this value"
            ));
        }
        variables.push((name, value.to_owned()));
    }
    Ok(variables)
}

/// Why an `exec.d` program did not give variables.
#[derive(Debug)]
pub(crate) enum ExecDError {
    Run {
        program: PathBuf,
        source: io::Error,
    },
    Failed {
        program: PathBuf,
        status: ExitStatus,
    },
    Output {
        program: PathBuf,
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::parse_output;

    #[test]
    fn parse_output_takes_every_kind_of_string() {
        let text = "A = \"a \\u00e9 \\\"q\\\"\"\nB = 'raw \\n'\nC = \"\"\"\nline one\nline two\"\"\"\n\"with.dot\" = \"\"\n";
        let expected = [
            ("A", "a é \"q\""),
            ("B", "raw \\n"),
            ("C", "line one\nline two"),
            ("with.dot", ""),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(parse_output(text), Ok(expected));
    }

    #[test]
    fn parse_output_refuses() {
        assert_eq!(
            parse_output("A = 1"),
            Err("the value of 'A' has to be a string".to_owned())
        );
        assert_eq!(
            parse_output("[A]\nB = \"c\""),
            Err("the value of 'A' has to be a string".to_owned())
        );
        assert_eq!(
            parse_output("\"A=B\" = \"c\""),
            Err("\"A=B\" cannot be an environment variable with this value".to_owned())
        );
        assert!(parse_output("A: b").is_err());
    }
}
