//! Whether a resumed download goes on where it was interrupted.

use reqwest::header::{CONTENT_RANGE, HeaderMap};

/// The whole file's size, if the header says exactly "from `offset` to the end" (RFC 9110, 14.4).
pub fn checked_content_range(headers: &HeaderMap, offset: u64) -> Option<u64> {
    let text = headers
        .get(CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse::<u64>().ok()
        } else {
            None
        }
    };
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (first == offset && last.checked_add(1) == Some(total) && first <= last).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_content_range_is_strict() {
        let total = |text: &str, offset| {
            let headers =
                HeaderMap::from_iter([(CONTENT_RANGE, text.parse().expect("a header value"))]);
            checked_content_range(&headers, offset)
        };
        assert_eq!(total("bytes 5-9/10", 5), Some(10));
        for (text, offset) in [
            ("bytes 4-9/10", 5),
            ("bytes 5-8/10", 5),
            ("bytes 5-9/*", 5),
            ("bytes 5-9", 5),
            ("bytes */10", 5),
            ("bytes 10-9/10", 10),
            ("bytes +5-9/10", 5),
            ("5-9/10", 5),
            ("bytes 5-18446744073709551615/18446744073709551615", 5),
        ] {
            assert_eq!(total(text, offset), None, "{text}");
        }
    }
}
