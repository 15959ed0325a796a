//! The processes of all buildpacks: a later one of the same type wins, and so does a later default.

use std::collections::BTreeMap;

use cnb_spec::api::PlatformApi;
use cnb_spec::id::ProcessType;
use cnb_spec::process::Process;

/// The processes so far.
#[derive(Debug, Default)]
pub(super) struct Processes {
    by_type: BTreeMap<ProcessType, Process>,
    default_type: Option<ProcessType>,
}

impl Processes {
    /// Adds those of one buildpack. Returns a warning where the default was lost.
    pub(super) fn add(&mut self, processes: &[Process]) -> Option<String> {
        let mut warning = None;
        for process in processes {
            let process_type = &process.process_type;
            if process.default {
                self.default_type = Some(process_type.clone());
                warning = None;
            } else if self.default_type.as_ref() == Some(process_type) {
                self.default_type = None;
                warning = Some(format!(
                    "redefining the following default process type with a process not marked as default: {process_type}"
                ));
            }
            self.by_type.insert(process_type.clone(), process.clone());
        }
        warning
    }

    /// The type of the default process; empty where there is none.
    pub(super) fn default_type(&self) -> String {
        let default_type = self.default_type.as_ref();
        default_type.map(ToString::to_string).unwrap_or_default()
    }

    /// All of them, sorted by type, in the form that the platform expects.
    pub(super) fn list(self, api: PlatformApi) -> Vec<Process> {
        let processes = self.by_type.into_values();
        let without_default = processes.map(|process| Process {
            default: false,
            ..process
        });
        without_default
            .map(|process| process.for_platform(api))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(process_type: &str, command: &str, default: bool) -> Process {
        let text = format!(
            "type = '{process_type}'\ncommand = ['{command}']\ndefault = {default}\nbuildpack-id = 'a'"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn later_processes_win() {
        let mut processes = Processes::default();
        let first = [process("web", "1", true), process("a", "2", false)];
        assert_eq!(processes.add(&first), None);
        assert_eq!(processes.default_type(), "web");
        assert!(processes.add(&[process("web", "3", false)]).is_some());
        assert_eq!(processes.default_type(), "");
        let last = [process("web", "4", false), process("a", "5", true)];
        assert_eq!(processes.add(&last), None);
        assert_eq!(processes.default_type(), "a");
        let list = processes.list(PlatformApi::NEWEST);
        let found: Vec<_> = list
            .iter()
            .map(|p| (p.command.program(), p.default))
            .collect();
        assert_eq!(found, [("5", false), ("4", false)]);
    }
}
