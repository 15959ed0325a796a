//! Where a redirect leads, and which ones are not followed.

use url::Url;

use crate::error::RedirectProblem;

/// More hops than any mirror network needs; browsers stop at 20, curl at 50.
const MOST_REDIRECTS: u32 = 10;

/// The address to ask next. Our credentials stay with the origin they were given for, and a redirect's own are not used.
pub fn redirect_target(from: &Url, location: &str, hops: u32) -> Result<Url, RedirectProblem> {
    if hops >= MOST_REDIRECTS {
        return Err(RedirectProblem::TooMany);
    }
    let mut to = from
        .join(location)
        .map_err(|_| RedirectProblem::Unreadable)?;
    match (from.scheme(), to.scheme()) {
        ("https", "http") => return Err(RedirectProblem::LeavesTls),
        (_, "http" | "https") => {}
        _ => return Err(RedirectProblem::OtherScheme),
    }
    let (user, password) = if to.origin() == from.origin() {
        (from.username(), from.password())
    } else {
        ("", None)
    };
    // An http URL always has a host, so it can always carry a user.
    to.set_username(user)
        .map_err(|()| RedirectProblem::Unreadable)?;
    to.set_password(password)
        .map_err(|()| RedirectProblem::Unreadable)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(from: &str, location: &str) -> Result<String, RedirectProblem> {
        redirect_target(&from.parse().expect("a literal URL"), location, 0).map(String::from)
    }

    #[test]
    fn redirect_target_followed() {
        for (from, location, to) in [
            ("http://a.test/x", "/y", "http://a.test/y"),
            ("http://a.test/x/z", "y?q=1", "http://a.test/x/y?q=1"),
            ("http://a.test/x", "https://b.test/y", "https://b.test/y"),
            // credentials: kept on the same origin, however the location is written
            ("https://u:p@a.test/x", "/y", "https://u:p@a.test/y"),
            (
                "https://u:p@a.test/x",
                "https://a.test/y",
                "https://u:p@a.test/y",
            ),
            // not for another host, port or scheme
            (
                "https://u:p@a.test/x",
                "https://b.test/y",
                "https://b.test/y",
            ),
            (
                "https://u:p@a.test/x",
                "https://a.test:8443/y",
                "https://a.test:8443/y",
            ),
            (
                "http://u:p@a.test/x",
                "https://a.test/y",
                "https://a.test/y",
            ),
            ("https://u:p@a.test/x", "//b.test/y", "https://b.test/y"),
            // a redirect cannot make us log in somewhere
            (
                "https://a.test/x",
                "https://u:p@b.test/y",
                "https://b.test/y",
            ),
        ] {
            assert_eq!(
                target(from, location).as_deref(),
                Ok(to),
                "{from} -> {location}"
            );
        }
    }

    #[test]
    fn redirect_target_refused() {
        assert_eq!(
            target("https://a.test/", "http://a.test/"),
            Err(RedirectProblem::LeavesTls)
        );
        assert_eq!(
            target("http://a.test/", "file:///etc/passwd"),
            Err(RedirectProblem::OtherScheme)
        );
        assert_eq!(
            target("http://a.test/", "http://["),
            Err(RedirectProblem::Unreadable)
        );
        let url = "http://a.test/".parse().expect("a literal URL");
        assert_eq!(
            redirect_target(&url, "/", MOST_REDIRECTS),
            Err(RedirectProblem::TooMany)
        );
    }
}
