//! A small HTTP server on loopback that does exactly what a test tells it: also the wrong thing.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use url::Url;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header's value; names are compared without case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    pub(crate) cut: Option<usize>,
    /// Announce the length.
    pub(crate) sized: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_vec(),
            cut: None,
            sized: true,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    pub(crate) fn unsized_body(mut self) -> Self {
        self.sized = false;
        self
    }

    /// Answers as a good server does, `Range` included.
    pub(crate) fn file(request: &Request, body: &[u8], etag: &str) -> Self {
        let start = request.header("range").and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
        let same = request.header("if-range").is_none_or(|tag| tag == etag);
        match start.filter(|start| same && *start < body.len()) {
            Some(start) => Self::new(206, &body[start..]).header(
                "Content-Range",
                format!("bytes {start}-{}/{}", body.len() - 1, body.len()),
            ),
            None => Self::new(200, body),
        }
        .header("ETag", etag)
    }
}

type Handler = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// The running server; its thread ends with the test program.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server. The handler is given each request and how many came before it.
    pub(crate) fn start(
        handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(None, handler)
    }

    /// The same behind TLS.
    pub(crate) fn start_tls(
        tls: ServerConfig,
        handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(Arc::new(tls)), handler)
    }

    fn listen(
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let handler: Arc<Handler> = Arc::new(handler);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, log, handler) = (tls.clone(), Arc::clone(&log), Arc::clone(&handler));
                thread::spawn(move || match tls {
                    None => serve(stream, &log, &*handler),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).expect("a connection");
                        serve(StreamOwned::new(connection, stream), &log, &*handler);
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            requests,
        }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.url_as("127.0.0.1", path)
    }

    pub(crate) fn url_as(&self, host: &str, path: &str) -> Url {
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
            .parse()
            .expect("a URL")
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

/// One request a connection.
fn serve(stream: impl Read + Write, log: &Mutex<Vec<Request>>, handler: &Handler) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read_request(&mut stream) else {
        return;
    };
    let before = {
        let mut log = log.lock().expect("not poisoned");
        log.push(request.clone());
        log.len() - 1
    };
    let reply = handler(&request, before);
    let mut head = vec![
        format!("HTTP/1.1 {} Test", reply.status),
        "Connection: close".to_owned(),
    ];
    head.extend(
        reply
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    if reply.sized && reply.status != 304 {
        head.push(format!("Content-Length: {}", reply.body.len()));
    }
    let head = head.join("\r\n") + "\r\n\r\n";
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    let stream = stream.get_mut();
    // The client may hang up first; that is what some tests are about.
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body))
        .and_then(|()| stream.flush());
    drop(sent);
}

fn read_request(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => return Some(Request { target, headers }),
        }
    }
}

/// Keeps a connection open and says nothing.
pub(crate) fn silent_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let held: Vec<TcpStream> = listener.incoming().flatten().collect();
        drop(held);
    });
    address
}

/// A port where nobody listens.
pub(crate) fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
}
