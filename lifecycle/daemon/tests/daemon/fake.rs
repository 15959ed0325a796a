//! A daemon that keeps nothing but ids and names, and fails where a test tells it to. One request a connection.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How a request goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// This answer after the whole request.
    Answer(u16, String),
    /// This answer before the request's body has been read.
    Early(u16),
    /// Hang up after so many bytes of the body.
    Reset(usize),
    /// Hang up in the middle of the answer.
    Cut,
    /// Never answer.
    Hang,
}

#[derive(Default)]
struct State {
    /// Requests whose line contains this go wrong, so many times.
    faults: Vec<(String, u32, Fault)>,
    /// The request of this number goes wrong.
    fault_at: Option<(usize, Fault)>,
    /// What is exported, whatever is asked for.
    export: Vec<u8>,
    /// Method and path of each request.
    log: Vec<String>,
    /// The id that the next load leaves behind.
    id: String,
    /// Names and ids, and where they lead.
    images: BTreeMap<String, String>,
    /// Images that were there before: id and diffIDs.
    older: Vec<(String, Vec<String>)>,
    /// The bodies of loads.
    loads: Vec<usize>,
    /// What `info` says of the store.
    driver: Value,
    /// Manifests of which not all blobs are there.
    incomplete: Vec<String>,
}

pub(crate) struct Fake {
    folder: TempDir,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let folder = TempDir::with_prefix_in("longshore-fake-", "/tmp").expect("a folder");
        let listener = UnixListener::bind(folder.path().join("s")).expect("a socket");
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { folder, state }
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics meanwhile")
    }

    /// Requests whose line contains `part` go wrong `times` times.
    pub(crate) fn fail(&self, part: &str, times: u32, fault: Fault) {
        self.state().faults.push((part.to_owned(), times, fault));
    }

    /// The request of this number, from 0 on, goes wrong.
    pub(crate) fn fail_at(&self, number: usize, fault: Fault) {
        self.state().fault_at = Some((number, fault));
    }

    pub(crate) fn exports(&self, archive: &[u8]) {
        archive.clone_into(&mut self.state().export);
    }

    /// Where a name leads.
    pub(crate) fn leads_to(&self, name: &str) -> Option<String> {
        self.state().images.get(name).cloned()
    }

    /// The id that a load leaves behind.
    pub(crate) fn will_have(&self, id: &str) {
        id.clone_into(&mut self.state().id);
    }

    /// An image that is there already.
    pub(crate) fn has(&self, id: &str, diff_ids: Vec<String>) {
        self.state().older.push((id.to_owned(), diff_ids));
    }

    pub(crate) fn uses_containerd(&self) {
        self.state().driver = json!([["driver-type", "io.containerd.snapshotter.v1"]]);
    }

    /// Some blob of this manifest is missing until the second load from now on.
    pub(crate) fn lacks_content(&self, id: &str) {
        self.state().incomplete.push(id.to_owned());
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    pub(crate) fn loads(&self) -> Vec<usize> {
        self.state().loads.clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // Whoever connects from now on finds no socket.
        drop(fs::remove_file(self.folder.path().join("s")));
    }
}

/// A client that hangs up is no failure here.
fn serve(stream: UnixStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let request = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut chunked = false;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        chunked |= header.to_ascii_lowercase().starts_with("transfer-encoding");
    }
    let fault = take_fault(state, &request);
    match fault {
        Some(Fault::Hang) => {
            thread::sleep(Duration::from_secs(20));
            return;
        }
        Some(Fault::Early(status)) => {
            answer(&stream, status, r#"{"message":"too early"}"#);
            return;
        }
        Some(Fault::Reset(after)) => {
            let mut some = vec![0; if chunked { after } else { 0 }];
            drop(reader.read_exact(&mut some));
            return;
        }
        _ => {}
    }
    let body = if chunked {
        read_chunks(&mut reader)
    } else {
        Some(0)
    };
    let Some(body) = body else {
        return;
    };
    match fault {
        Some(Fault::Answer(status, words)) => answer(&stream, status, &words),
        Some(Fault::Cut) => {
            let cut = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 100\r\n\r\n{\"str";
            drop((&stream).write_all(cut.as_bytes()));
        }
        _ => {
            let (status, words) = well(state, &request, body);
            answer(&stream, status, &words);
        }
    }
}

fn take_fault(state: &Mutex<State>, request: &str) -> Option<Fault> {
    let mut state = state.lock().expect("nobody panics meanwhile");
    let number = state.log.len();
    state.log.push(request.to_owned());
    if let Some((at, fault)) = &state.fault_at
        && *at == number
    {
        return Some(fault.clone());
    }
    let (_, left, fault) = state
        .faults
        .iter_mut()
        .find(|(part, left, _)| *left > 0 && request.contains(part.as_str()))?;
    *left -= 1;
    Some(fault.clone())
}

/// The number of bytes, if the body came to its end.
fn read_chunks(reader: &mut BufReader<UnixStream>) -> Option<usize> {
    let mut total = 0;
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(total);
        }
        total += size;
    }
}

/// What a daemon does when all goes well.
fn well(state: &Mutex<State>, request: &str, body: usize) -> (u16, Vec<u8>) {
    let (status, words) = said(state, request, body);
    let is_export = request.starts_with("GET") && request.ends_with("/get");
    if is_export {
        let state = state.lock().expect("nobody panics meanwhile");
        return (200, state.export.clone());
    }
    (status, words.into_bytes())
}

fn said(state: &Mutex<State>, request: &str, body: usize) -> (u16, String) {
    let mut state = state.lock().expect("nobody panics meanwhile");
    let (method, path) = request.split_once(' ').expect("two words");
    let path = path.strip_prefix("/v1.41").unwrap_or(path);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    match (method, path) {
        ("GET", "/_ping") => (200, "OK".to_owned()),
        ("GET", "/info") => (200, json!({"DriverStatus": state.driver}).to_string()),
        ("GET", "/images/json") => {
            let listed: Vec<Value> = state
                .older
                .iter()
                .map(|(id, _)| json!({"Id": id}))
                .collect();
            (200, json!(listed).to_string())
        }
        ("POST", "/images/load") => {
            state.loads.push(body);
            if state.loads.len() > 1 {
                state.incomplete.clear();
            }
            let id = state.id.clone();
            state.images.insert(id.clone(), id.clone());
            (
                200,
                json!({"stream": format!("Loaded image ID: {id}\n")}).to_string(),
            )
        }
        ("POST", _) => {
            let id = path.trim_start_matches("/images/").trim_end_matches("/tag");
            let value = |key: &str| {
                let pair = query.split('&').find_map(|pair| pair.strip_prefix(key));
                pair.unwrap_or_default().replace("%2F", "/")
            };
            let name = format!("{}:{}", value("repo="), value("tag="));
            state.images.insert(name, id.to_owned());
            (201, String::new())
        }
        _ => {
            let name = path
                .trim_start_matches("/images/")
                .trim_end_matches("/json");
            let older = state.older.iter().find(|(id, _)| id == name);
            match (state.images.get(name), older) {
                (Some(id), _) => {
                    let manifest = json!({"ID": id, "Available": !state.incomplete.contains(id)});
                    (200, json!({"Id": id, "Manifests": [manifest]}).to_string())
                }
                (_, Some((id, layers))) => {
                    let manifest = json!({"ID": id, "Available": !state.incomplete.contains(id)});
                    let layers =
                        json!({"Id": id, "RootFS": {"Layers": layers}, "Manifests": [manifest]});
                    (200, layers.to_string())
                }
                _ => (404, format!(r#"{{"message":"No such image: {name}"}}"#)),
            }
        }
    }
}

fn answer(mut stream: &UnixStream, status: u16, body: impl AsRef<[u8]>) {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} Words\r\nApi-Version: 1.41\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    drop(stream.write_all(head.as_bytes()));
    drop(stream.write_all(body));
}
