//! The port that a web process listens on: the one asked for, else 8000, else the next that is free.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::failure::{Exit, Failure};

/// Where Dash Enterprise and gunicorn listen by default.
const DEFAULT_PORT: u16 = 8000;
/// How many ports are tried after the default.
const TRIES: u16 = 100;

/// A port for one process. While this is there, no other `longshore run` on the machine chooses it: between the choice and the process's
/// own bind, which takes an app a second, the port is free to look at.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _reservation: Option<UnixListener>,
}

/// Chooses a free port: that of `--port`, else that of `--env PORT=`, else the next.
pub(crate) fn choose(flag: Option<u16>, variable: Option<&str>) -> Result<Port, Failure> {
    let variable = variable.map(|text| {
        text.parse().map_err(|_| {
            let body = format!("PORT is {text:?}. Write a number from 1 to 65535.");
            Failure::new(Exit::Usage, "Not a port", body)
        })
    });
    if let Some(port) = flag.map(Ok).or(variable).transpose()? {
        return if is_free(port) {
            Ok(Port {
                number: port,
                _reservation: reserve(port),
            })
        } else {
            let body = format!(
                "Port {port} is taken on this machine. Choose another with --port, or leave it out."
            );
            Err(Failure::new(Exit::Usage, "Port taken", body))
        };
    }
    (DEFAULT_PORT..DEFAULT_PORT + TRIES)
        .filter(|&port| is_free(port))
        .find_map(|number| {
            let reservation = Some(reserve(number)?);
            Some(Port {
                number,
                _reservation: reservation,
            })
        })
        .ok_or_else(|| {
            let last = DEFAULT_PORT + TRIES - 1;
            Failure::new(
                Exit::Other,
                "No free port",
                format!("Ports {DEFAULT_PORT} to {last} are taken. Choose one with --port."),
            )
        })
}

/// A name in the kernel's abstract namespace (`unix(7)`): one for the machine, without a file, and gone with its holder however that ends.
fn reserve(port: u16) -> Option<UnixListener> {
    let name = SocketAddr::from_abstract_name(format!("longshore-port-{port}"));
    UnixListener::bind_addr(&name.ok()?).ok()
}

/// The process will bind all addresses, so every one has to be free.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choose_passes_over_a_taken_port() {
        let reserved = choose(None, None).unwrap();
        let first = reserved.number;
        // Nobody listens there yet, and still it is not given twice.
        assert!(choose(None, None).unwrap().number > first);
        let _held = TcpListener::bind((Ipv4Addr::UNSPECIFIED, first)).unwrap();
        drop(reserved);
        assert!(choose(None, None).unwrap().number > first);
        assert_eq!(choose(Some(first), None).unwrap_err().title, "Port taken");
        let text = first.to_string();
        assert_eq!(choose(None, Some(&text)).unwrap_err().title, "Port taken");
        assert_eq!(choose(None, Some("web")).unwrap_err().title, "Not a port");
    }
}
