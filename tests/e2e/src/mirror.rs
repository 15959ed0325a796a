//! A Debian mirror on loopback: hands on the machine's own mirror, and spoils what a test wants spoilt.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::server::{Answer, Server};
use crate::skip;

/// Passes every file on from the machine's mirror, after `spoil` had a look at it; `None` where the machine names no mirror.
pub fn passing_on(
    spoil: impl Fn(&str, Answer) -> Answer + Send + Sync + 'static,
) -> Option<Server> {
    let upstream = machines_mirror()?;
    let kept: Arc<Mutex<BTreeMap<String, Answer>>> = Arc::default();
    Some(Server::start(move |path| {
        let known = kept.lock().expect("no handler panics").get(path).cloned();
        let answer = known.unwrap_or_else(|| {
            let answer = fetch(&format!("{upstream}{path}"));
            // A moment in which the mirror could not answer is not kept: whoever asks again shall have the file.
            if answer.status < 500 {
                kept.lock()
                    .expect("no handler panics")
                    .insert(path.to_owned(), answer.clone());
            }
            answer
        });
        spoil(path, answer)
    }))
}

/// The mirror of the machine's apt, up to the folder that holds `debian`; `LONGSHORE_DEBIAN_MIRROR` comes first, as for Longshore.
pub fn machines_mirror() -> Option<String> {
    let named = std::env::var("LONGSHORE_DEBIAN_MIRROR").ok().or_else(|| {
        let arguments = [
            "indextargets",
            "--format",
            "$(REPO_URI)",
            "Created-By: Packages",
        ];
        let output = Command::new("apt-get").args(arguments).output().ok()?;
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        lines
            .lines()
            .find(|line| line.trim_end_matches('/').ends_with("/debian"))
            .map(str::to_owned)
    });
    let mirror = named.map(|url| {
        url.trim_end_matches('/')
            .trim_end_matches("/debian")
            .to_owned()
    });
    if mirror.is_none() {
        skip::because("neither apt nor LONGSHORE_DEBIAN_MIRROR names a Debian mirror");
    }
    mirror
}

/// One file of the machine's mirror; says that the test is skipped where it cannot be had.
pub fn get(path: &str) -> Option<Vec<u8>> {
    let url = format!("{}{path}", machines_mirror()?);
    let answer = fetch(&url);
    if answer.status == 200 {
        return Some(answer.body);
    }
    skip::because(&format!("{url} answers {}", answer.status));
    None
}

/// Tried a few times.
fn fetch(url: &str) -> Answer {
    let mut answer = fetch_once(url);
    for _ in 0..3 {
        if answer.status < 500 {
            break;
        }
        thread::sleep(Duration::from_secs(2));
        answer = fetch_once(url);
    }
    answer
}

fn fetch_once(url: &str) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    match agent.get(url).call() {
        Ok(mut answer) => {
            let status = answer.status().as_u16();
            let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec();
            body.map_or_else(
                |_| Answer::status(502),
                |body| Answer {
                    status,
                    ..Answer::ok(body)
                },
            )
        }
        Err(_) => Answer::status(502),
    }
}
