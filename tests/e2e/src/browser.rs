//! Headless Chromium, driven through `chromedriver` by the WebDriver protocol (<https://www.w3.org/TR/webdriver2/>).

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::running::Running;
use crate::skip;

const PATIENCE: Duration = Duration::from_mins(1);

/// One browser window.
#[derive(Debug)]
pub struct Browser {
    session: String,
    _profile: TempDir,
    // Ends after the session is deleted.
    _driver: Running,
}

impl Browser {
    /// Opens a page; `None` where the machine has no Chromium.
    pub fn open(url: &str) -> Option<Self> {
        let chromium = skip::tool("chromium")?;
        let driver = skip::tool("chromedriver")?;
        let profile = TempDir::with_prefix("longshore-chromium-").expect("a temporary folder");

        let mut command = Command::new(driver);
        command.args(["--port=0", "--log-level=WARNING"]);
        let mut driver = Running::start(command);
        let port: u16 = driver.wait_for("its port", |said| {
            let rest = said.split_once("started successfully on port ")?.1;
            rest[..rest.find('.')?].parse().ok()
        });

        let arguments = [
            "--headless=new",
            // Chromium's own sandbox refuses to run as root; the page is ours.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--window-size=900,820",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
        }}});
        let base = format!("http://127.0.0.1:{port}/session");
        let answer = ask("POST", &base, Some(&wanted)).expect("a browser session");
        let id = answer["sessionId"]
            .as_str()
            .expect("a session has an id")
            .to_owned();
        let browser = Self {
            session: format!("{base}/{id}"),
            _profile: profile,
            _driver: driver,
        };
        browser.command("url", &json!({ "url": url }));
        Some(browser)
    }

    /// Clicks what a CSS selector finds, once it is there.
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command(&format!("element/{element}/click"), &json!({}));
    }

    /// Waits until the text of what a CSS selector finds contains these words, and returns the text.
    pub fn wait_for_text(&self, selector: &str, words: &str) -> String {
        let start = Instant::now();
        loop {
            let element = self.element(selector);
            // React may replace an element between the two requests.
            let text = ask(
                "GET",
                &format!("{}/element/{element}/text", self.session),
                None,
            )
            .ok();
            let text = text.as_ref().and_then(Value::as_str).unwrap_or_default();
            if text.contains(words) {
                return text.to_owned();
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{selector} does not say {words:?} but {text:?}"
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Saves a picture of the window.
    pub fn screenshot(&self, file: &Path) {
        let answer =
            ask("GET", &format!("{}/screenshot", self.session), None).expect("a screenshot");
        let picture = decode_base64(answer.as_str().expect("a screenshot is text"));
        std::fs::write(file, picture).expect("the picture can be written");
    }

    /// The reference of the element that a CSS selector finds, once it is there.
    fn element(&self, selector: &str) -> String {
        let start = Instant::now();
        let query = json!({"using": "css selector", "value": selector});
        loop {
            match ask("POST", &format!("{}/element", self.session), Some(&query)) {
                Ok(found) => {
                    let reference = found
                        .as_object()
                        .and_then(|pairs| pairs.values().next())
                        .and_then(Value::as_str);
                    return reference.expect("an element reference").to_owned();
                }
                Err(error) => assert!(
                    start.elapsed() < PATIENCE,
                    "{selector} is not on the page: {error}"
                ),
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn command(&self, name: &str, body: &Value) {
        ask("POST", &format!("{}/{name}", self.session), Some(body))
            .expect("the browser does as it is told");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Deleting the session ends Chromium; the driver alone would leave it running.
        if let Err(error) = ask("DELETE", &self.session, None) {
            assert!(thread::panicking(), "the browser does not close: {error}");
        }
    }
}

/// One WebDriver request: its answer's `value`, or the error it names.
fn ask(method: &str, url: &str, body: Option<&Value>) -> Result<Value, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let answer = match (method, body) {
        ("GET", _) => agent.get(url).call(),
        ("DELETE", _) => agent.delete(url).call(),
        (_, body) => agent
            .post(url)
            .header("content-type", "application/json")
            .send(body.map(Value::to_string).unwrap_or_default()),
    };
    let mut answer = answer.map_err(|error| error.to_string())?;
    // A screenshot is larger than ureq's default limit would like.
    let text = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_string()
        .map_err(|error| error.to_string())?;
    let mut value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        Ok(value["value"].take())
    } else {
        Err(text)
    }
}

/// WebDriver sends pictures in standard base64 with padding.
fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'=' | b'\n'))
        .map(digit)
        .collect();
    let mut decoded = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        decoded.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_base64_every_padding() {
        assert_eq!(decode_base64("cXVheQ=="), b"quay");
        assert_eq!(decode_base64("cGllcnM="), b"piers");
        assert_eq!(decode_base64("aGFyYm9y"), b"harbor");
    }
}
