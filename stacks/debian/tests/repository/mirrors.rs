//! Finding mirrors: what the machine's apt configuration names, and what of it is of use.

use std::fs;

use debian::mirror::{MirrorSettings, Mirrors, find};
use tempfile::TempDir;
use url::Url;

use crate::{
    mini::{Mini, client},
    server::Server,
};

struct Apt(TempDir);

impl Apt {
    fn new(sources_list: &str, stanzas: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("sources.list.d")).expect("a folder");
        fs::write(folder.path().join("sources.list"), sources_list).expect("written");
        fs::write(folder.path().join("sources.list.d/x.sources"), stanzas).expect("written");
        Self(folder)
    }

    fn settings(&self) -> MirrorSettings {
        MirrorSettings {
            apt_folder: self.0.path().to_owned(),
            compiled_in: None,
            ..MirrorSettings::default()
        }
    }
}

/// `debian` has trixie, `debian-security` beside it has trixie-security.
fn archive() -> (Mini, Server) {
    let mini = Mini::new();
    let release = |suite: &str, origin: &str| {
        Mini::release(suite, "", b"").replace("Origin: Debian", &format!("Origin: {origin}"))
    };
    mini.write(
        "debian/dists/trixie/InRelease",
        release("trixie", "Debian").as_bytes(),
    );
    mini.write(
        "debian-security/dists/trixie-security/InRelease",
        release("trixie-security", "Debian").as_bytes(),
    );
    mini.write(
        "other/dists/trixie/InRelease",
        release("trixie", "Ubuntu").as_bytes(),
    );
    let server = Server::serve(mini.path());
    (mini, server)
}

fn at(server: &Server, path: &str) -> Url {
    server.url.join(path).expect("a URL")
}

fn found(settings: &MirrorSettings) -> Mirrors {
    find(&client(), settings, "trixie").expect("found")
}

#[test]
fn find_given_mirror_is_not_questioned() {
    let (_mini, server) = archive();
    let apt = Apt::new("deb http://127.0.0.1:1/debian trixie main\n", "");
    let given = MirrorSettings {
        main: Some((at(&server, "debian"), "--debian-mirror".to_owned())),
        ..apt.settings()
    };
    let mirrors = found(&given);
    assert_eq!(mirrors.main, at(&server, "debian"));
    assert_eq!(mirrors.security, Some(at(&server, "debian-security")));
    assert_eq!(
        (mirrors.origin.as_str(), mirrors.notices.len()),
        ("--debian-mirror", 0)
    );
    let suites: Vec<_> = mirrors
        .sources("trixie", &["main".to_owned()])
        .into_iter()
        .map(|source| source.suite)
        .collect();
    assert_eq!(suites, ["trixie", "trixie-updates", "trixie-security"]);
}

#[test]
fn find_in_apt_configuration() {
    let (_mini, server) = archive();
    let (debian, security, other) = (
        at(&server, "debian/"),
        at(&server, "debian-security"),
        at(&server, "other"),
    );
    let dead = crate::mirrors::dead();
    let apt = Apt::new(
        &format!("deb {dead}/debian bookworm main\ndeb {other} trixie main\n"),
        &format!(
            "Types: deb\nURIs: {debian}\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
             Types: deb\nURIs: {security}\nSuites: bookworm-security\nComponents: main\n"
        ),
    );
    let mirrors = found(&apt.settings());
    assert_eq!(
        (&mirrors.main, &mirrors.security),
        (&debian, &Some(security))
    );
    assert_eq!(
        mirrors.origin,
        apt.0
            .path()
            .join("sources.list.d/x.sources")
            .display()
            .to_string()
    );
    let [notice] = &mirrors.notices[..] else {
        panic!("{:?}", mirrors.notices)
    };
    let list = apt.0.path().join("sources.list");
    let start = format!(
        "the mirror {dead}/debian of {} is skipped: it cannot be reached (",
        list.display()
    );
    assert!(notice.starts_with(&start), "{notice}");
}

pub(crate) fn dead() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[test]
fn find_skips_what_is_not_debian() {
    let (_mini, server) = archive();
    let apt = Apt::new(
        &format!(
            "deb {} trixie main\ndeb {} trixie main\n",
            at(&server, "other"),
            at(&server, "nothing")
        ),
        "",
    );
    let error = find(&client(), &apt.settings(), "trixie")
        .expect_err("nothing of use")
        .to_string();
    let list = apt.0.path().join("sources.list");
    assert_eq!(
        error,
        format!(
            "no Debian mirror is known.\n\
             Give one with --debian-mirror URL or LONGSHORE_DEBIAN_MIRROR=URL: the address of a folder that holds 'dists' and 'pool'.\n\
             Of this machine's apt configuration ({}) nothing was of use:\n\
             the mirror {} of {list} is skipped: it is not Debian's (Origin: Ubuntu)\n\
             the mirror {} of {list} is skipped: it has no suite trixie",
            apt.0.path().display(),
            at(&server, "other"),
            at(&server, "nothing"),
            list = list.display()
        )
    );

    let compiled = MirrorSettings {
        compiled_in: Some(at(&server, "debian").to_string()),
        ..apt.settings()
    };
    assert_eq!(found(&compiled).main, at(&server, "debian"));
}

#[test]
fn find_nothing_configured() {
    let settings = MirrorSettings {
        apt_folder: "/no/such/folder".into(),
        compiled_in: None,
        ..MirrorSettings::default()
    };
    let error = find(&client(), &settings, "trixie")
        .expect_err("nothing")
        .to_string();
    assert!(
        error.ends_with("This machine's apt configuration (/no/such/folder) names none."),
        "{error}"
    );
}

#[test]
fn find_mirror_lists() {
    let (mini, server) = archive();
    mini.write(
        "list.txt",
        format!(
            "# mirrors\n{}\tpriority:1\n{}\n",
            at(&server, "nothing"),
            at(&server, "debian")
        )
        .as_bytes(),
    );
    let by_http = at(&server, "list.txt");
    let by_file = format!("file:{}", mini.path().join("list.txt").display());
    for list in [by_http.to_string(), by_file] {
        let apt = Apt::new(
            "",
            &format!("Types: deb\nURIs: mirror+{list}\nSuites: trixie\nComponents: main\n"),
        );
        let mirrors = found(&apt.settings());
        assert_eq!(
            (mirrors.main, mirrors.notices.len()),
            (at(&server, "debian"), 0)
        );
    }
}

#[test]
fn find_without_security_archive() {
    let (_mini, server) = archive();
    let apt = Apt::new("", "");
    let given = MirrorSettings {
        main: Some((at(&server, "other"), "--debian-mirror".to_owned())),
        ..apt.settings()
    };
    let mirrors = found(&given);
    assert_eq!(mirrors.security, None);
    assert_eq!(
        mirrors.notices,
        [
            "no mirror of trixie-security was found; packages come without security updates (give one with --debian-security-mirror)"
        ]
    );
}

#[test]
fn find_refuses_other_schemes() {
    let given = MirrorSettings {
        main: Some((
            "ftp://a.test/debian".parse().expect("a URL"),
            "--debian-mirror".to_owned(),
        )),
        ..MirrorSettings::default()
    };
    let error = find(&client(), &given, "trixie")
        .expect_err("refused")
        .to_string();
    assert_eq!(
        error,
        "--debian-mirror names ftp://a.test/debian; a mirror's address begins with https:, http: or file:"
    );
}
