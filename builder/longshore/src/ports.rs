//! The port that a web process listens on: the one asked for, else 8000, else the next that is free.

use std::net::{Ipv4Addr, TcpListener};

use crate::failure::{Exit, Failure};

/// Where Dash Enterprise and gunicorn listen by default.
const DEFAULT_PORT: u16 = 8000;
/// How many ports are tried after the default.
const TRIES: u16 = 100;

/// Chooses a free port: that of `--port`, else that of `--env PORT=`, else the next. There is a moment between this look and the process's own bind; who loses it sees gunicorn's own error.
pub(crate) fn choose(flag: Option<u16>, variable: Option<&str>) -> Result<u16, Failure> {
    let variable = variable.map(|text| {
        text.parse().map_err(|_| {
            let body = format!("PORT is {text:?}. Write a number from 1 to 65535.");
            Failure::new(Exit::Usage, "Not a port", body)
        })
    });
    if let Some(port) = flag.map(Ok).or(variable).transpose()? {
        return if is_free(port) {
            Ok(port)
        } else {
            let body = format!(
                "Port {port} is taken on this machine. Choose another with --port, or leave it out."
            );
            Err(Failure::new(Exit::Usage, "Port taken", body))
        };
    }
    (DEFAULT_PORT..DEFAULT_PORT + TRIES)
        .find(|&port| is_free(port))
        .ok_or_else(|| {
            let last = DEFAULT_PORT + TRIES - 1;
            Failure::new(
                Exit::Other,
                "No free port",
                format!("Ports {DEFAULT_PORT} to {last} are taken. Choose one with --port."),
            )
        })
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
        let first = choose(None, None).unwrap();
        let _held = TcpListener::bind((Ipv4Addr::UNSPECIFIED, first)).unwrap();
        assert!(choose(None, None).unwrap() > first);
        assert_eq!(choose(Some(first), None).unwrap_err().title, "Port taken");
        let text = first.to_string();
        assert_eq!(choose(None, Some(&text)).unwrap_err().title, "Port taken");
        assert_eq!(choose(None, Some("web")).unwrap_err().title, "Not a port");
    }
}
