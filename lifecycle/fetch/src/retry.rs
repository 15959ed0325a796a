//! When to try again: which statuses, after which pause, how often. Decisions only; the waiting is in `transfer`.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::config::RetryPolicy;

/// True for answers that another attempt may change. 501 and 505 are about the request itself.
pub fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 499) || (status >= 500 && !matches!(status, 501 | 505 | 511))
}

/// The pause that `Retry-After` asks for: seconds, or a date counted from the answer's own `Date` (RFC 9110, 10.2.3), so
/// that our clock does not matter.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let sent: SystemTime = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(until.duration_since(sent).unwrap_or(Duration::ZERO))
}

/// Counts attempts and says how long to wait before the next.
#[derive(Debug)]
pub struct Tries<'a> {
    policy: &'a RetryPolicy,
    /// All attempts begun.
    pub made: u32,
    fruitless: u32,
}

impl<'a> Tries<'a> {
    /// None made yet.
    pub fn new(policy: &'a RetryPolicy) -> Self {
        Self {
            policy,
            made: 0,
            fruitless: 0,
        }
    }

    /// The pause before the next attempt, or none if it is time to give up. `chance` is from 0 to 1.
    pub fn next_wait(
        &mut self,
        moved: bool,
        asked: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        self.fruitless = if moved { 1 } else { self.fruitless + 1 };
        if self.fruitless >= self.policy.attempts {
            return None;
        }
        let doubled = self
            .policy
            .first_wait
            .saturating_mul(1 << (self.fruitless - 1).min(16));
        // Half fixed, half by chance: many builders that saw the same failure do not come back in step.
        let own = doubled
            .min(self.policy.longest_wait)
            .mul_f64(0.5 + chance / 2.0);
        Some(
            asked
                .map_or(own, |asked| own.max(asked))
                .min(self.policy.longest_wait),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 4,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(10),
        }
    }

    #[test]
    fn is_transient_status_cases() {
        let transient = [408, 425, 429, 499, 500, 502, 503, 504, 522];
        let final_ones = [400, 401, 403, 404, 405, 407, 410, 416, 501, 505, 511];
        assert!(transient.into_iter().all(is_transient_status));
        assert!(!final_ones.into_iter().any(is_transient_status));
    }

    #[test]
    fn next_wait_doubles_then_gives_up() {
        let policy = policy();
        let mut tries = Tries::new(&policy);
        let waits: Vec<_> = (0..4)
            .map(|_| tries.next_wait(false, None, 1.0).map(|wait| wait.as_secs()))
            .collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), None]);
    }

    #[test]
    fn next_wait_progress_counts_anew() {
        let policy = policy();
        let mut tries = Tries::new(&policy);
        for _ in 0..50 {
            assert!(tries.next_wait(true, None, 0.0).is_some());
        }
    }

    #[test]
    fn next_wait_honours_the_server_up_to_the_limit() {
        let policy = policy();
        let wait =
            |asked| Tries::new(&policy).next_wait(false, Some(Duration::from_secs(asked)), 0.5);
        assert_eq!(wait(7), Some(Duration::from_secs(7)));
        assert_eq!(wait(3600), Some(Duration::from_secs(10)));
    }

    #[test]
    fn retry_after_forms() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a header value"));
            headers.insert(
                DATE,
                "Sat, 21 Nov 2026 10:00:00 GMT"
                    .parse()
                    .expect("a header value"),
            );
            retry_after(&headers)
        };
        assert_eq!(asked("12"), Some(Duration::from_secs(12)));
        assert_eq!(
            asked("Sat, 21 Nov 2026 10:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(asked("Sat, 21 Nov 2026 09:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(asked("-1"), None);
    }
}
