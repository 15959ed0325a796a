//! Connections: one thread each, request after request, each with the fault that was chosen for it.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::Shared;
use crate::fault::Fault;
use crate::http::{Answer, Request};
use crate::log::Logged;
use crate::routes::answer;

/// Which of the two hosts a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Registry,
    OtherHost,
}

pub(crate) fn serve(
    listener: &TcpListener,
    role: Role,
    tls: Option<&Arc<ServerConfig>>,
    shared: &Arc<Shared>,
) {
    for stream in listener.incoming().flatten() {
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        thread::spawn(move || {
            // A client that goes away in the middle is what some tests are about.
            drop(connection(stream, role, tls, &shared));
        });
    }
}

fn connection(
    stream: TcpStream,
    role: Role,
    tls: Option<Arc<ServerConfig>>,
    shared: &Shared,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = stream.try_clone()?;
    match tls {
        None => requests(stream, &socket, role, shared),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            requests(StreamOwned::new(connection, stream), &socket, role, shared)
        }
    }
}

fn requests(
    stream: impl Read + Write,
    socket: &TcpStream,
    role: Role,
    shared: &Shared,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = Request::read(&mut stream)? {
        let (index, fault) = note(&request, role, shared);
        if !shared.options.latency.is_zero() {
            thread::sleep(shared.options.latency);
        }
        match one(&request, role, fault, shared) {
            Reaction::Reset => return reset(socket),
            Reaction::Silence => {
                // Until the client gives up, which ends the connection.
                socket.set_read_timeout(Some(shared.options.silence))?;
                drop(stream.fill_buf());
                return Ok(());
            }
            Reaction::Answer(answer) => {
                if role == Role::Registry
                    && let Some(logged) = shared.state().log.get_mut(index)
                {
                    logged.status = Some(answer.status);
                }
                let is_head = request.method == "HEAD";
                let goes_on = write(stream.get_mut(), socket, &answer, is_head, fault, shared)?;
                if !goes_on {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Writes a request down; gives its place in the log, and its fault.
fn note(request: &Request, role: Role, shared: &Shared) -> (usize, Option<Fault>) {
    let mut state = shared.state();
    let place = state.log.len();
    state.log.push(Logged {
        elsewhere: role == Role::OtherHost,
        method: request.method.clone(),
        target: request.target.clone(),
        headers: request.headers.clone(),
        body: request.body.len(),
        status: None,
    });
    if role == Role::OtherHost {
        return (place, None);
    }
    let index = state.requests;
    state.requests += 1;
    (place, state.faults.get(&index).copied())
}

enum Reaction {
    Answer(Answer),
    Reset,
    Silence,
}

fn one(request: &Request, role: Role, fault: Option<Fault>, shared: &Shared) -> Reaction {
    if role == Role::OtherHost {
        return Reaction::Answer(Answer::error(404, "NAME_UNKNOWN", "this is another host"));
    }
    Reaction::Answer(match fault {
        Some(Fault::Status(status)) => Answer::error(status, "UNKNOWN", "a fault of the test"),
        Some(Fault::TooMany) => {
            Answer::error(429, "TOOMANYREQUESTS", "slow down").header("Retry-After", "1")
        }
        Some(Fault::Expired) => {
            shared.state().store.tokens.clear();
            let answer = answer(request, fault, shared);
            match answer.status {
                401 => answer,
                _ => Answer::error(401, "UNAUTHORIZED", "a fault of the test"),
            }
        }
        Some(Fault::LostSession) => {
            shared.state().store.uploads.clear();
            answer(request, fault, shared)
        }
        Some(Fault::ResetBeforeHeaders) => return Reaction::Reset,
        Some(Fault::ResetAfterwards) => {
            answer(request, fault, shared);
            return Reaction::Reset;
        }
        Some(Fault::Silent) => return Reaction::Silence,
        Some(Fault::RedirectLoop) => {
            // Every hop of it is a request with a new index.
            let mut state = shared.state();
            let next = state.requests;
            let hops = state
                .log
                .iter()
                .filter(|logged| logged.target == request.target)
                .count();
            if hops < 30 {
                state.faults.insert(next, Fault::RedirectLoop);
            }
            Answer::new(307).header("Location", request.target.clone())
        }
        Some(Fault::RedirectElsewhere) => {
            Answer::new(307).header("Location", format!("{}{}", shared.other, request.target))
        }
        Some(Fault::WrongDigest) => {
            let mut answer = answer(request, fault, shared);
            if let Some(byte) = answer.body.last_mut() {
                *byte ^= 1;
            }
            answer
                .headers
                .retain(|(name, _)| *name != "Docker-Content-Digest");
            answer.header(
                "Docker-Content-Digest",
                format!("sha256:{}", "0".repeat(64)),
            )
        }
        Some(Fault::WrongRange) => {
            let mut answer = answer(request, fault, shared);
            for (name, value) in &mut answer.headers {
                if *name == "Range" {
                    "0-999999999".clone_into(value);
                }
            }
            answer.headers.retain(|(name, _)| *name != "Content-Range");
            if answer.status == 200 || answer.status == 206 {
                answer.status = 206;
                answer = answer.header("Content-Range", "bytes 7-8/9");
            }
            answer
        }
        _ => answer(request, fault, shared),
    })
}

/// Writes an answer; false if the connection has to end.
fn write(
    stream: &mut impl Write,
    socket: &TcpStream,
    answer: &Answer,
    is_head: bool,
    fault: Option<Fault>,
    shared: &Shared,
) -> io::Result<bool> {
    let mut body = answer.body.clone();
    let mut announced = body.len();
    match fault {
        Some(Fault::Truncated) => {
            announced = announced.max(2);
            body.truncate(body.len() / 2);
        }
        Some(Fault::ExtraBytes) => {
            body.extend(b"extra");
            announced = body.len();
        }
        _ => {}
    }
    stream.write_all(answer.head(announced).as_bytes())?;
    if fault == Some(Fault::ResetAfterHeaders) {
        stream.flush()?;
        // The head has to be on its way before the reset overtakes it.
        thread::sleep(shared.options.slowness);
        reset(socket)?;
        return Ok(false);
    }
    if is_head {
        body.clear();
    }
    if fault == Some(Fault::Slow) {
        let pieces = body.len().div_ceil(20).max(1);
        for piece in body.chunks(pieces) {
            stream.write_all(piece)?;
            stream.flush()?;
            thread::sleep(shared.options.slowness);
        }
    } else {
        stream.write_all(&body)?;
    }
    stream.flush()?;
    Ok(fault != Some(Fault::Truncated))
}

/// Ends a connection so that the peer gets an error instead of an end.
fn reset(socket: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(socket, Some(std::time::Duration::ZERO))?;
    Ok(())
}
