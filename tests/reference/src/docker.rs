//! Docker daemons: one for each lifecycle, of which a world sees nothing but the socket.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;

use test_servers::daemon::Daemon;
use test_skip as skip;

/// Where a daemon's users look for its socket.
pub(crate) const SOCKET: &str = "/var/run/docker.sock";

/// A running daemon, and Docker's own client: images are not to be seen through the code that is tested.
#[derive(Debug)]
pub(crate) struct Docker {
    client: PathBuf,
    daemon: Daemon,
    /// What was saved of images, by their ids: most steps make none.
    archives: RefCell<BTreeMap<String, Rc<[u8]>>>,
}

impl Docker {
    /// One for each lifecycle; `None` where a part is missing, which is said and counted.
    pub(crate) fn start_two() -> Option<[Self; 2]> {
        let client = skip::tool("docker")?;
        let start = || {
            Some(Self {
                client: client.clone(),
                daemon: Daemon::docker_in_memory()?,
                archives: RefCell::default(),
            })
        };
        let first = start()?;
        let second = start()?;
        Some([first, second])
    }

    /// Its socket on this machine.
    pub(crate) fn socket(&self) -> PathBuf {
        let host = self.daemon.host();
        PathBuf::from(host.trim_start_matches("unix://"))
    }

    /// Takes the images of an archive.
    pub(crate) fn load(&self, archive: &[u8]) {
        let mut command = self.command(&["load", "--quiet"]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().expect("docker can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(archive).expect("docker reads the archive");
        drop(stdin);
        let status = child.wait().expect("docker can be waited for");
        assert!(status.success(), "the archive cannot be loaded");
    }

    /// Every image that has a name, as an archive, under each of its names.
    pub(crate) fn images(&self) -> Vec<(String, Rc<[u8]>)> {
        let format = "{{.ID}} {{.Repository}}:{{.Tag}}";
        let listed = self.output(&["images", "--no-trunc", "--format", format]);
        let listed = String::from_utf8(listed).expect("names are text");
        let mut images: Vec<(String, Rc<[u8]>)> = listed
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, name)| !name.contains("<none>"))
            .map(|(id, name)| (name.to_owned(), self.archive(id)))
            .collect();
        images.sort();
        images
    }

    fn archive(&self, id: &str) -> Rc<[u8]> {
        let mut archives = self.archives.borrow_mut();
        let archive = archives
            .entry(id.to_owned())
            .or_insert_with(|| self.output(&["save", id]).into());
        Rc::clone(archive)
    }

    /// Removes everything, for the next case.
    pub(crate) fn remove_all(&self) {
        let listed = self.output(&["images", "--all", "--quiet"]);
        let listed = String::from_utf8(listed).expect("ids are text");
        let ids: Vec<&str> = listed.lines().collect();
        if !ids.is_empty() {
            self.output(&[&["rmi", "--force"], &ids[..]].concat());
        }
    }

    fn output(&self, words: &[&str]) -> Vec<u8> {
        let output = self.command(words).output();
        let output = output.expect("docker can be started");
        assert!(output.status.success(), "docker {words:?}: {output:?}");
        output.stdout
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.client);
        command.arg("-H").arg(self.daemon.host()).args(words);
        // Its settings, and the warning that there are none.
        command.env("DOCKER_CONFIG", self.daemon.folder());
        command
    }
}
