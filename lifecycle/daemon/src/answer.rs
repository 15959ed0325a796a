//! What a daemon says while it loads an archive: JSON values one after the other, under a status that says 200 whatever comes of it.
//!
//! ```text
//! {"stream":"Loaded image ID: sha256:…\n"}
//! {"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}
//! ```

use serde_json::Value;

use crate::request::printable;

/// With containerd's image store, an image whose layers could not be unpacked is loaded all the same, and only this line says so.
const NOT_UNPACKED: &str = "Error unpacking image";

/// What is wrong, if something is.
pub(crate) fn error_in(body: &[u8]) -> Option<String> {
    for value in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        let Ok(value) = value else {
            return Some(format!(
                "its answer ends in the middle, or is not JSON: {}",
                printable(&String::from_utf8_lossy(&body[..body.len().min(300)]))
            ));
        };
        let detail = value["errorDetail"]["message"].as_str();
        if let Some(message) = detail.or(value["error"].as_str()) {
            return Some(printable(message));
        }
        let said = value["stream"].as_str().unwrap_or_default();
        if said.contains(NOT_UNPACKED) {
            return Some(printable(said));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_in_table() {
        for (body, expected) in [
            ("", None),
            ("{\"stream\":\"Loaded image ID: sha256:0\\n\"}\r\n", None),
            (
                "{\"status\":\"Loading layer\"}\n{\"errorDetail\":{\"message\":\"no space\\n\"},\"error\":\"x\"}",
                Some("no space"),
            ),
            ("{\"error\":\"x\"}", Some("x")),
            (
                "{\"stream\":\"Loaded image ID: x\\n\"}{\"stream\":\"Error unpacking image x: wrong diff id\\n\"}",
                Some("Error unpacking image x: wrong diff id"),
            ),
            (
                "{\"stream\":\"Loa",
                Some("its answer ends in the middle, or is not JSON: {\"stream\":\"Loa"),
            ),
        ] {
            assert_eq!(error_in(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
