//! Serves a folder over HTTP on loopback and remembers what was asked for.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use url::Url;

/// The running server; its thread ends with the test program.
pub(crate) struct Server {
    pub(crate) url: Url,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn serve(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"))
            .parse()
            .expect("a URL");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, folder) = (Arc::clone(&asked), folder.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, folder) = (Arc::clone(&log), folder.clone());
                thread::spawn(move || answer(&stream, &log, &folder));
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn answer(stream: &TcpStream, log: &Mutex<Vec<String>>, folder: &Path) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let target = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .for_each(drop);
    log.lock().expect("not poisoned").push(target.clone());
    let path: PathBuf = folder.join(target.trim_start_matches('/').replace("%3A", ":"));
    let (status, body) = fs::read(path).map_or((404, Vec::new()), |body| (200, body));
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .ok()?;
    stream.write_all(&body).ok()
}
