//! Known failures of uv and pip, recognised in their last words: what to change.

/// Words that both tools (or their TLS and HTTP libraries) use, and what helps. The first row that matches is used.
const KNOWN: [(&[&str], &str); 6] = [
    (
        &[
            "UnknownIssuer",
            "CERTIFICATE_VERIFY_FAILED",
            "invalid peer certificate",
        ],
        "The server's certificate is not signed by anyone this build trusts. Behind a proxy that inspects TLS, that is expected:\ngive the company's CA certificates with --ca-cert FILE, or SSL_CERT_FILE=FILE in the environment of `longshore build`.\nThey serve the build only and never enter the image.",
    ),
    (
        &[
            "401 Unauthorized",
            "403 Forbidden",
            "401 Client Error",
            "403 Client Error",
            "status code 401",
            "status code 403",
        ],
        "The package index refuses the credentials it was given, or wants some.\nGive them in the index URL by variables (--extra-index-url https://${INDEX_USER}:${INDEX_PASSWORD}@host/simple), and the variables with --env.",
    ),
    (
        &["No space left on device", "os error 28", "Errno 28"],
        "The disk is full. Free some space (`longshore cache prune` removes what no image needs) and build again.",
    ),
    (
        &[
            "Connection refused",
            "dns error",
            "Temporary failure in name resolution",
            "Name or service not known",
            "timed out",
            "operation timed out",
            "Network is unreachable",
            "tcp connect error",
            "NewConnectionError",
            "ConnectTimeout",
        ],
        "The package index cannot be reached. If this machine needs a proxy, set HTTPS_PROXY; if it has an index of its own, set PIP_INDEX_URL.",
    ),
    (
        &[
            "Python.h: No such file",
            "command 'gcc' failed: No such file",
            "command 'cc' failed: No such file",
            "unable to execute 'gcc'",
        ],
        "A package has no wheel for this Python and could not be compiled. Ask for a version of the package that has one, or for an older Python.",
    ),
    (
        &[
            "pg_config executable not found",
            "fatal error: ",
            "cannot find -l",
            "Package libffi was not found",
            "mysql_config not found",
        ],
        "A package is compiled here and misses a library of the operating system. Name its Debian package in 'apt-packages' (for PostgreSQL: libpq-dev),\nor ask for a version of the Python package that has a wheel (for PostgreSQL: psycopg2-binary).",
    ),
];

/// What to change, where the failure is a known one.
pub fn advice(text: &str) -> Option<&'static str> {
    KNOWN
        .iter()
        .find(|(words, _)| words.iter().any(|word| text.contains(word)))
        .map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_by_the_tools_words() {
        let cases = [
            // uv 0.13 behind a proxy whose CA it does not know
            (
                "  cause: invalid peer certificate: UnknownIssuer",
                "The server's certificate",
            ),
            // pip 23
            (
                "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]",
                "The server's certificate",
            ),
            (
                "cause: Connection refused (os error 111)",
                "The package index cannot be reached",
            ),
            (
                "HTTP status client error (401 Unauthorized) for url (https://h/)",
                "The package index refuses",
            ),
            (
                "Error: pg_config executable not found.",
                "A package is compiled here",
            ),
            (
                "OSError: [Errno 28] No space left on device",
                "The disk is full",
            ),
        ];
        for (text, beginning) in cases {
            assert!(advice(text).unwrap().starts_with(beginning), "{text}");
        }
        assert_eq!(advice("No solution found"), None);
    }
}
