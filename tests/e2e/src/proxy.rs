//! A forward proxy on loopback that passes everything on and remembers what it was asked.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running proxy; it ends with the test process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heard = Arc::clone(&heard);
                // A side that goes away in the middle ends the connection, as everywhere.
                thread::spawn(move || drop(serve(stream, &heard)));
            }
        });
        Self { address, asked }
    }

    /// What to set as `HTTP_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The request lines so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no handler panics").clone()
    }
}

/// One request a connection (RFC 9110, 9.3.6 CONNECT; RFC 9112, 3.2.2 absolute-form).
fn serve(client: TcpStream, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    asked
        .lock()
        .expect("no handler panics")
        .push(request.trim().to_owned());
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if !matches!(
            name.as_str(),
            "connection" | "proxy-connection" | "proxy-authorization"
        ) {
            head.push_str(&line);
        }
    }
    let words: Vec<&str> = request.split_whitespace().collect();
    let [method, target, _] = words[..] else {
        return Ok(());
    };
    if method == "CONNECT" {
        let server = TcpStream::connect(target)?;
        (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        return pass_on(reader, client, server);
    }
    let rest = target.strip_prefix("http://").unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut server = TcpStream::connect(address)?;
    write!(
        server,
        "{method} /{path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    )?;
    pass_on(reader, client, server)
}

/// Both ways until both sides have ended.
fn pass_on(
    mut reader: impl Read + Send + 'static,
    mut client: TcpStream,
    server: TcpStream,
) -> io::Result<()> {
    let mut to_server = server.try_clone()?;
    thread::spawn(move || {
        if io::copy(&mut reader, &mut to_server).is_ok() {
            drop(to_server.shutdown(std::net::Shutdown::Write));
        }
    });
    let mut server = server;
    io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}
