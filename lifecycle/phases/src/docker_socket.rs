//! The way to a Docker daemon for a program that gives root's rights up. Only root may open the daemon's socket, each request needs a connection of
//! its own, and the rights that count are those of the thread that opens it. So one thread keeps root's: it takes connections at a socket of the
//! user's, in a folder that only the user may enter, and passes their bytes on. It does nothing else, and for nobody else: buildpacks run as the
//! same user, and whoever speaks to a daemon is root.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, thread};

use daemon::Endpoint;
use nix::unistd::getuid;
use tempfile::TempDir;

use crate::privileges::User;

/// How much is passed on at once.
const PIECE: usize = 256 << 10;

/// Where the daemon is to be reached.
#[derive(Debug)]
pub(crate) struct DockerSocket {
    endpoint: Endpoint,
    /// There if bytes are passed on; goes with this.
    _folder: Option<TempDir>,
}

impl DockerSocket {
    /// Takes hold of a daemon, if only root may.
    pub(crate) fn hold(endpoint: Endpoint, user: User, temp_dir: &Path) -> io::Result<Self> {
        let roots = getuid().is_root() && user.uid != 0;
        let Some(socket) = endpoint.socket().filter(|_| roots).map(Path::to_owned) else {
            return Ok(Self {
                endpoint,
                _folder: None,
            });
        };
        // Said now rather than with the first request.
        UnixStream::connect(&socket).map_err(|error| {
            io::Error::other(format!("no daemon at '{}': {error}", socket.display()))
        })?;
        let folder = pass_on(socket, user, temp_dir)?;
        Ok(Self {
            endpoint: endpoint.through(at(&folder)),
            _folder: Some(folder),
        })
    }

    /// The daemon, as the user reaches it.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

fn at(folder: &TempDir) -> PathBuf {
    folder.path().join("docker.sock")
}

fn pass_on(socket: PathBuf, user: User, temp_dir: &Path) -> io::Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("longshore-docker-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(temp_dir)?;
    let listener = UnixListener::bind(at(&folder))?;
    for path in [folder.path(), &at(&folder)] {
        lchown(path, Some(user.uid), Some(user.gid))?;
    }
    thread::Builder::new()
        .name("docker-socket".to_owned())
        .spawn(move || {
            for client in listener.incoming().flatten() {
                if !is_ours(&client) {
                    continue;
                }
                // A client whose connection ends at once says so.
                let Ok(daemon) = UnixStream::connect(&socket) else {
                    continue;
                };
                drop(serve(client, daemon));
            }
        })?;
    Ok(folder)
}

/// Is this process at the other end? The kernel says who was there when the connection was made.
fn is_ours(client: &UnixStream) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(client);
    peer.is_ok_and(|peer| peer.pid == rustix::process::getpid())
}

/// Passes bytes on in both directions until both ends are reached.
fn serve(client: UnixStream, daemon: UnixStream) -> io::Result<()> {
    let (client_again, daemon_again) = (client.try_clone()?, daemon.try_clone()?);
    thread::spawn(move || copy(client, daemon));
    thread::spawn(move || copy(daemon_again, client_again));
    Ok(())
}

fn copy(mut from: UnixStream, mut to: UnixStream) {
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..count]).is_err() {
            // Whoever sends learns that nobody listens any more.
            drop(from.shutdown(Shutdown::Both));
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn pass_on_both_ways_for_this_process_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let socket = scratch.path().join("daemon.sock");
        let daemon = UnixListener::bind(&socket).unwrap();
        let user = User {
            uid: getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
        };
        let folder = pass_on(socket, user, scratch.path()).unwrap();
        let mut client = UnixStream::connect(at(&folder)).unwrap();
        let (mut server, _) = daemon.accept().unwrap();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        server.write_all(b"answer").unwrap();
        drop(server);
        text.clear();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");

        // Another process of the same user hears nothing, and the daemon nothing of it.
        daemon.set_nonblocking(true).unwrap();
        let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\nprint(s.recv(1))";
        let other = Command::new("python3")
            .args(["-c", script])
            .arg(at(&folder))
            .output();
        assert_eq!(other.unwrap().stdout, b"b''\n");
        assert_eq!(
            daemon.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }
}
