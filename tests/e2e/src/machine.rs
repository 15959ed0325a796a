//! What containers need of this machine to reach what it reaches: certificates, Debian's mirror, package indexes, proxies.

use std::path::PathBuf;

/// Where containers find the certificates that this machine trusts.
pub const CERTIFICATES: &str = "/certificates.pem";

/// Files and folders to mount, and where, `:ro` included.
pub fn mounts() -> Vec<(PathBuf, String)> {
    let wheels = std::env::var_os("PIP_FIND_LINKS").map(PathBuf::from);
    let wheels = wheels.map(|path| (path.clone(), format!("{}:ro", path.display())));
    let all = [
        (PathBuf::from("/etc/apt"), "/etc/apt:ro".to_owned()),
        (certificates(), format!("{CERTIFICATES}:ro")),
    ];
    let there = |path: &PathBuf| path.is_absolute() && path.try_exists().unwrap_or(false);
    let all = all.into_iter().chain(wheels);
    all.filter(|(path, _)| there(path)).collect()
}

/// The certificates that this machine trusts.
pub fn certificates() -> PathBuf {
    std::env::var_os("SSL_CERT_FILE").map_or_else(
        || PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
        PathBuf::from,
    )
}

/// Variables to set, by name.
pub fn settings() -> Vec<(String, String)> {
    let is_wanted = |name: &str| {
        let index = name.starts_with("PIP_") || name.starts_with("UV_");
        let elsewhere = name.ends_with("_CERT") || name == "PIP_CONFIG_FILE";
        index && !elsewhere
            || name.to_ascii_lowercase().ends_with("_proxy")
            || name.starts_with("LONGSHORE_DEBIAN_")
    };
    let of_this_machine = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        is_wanted(&name).then_some((name, value))
    });
    let trusted = ("SSL_CERT_FILE".to_owned(), CERTIFICATES.to_owned());
    of_this_machine.chain([trusted]).collect()
}
