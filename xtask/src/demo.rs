//! From a fresh clone to a page in the browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::install;
use crate::steps::{ChoreError, built, cargo, command, run, say};

const IMAGE: &str = "dash-minimal";

/// When the demo ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// On Ctrl-C.
    Stopped,
    /// As soon as the page has answered.
    PageSeen,
}

/// Sets up, builds Longshore, builds the example and serves it.
pub(crate) fn demo(until: Until) -> Result<(), ChoreError> {
    install::launcher_target()?;
    run(cargo().args(["build", "--locked", "--package", "longshore"]))?;
    serve(&built("debug")?.join("longshore"), until, None)
}

/// Builds the example and serves it, with images and caches below a given folder or where the user's are.
pub(crate) fn serve(longshore: &Path, until: Until, home: Option<&Path>) -> Result<(), ChoreError> {
    let longshore = || {
        let mut command = command(longshore);
        if let Some(home) = home {
            command
                .env("XDG_DATA_HOME", home.join("data"))
                .env("XDG_CACHE_HOME", home.join("cache"));
        }
        command
    };
    run(longshore().args(["build", "examples/dash-minimal", "--tag", IMAGE]))?;

    let mut serve = longshore();
    serve.args(["run", IMAGE]).stderr(Stdio::piped());
    say(&format!("+ longshore run {IMAGE}"));
    let mut child = serve
        .spawn()
        .map_err(|source| ChoreError::start(&serve, source))?;
    let served = look(&mut child, until);
    if until == Until::PageSeen || served.is_err() {
        // SIGTERM, which `longshore run` hands on; `kill` of the standard library would be SIGKILL.
        run(command("kill").arg(child.id().to_string()))?;
    }
    let status = child
        .wait()
        .map_err(|source| ChoreError::start(&serve, source))?;
    served?;
    // 130 and 143 are how a process says that Ctrl-C or SIGTERM ended it.
    if matches!(status.code(), None | Some(0 | 130 | 143)) {
        return Ok(());
    }
    Err(ChoreError::Failed {
        command: format!("longshore run {IMAGE}"),
        status,
    })
}

/// Passes on what `longshore run` says, waits for its address, asks the page, and says where to click.
fn look(child: &mut Child, until: Until) -> Result<(), ChoreError> {
    let stderr = child.stderr.take().expect("standard error is piped");
    let mut lines = BufReader::new(stderr).lines();
    let mut address = None;
    for line in lines.by_ref() {
        let line =
            line.map_err(|error| ChoreError::Said(format!("longshore run went silent: {error}")))?;
        say(&line);
        address = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://"))
            .map(str::to_owned);
        if address.is_some() {
            break;
        }
    }
    let rest = thread::spawn(move || lines.map_while(Result::ok).for_each(|line| say(&line)));
    let address =
        address.ok_or_else(|| ChoreError::Said("longshore run printed no address".to_owned()))?;
    let address = address.trim_end_matches(['/', '.']);

    let start = Instant::now();
    loop {
        match ask(address) {
            Ok(page) if page.contains(" 200 ") && page.contains("Harbour traffic") => break,
            answer if start.elapsed() > Duration::from_mins(1) => {
                let answer = answer.unwrap_or_else(|error| error.to_string());
                return Err(ChoreError::Said(format!(
                    "http://{address} does not show the page: {answer}"
                )));
            }
            _ => thread::sleep(Duration::from_millis(100)),
        }
    }
    say(&format!(
        "\nThe page is served from the image: http://{address}"
    ));
    if until == Until::Stopped {
        say("Open it in a browser. Ctrl-C ends it.\n");
        drop(rest.join());
    }
    Ok(())
}

/// A whole HTTP answer.
fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
