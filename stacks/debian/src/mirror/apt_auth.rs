//! Logins for mirrors: `/etc/apt/auth.conf` and `auth.conf.d/*.conf` (apt_auth.conf(5)), the netrc form.
//!
//! ```text
//! machine mirror.example/debian login me password secret
//! ```
//! A machine without a scheme is meant for https only: passwords are not sent in the clear unless the file says `http://`.

use std::{fs, path::Path};

use url::Url;

/// All logins found.
#[derive(Default)]
pub(super) struct Logins(Vec<Login>);

struct Login {
    machine: String,
    user: String,
    password: String,
}

/// Reads the logins. The files are often readable to root only: then there are none.
pub(super) fn read_folder(folder: &Path) -> Logins {
    let parts = fs::read_dir(folder.join("auth.conf.d"));
    let mut paths: Vec<_> = parts
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "conf")
    });
    paths.sort();
    paths.insert(0, folder.join("auth.conf"));
    let texts = paths
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    Logins(texts.flat_map(|text| parse(&text)).collect())
}

fn parse(text: &str) -> Vec<Login> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let words: Vec<_> = lines.flat_map(str::split_whitespace).collect();
    let mut logins: Vec<Login> = Vec::new();
    for pair in words.chunks(2) {
        let [word, value] = pair else { break };
        let value = (*value).to_owned();
        match (*word, logins.last_mut()) {
            ("machine", _) => logins.push(Login {
                machine: value,
                user: String::new(),
                password: String::new(),
            }),
            ("login", Some(login)) => login.user = value,
            ("password", Some(login)) => login.password = value,
            _ => {}
        }
    }
    logins
}

impl Logins {
    /// Adds the login to an address that has none.
    pub(super) fn apply(&self, url: &mut Url) {
        if !url.username().is_empty() || url.password().is_some() {
            return;
        }
        let Some(login) = self.0.iter().find(|login| login.fits(url)) else {
            return;
        };
        // Only addresses without a host cannot carry a user, and those fit no machine.
        if url.set_username(&login.user).is_ok() && url.set_password(Some(&login.password)).is_err()
        {
            url.set_username("").ok();
        }
    }
}

impl Login {
    fn fits(&self, url: &Url) -> bool {
        let written = if self.machine.contains("://") {
            self.machine.clone()
        } else {
            format!("https://{}", self.machine)
        };
        let Ok(machine) = written.parse::<Url>() else {
            return false;
        };
        let path = machine.path().trim_end_matches('/');
        let below = url
            .path()
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        machine.has_host() && machine.origin() == url.origin() && below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apply_cases() {
        let logins = Logins(parse(
            "# comment\nmachine a.test/debian login me password pw\nmachine http://b.test login you password p2\n\
             machine c.test\n  login x\n  password y\n",
        ));
        for (url, expected) in [
            ("https://a.test/debian", "https://me:pw@a.test/debian"),
            ("https://a.test/debian/", "https://me:pw@a.test/debian/"),
            (
                "https://a.test/debian-security",
                "https://a.test/debian-security",
            ),
            ("http://a.test/debian", "http://a.test/debian"),
            ("http://b.test/x", "http://you:p2@b.test/x"),
            ("https://c.test/x", "https://x:y@c.test/x"),
            ("https://own:login@c.test/x", "https://own:login@c.test/x"),
            ("file:///srv", "file:///srv"),
        ] {
            let mut url: Url = url.parse().expect("a URL");
            logins.apply(&mut url);
            assert_eq!(url.as_str(), expected);
        }
    }
}
