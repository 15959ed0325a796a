//! A small HTTP server on loopback whose answers a test decides, with or without a certificate that nobody trusts.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use test_servers::certificate::Certificate;

/// What is answered to one path.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// More header lines.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
    /// How many bytes are announced, where that is not how many are sent.
    pub announced: Option<usize>,
}

impl Answer {
    /// 200 with this content.
    pub fn ok(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body,
            announced: None,
        }
    }

    /// Only a status.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            announced: None,
        }
    }
}

/// A running server; it ends with the test process.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
    /// The certificate authority to trust, where the server speaks TLS.
    pub authority: Option<String>,
}

impl Server {
    /// Serves plain HTTP.
    pub fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_tls(None, None, answer)
    }

    /// Serves HTTPS for `localhost` and 127.0.0.1 with a certificate of an authority made up just now.
    pub fn start_tls(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let Certificate {
            authority, config, ..
        } = Certificate::new();
        Self::with_tls(Some(authority), Some(config), answer)
    }

    /// `http://127.0.0.1:PORT` or `https://localhost:PORT`.
    pub fn url(&self) -> String {
        let host = if self.scheme == "https" {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// The paths that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no handler panics").clone()
    }

    fn with_tls(
        authority: Option<String>,
        config: Option<Arc<ServerConfig>>,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let scheme = if config.is_some() { "https" } else { "http" };
        let server = Self {
            address,
            scheme,
            asked: Arc::clone(&asked),
            authority,
        };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, asked, config) =
                    (Arc::clone(&answer), Arc::clone(&asked), config.clone());
                thread::spawn(move || {
                    let served = match config {
                        Some(config) => serve_tls(stream, config, &*answer, &asked),
                        None => serve(stream, &*answer, &asked),
                    };
                    // A client that goes away in the middle is what some tests are about.
                    drop(served);
                });
            }
        });
        server
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.url())
    }
}

fn serve_tls(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    answer: &dyn Fn(&str) -> Answer,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    serve(StreamOwned::new(connection, stream), answer, asked)
}

/// One request a connection: reads its head, answers, closes.
fn serve(
    stream: impl Read + Write,
    answer: &dyn Fn(&str) -> Answer,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request)?;
    let mut range = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(bytes) = line
            .to_ascii_lowercase()
            .trim()
            .strip_prefix("range: bytes=")
        {
            range = bytes
                .strip_suffix('-')
                .and_then(|start| start.parse::<usize>().ok());
        }
    }
    let mut words = request.split_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    asked
        .lock()
        .expect("no handler panics")
        .push(path.to_owned());

    let mut answer = answer(path);
    if let (Some(start), 200) = (
        range.filter(|&start| start > 0 && start < answer.body.len()),
        answer.status,
    ) {
        let total = answer.body.len();
        answer.status = 206;
        answer.headers.push((
            "content-range".to_owned(),
            format!("bytes {start}-{}/{total}", total - 1),
        ));
        answer.body.drain(..start);
    }
    let length = answer.announced.unwrap_or(answer.body.len());
    let mut head = format!(
        "HTTP/1.1 {} -\r\ncontent-length: {length}\r\nconnection: close\r\n",
        answer.status
    );
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes())?;
    if method != "HEAD" {
        stream.write_all(&answer.body)?;
    }
    stream.flush()
}
